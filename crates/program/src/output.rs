//! Standard output and standard error: the only way by which programs write to them.
//!
//! `println!` and `eprintln!` panic when nobody reads any more (`drmwatch results … | head -1`) and when the disk is
//! full. So clippy denies them, and programs use [`say!`](crate::say) and [`note!`](crate::note), which remember the
//! first failure, and [`finish`], which makes it the exit status.

use std::{
    fmt,
    fs::File,
    io::{self, Write, stderr, stdout},
    os::fd::AsFd,
    process::ExitCode,
    sync::OnceLock,
};

/// Exit status when a reader closed the pipe: what a shell reports for a program that SIGPIPE ended.
const READER_GONE: u8 = 141;

/// The first write that failed. There is one standard output, so there is one of these.
static FAILED: OnceLock<(&'static str, io::Error)> = OnceLock::new();

/// Writes a line to standard output, as `println!` does, without its panic.
///
/// A command that changes something finishes its work even if nobody reads what it says; [`finish`] reports the failure.
#[macro_export]
macro_rules! say {
    ($($text:tt)*) => { $crate::write_line(format_args!($($text)*)) };
}

/// Writes a line to standard error, as `eprintln!` does, without its panic.
#[macro_export]
macro_rules! note {
    ($($text:tt)*) => { $crate::write_note(format_args!($($text)*)) };
}

/// Writes a line to standard output: [`say!`](crate::say).
pub fn write_line(text: fmt::Arguments<'_>) {
    keep("standard output", || writeln!(stdout(), "{text}"));
}

/// Writes text to standard output as it is.
pub fn write_text(text: &str) {
    keep("standard output", || stdout().write_all(text.as_bytes()));
}

/// Writes text to standard output at once, for a caller that handles the failure itself: [`finish`] does not count it.
pub fn try_write(text: &str) -> io::Result<()> {
    // Past the buffer of `stdout()`, which would keep what could not be written and fail again at the end.
    let mut unbuffered = File::from(stdout().as_fd().try_clone_to_owned()?);
    unbuffered.write_all(text.as_bytes())
}

/// Writes a line to standard error: [`note!`](crate::note).
pub fn write_note(text: fmt::Arguments<'_>) {
    keep("standard error", || writeln!(stderr(), "{text}"));
}

fn keep(what: &'static str, write: impl FnOnce() -> io::Result<()>) {
    // What follows a failed write would be a text with a hole.
    if FAILED.get().is_none()
        && let Err(error) = write()
    {
        let _ = FAILED.set((what, error));
    }
}

/// The exit status of a program that ends with `code` if everything it said could be written.
///
/// A status other than 0 stays as it is. Success becomes 141 when the reader of a pipe is gone, and `failure`, with a
/// message on standard error, when the output could not be written for another reason, such as a full disk.
pub fn finish(code: ExitCode, failure: u8) -> ExitCode {
    keep("standard output", || stdout().flush());
    let Some((what, error)) = FAILED.get() else {
        return code;
    };
    if error.kind() != io::ErrorKind::BrokenPipe {
        let _ = writeln!(stderr(), "{what} can't be written: {error}");
    }
    match (code == ExitCode::SUCCESS, error.kind()) {
        (false, _) => code,
        (true, io::ErrorKind::BrokenPipe) => ExitCode::from(READER_GONE),
        (true, _) => ExitCode::from(failure),
    }
}

/// The command line, or the exit status of a program that has nothing more to do: after `--help` and `--version`, and
/// with 2 after a mistake in the arguments. Unlike `Parser::parse`, a help text that can't be written is a failure.
pub fn arguments<T: clap::Parser>() -> Result<T, ExitCode> {
    let error = match T::try_parse() {
        Ok(options) => return Ok(options),
        Err(error) => error,
    };
    let what = match error.use_stderr() {
        true => "standard error",
        false => "standard output",
    };
    keep(what, || error.print());
    let code = u8::try_from(error.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from);
    Err(finish(code, 1))
}

//! Streams for a program under test: a pseudo terminal, and a pipe that nobody reads.

use rustix::{
    fs::{Mode, OFlags, open},
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{Winsize, tcsetwinsize},
};
use std::{
    fs::File,
    io::{self, PipeWriter, Read},
    sync::{Arc, Mutex},
    thread::JoinHandle,
};

/// What was written to a pseudo terminal.
pub struct Screen {
    bytes: Arc<Mutex<Vec<u8>>>,
    reader: JoinHandle<()>,
}

impl Screen {
    /// What was written so far.
    pub fn shown(&self) -> String {
        let bytes = self.bytes.lock().unwrap_or_else(|e| e.into_inner());
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// All that programs wrote until the last of them closed it.
    pub fn whole(self) -> String {
        let Screen { bytes, reader } = self;
        let _ = reader.join();
        let bytes = bytes.lock().unwrap_or_else(|e| e.into_inner());
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

/// A pseudo terminal of 80 columns: its end for programs, and what they write to it.
pub fn terminal() -> io::Result<(File, Screen)> {
    let screen = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
    grantpt(&screen)?;
    unlockpt(&screen)?;
    let line = open(
        ptsname(&screen, Vec::new())?,
        OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    let size = Winsize {
        ws_row: 24,
        ws_col: 80,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    tcsetwinsize(&line, size)?;
    let mut screen = File::from(screen);
    let bytes: Arc<Mutex<Vec<u8>>> = Arc::default();
    let kept = bytes.clone();
    let reader = std::thread::spawn(move || {
        let mut piece = [0; 4096];
        // Linux says EIO, not the end of the file, when the last program has closed it.
        while let Ok(length @ 1..) = screen.read(&mut piece) {
            let mut kept = kept.lock().unwrap_or_else(|e| e.into_inner());
            kept.extend(piece.iter().take(length));
        }
    });
    Ok((File::from(line), Screen { bytes, reader }))
}

/// A pipe whose reader is gone.
pub fn closed_pipe() -> io::Result<PipeWriter> {
    Ok(io::pipe()?.1)
}

/// A file that takes no bytes, as on a full disk.
pub fn full_disk() -> io::Result<File> {
    File::options().write(true).open("/dev/full")
}

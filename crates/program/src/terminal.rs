//! What may be shown on a stream: colors, and a screen that is drawn again in place.

use std::{env, ffi::OsStr, io::IsTerminal};

/// Whether colors may be written to a stream: it is a terminal that has them, and `NO_COLOR` is unset or empty
/// (<https://no-color.org>).
pub fn has_colors(stream: &impl IsTerminal) -> bool {
    colors(
        stream.is_terminal(),
        env::var_os("TERM").as_deref(),
        env::var_os("NO_COLOR").as_deref(),
    )
}

/// Whether a stream can be drawn again in place: it is a terminal that knows escape sequences.
pub fn can_redraw(stream: &impl IsTerminal) -> bool {
    colors(stream.is_terminal(), env::var_os("TERM").as_deref(), None)
}

/// Columns and rows of the terminal, if there is one.
pub fn size() -> Option<(usize, usize)> {
    let (width, height) = terminal_size::terminal_size()?;
    // A pseudo terminal that nobody gave a size says 0.
    (width.0 > 0 && height.0 > 0).then_some((width.0.into(), height.0.into()))
}

fn colors(terminal: bool, term: Option<&OsStr>, no_color: Option<&OsStr>) -> bool {
    terminal && term.is_some_and(|t| t != "dumb") && no_color.is_none_or(OsStr::is_empty)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colors_are_for_terminals_that_have_them_and_users_who_did_not_refuse_them() {
        let check = |terminal, term: Option<&str>, no_color: Option<&str>, expected| {
            let said = colors(terminal, term.map(OsStr::new), no_color.map(OsStr::new));
            assert_eq!(said, expected, "{terminal} {term:?} {no_color:?}");
        };
        check(true, Some("xterm"), None, true);
        check(true, Some("xterm"), Some(""), true);
        check(true, Some("xterm"), Some("0"), false);
        check(true, Some("dumb"), None, false);
        check(true, None, None, false);
        check(false, Some("xterm"), None, false);
    }
}

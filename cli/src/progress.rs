//! A bar for long work, where somebody looks.

use indicatif::{ProgressBar, ProgressStyle};

/// A bar of so many steps; at no terminal there is none.
pub fn bar(steps: u64, what: &'static str) -> ProgressBar {
    if !drmwatch_program::terminal::can_redraw(&std::io::stderr()) {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(steps);
    if let Ok(style) = ProgressStyle::with_template("{msg:>14} [{bar:32}] {pos}/{len} {eta}") {
        bar.set_style(style.progress_chars("=> "));
    }
    bar.set_message(what);
    bar
}

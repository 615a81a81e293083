//! The live table on a terminal.

use crate::sink::Row;
use drmwatch_outcome::{Phases, Verdict};
use drmwatch_program::{terminal, try_write};
use std::{
    io::{self, stdout},
    net::SocketAddr,
};

/// Width of a column of times.
const PHASE: usize = 6;
/// What the table is if the terminal does not say how large it is.
const SIZE: (usize, usize) = (80, 24);

/// Draws probes with their verdicts and times: in place on a terminal; into a pipe line by line, and only when a verdict
/// has changed.
pub struct Table {
    redraws: bool,
    colors: bool,
    drawn: usize,
    last: String,
}

impl Table {
    /// A table that has not been drawn.
    pub fn new() -> Table {
        Table {
            redraws: terminal::can_redraw(&stdout()),
            colors: terminal::has_colors(&stdout()),
            drawn: 0,
            last: String::new(),
        }
    }

    /// Draws the rows.
    pub fn draw(&mut self, rows: &[Row], metrics: &SocketAddr) -> io::Result<()> {
        if rows.is_empty() {
            return Ok(());
        }
        let verdicts: String = rows
            .iter()
            .map(|r| format!("{} {}\n", r.id, r.last.verdict))
            .collect();
        if self.redraws {
            let (width, height) = terminal::size().unwrap_or(SIZE);
            let lines = lines(rows, metrics, Some((width, height)), self.colors);
            // One write, so that nothing else comes between.
            let mut text = String::new();
            if self.drawn > 0 {
                text.push_str(&format!("\x1b[{}A", self.drawn));
            }
            for line in &lines {
                text.push_str(&format!("\x1b[2K{line}\n"));
            }
            text.push_str("\x1b[J");
            try_write(&text)?;
            self.drawn = lines.len();
        } else if verdicts != self.last {
            let text = lines(rows, metrics, None, self.colors).join("\n");
            try_write(&format!("{text}\n\n"))?;
            self.last = verdicts;
        }
        Ok(())
    }
}

/// The lines of the table. On a screen none is wider than it, and they are fewer than its rows: what wraps or scrolls can't
/// be drawn in place.
fn lines(rows: &[Row], metrics: &SocketAddr, screen: Option<(usize, usize)>, colors: bool) -> Vec<String> {
    let (width, height) = screen.unwrap_or((usize::MAX, usize::MAX));
    let longest = |of: fn(&Row) -> usize, least: usize| rows.iter().map(of).max().unwrap_or(0).max(least);
    let probe = longest(|r| r.id.probe.chars().count(), 5);
    // As wide as a usual failure, so that the columns do not move when one begins.
    let verdict = longest(|r| r.last.verdict.to_string().chars().count(), 19);
    // The phases are left out where there is no room.
    let phases = probe + verdict + 3 + 7 * PHASE <= width;
    let names: &[&str] = match phases {
        true => &["DNS", "CONN", "TLS", "WAIT", "BODY", "TOTAL", "EDGE"],
        false => &["TOTAL", "EDGE"],
    };
    let columns = |fields: &[String]| -> String { fields.iter().map(|f| format!("{f:>PHASE$}")).collect() };
    let names: Vec<String> = names.iter().map(|n| (*n).to_owned()).collect();
    let cut = |text: String| -> String { text.chars().take(width).collect() };
    let mut table = vec![cut(format!(
        "{:<probe$}  {:<verdict$} {}",
        "PROBE",
        "VERDICT",
        columns(&names)
    ))];
    let foot = [
        match phases {
            true => "Times in ms, summed over the requests of a run. EDGE: live edge age in seconds.",
            false => "TOTAL: milliseconds. EDGE: age of the live edge, seconds.",
        }
        .to_owned(),
        format!("Metrics: http://{metrics}/metrics   Ctrl-C stops the runner."),
    ];
    for (n, row) in rows.iter().enumerate() {
        let failed = row.last.verdict != Verdict::Pass;
        let message = match failed {
            true => message(row, width),
            false => Vec::new(),
        };
        let needed = 1 + message.len() + usize::from(n + 1 < rows.len());
        if table.len() + needed + foot.len() >= height {
            table.push(format!("and {} more probes", rows.len() - n));
            break;
        }
        let plain = format!("{:<verdict$}", row.last.verdict.to_string());
        let line = cut(format!(
            "{:<probe$}  {plain} {}",
            row.id.probe,
            columns(&times(row, phases))
        ));
        table.push(match colors {
            true => line.replacen(&plain, &painted(row.last.verdict, &plain), 1),
            false => line,
        });
        table.extend(message);
    }
    // Into a pipe goes what the columns mean, and nothing for who sits before a screen.
    let shown = if screen.is_some() { 2 } else { 1 };
    table.extend(foot.into_iter().take(shown).map(cut));
    table
}

/// Why a run did not pass, in two lines at most: the message names what was expected only after what was looked at.
fn message(row: &Row, width: usize) -> Vec<String> {
    let step = row.last.step.as_deref().unwrap_or_default();
    let text: Vec<char> = format!("{step}: {}", row.last.message).chars().collect();
    let room = width.saturating_sub(4);
    // The first line ends with a word, if there is one that fits.
    let space = text.iter().take(room).rposition(|c| *c == ' ');
    let end = match text.len() <= room {
        true => text.len(),
        false => space.map_or(room, |at| at + 1),
    };
    let (first, rest) = text.split_at(end);
    [("  └ ", first), ("    ", rest)]
        .into_iter()
        .filter(|(_, piece)| !piece.is_empty())
        .map(|(start, piece)| start.chars().chain(piece.iter().copied()).take(width).collect())
        .collect()
}

fn painted(verdict: Verdict, text: &str) -> String {
    let color = match verdict {
        Verdict::Pass => "32",
        Verdict::Fail(_) => "1;31",
        Verdict::Inconclusive(_) => "33",
    };
    format!("\x1b[{color}m{text}\x1b[0m")
}

/// The fields of times: of the phases, if they are shown, of the whole run, and of the live edge.
fn times(row: &Row, phases: bool) -> Vec<String> {
    let hops: Vec<&Phases> = row
        .last
        .steps
        .iter()
        .flat_map(|s| &s.hops)
        .map(|h| &h.phases)
        .collect();
    let sum = |phase: fn(&Phases) -> Option<f64>| {
        let found: Vec<f64> = hops.iter().filter_map(|p| phase(p)).collect();
        match found.is_empty() {
            true => "-".to_owned(),
            false => number(found.iter().sum::<f64>() * 1e3),
        }
    };
    let edge = row
        .last
        .steps
        .iter()
        .filter_map(|s| s.facts.live_edge_age_seconds)
        .reduce(f64::max);
    let mut fields = Vec::new();
    if phases {
        fields.extend([
            sum(|p| p.dns),
            sum(|p| p.connect),
            sum(|p| p.tls),
            sum(|p| p.first_byte),
            sum(|p| p.transfer),
        ]);
    }
    fields.push(number(row.last.duration_seconds * 1e3));
    fields.push(edge.map_or("-".into(), number));
    fields
}

/// A number in at most five characters, up to a day of seconds.
fn number(value: f64) -> String {
    match value < 99.95 {
        true => format!("{value:.1}"),
        false => format!("{value:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use drmwatch_outcome::{Outcome, ProbeId, Reason};

    fn row(probe: &str, verdict: Verdict) -> Row {
        Row {
            id: ProbeId {
                namespace: "n".into(),
                tenant: "t".into(),
                probe: probe.into(),
            },
            last: Outcome::without_steps(verdict, "m".repeat(300), jiff::Timestamp::UNIX_EPOCH),
        }
    }

    #[test]
    fn a_screen_is_never_too_narrow_nor_too_low() {
        let rows: Vec<Row> = (0..30)
            .map(|n| row(&format!("acme-{n}"), Verdict::Fail(Reason::ManifestStale)))
            .collect();
        let metrics = SocketAddr::from(([127, 0, 0, 1], 9464));
        for width in [20, 40, 79, 80, 81, 120] {
            for height in [6, 24, 25, 92, 93, 94, 95] {
                let lines = lines(&rows, &metrics, Some((width, height)), false);
                assert!(lines.len() < height, "{width}x{height}: {}", lines.len());
                assert!(lines.iter().all(|l| l.chars().count() <= width), "{lines:#?}");
                let all = lines.iter().filter(|l| l.contains("acme-")).count() == rows.len();
                assert_eq!(all, !lines.iter().any(|l| l.contains("more probes")), "{height}");
                assert_eq!(all, height > 93, "{width}x{height}");
            }
        }
    }

    #[test]
    fn the_phases_fit_into_80_columns() {
        let rows = [row("acme-news-hls", Verdict::Pass)];
        let metrics = SocketAddr::from(([127, 0, 0, 1], 9464));
        let head = |width| lines(&rows, &metrics, Some((width, 24)), true).remove(0);
        assert!(head(80).contains("CONN") && head(80).contains("EDGE"));
        assert!(!head(60).contains("CONN") && head(60).contains("EDGE"));
    }
}

//! The live table on a terminal.

use crate::sink::Row;
use drmwatch_plan::{Phases, Verdict};
use std::{
    io::{IsTerminal, Write, stdout},
    net::SocketAddr,
};

/// Draws probes with their phases and verdicts, in place on a terminal, and line by line, on a change
/// only, into a pipe.
pub struct Table {
    terminal: bool,
    colour: bool,
    drawn: usize,
    last: String,
}

impl Table {
    /// A table that has not been drawn.
    pub fn new() -> Table {
        let terminal = stdout().is_terminal();
        Table {
            terminal,
            colour: terminal && std::env::var_os("NO_COLOR").is_none(),
            drawn: 0,
            last: String::new(),
        }
    }

    /// Draws the rows.
    pub fn draw(&mut self, rows: &[Row], metrics: &SocketAddr) {
        if rows.is_empty() {
            return;
        }
        let mut lines = vec![format!(
            "{:<26} {:<32} {:>6} {:>6} {:>6} {:>6} {:>6} {:>7} {:>5}",
            "PROBE", "VERDICT", "dns", "conn", "tls", "first", "body", "total", "edge"
        )];
        for row in rows {
            lines.push(self.line(row));
            if row.last.verdict != Verdict::Pass {
                let step = row.last.step.as_deref().unwrap_or_default();
                let text = format!("  └ {step}: {}", row.last.message);
                // A line that wraps would upset drawing in place.
                lines.push(if self.terminal {
                    text.chars().take(110).collect()
                } else {
                    text
                });
            }
        }
        if self.terminal {
            lines.push(format!(
                "milliseconds; edge in seconds · http://{metrics}/metrics · Ctrl-C ends"
            ));
            let mut out = stdout().lock();
            if self.drawn > 0 {
                let _ = write!(out, "\x1b[{}A", self.drawn);
            }
            for line in &lines {
                let _ = writeln!(out, "\x1b[2K{line}");
            }
            let _ = write!(out, "\x1b[J");
            let _ = out.flush();
            self.drawn = lines.len();
        } else {
            // Into a pipe the table is printed anew only when a verdict has changed.
            let verdicts: String = rows
                .iter()
                .map(|r| format!("{} {}\n", r.id, r.last.verdict))
                .collect();
            if verdicts != self.last {
                println!("{}\n", lines.join("\n"));
                self.last = verdicts;
            }
        }
    }

    fn line(&self, row: &Row) -> String {
        let hops: Vec<&Phases> = row
            .last
            .steps
            .iter()
            .flat_map(|s| &s.hops)
            .map(|h| &h.phases)
            .collect();
        let sum = |phase: fn(&Phases) -> Option<f64>| {
            let found: Vec<f64> = hops.iter().filter_map(|p| phase(p)).collect();
            if found.is_empty() {
                "-".to_owned()
            } else {
                format!("{:.1}", found.iter().sum::<f64>() * 1e3)
            }
        };
        let edge = row
            .last
            .steps
            .iter()
            .filter_map(|s| s.facts.live_edge_age_seconds)
            .reduce(f64::max);
        let verdict = format!("{:<32}", row.last.verdict.to_string());
        let verdict = match (self.colour, row.last.verdict) {
            (false, _) => verdict,
            (true, Verdict::Pass) => format!("\x1b[32m{verdict}\x1b[0m"),
            (true, Verdict::Fail(_)) => format!("\x1b[1;31m{verdict}\x1b[0m"),
            (true, Verdict::Inconclusive(_)) => format!("\x1b[33m{verdict}\x1b[0m"),
        };
        format!(
            "{:<26} {verdict} {:>6} {:>6} {:>6} {:>6} {:>6} {:>7.1} {:>5}",
            row.id.probe,
            sum(|p| p.dns),
            sum(|p| p.connect),
            sum(|p| p.tls),
            sum(|p| p.first_byte),
            sum(|p| p.transfer),
            row.last.duration_seconds * 1e3,
            edge.map_or("-".into(), |e| format!("{e:.1}")),
        )
    }
}

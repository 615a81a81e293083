//! An auditor who knows nothing of runners: from the world's own access log it tells which slots of each probe were not
//! run, and holds that against what runners said that they missed.
//!
//! A probe's phase is where most of its visits lie in its interval; nothing of the schedulers' code is used.

use clap::Parser;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{self, Write, stdout},
    path::PathBuf,
    process::ExitCode,
};

/// Compares the access log of drmwatch-world with the missed runs that runners reported, for tests. Exits with 1 if a run is
/// missing that no runner reported.
#[derive(Parser)]
#[command(name = "drmwatch-audit", max_term_width = 100)]
struct Options {
    /// Access log: one line `MILLISECONDS NAME` per request.
    visits: PathBuf,
    /// Missed runs: lines `RUNNER NAME CAUSE COUNT` in order of time. Counters may restart at 0.
    missed: PathBuf,
    /// Interval of the probes whose names begin with NAME, in seconds, such as fast=5. Can be repeated.
    #[arg(value_name = "NAME=SECONDS", long = "interval", value_parser = interval, required = true)]
    intervals: Vec<(String, i64)>,
    /// Expected number of probes.
    #[arg(long)]
    probes: usize,
    /// Start of the time to look at, in Unix milliseconds.
    #[arg(long)]
    from: i64,
    /// End of the time to look at, in Unix milliseconds.
    #[arg(long)]
    to: i64,
}

fn interval(text: &str) -> Result<(String, i64), String> {
    let (prefix, seconds) = text.split_once('=').ok_or("must be NAME=SECONDS")?;
    let seconds: i64 = seconds.parse().map_err(|_| "must be NAME=SECONDS")?;
    Ok((prefix.to_owned(), seconds.max(1) * 1000))
}

/// Visits are told apart to this many milliseconds.
const BIN: i64 = 20;

/// Where in its interval a probe is due: where most visits are.
fn phase(visits: &[i64], interval: i64) -> i64 {
    let mut bins: BTreeMap<i64, usize> = BTreeMap::new();
    for at in visits {
        *bins.entry(at.rem_euclid(interval) / BIN).or_default() += 1;
    }
    let most = bins.iter().max_by_key(|(_, n)| **n);
    most.map_or(0, |(bin, _)| bin * BIN)
}

/// The slots of one probe: those that were not visited, visits beyond the first of a slot, the longest time between two
/// visits.
fn audit(visits: &[i64], interval: i64, from: i64, to: i64) -> (usize, BTreeSet<i64>, usize, i64) {
    let phase = phase(visits, interval);
    // A visit comes some milliseconds after its slot, and the bin has a width.
    let slot = |at: i64| (at - phase + BIN).div_euclid(interval);
    let due: BTreeSet<i64> = (slot(from) + 1..slot(to)).collect();
    let seen: Vec<i64> = visits
        .iter()
        .map(|at| slot(*at))
        .filter(|s| due.contains(s))
        .collect();
    let once: BTreeSet<i64> = seen.iter().copied().collect();
    let watched: Vec<i64> = visits
        .iter()
        .copied()
        .filter(|at| (from..=to).contains(at))
        .collect();
    let gap = watched.windows(2).map(|w| w[1] - w[0]).max().unwrap_or(i64::MAX);
    let missing = due.difference(&once).copied().collect();
    (due.len(), missing, seen.len() - once.len(), gap)
}

fn main() -> io::Result<ExitCode> {
    let options = Options::parse();
    let mut out = stdout();
    let read = |path: &PathBuf| fs::read_to_string(path).unwrap_or_default();
    let mut visits: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    for line in read(&options.visits).lines() {
        if let Some((at, name)) = line.split_once(' ')
            && let Ok(at) = at.parse()
        {
            visits.entry(name.to_owned()).or_default().push(at);
        }
    }
    let mut last: BTreeMap<(String, String, String), f64> = BTreeMap::new();
    let mut told: BTreeMap<String, f64> = BTreeMap::new();
    let mut causes: BTreeMap<String, f64> = BTreeMap::new();
    for line in read(&options.missed).lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let [runner, name, cause, count] = words.as_slice() else {
            continue;
        };
        let Ok(count) = count.parse::<f64>() else { continue };
        let key = (runner.to_string(), name.to_string(), cause.to_string());
        let before = last.insert(key, count).unwrap_or(0.0);
        let more = if count >= before { count - before } else { count };
        *told.entry(name.to_string()).or_default() += more;
        *causes.entry(cause.to_string()).or_default() += more;
    }
    let (mut slots, mut missing, mut doubles, mut longest) = (0, 0, 0, 0);
    let mut lost = 0.0;
    for (name, at) in &mut visits {
        let Some((_, interval)) = options
            .intervals
            .iter()
            .find(|(p, _)| name.starts_with(p.as_str()))
        else {
            continue;
        };
        at.sort_unstable();
        let (due, gone, twice, gap) = audit(at, *interval, options.from, options.to);
        let accounted = told.get(name).copied().unwrap_or(0.0);
        if gone.len() as f64 > accounted {
            lost += gone.len() as f64 - accounted;
            writeln!(
                out,
                "UNACCOUNTED {name}: {} of {due} slots were not run, {accounted} are said to be missed: {gone:?}",
                gone.len()
            )?;
        }
        (slots, missing, doubles) = (slots + due, missing + gone.len(), doubles + twice);
        longest = longest.max(gap);
    }
    let causes: Vec<String> = causes.iter().map(|(c, n)| format!("{c} {n}")).collect();
    writeln!(
        out,
        "{} probes, {slots} slots: {missing} not run, {} said to be missed ({}), {doubles} run twice, at most {:.1} s between two runs",
        visits.len(),
        told.values().sum::<f64>(),
        causes.join(", "),
        longest as f64 / 1000.0
    )?;
    let strangers = visits.len() != options.probes;
    if strangers {
        writeln!(out, "{} probes were expected", options.probes)?;
    }
    Ok(ExitCode::from(u8::from(strangers || lost > 0.0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_run_is_found_and_what_was_run_twice() {
        // Due at 3.2 s of each ten; some milliseconds late.
        let mut visits: Vec<i64> = (0..60).map(|n| n * 10_000 + 3_200 + n % 13).collect();
        let (due, missing, doubles, _) = audit(&visits, 10_000, 0, 600_000);
        assert_eq!((due, missing.len(), doubles), (59, 0, 0));
        visits.remove(20);
        visits.push(403_000 + 5_000);
        visits.sort_unstable();
        let (_, missing, doubles, gap) = audit(&visits, 10_000, 0, 600_000);
        assert_eq!((missing.len(), doubles), (1, 1));
        assert!((19_990..20_020).contains(&gap), "{gap}");
        // Late in its own slot is not missing.
        visits[30] += 6_000;
        assert_eq!(audit(&visits, 10_000, 0, 600_000).1.len(), 1);
    }
}

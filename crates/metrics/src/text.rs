//! The two text formats that Prometheus reads.

use crate::Metrics;
use prometheus_client::{encoding::text::encode, registry::Registry};

/// Content type of OpenMetrics text.
pub const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// Content type of the Prometheus text format.
pub const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Everything in the store, in the format that an `Accept` header asks for, with its content type.
pub fn render(metrics: &Metrics, accept: &str) -> Result<(String, &'static str), std::fmt::Error> {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(metrics.clone()));
    let mut text = String::new();
    encode(&mut text, &registry)?;
    match accept.contains("application/openmetrics-text") {
        true => Ok((text, OPENMETRICS)),
        false => Ok((plain(&text), PROMETHEUS)),
    }
}

/// OpenMetrics names a counter's family without `_total`; the older format gives the name of the sample.
/// `curl`, promtool and scrapers before OpenMetrics get the older one.
fn plain(openmetrics: &str) -> String {
    let mut out = String::with_capacity(openmetrics.len());
    let mut help = None;
    for line in openmetrics.lines() {
        if line.starts_with("# HELP ") {
            help = Some(line);
            continue;
        }
        if line.starts_with("# UNIT ") || line == "# EOF" {
            continue;
        }
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap_or((rest, "untyped"));
            let suffix = if kind == "counter" { "_total" } else { "" };
            if let Some((_, text)) = help.take().and_then(|h| h["# HELP ".len()..].split_once(' ')) {
                out += &format!("# HELP {name}{suffix} {text}\n");
            }
            out += &format!("# TYPE {name}{suffix} {kind}\n");
            continue;
        }
        if let Some(help) = help.take() {
            out += help;
            out.push('\n');
        }
        out += line;
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use crate::*;
    use drmwatch_plan::ProbeId;

    fn owner(probe: &str) -> Owner {
        let id = ProbeId {
            namespace: "n".into(),
            tenant: "t".into(),
            probe: probe.into(),
        };
        Owner::probe(&id, "eu")
    }

    fn filled() -> Metrics {
        let metrics = Metrics::default();
        for probe in ["a", "b"] {
            metrics.add(&PROBE_RUNS, &owner(probe), &["pass"], 2);
            metrics.set(&PROBE_SUCCESS, &owner(probe), &[], 1.0);
            metrics.observe(&PROBE_DURATION, &owner(probe), &[], 0.003);
            metrics.observe(&PROBE_DURATION, &owner(probe), &[], 100.0);
        }
        metrics
    }

    #[test]
    fn both_formats_have_the_same_samples() {
        let metrics = filled();
        let (openmetrics, _) = render(&metrics, "application/openmetrics-text;version=1.0.0").unwrap();
        let (plain, _) = render(&metrics, "*/*").unwrap();
        let samples = |text: &str| {
            text.lines()
                .filter(|l| !l.starts_with('#'))
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        assert_eq!(samples(&openmetrics), samples(&plain));
        assert!(openmetrics.ends_with("# EOF\n") && !plain.contains("# EOF"));
        assert!(
            plain.contains("# TYPE drmwatch_probe_runs_total counter\n"),
            "{plain}"
        );
        let line = r#"drmwatch_probe_runs_total{tenant_namespace="n",tenant="t",probe="a",region="eu"#;
        assert!(plain.contains(line), "{plain}");
        for (bound, count) in [("0.0025", " 0"), ("0.005", " 1"), ("60.0", " 1"), ("+Inf", " 2")] {
            let bucket = format!("le=\"{bound}\"");
            let found = plain
                .lines()
                .find(|l| l.contains(&bucket) && l.contains("probe=\"a\""));
            let line = found.unwrap_or_else(|| panic!("{bucket}\n{plain}"));
            assert!(line.ends_with(count), "{line}");
        }
    }

    #[test]
    fn series_vanish_with_their_probe() {
        let metrics = filled();
        metrics.forget(&owner("a"));
        let (text, _) = render(&metrics, "").unwrap();
        assert!(!text.contains(r#"probe="a""#) && text.contains(r#"probe="b""#));
    }

    /// The judge is promtool itself, where it is installed; `make test` installs it.
    #[test]
    fn promtool_finds_nothing_to_complain_about() {
        use std::{
            io::Write,
            process::{Command, Stdio},
        };
        let metrics = filled();
        metrics.set(&PROBE_FAILURE_INFO, &owner("a"), &["s", "Timeout"], 1.0);
        metrics.add(&RECONCILES, &Owner::program(), &["DrmProbe"], 1);
        metrics.observe(&SLOT_LAG, &Owner::program(), &[], 0.1);
        let (text, _) = render(&metrics, "").unwrap();
        let Ok(mut promtool) = Command::new("promtool")
            .args(["check", "metrics"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
        else {
            eprintln!("SKIPPED: promtool is not installed");
            return;
        };
        promtool.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        let output = promtool.wait_with_output().unwrap();
        let said =
            String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success() && said.trim().is_empty(),
            "{said}\n{text}"
        );
    }
}

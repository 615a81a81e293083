//! Pages as other programs read them: pdftotext (Poppler) and qpdf.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use drmwatch_pdf::{PdfError, pdf};
use drmwatch_reports::{Report, Request, build, html};
use drmwatch_sla::{Cause, Policy, Rollup, Span, State};
use jiff::{Timestamp, civil::date, tz::TimeZone};
use std::{fs, process::Command};

fn report(display_name: &str, probes: usize) -> Report {
    let day = |n: i64| {
        (0..probes)
            .map(|p| {
                let mut rollup =
                    Rollup::empty(&format!("acme-live-{p}"), None, 1_790_812_800 + n * 86_400, 1440);
                let cause = Some(Cause {
                    reason: "Timeout".into(),
                    step: Some("#read(\"/etc/passwd\")".into()),
                    regions: vec!["eu".into(), "us".into()],
                });
                let span = |state, minutes, cause| Span {
                    state,
                    minutes,
                    cause,
                };
                rollup.spans = vec![
                    span(State::Up, 1000 + n as u32, None),
                    span(State::Down, 3, cause),
                    span(State::Maintenance, 60, None),
                    span(State::Up, 377 - n as u32, None),
                ];
                rollup.latency.add(52_000 + n as u64 * 1000);
                rollup
            })
            .collect::<Vec<_>>()
    };
    let request = Request {
        namespace: "tv".into(),
        tenant: "acme".into(),
        display_name: display_name.into(),
        zone: TimeZone::UTC,
        zone_name: "UTC".into(),
        from: date(2026, 10, 1),
        to: date(2026, 11, 1),
        policy: Policy {
            target: Some(99.9),
            ..Policy::default()
        },
        at: "2026-11-02T06:00:00Z".parse::<Timestamp>().unwrap(),
    };
    let days: Vec<_> = (0..31)
        .map(|n| (date(2026, 10, 1 + n as i8), true, day(n)))
        .collect();
    build(&request, &days, &days).unwrap()
}

fn said(by: &mut Command) -> String {
    let output = by.output().expect("make unit installs poppler-utils and qpdf");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn others_read_what_the_other_forms_say_and_nothing_that_was_written_is_run() {
    let name = "#panic() *ACME* & søns €";
    let report = report(name, 2);
    let bytes = pdf(&report, &[]).unwrap();
    assert_eq!(
        bytes,
        pdf(&report, &[]).unwrap(),
        "the same report, the same bytes"
    );
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("report.pdf");
    fs::write(&file, bytes).unwrap();
    if let Some(keep) = std::env::var_os("RESULTS_KEEP") {
        fs::create_dir_all(&keep).unwrap();
        fs::copy(&file, std::path::Path::new(&keep).join("pages.pdf")).unwrap();
    }
    said(Command::new("qpdf").arg("--check").arg(&file));
    let text = said(Command::new("pdftotext").arg("-layout").arg(&file).arg("-")).replace('\u{200b}', "");
    let page = html(&report);
    let availability = format!("{} %", report.total.availability);
    for what in [
        name,
        "Target missed",
        &availability,
        "maintenance window",
        "Timeout",
        "#read(\"/etc/passwd\")",
        "3 min",
    ] {
        assert!(text.contains(what), "{what}: {text}");
    }
    assert!(page.contains(&availability));
    let information = said(Command::new("pdfinfo").arg(&file));
    assert!(
        information.contains("CreationDate:    Mon Nov  2 06:00:00 2026"),
        "{information}"
    );
    assert!(information.contains("Tagged:          yes"), "{information}");
}

#[test]
fn what_no_font_has_is_said_and_a_font_can_be_brought() {
    let report = report("アクメ", 1);
    assert_eq!(pdf(&report, &[]), Err(PdfError::Characters("アクメ".into())));
    assert_eq!(pdf(&report, &[b"nothing".to_vec()]), Err(PdfError::NoFont(1)));
}

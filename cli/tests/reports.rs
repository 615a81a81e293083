//! Reports of a planted month, held against a second implementation: pyarrow opens the store through its own KMS client and
//! recomputes every figure (e2e/oracles/results/recompute.py). And what goes wrong, and what is said of it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

mod common;

use common::{Dice, Of, fail, ok, record, refused, second, server::Postgres, store, walk};
use drmwatch_outcome::TenantKey;
use drmwatch_runs::{
    Kind, Record, Store,
    consolidate::{Consolidator, Settings},
    sla::{Level, calendar_periods},
};
use jiff::{SignedDuration, Timestamp, civil::date, tz::TimeZone};
use serde_json::{Value, json};
use std::{fs, path::Path, process::Command};

const ZONES: [&str; 6] = [
    "Europe/Berlin",
    "America/New_York",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    "UTC",
    "America/Sao_Paulo",
];
const REGIONS: [&str; 3] = ["ap", "eu", "us"];
const REASONS: [&str; 4] = [
    "Timeout",
    "ConnectionRefused",
    "LicenseDenied",
    "CertificateExpired",
];

/// The records of a probe: outages, gaps, maintenance, attempts that don't count, runs that were made twice. Those that
/// come late are apart.
fn probe(
    of: &Of<'_>,
    number: u64,
    dice: &mut Dice,
    shared: &[(i64, i64, usize)],
) -> (Vec<Record>, Vec<Record>) {
    let (begin, end) = (second("2026-09-30T06:00:00Z"), second("2026-11-01T20:00:00Z"));
    let phase = 7 + number as i64 % 50;
    let (mut now, mut late) = (Vec::new(), Vec::new());
    let begin = if number % 7 == 3 {
        begin + 9 * 86_400
    } else {
        begin
    };
    let end = if number % 7 == 5 { end - 8 * 86_400 } else { end };
    // A gap of this region alone, and one of this region's runners, who say so.
    let gap = second("2026-10-05T00:00:00Z") + dice.roll(20 * 86_400) as i64;
    let told = second("2026-10-05T00:00:00Z") + dice.roll(20 * 86_400) as i64;
    let maintenance = second("2026-10-11T01:00:00Z") + (number as i64 % 5) * 86_400;
    let mut slot = begin.div_euclid(of.interval) * of.interval + phase;
    while slot < end {
        let mut run = record(of, slot, dice);
        let outage = shared.iter().find(|(from, to, _)| (*from..*to).contains(&slot));
        if let Some((_, _, reason)) = outage
            && (dice.roll(10) > 1 || of.region == "eu")
        {
            fail(&mut run, REASONS[reason % REASONS.len()]);
        }
        match dice.roll(400) {
            0 => fail(&mut run, "Timeout"),
            1 => (run.outcome, run.reason) = (Some("inconclusive".into()), Some("LocalDns".into())),
            _ => {}
        }
        if (maintenance..maintenance + 5400).contains(&slot) {
            run.maintenance = Some("upgrade".into());
        }
        let silent = (gap..gap + 4000).contains(&slot);
        if (told..told + 2500).contains(&slot) {
            run = Record {
                kind: Kind::Missed,
                outcome: None,
                reason: Some("no_owner".into()),
                step: None,
                ..run
            };
        }
        if !silent {
            if run.kind == Kind::Run && dice.roll(150) == 0 {
                let mut first = run.clone();
                fail(&mut first, "ConnectionClosed");
                first.counts = false;
                run.attempt = 2;
                run.lag_ms += 5000;
                now.push(first);
            }
            // Another runner ran it too, and saw something else; who began last is believed.
            if dice.roll(100) == 0 && run.kind == Kind::Run {
                let mut twice = record(of, slot, dice);
                (twice.attempt, twice.lag_ms) = (run.attempt, 3000 + dice.roll(4000) as i64);
                fail(&mut twice, "TlsHandshake");
                now.push(twice);
            }
            if dice.roll(100) == 0 {
                now.push(run.clone());
            }
            // What waited on a runner's disk.
            let tail = dice.roll(500) == 0
                || (slot > second("2026-10-28T10:00:00Z") && slot < second("2026-10-28T11:00:00Z"));
            if tail { late.push(run) } else { now.push(run) }
        }
        slot += of.interval;
    }
    if number % 7 == 5 {
        let mut gone = record(of, end, dice);
        (gone.kind, gone.outcome, gone.stands_seconds) = (Kind::Unwatched, None, u32::MAX);
        now.push(gone);
    }
    (now, late)
}

async fn plant(store: &Store, tenant: &str, number: u64, late: bool) {
    let mut dice = Dice(number);
    // Outages of the service itself.
    let outages: Vec<(i64, i64, usize)> = (0..3)
        .map(|_| {
            let from = second("2026-10-02T00:00:00Z") + dice.roll(28 * 86_400) as i64;
            (
                from,
                from + 120 + dice.roll(3 * 3600) as i64,
                dice.roll(4) as usize,
            )
        })
        .collect();
    let mut batches: Vec<Vec<Record>> = vec![Vec::new(); 4];
    for (p, (name, interval)) in [("live", 300), ("vod", 600)].iter().enumerate() {
        let interval = if number == 0 && p == 0 { 60 } else { *interval };
        for region in REGIONS.iter().take(2 + number as usize % 2) {
            let probe_name = format!("{tenant}-{name}");
            let of = Of {
                tenant,
                probe: &probe_name,
                region,
                interval,
            };
            let mut own =
                Dice(number * 100 + p as u64 * 10 + region.len() as u64 + u64::from(region.as_bytes()[0]));
            let (now, after) = probe(&of, number + p as u64, &mut own, &outages);
            let records = if late { after } else { now };
            for (i, record) in records.into_iter().enumerate() {
                batches[i % 4].push(record);
            }
        }
    }
    for (i, batch) in batches.into_iter().enumerate() {
        store.append(&format!("{i}-{late}"), batch.clone()).await.unwrap();
        // Tried again, it is there once.
        if i == 0 {
            store.append(&format!("{i}-{late}"), batch).await.unwrap();
        }
    }
}

/// CSV fields of a line, as far as these reports quote.
fn fields(line: &str) -> Vec<String> {
    line.trim_end().split(',').map(str::to_owned).collect()
}

/// Lines of a CSV file, by column.
fn table(path: &Path) -> Vec<serde_json::Map<String, Value>> {
    let text = fs::read_to_string(path).unwrap();
    let mut lines = text.lines();
    let names = fields(lines.next().unwrap());
    let object = |line: &str| {
        names
            .iter()
            .cloned()
            .zip(fields(line).into_iter().map(Value::from))
            .collect()
    };
    lines.map(object).collect()
}

/// Columns of the report that the roll-up of its month has.
const IN_POSTGRES: [&str; 17] = [
    "period_start",
    "period_end",
    "probe",
    "region",
    "runs",
    "ok",
    "failed",
    "error",
    "missed_slots",
    "total_min",
    "up_min",
    "degraded_min",
    "downtime_min",
    "maintenance_min",
    "no_data_min",
    "not_watched_min",
    "availability_pct",
];

/// Instants as in reports.
const ISO: &str = "CREATE FUNCTION pg_temp.iso(t timestamptz) RETURNS text LANGUAGE sql AS $$ SELECT to_char(t AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') $$";

/// The month of a tenant, in the order of the report.
fn month(tenant: &str) -> String {
    format!(
        "{ISO}; SELECT pg_temp.iso(period_start), pg_temp.iso(period_end), probe, region, runs, passed, failed, inconclusive, missed,
         total_minutes, up_minutes, degraded_minutes, down_minutes, maintenance_minutes, no_data_minutes, unwatched_minutes,
         availability_pct, latency_p50_us, latency_p95_us, latency_p99_us
         FROM drmwatch.availability WHERE level = '1mo' AND period_date = '2026-10-01' AND tenant = '{tenant}'
         ORDER BY probe, region COLLATE \"C\""
    )
}

/// The text of a PDF, as Poppler reads it.
fn pages(file: &Path) -> String {
    let output = Command::new("pdftotext")
        .arg("-layout")
        .arg(file)
        .arg("-")
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout)
        .unwrap()
        .replace(['\u{200b}'], "")
        .replace('\u{a0}', " ")
}

/// Minutes as people read them.
fn length(minutes: &str) -> String {
    let minutes: u64 = minutes.parse().unwrap();
    let parts = [
        (minutes / 1440, "d"),
        (minutes / 60 % 24, "h"),
        (minutes % 60, "min"),
    ];
    let parts: Vec<String> = parts
        .iter()
        .filter(|(n, _)| *n > 0)
        .map(|(n, unit)| format!("{n} {unit}"))
        .collect();
    if parts.is_empty() {
        "0 min".into()
    } else {
        parts.join(" ")
    }
}

fn near(told: &str, exact: &Value, what: &str) {
    let (told, exact): (f64, f64) = (told.parse().unwrap(), exact.as_f64().unwrap());
    assert!(
        (told - exact).abs() <= exact * 0.0101 + 0.06,
        "{what}: {told} {exact}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn every_figure_of_a_month_is_what_pyarrow_recomputes_from_the_encrypted_records() {
    let Ok(python) = std::env::var("RESULTS_ORACLE") else {
        println!("skipped: RESULTS_ORACLE names no Python with pyarrow and cryptography (make results)");
        return;
    };
    let count: u64 = std::env::var("RESULTS_TENANTS").map_or(6, |n| n.parse().unwrap());
    let place = tempfile::tempdir().unwrap();
    let (keys, folder) = (place.path().join("keys"), place.path().join("store"));
    let (keys, folder) = (keys.to_str().unwrap(), folder.to_str().unwrap());
    let tenants: Vec<String> = (0..count).map(|n| format!("t{n}")).collect();
    for tenant in &tenants {
        ok(&["keys", "create", "--keys", keys, &format!("tv/{tenant}")]);
    }
    let store = store(place.path());
    let mut jobs = Vec::new();
    for (n, tenant) in tenants.iter().enumerate() {
        let zone_name = ZONES[n % ZONES.len()];
        let zone = TimeZone::get(zone_name).unwrap();
        plant(&store, tenant, n as u64, false).await;
        let id = store.tenant(&TenantKey::new("tv", tenant));
        let settings = Settings {
            zone: zone.clone(),
            zone_name: zone_name.into(),
            grace: SignedDuration::from_hours(24 * 60),
            ..Settings::default()
        };
        let at: Timestamp = "2026-11-02T00:00:00Z".parse().unwrap();
        let again = || async {
            let consolidator = Consolidator::new(&store, id.clone(), settings.clone(), at);
            consolidator
                .run(date(2026, 10, 1), date(2026, 11, 1), |_| {})
                .await
                .unwrap()
        };
        assert!(again().await.written > 90);
        let idle = again().await;
        assert_eq!(
            (idle.written, idle.records),
            (0, 0),
            "nothing changed, nothing is written"
        );
        plant(&store, tenant, n as u64, true).await;
        assert!(again().await.written > 0, "what came late is taken");
        jobs.push(json!({"tenant": id.as_str(), "zone": zone_name, "from": "2026-10-01", "to": "2026-11-01", "target": 99.5}));
    }
    // A rotation of one, half way: the oracle needs both versions.
    ok(&["keys", "rotate", "--store", folder, "--keys", keys, "tv/t1"]);
    let list = place.path().join("jobs.json");
    fs::write(&list, serde_json::to_vec(&jobs).unwrap()).unwrap();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../e2e/oracles/results/recompute.py");
    let oracle = Command::new(python)
        .args([script, folder, keys, list.to_str().unwrap()])
        .output()
        .unwrap();
    assert!(
        oracle.status.success(),
        "{}",
        String::from_utf8_lossy(&oracle.stderr)
    );
    let oracle: Value = serde_json::from_slice(&oracle.stdout).unwrap();
    let server = Postgres::start();
    ok(&[
        "postgres",
        "export",
        "--store",
        folder,
        "--keys",
        keys,
        "--url",
        &server.url("owner"),
        "--setup",
    ]);
    let out = place.path().join("out");
    let (mut figures, mut incidents) = (0, 0);
    for (n, tenant) in tenants.iter().enumerate() {
        let name = format!("tv/{tenant}");
        let args = [
            "report",
            "--store",
            folder,
            "--keys",
            keys,
            "--tenant",
            &name,
            "--month",
            "2026-10",
            "--time-zone",
            ZONES[n % ZONES.len()],
            "--target",
            "99.5",
            "--out",
            out.to_str().unwrap(),
        ];
        ok(&args);
        let exact = &oracle[store.tenant(&TenantKey::new("tv", tenant)).as_str()];
        let file = |end: &str| out.join(format!("tv-{tenant}-2026-10-01-2026-10-31{end}"));
        let told = table(&file(".csv"));
        let html = fs::read_to_string(file(".html")).unwrap();
        let document: Value = serde_json::from_slice(&fs::read(file(".json")).unwrap()).unwrap();
        assert_eq!(told.len(), exact["rows"].as_array().unwrap().len(), "{tenant}");
        for (i, (told, exact)) in told.iter().zip(exact["rows"].as_array().unwrap()).enumerate() {
            for (column, exact) in exact.as_object().unwrap() {
                let what = format!("{tenant} {} {} {column}", told["probe"], told["region"]);
                if column == "latencies" {
                    let columns = ["latency_p50_ms", "latency_p95_ms", "latency_p99_ms"];
                    for (exact, column) in exact.as_array().unwrap().iter().zip(columns) {
                        near(told[column].as_str().unwrap(), exact, &what);
                    }
                } else {
                    let exact = exact.as_str().map_or_else(|| exact.to_string(), str::to_owned);
                    assert_eq!(told[column], exact, "{what}");
                    figures += 1;
                }
            }
            // The same digits in every form.
            let availability = told["availability_pct"].as_str().unwrap();
            assert_eq!(document["rows"][i]["availability"], availability);
            assert!(
                html.contains(&format!("{availability} %")),
                "{tenant} {availability}"
            );
        }
        let told: Vec<Vec<String>> = table(&file("-incidents.csv"))
            .iter()
            .map(|i| {
                [
                    "start",
                    "probe",
                    "end",
                    "downtime_min",
                    "reason",
                    "step",
                    "regions",
                    "open",
                ]
                .map(|c| i[c].as_str().unwrap().to_owned())
                .to_vec()
            })
            .collect();
        let exact: Vec<Vec<String>> = exact["incidents"]
            .as_array()
            .unwrap()
            .iter()
            .map(|i| {
                i.as_array()
                    .unwrap()
                    .iter()
                    .map(|f| f.as_str().map_or_else(|| f.to_string(), str::to_owned))
                    .collect()
            })
            .collect();
        assert_eq!(told, exact, "{tenant}");
        incidents += told.len();
        let rows = server.ask("owner", &month(tenant)).unwrap();
        let lines = table(&file(".csv"));
        assert_eq!(rows.len(), lines.len(), "{tenant}");
        for (row, line) in rows.iter().zip(&lines) {
            let told: Vec<&str> = IN_POSTGRES.iter().map(|c| line[*c].as_str().unwrap()).collect();
            assert_eq!(row[..told.len()], told, "{tenant}");
            for (column, micros) in ["latency_p50_ms", "latency_p95_ms", "latency_p99_ms"]
                .iter()
                .zip(&row[told.len()..])
            {
                let millis = micros.parse::<f64>().unwrap() / 1000.0;
                assert_eq!(format!("{millis:.1}"), line[*column], "{tenant} {column}");
            }
        }
        let sql = format!(
            "SELECT {0}(started), probe, {0}(ended), down_minutes, coalesce(reason, ''), coalesce(step, ''), coalesce(regions, ''), open::text
             FROM drmwatch.incidents('2026-10-01', '2026-10-31') WHERE tenant = '{tenant}' AND region = '*' ORDER BY started, ended, probe",
            "pg_temp.iso"
        );
        let sql = format!("{ISO}; {sql}");
        assert_eq!(server.ask("owner", &sql).unwrap(), exact, "{tenant}");
        let text = pages(&file(".pdf"));
        // Cells one after the other on a line; Poppler makes spaces of gaps, and none of narrow ones.
        let bare = |text: &str| text.replace(' ', "");
        let shows = |first: &str, last: &str| {
            let mut all = text.lines().map(bare);
            all.any(|line| line.contains(&bare(first)) && line.ends_with(&bare(last)))
        };
        for line in &lines {
            let column = |name: &str| line[name].as_str().unwrap();
            let first = format!(
                "{} % {} % {}",
                column("availability_pct"),
                column("coverage_pct"),
                length(column("downtime_min"))
            );
            let last = format!("{} ms {} ms", column("latency_p50_ms"), column("latency_p95_ms"));
            assert!(shows(&first, &last), "{tenant} {first} {last}");
        }
        for incident in &exact {
            let (probe, minutes, reason) = (&incident[1], length(&incident[3]), &incident[4]);
            let told = format!("{probe} {minutes} {reason}");
            assert!(shows(&told, &incident[6].replace(' ', ", ")), "{tenant} {told}");
        }
    }
    println!("{count} tenants: {figures} figures and {incidents} incidents are equal");
    // To be looked at.
    if let Some(keep) = std::env::var_os("RESULTS_KEEP") {
        for file in walk(&out) {
            fs::create_dir_all(&keep).unwrap();
            fs::copy(&file, Path::new(&keep).join(file.file_name().unwrap())).unwrap();
        }
    }
    // Nothing of what was planted can be read.
    for file in walk(Path::new(folder)) {
        let bytes = fs::read(&file).unwrap();
        for planted in [
            "planted",
            "plaintext",
            "tv",
            "live",
            "Timeout",
            "duration_us",
            "runner-",
        ] {
            let found = bytes.windows(planted.len()).any(|w| w == planted.as_bytes());
            // Two bytes come about by chance.
            assert!(!found || planted.len() < 4, "{planted} is in {}", file.display());
            assert!(!file.to_string_lossy().contains("/tv"), "{}", file.display());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_not_be_reported_is_said_and_nothing_is_written() {
    let place = tempfile::tempdir().unwrap();
    let (keys, folder, out) = (
        place.path().join("keys"),
        place.path().join("store"),
        place.path().join("out"),
    );
    let (keys, folder, out_dir) = (
        keys.to_str().unwrap(),
        folder.to_str().unwrap(),
        out.to_str().unwrap(),
    );
    ok(&["keys", "create", "--keys", keys, "tv/acme", "tv/other"]);
    let store = store(place.path());
    let mut dice = Dice(1);
    let of = Of {
        tenant: "acme",
        probe: "acme-live",
        region: "eu",
        interval: 60,
    };
    let records = (0..120)
        .map(|i| record(&of, second("2026-10-01T10:00:00Z") + i * 60, &mut dice))
        .collect();
    store.append("one", records).await.unwrap();
    let with = |more: &[&'static str]| {
        let mut args = vec![
            "report", "--store", folder, "--keys", keys, "--out", out_dir, "--tenant",
        ];
        args.extend(more);
        args.into_iter().map(str::to_owned).collect::<Vec<String>>()
    };
    let says = |more: &[&'static str], why: &str| {
        let args = with(more);
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        refused(&args, why);
        assert!(!out.exists(), "{more:?}");
    };
    says(
        &["tv/nobody", "--month", "2026-10"],
        "there is nothing of tenant tv/nobody in the store",
    );
    says(
        &["tv/acme", "--month", "2026-08"],
        "there are no results of tenant tv/acme between 2026-08-01 and 2026-08-31",
    );
    says(
        &["tv/acme", "--from", "2026-10-09", "--to", "2026-10-02"],
        "is after --to",
    );
    says(&["tv/acme", "--day", "2126-01-01"], "yet to come");
    says(&["tv/acme", "--month", "2026-13"], "a month is like");
    says(
        &["tv/acme", "--day", "2026-10-01", "--time-zone", "Europe/Nowhere"],
        "no time zone Europe/Nowhere",
    );
    says(
        &["tv/acme", "--day", "2026-10-01", "--target", "100"],
        "at least 50 and below 100",
    );
    says(
        &["tv/acme", "--day", "2026-10-01", "--business-hours", "Mon 8-18"],
        "business hours must be like",
    );
    says(&["acme", "--day", "2026-10-01"], "a tenant is NAMESPACE/NAME");
    // Signed, verified, and by OpenSSL too.
    let signing = place.path().join("signing");
    let (signing, public) = (
        signing.to_str().unwrap().to_owned(),
        place.path().join("signing.pub"),
    );
    ok(&["keys", "signing", &signing]);
    let args = with(&["tv/acme", "--day", "2026-10-01", "--sign"]);
    let mut args: Vec<&str> = args.iter().map(String::as_str).collect();
    args.push(&signing);
    let said = ok(&args);
    assert!(said.contains("availability 100.0000 %"), "{said}");
    let csv = out.join("tv-acme-2026-10-01-2026-10-01.csv");
    let (csv, public) = (csv.to_str().unwrap(), public.to_str().unwrap());
    ok(&["verify", "--key", public, csv]);
    let signature = format!("{csv}.sig");
    let openssl = Command::new("openssl")
        .args([
            "pkeyutl", "-verify", "-pubin", "-inkey", public, "-rawin", "-in", csv, "-sigfile", &signature,
        ])
        .output()
        .unwrap();
    assert!(
        openssl.status.success(),
        "{}",
        String::from_utf8_lossy(&openssl.stdout)
    );
    fs::write(
        csv,
        fs::read_to_string(csv).unwrap().replace("100.0000", "100.0001"),
    )
    .unwrap();
    refused(&["verify", "--key", public, csv], "the signature does not fit");
    // Shredded: gone for good, and its neighbour is not.
    let mine = store.tenant(&TenantKey::new("tv", "acme"));
    let kek = store.kms().newest(&mine).await.unwrap();
    let copy: Vec<(std::path::PathBuf, Vec<u8>)> = walk(Path::new(folder))
        .into_iter()
        .map(|p| (p.clone(), fs::read(&p).unwrap()))
        .collect();
    ok(&[
        "keys",
        "shred",
        "--store",
        folder,
        "--keys",
        keys,
        "tv/acme",
        "--sign",
        &signing,
        "--reason",
        "contract ended",
        "--yes",
    ]);
    for (path, bytes) in copy {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    let args = with(&["tv/acme", "--day", "2026-10-01"]);
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    refused(&args, &format!("key {kek} is not here"));
    let error = store
        .append("two", vec![record(&of, 0, &mut dice)])
        .await
        .unwrap_err();
    assert!(error.to_string().contains("was shredded"), "{error}");
    let stone = drmwatch_archive::shred::find_tombstone(&store, &mine, &fs::read_to_string(public).unwrap())
        .await
        .unwrap()
        .unwrap();
    assert_eq!((stone.keys, stone.reason.as_str()), (1, "contract ended"));
    let neighbour = Of {
        tenant: "other",
        ..of
    };
    store
        .append("two", vec![record(&neighbour, 0, &mut dice)])
        .await
        .unwrap();
    assert_eq!(
        store
            .records(&store.tenant(&TenantKey::new("tv", "other")), date(1970, 1, 1))
            .await
            .unwrap()
            .len(),
        1
    );
}

#[test]
fn periods_of_the_planted_month_are_those_of_its_zones() {
    for (zone, minutes) in ZONES.iter().zip([44_700, 44_640, 44_640, 44_610, 44_640, 44_640]) {
        let zone = TimeZone::get(zone).unwrap();
        let month = calendar_periods(Level::Month, date(2026, 10, 1), date(2026, 10, 2), &zone);
        assert_eq!((month[0].2 - month[0].1) / 60, minutes);
    }
}

//! Roll-ups in a real PostgreSQL: what is exported, when, and who reads it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{Dice, Of, ok, record, refused, second, server::Postgres, store};
use drmwatch_runs::Store;

async fn plant(store: &Store, tenant: &str, batch: &str, since: &str, count: i64) {
    let mut dice = Dice(7);
    let probe = format!("{tenant}-live");
    let of = Of {
        tenant,
        probe: &probe,
        region: "eu",
        interval: 60,
    };
    let records = (0..count)
        .map(|i| record(&of, second(since) + i * 60, &mut dice))
        .collect();
    store.append(batch, records).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_reads_the_tenants_that_it_was_granted_and_what_the_store_keeps() {
    let server = Postgres::start();
    let place = tempfile::tempdir().unwrap();
    let (keys, folder) = (place.path().join("keys"), place.path().join("store"));
    let (keys, folder) = (keys.to_str().unwrap(), folder.to_str().unwrap());
    ok(&["keys", "create", "--keys", keys, "tv/acme", "tv/other"]);
    let store = store(place.path());
    plant(&store, "acme", "one", "2026-10-01T10:00:00Z", 120).await;
    plant(&store, "other", "one", "2026-10-01T10:00:00Z", 60).await;
    let with = |words: &[&str], more: &[&str]| -> Vec<String> {
        let place = ["--store", folder, "--keys", keys];
        let all = words.iter().chain(&place).chain(more);
        all.map(|w| (*w).to_owned()).collect()
    };
    let run = |args: &[String]| ok(&args.iter().map(String::as_str).collect::<Vec<_>>());
    let says =
        |args: &[String], why: &str| refused(&args.iter().map(String::as_str).collect::<Vec<_>>(), why);
    let consolidate = || run(&with(&["consolidate"], &["--day", "2026-10-01"]));
    consolidate();
    let owner = server.url("owner");
    let export = |more: &[&str]| {
        let mut all = vec!["--url", &owner, "--level", "15m,1h,1d,1w,1mo"];
        all.extend(more);
        with(&["postgres", "export"], &all)
    };
    says(&export(&[]), "its schema is not there: drmwatch postgres setup");
    let first = run(&export(&["--setup"]));
    assert!(
        first.starts_with("2 tenants: ") && first.contains(" 0 unchanged, 0 deleted"),
        "{first}"
    );
    let again = run(&export(&["--setup"]));
    assert!(
        again.starts_with("2 tenants: 0 periods written (0 rows)"),
        "{again}"
    );

    // Who reads what.
    let all = "SELECT tenant, probe, region, runs, up_minutes, availability_pct, coverage_pct, final FROM drmwatch.availability WHERE level = '1d' ORDER BY 1, 2, 3";
    for role in [
        "CREATE ROLE acme_reads LOGIN IN ROLE drmwatch_reader",
        "CREATE ROLE sla_team LOGIN IN ROLE drmwatch_reader_all",
        "CREATE ROLE stranger LOGIN",
    ] {
        server.ask("owner", role).unwrap();
    }
    assert_eq!(server.ask("acme_reads", all).unwrap(), Vec::<Vec<String>>::new());
    let grant =
        |word: &str, role: &str| with(&["postgres", word], &["--url", &owner, "--role", role, "tv/acme"]);
    says(&grant("grant", "nobody_knows"), "there is no role nobody_knows");
    assert_eq!(run(&grant("grant", "acme_reads")), "acme_reads reads tv/acme\n");
    assert_eq!(
        run(&grant("grant", "acme_reads")),
        "acme_reads reads tv/acme, as before\n"
    );
    let lines = |rows: Vec<Vec<String>>| rows.into_iter().map(|r| r.join(" ")).collect::<Vec<_>>();
    let acme = [
        "acme acme-live * 120 120 100.0000 14.2857 t",
        "acme acme-live eu 120 120 100.0000 14.2857 t",
    ];
    assert_eq!(lines(server.ask("acme_reads", all).unwrap()), acme);
    assert_eq!(server.ask("sla_team", all).unwrap().len(), 4);
    assert!(
        server
            .ask("stranger", all)
            .unwrap_err()
            .contains("permission denied")
    );
    for table in ["tenants", "periods", "rollups", "spans"] {
        let count = format!("SELECT count(DISTINCT tenant_id) FROM drmwatch.{table}");
        let counts = ["acme_reads", "sla_team"].map(|role| server.ask(role, &count).unwrap()[0][0].clone());
        assert_eq!(counts, ["1", "2"], "{table}");
    }
    assert_eq!(
        server
            .ask("acme_reads", "SELECT role FROM drmwatch.grants")
            .unwrap(),
        [["acme_reads"]]
    );
    for write in [
        "DELETE FROM drmwatch.rollups",
        "UPDATE drmwatch.rollups SET down_minutes = 0",
        "INSERT INTO drmwatch.grants VALUES ('acme_reads', 'x')",
        "ALTER TABLE drmwatch.rollups DISABLE ROW LEVEL SECURITY",
        "SET ROLE owner",
        "SET ROLE sla_team",
    ] {
        assert!(server.ask("acme_reads", write).is_err(), "{write}");
    }

    // What comes late replaces what it changes, and nothing else.
    plant(&store, "acme", "late", "2026-10-01T12:00:00Z", 30).await;
    run(&with(&["consolidate"], &["--day", "2026-10-01", "--again"]));
    let late = run(&export(&[]));
    assert!(!late.contains(" 0 unchanged"), "{late}");
    assert_eq!(server.ask("acme_reads", all).unwrap()[0][3], "150");
    assert_eq!(
        server.ask("sla_team", all).unwrap().len(),
        4,
        "nothing is there twice"
    );

    // TLS where it is asked for, with an authority that is known.
    let tls = format!("{owner}?sslmode=require");
    let by_tls = |more: &[&str]| {
        let mut all = vec!["--url", tls.as_str()];
        all.extend(more);
        with(&["postgres", "export"], &all)
    };
    says(&by_tls(&[]), "invalid peer certificate");
    run(&by_tls(&["--ca-file", &server.path("ca.pem")]));
    // A password is not repeated, whatever is wrong.
    says(
        &with(
            &["postgres", "export"],
            &["--url", "postgresql://owner:s3cr3t-word@127.0.0.1:1/x?colour=red"],
        ),
        "the connection must be like postgresql://",
    );
    let nobody = with(
        &["postgres", "export"],
        &["--url", "postgresql://owner:s3cr3t-word@127.0.0.1:1/x"],
    );
    says(&nobody, "PostgreSQL: ");
    let output = common::run(&nobody.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(
        !String::from_utf8_lossy(&output.stderr).contains("s3cr3t"),
        "{output:?}"
    );

    run(&grant("revoke", "acme_reads"));
    assert_eq!(server.ask("acme_reads", all).unwrap().len(), 0);
    // Shredded in the store, it is gone here.
    let signing = place.path().join("signing");
    let signing = signing.to_str().unwrap();
    ok(&["keys", "signing", signing]);
    run(&with(
        &["keys", "shred"],
        &[
            "--sign",
            signing,
            "--reason",
            "contract ended",
            "--yes",
            "tv/acme",
        ],
    ));
    let shredded = run(&export(&[]));
    assert!(!shredded.contains(" 0 deleted"), "{shredded}");
    assert_eq!(server.ask("sla_team", all).unwrap().len(), 2);
    // And what is kept no longer, too.
    run(&with(
        &["consolidate"],
        &["--day", "2026-10-01", "--retention", "1,1,1"],
    ));
    run(&export(&[]));
    assert_eq!(server.ask("sla_team", all).unwrap().len(), 0);

    server
        .ask("owner", "UPDATE drmwatch.schema_version SET version = 99")
        .unwrap();
    says(
        &export(&["--setup"]),
        "has version 99; this drmwatch writes 1: a newer one is needed",
    );
    says(&export(&[]), "has version 99");
}

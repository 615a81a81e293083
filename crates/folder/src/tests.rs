//! What is said of mistakes, each by itself.

use super::*;
use std::fs;

const TENANT: &str = "apiVersion: drmwatch.io/v1alpha1\nkind: MonitoredTenant\nmetadata: {name: t, namespace: default}\nspec:\n  displayName: T\n";
const PROBE: &str = "apiVersion: drmwatch.io/v1alpha1\nkind: DrmProbe\nmetadata: {name: p, namespace: default}\nspec:\n  tenantRef: {name: t}\n  schedule: {intervalSeconds: 60}\n  steps:\n  - name: a\n    http: {url: 'https://example.com/'}\n";

fn check(texts: &[&str]) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    for (n, text) in texts.iter().enumerate() {
        fs::write(folder.path().join(format!("{n}.yaml")), text).unwrap();
    }
    let read = read(
        folder.path(),
        "local",
        &EgressPolicy::default(),
        Timestamp::UNIX_EPOCH,
    )
    .unwrap();
    let prefix = format!("{}/", folder.path().display());
    let said = |m: &Mistake| m.to_string().replace(&prefix, "");
    read.mistakes.iter().map(said).collect()
}

/// Mistakes of the probe after one replacement in it.
fn probe(from: &str, to: &str) -> Vec<String> {
    assert!(PROBE.contains(from), "{from}");
    check(&[TENANT, &PROBE.replacen(from, to, 1)])
}

#[test]
fn what_is_right_has_no_mistakes() {
    assert_eq!(check(&[TENANT, PROBE]), Vec::<String>::new());
}

#[test]
fn each_mistake_is_named_once_with_its_place_and_the_word_that_was_meant() {
    for (from, to, expected) in [
        (
            "steps:",
            "stpes:",
            "1.yaml:7:3: spec.stpes: unknown field \"stpes\"; did you mean \"steps\"?",
        ),
        (
            "http:",
            "htpp:",
            "1.yaml:9:5: spec.steps[0].htpp: unknown field \"htpp\"; did you mean \"http\"?",
        ),
        (
            "intervalSeconds: 60",
            "intervalSeconds: \"60\"",
            "1.yaml:6:31: spec.schedule.intervalSeconds: must be a whole number, not a string: take the quotes away",
        ),
        (
            "intervalSeconds: 60",
            "intervalSeconds: 2",
            "1.yaml:6:31: spec.schedule.intervalSeconds: must be between 5 and 86400, is 2",
        ),
        (
            "intervalSeconds: 60",
            "intervalSeconds: 60, cron: '* * * * *'",
            "1.yaml:6:3: spec.schedule: schedule must have exactly one of intervalSeconds, cron",
        ),
        (
            "  steps:",
            "  execution: job\n  steps:",
            "1.yaml:7:14: spec.execution: must be one of Resident, Job, not \"job\"; did you mean \"Job\"?",
        ),
        (
            "  steps:",
            "  timeoutSeconds: 61\n  steps:",
            "1.yaml:7:19: spec.timeoutSeconds: timeoutSeconds must be less than schedule.intervalSeconds",
        ),
        (
            "  steps:",
            "  regions: [no]\n  steps:",
            "1.yaml:7:13: spec.regions[0]: must be a string, not a boolean: put it in quotes",
        ),
        (
            "https://example.com/",
            "htps://example.com/",
            "1.yaml:9:17: spec.steps[0].http.url: should match ^(https?://|\\$\\{) (a URL that begins with http:// or https://, or a ${...} reference), is \"htps://example.com/\"; did you mean \"https\"?",
        ),
        (
            "{url: 'https://example.com/'}",
            "{}",
            "1.yaml:9:5: spec.steps[0].http.url: url is required",
        ),
        (
            "tenantRef: {name: t}",
            "tenantRef: {name: tt}",
            "1.yaml:5:21: spec.tenantRef.name: there must be a MonitoredTenant tt in namespace default; did you mean \"t\"?",
        ),
        (
            "kind: DrmProbe",
            "kind: DrmProb",
            "1.yaml:2:7: kind: must be one of DrmProbe, not \"DrmProb\"; did you mean \"DrmProbe\"?",
        ),
        (
            "v1alpha1",
            "v1",
            "1.yaml:1:13: apiVersion: must be one of drmwatch.io/v1alpha1, not \"drmwatch.io/v1\"",
        ),
        (
            "name: p,",
            "name: P_,",
            "1.yaml:3:18: metadata.name: should match ",
        ),
        ("{name: p, ", "{", "1.yaml:3:1: metadata.name: name is required"),
        (
            "'https://example.com/'",
            "'https://example.com/${credentials.k}'",
            "1.yaml:9:17: spec.steps[0].http.url: credentials.k must be declared in credentials of the probe or its tenant",
        ),
        (
            "'https://example.com/'",
            "'https://example.com/${b.x}'",
            "1.yaml:9:17: spec.steps[0].http.url: a ${...} reference must be ${credentials.NAME} or ${STEP.OUTPUT} of a step of this probe; there is no step b",
        ),
    ] {
        let said = probe(from, to);
        assert_eq!(said.len(), 1, "{to}: {said:#?}");
        assert!(
            said[0].starts_with(expected),
            "{to}:\n{}\nexpected\n{expected}",
            said[0]
        );
    }
}

#[test]
fn one_mistake_does_not_hide_another() {
    let text = PROBE
        .replace(
            "schedule: {intervalSeconds: 60}",
            "schedule: {intervalSeconds: 60s, timezone: UTC}",
        )
        .replace(
            "'https://example.com/'",
            "'https://example.com/${credentials.k}', metod: GET",
        )
        + "    expect: [{cel: 'statsu == 200'}]\n  - name: a\n    stream: {url: 5}\n";
    let said = check(&[TENANT, &text]);
    let fields: Vec<&str> = said.iter().map(|m| m.split(": ").nth(1).unwrap()).collect();
    assert_eq!(
        fields,
        [
            "spec.schedule.intervalSeconds",
            "spec.schedule.timezone",
            "spec.schedule.timeZone",
            "spec.steps[0].http.url",
            "spec.steps[0].http.metod",
            "spec.steps[0].expect[0].cel",
            "spec.steps[1].name",
            "spec.steps[1].stream.url",
        ],
        "{said:#?}"
    );
}

#[test]
fn what_a_service_says_wrongly_is_said_of_the_service() {
    let tenant = format!(
        "{TENANT}  services:\n  - name: news\n    stream: {{url: 'https://x.example/${{credentials.k}}'}}\n"
    );
    let said = check(&[&tenant]);
    assert_eq!(said.len(), 1, "{said:#?}");
    assert!(
        said[0].starts_with("0.yaml:8:19: spec.services[0].stream.url: credentials.k must be declared"),
        "{said:#?}"
    );
}

#[test]
fn names_that_nobody_has_are_said_with_the_nearest() {
    let tenant = format!(
        "{TENANT}  credentials:\n  - {{name: k, secretKeyRef: {{name: kesy, key: toekn}}}}\n  - {{name: l, secretKeyRef: {{name: keys, key: toekn}}}}\n  objectives:\n  - {{name: up, target: 99%, availability: {{}}, probes: [pp]}}\n"
    );
    let secret =
        "apiVersion: v1\nkind: Secret\nmetadata: {name: keys, namespace: default}\nstringData: {token: x}\n";
    let probe = PROBE.replace("example.com/", "example.com/${credentials.k}/${credentials.l}");
    let said = check(&[&tenant, &probe, secret]);
    assert_eq!(
        said,
        [
            "0.yaml:7:36: spec.credentials[0].secretKeyRef.name: there must be a Secret kesy in namespace default; did you mean \"keys\"?",
            "0.yaml:8:47: spec.credentials[1].secretKeyRef.key: the Secret keys in namespace default must have the key toekn; did you mean \"token\"?",
            "0.yaml:10:56: spec.objectives[0].probes[0]: there must be a probe pp of tenant t in namespace default; did you mean \"p\"?",
        ]
    );
}

#[test]
fn the_same_object_twice_is_a_mistake() {
    let said = check(&[TENANT, PROBE, PROBE]);
    assert_eq!(said.len(), 1, "{said:#?}");
    assert!(
        said[0].starts_with("2.yaml:3:18: metadata.name: DrmProbe default/p is in "),
        "{said:#?}"
    );
}

#[test]
fn values_of_secrets_are_never_shown() {
    let secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: keys, namespace: default}\ndata: {token: '?secret-value?'}\nstringData: {other: 12345678, more: [secret-value]}\n";
    let said = check(&[secret]);
    assert_eq!(said.len(), 3, "{said:#?}");
    assert!(
        !said.join("\n").contains("secret-value") && !said.join("\n").contains("12345678"),
        "{said:#?}"
    );
}

#[test]
fn what_is_not_text_and_what_is_not_yaml_are_mistakes_of_their_files_only() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.yaml"), b"kind: x\nab: \xff\n").unwrap();
    fs::write(folder.path().join("b.yaml"), "a: [1\n---\njust text\n").unwrap();
    fs::write(folder.path().join("c.yaml"), TENANT).unwrap();
    let read = read(
        folder.path(),
        "local",
        &EgressPolicy::default(),
        Timestamp::UNIX_EPOCH,
    )
    .unwrap();
    let places: Vec<(usize, usize)> = read.mistakes.iter().map(|m| (m.at.line, m.at.column)).collect();
    assert_eq!(places, [(2, 5), (1, 4), (3, 1)], "{:#?}", read.mistakes);
    assert_eq!(read.tenants.len(), 1);
}

fn examples(kind: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../api").join(kind);
    let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    files.sort();
    files
}

#[test]
fn what_the_api_server_refuses_is_refused_with_the_same_words_and_named_once() {
    let files = examples("invalid");
    assert!(files.len() >= 48, "where are the files?");
    let mut wrong = Vec::new();
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        let expected = text.lines().next().unwrap().strip_prefix("# expect: ").unwrap();
        let folder = tempfile::tempdir().unwrap();
        if !text.contains("kind: MonitoredTenant") {
            fs::write(folder.path().join("0.yaml"), TENANT).unwrap();
        }
        fs::write(folder.path().join("1.yaml"), &text).unwrap();
        let found = read(
            folder.path(),
            "local",
            &EgressPolicy::default(),
            Timestamp::UNIX_EPOCH,
        )
        .unwrap();
        let at_apply = found.mistakes.iter().filter(|m| m.stage == Stage::Apply);
        let said: Vec<String> = at_apply.map(ToString::to_string).collect();
        let refused = found
            .mistakes
            .iter()
            .any(|m| m.stage == Stage::Apply && m.message.contains(expected));
        if !refused || said.len() != 1 {
            wrong.push(format!(
                "{}: expected {expected:?}, got {said:#?}",
                file.display()
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_the_api_server_takes_has_no_mistakes() {
    for file in examples("valid") {
        let found = read(&file, "local", &EgressPolicy::default(), Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!(found.mistakes, [], "{}", file.display());
        assert_eq!(found.plans.len(), 12);
    }
}

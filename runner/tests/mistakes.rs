//! `--check` names every mistake with file, line, column and field. The files of `crates/api` are given to a real API server
//! in `e2e/cases/01-crds`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

fn examples(kind: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../crates/api")
        .join(kind);
    let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    files.sort();
    files
}

fn check(path: &Path) -> (bool, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_drmwatch-runner"))
        .arg("--check")
        .arg(path)
        .output()
        .unwrap();
    (output.status.success(), String::from_utf8(output.stdout).unwrap())
}

#[test]
fn every_mistake_is_named_with_file_and_line() {
    let tenant = "apiVersion: drmwatch.io/v1alpha1\nkind: MonitoredTenant\nmetadata: {name: t, namespace: default}\nspec: {displayName: T}\n";
    let files = examples("invalid");
    assert!(files.len() >= 20, "where are the files?");
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        let expected = text.lines().next().unwrap().strip_prefix("# expect: ").unwrap();
        let folder = tempfile::tempdir().unwrap();
        let copy = folder.path().join("mistake.yaml");
        fs::write(&copy, &text).unwrap();
        if !text.contains("kind: MonitoredTenant") {
            fs::write(folder.path().join("tenant.yaml"), tenant).unwrap();
        }
        let (good, said) = check(folder.path());
        assert!(
            !good && said.contains(expected),
            "{}: expected {expected:?}, got\n{said}",
            file.display()
        );
        let line = said.lines().find(|l| l.contains(expected)).unwrap();
        let place = line
            .strip_prefix(&format!("{}:", copy.display()))
            .unwrap_or_else(|| panic!("{said}"));
        let number: usize = place.split(':').next().unwrap().parse().unwrap();
        assert!((2..=text.lines().count()).contains(&number), "{said}");
    }
}

#[test]
fn what_is_valid_has_no_mistakes() {
    for file in examples("valid") {
        let (good, said) = check(&file);
        assert!(
            good && said.contains("12 probes, no mistakes"),
            "{}: {said}",
            file.display()
        );
    }
}

#[test]
fn references_that_only_a_whole_folder_shows_to_be_wrong_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let head = "apiVersion: drmwatch.io/v1alpha1\nkind: DrmProbe\nmetadata: {name: p}\nspec:\n  tenantRef: {name: nobody}\n";
    let rest = "  schedule: {intervalSeconds: 60}\n  steps:\n  - name: a\n    http:\n      url: https://example.com/${credentials.k}\n    expect: [{cel: 'statsu == 200'}]\n";
    fs::write(folder.path().join("a.yaml"), format!("{head}{rest}")).unwrap();
    let (_, said) = check(folder.path());
    assert!(
        said.contains(
            "a.yaml:5:21: spec.tenantRef.name: there must be a MonitoredTenant nobody in namespace default"
        ),
        "{said}"
    );
    let tenant = "apiVersion: drmwatch.io/v1alpha1\nkind: MonitoredTenant\nmetadata: {name: nobody}\nspec: {displayName: T}\n";
    fs::write(folder.path().join("b.yaml"), tenant).unwrap();
    let (_, said) = check(folder.path());
    assert!(
        said.contains("a.yaml:10:12: spec.steps[0].http.url: credentials.k must be declared"),
        "{said}"
    );
    assert!(
        said.contains("a.yaml:11:20: spec.steps[0].expect[0].cel: the expression uses statsu"),
        "{said}"
    );
    let credential = "  credentials:\n  - {name: k, secretKeyRef: {name: s, key: x}}\n";
    let fixed = format!("{head}{credential}{rest}").replace("statsu", "status");
    fs::write(folder.path().join("a.yaml"), fixed).unwrap();
    let (_, said) = check(folder.path());
    assert!(
        said.contains("spec.credentials[0].secretKeyRef.name: there must be a Secret s in namespace default"),
        "{said}"
    );
}

/// What a fixture says of its mistakes: each line that has one ends in `# COLUMN WORDS`.
fn planted(file: &Path) -> Vec<(usize, usize, String)> {
    let text = fs::read_to_string(file).unwrap();
    let marked = text.lines().enumerate().filter_map(|(n, line)| {
        let (column, words) = line.rsplit_once(" # ")?.1.split_once(' ')?;
        Some((n + 1, column.parse().ok()?, words.to_owned()))
    });
    marked.collect()
}

#[test]
fn fifty_mistakes_in_one_folder_are_found_each_at_its_place_and_no_other() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fifty");
    let (good, said) = check(&folder);
    assert!(!good);
    let (mut all, mut wrong) = (0, Vec::new());
    let mut unplanned: Vec<&str> = said
        .lines()
        .filter(|l| l.starts_with(folder.to_str().unwrap()))
        .collect();
    for name in ["probes.yaml", "tenants.yml", "more/others.yaml"] {
        let file = folder.join(name);
        for (line, column, words) in planted(&file) {
            all += 1;
            let place = format!("{}:{line}:{column}: ", file.display());
            match unplanned
                .iter()
                .position(|l| l.starts_with(&place) && l.contains(&words))
            {
                Some(n) => drop(unplanned.remove(n)),
                None => wrong.push(format!("not found: {name}:{line}:{column}: {words}")),
            }
        }
    }
    assert!(
        wrong.is_empty() && unplanned.is_empty(),
        "{wrong:#?}\nnot planted: {unplanned:#?}"
    );
    assert_eq!(all, 50);
    assert!(said.contains("3 files, 50 mistakes"), "{said}");
}

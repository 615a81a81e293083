//! Every page of the documentation that a program, a chart, a runbook or another page names is there, with the
//! heading that it names.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use drmwatch_outcome::Reason;
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Every file of the repository that may name a page.
fn texts(folder: &Path, found: &mut Vec<(PathBuf, String)>) {
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
        let skipped = ["target", "node_modules", "corpus", ".git"].contains(&name.as_str());
        if entry.file_type().unwrap().is_dir() {
            if !skipped {
                texts(&path, found);
            }
            continue;
        }
        let text = [
            ".rs", ".md", ".yaml", ".yml", ".tpl", ".txt", ".sh", ".json", ".toml",
        ]
        .iter()
        .any(|end| name.ends_with(end))
            || name == "Makefile";
        if text && let Ok(text) = fs::read_to_string(&path) {
            found.push((path, text));
        }
    }
}

/// The anchor that a heading gets where Markdown is shown: lower case, without punctuation, hyphens for spaces.
fn anchor(heading: &str) -> String {
    let kept = heading
        .trim()
        .to_lowercase()
        .chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
        .collect::<String>();
    kept.replace(' ', "-")
}

fn anchors(page: &str) -> Vec<String> {
    let mut code = false;
    let mut found = Vec::new();
    for line in page.lines() {
        code ^= line.starts_with("```");
        if let Some(heading) = line.trim_start_matches('#').strip_prefix(' ')
            && line.starts_with('#')
            && !code
        {
            found.push(anchor(heading));
        }
    }
    found
}

/// What follows `docs/` up to the end of a path and its anchor, as often as a text names one of its own pages.
fn named(text: &str) -> Vec<(usize, String)> {
    let part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '-' | '_' | '.' | '#');
    text.match_indices("docs/")
        .filter_map(|(at, _)| {
            let before = text[..at]
                .rsplit(|c: char| !part(c) && c != ':')
                .next()
                .unwrap_or_default();
            // Another project's address.
            if before.contains("//") {
                return None;
            }
            let rest = &text[at..];
            let end = rest.find(|c| !part(c)).unwrap_or(rest.len());
            let path = rest[..end].trim_end_matches(['.', '#']);
            let page = path.contains(".md");
            page.then(|| (text[..at].matches('\n').count() + 1, path.to_owned()))
        })
        .collect()
}

/// The targets of a page's links to other pages, relative to it.
fn links(text: &str) -> Vec<(usize, String)> {
    text.match_indices("](")
        .filter_map(|(at, _)| {
            let target = text[at + 2..].split([')', ' ', '\n']).next()?;
            let page = target.contains(".md") || target.starts_with('#');
            (page && !target.contains("://"))
                .then(|| (text[..at].matches('\n').count() + 1, target.to_owned()))
        })
        .collect()
}

#[test]
fn every_page_that_is_named_is_there() {
    let root = root();
    let mut files = Vec::new();
    texts(&root, &mut files);
    let mut known: BTreeMap<PathBuf, Option<Vec<String>>> = BTreeMap::new();
    let (mut wrong, mut right) = (Vec::new(), 0);
    let mut check = |from: &Path, line: usize, page: PathBuf, anchor: &str, said: &str| {
        let headings = known
            .entry(page)
            .or_insert_with_key(|page| fs::read_to_string(page).ok().map(|text| anchors(&text)));
        let there = headings
            .as_ref()
            .is_some_and(|found| anchor.is_empty() || found.iter().any(|heading| heading == anchor));
        match there {
            true => right += 1,
            false => wrong.push(format!("{}:{line}: {said}", from.display())),
        }
    };
    for (path, text) in &files {
        // This one gives examples.
        if path.ends_with("metrics/tests/documentation.rs") {
            continue;
        }
        let own = path.strip_prefix(&root).unwrap();
        for (line, said) in named(text) {
            let (page, anchor) = said.split_once('#').unwrap_or((&said, ""));
            check(own, line, root.join(page), anchor, &said);
        }
        if path.extension().is_some_and(|e| e == "md") {
            for (line, said) in links(text) {
                let (page, anchor) = said.split_once('#').unwrap_or((&said, ""));
                let target = match page {
                    "" => path.clone(),
                    page => path.parent().unwrap().join(page),
                };
                check(own, line, target, anchor, &said);
            }
        }
    }
    assert!(wrong.is_empty(), "not there:\n{}", wrong.join("\n"));
    assert!(right > 100, "only {right} names of pages were found");
}

#[test]
fn the_api_says_where_the_reasons_are_and_they_are_there() {
    let contract = fs::read_to_string(root().join("reader/src/openapi.rs")).unwrap();
    let said = named(&contract);
    let (_, place) = said
        .iter()
        .find(|(_, place)| place.ends_with("#reasons"))
        .expect("the contract names the section of the reasons");
    let (page, section) = place.split_once('#').unwrap();
    let page = fs::read_to_string(root().join(page)).unwrap();
    let from = page
        .lines()
        .skip_while(|line| line.strip_prefix("## ").is_none_or(|h| anchor(h) != section));
    let section: Vec<&str> = from.skip(1).take_while(|line| !line.starts_with("## ")).collect();
    for reason in Reason::ALL {
        let row = format!("| `{reason}` |");
        assert!(
            section.iter().any(|line| line.starts_with(&row)),
            "{reason} is not in {place}"
        );
    }
}

#[test]
fn names_are_found_and_anchors_made_as_they_are_shown() {
    let text = "a (docs/a.md), `docs/b-c/d.md#e-f`.\nhttps://example.org/docs/x.md and docs/pictures/y.png";
    let expected = [(1, "docs/a.md".to_owned()), (1, "docs/b-c/d.md#e-f".to_owned())];
    assert_eq!(named(text), expected);
    let page = "# Who, what: `why`?\n```\n# no heading\n```\n## Two words";
    assert_eq!(anchors(page), ["who-what-why", "two-words"]);
    assert_eq!(
        links("x [y](../z.md#a) [w](https://e.org/v.md)\n[s](#t)"),
        [(1, "../z.md#a".to_owned()), (2, "#t".to_owned())]
    );
}

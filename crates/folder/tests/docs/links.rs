//! Links, anchors, and the commands that pages name.

use crate::{fences, page, pages_in, root};
use std::{collections::BTreeSet, path::Path};

/// Pages that people write, and those that are generated.
fn pages() -> Vec<String> {
    let own = [
        "README.md",
        "ARCHITECTURE.md",
        "CONTRIBUTING.md",
        "SECURITY.md",
        "CHANGELOG.md",
    ];
    let own = own.map(str::to_owned).to_vec();
    [
        own,
        pages_in("docs"),
        pages_in("docs/reference"),
        pages_in("docs/runbooks"),
    ]
    .concat()
}

/// Targets of the links and pictures of a page, with their lines.
fn targets(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (n, line) in fences(text).1.iter().enumerate() {
        // What stands in backticks is no link.
        let plain: String = line.split('`').step_by(2).collect::<Vec<_>>().join("`");
        for rest in plain.split("](").skip(1) {
            let target = rest.split_once(')').map_or(rest, |(target, _)| target);
            found.push((n + 1, target.to_owned()));
        }
        for rest in plain.split("src=\"").skip(1) {
            found.push((n + 1, rest.split('"').next().unwrap().to_owned()));
        }
    }
    found
}

/// Anchors of a page: its headings, as hosts of Git make them.
fn anchors(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for line in fences(text).1 {
        let Some(heading) = line.strip_prefix('#') else {
            continue;
        };
        let words = heading.trim_start_matches('#').trim().to_lowercase();
        let slug: String = words
            .chars()
            .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
            .map(|c| if c == ' ' { '-' } else { c })
            .collect();
        let mut name = slug.clone();
        let mut n = 0;
        while !found.insert(name.clone()) {
            n += 1;
            name = format!("{slug}-{n}");
        }
    }
    found
}

#[test]
fn every_link_leads_to_a_file_and_a_heading() {
    let (mut seen, mut broken) = (0, Vec::new());
    for path in pages() {
        let text = page(&path);
        for (line, target) in targets(&text) {
            if target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            seen += 1;
            let (file, anchor) = target.split_once('#').unwrap_or((&target, ""));
            let folder = Path::new(&path).parent().unwrap();
            let at = if file.is_empty() {
                path.clone()
            } else {
                folder.join(file).display().to_string()
            };
            if !root().join(&at).exists() {
                broken.push(format!("{path}:{line}: there is no {at}"));
            } else if !anchor.is_empty() && !anchors(&page(&at)).contains(anchor) {
                broken.push(format!("{path}:{line}: {at} has no heading {anchor}"));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
    assert!(seen > 100, "{seen} links: they were not found");
}

#[test]
fn every_page_of_docs_is_in_its_index() {
    let index: BTreeSet<String> = targets(&page("docs/README.md"))
        .into_iter()
        .map(|(_, target)| target.split('#').next().unwrap().to_owned())
        .collect();
    let all = [pages_in("docs"), pages_in("docs/reference")].concat();
    assert!(all.len() > 20, "{all:?}");
    for path in all.iter().filter(|p| *p != "docs/README.md") {
        let name = path.strip_prefix("docs/").unwrap();
        assert!(index.contains(name), "docs/README.md does not link {name}");
    }
    assert!(index.contains("runbooks/README.md"));
}

/// `make TARGET` and `cargo test … -p CRATE --test NAME`, in code of a page.
#[test]
fn every_command_that_a_page_names_exists() {
    let makefile = page("Makefile");
    let manifest = page("Cargo.lock");
    let mut seen = 0;
    for path in [
        "README.md",
        "CONTRIBUTING.md",
        "SECURITY.md",
        "ARCHITECTURE.md",
        "docs/verification.md",
    ] {
        let text = page(path);
        // Code: what stands in backticks, and the lines of fences.
        let (blocks, prose) = fences(&text);
        let prose = prose.join("\n");
        let code = prose.split('`').skip(1).step_by(2);
        let lines = blocks.iter().flat_map(|f| f.text.lines());
        for command in code.chain(lines) {
            let words: Vec<&str> = command.split_whitespace().collect();
            for pair in words.windows(2) {
                match pair {
                    ["make", target] if target.chars().all(|c| c.is_ascii_lowercase() || c == '-') => {
                        assert!(
                            makefile.contains(&format!("\n{target}: ")),
                            "{path}: make {target}"
                        );
                        seen += 1;
                    }
                    // `-p CRATE` stands for any.
                    ["-p", name] if !name.chars().all(|c| c.is_ascii_uppercase()) => {
                        assert!(
                            manifest.contains(&format!("name = \"{name}\"\n")),
                            "{path}: -p {name}"
                        );
                        seen += 1;
                    }
                    _ => {}
                }
            }
            let Some(crates) = words
                .iter()
                .position(|w| *w == "-p")
                .and_then(|n| words.get(n + 1))
            else {
                continue;
            };
            let folder = crates.strip_prefix("drmwatch-").unwrap_or(crates);
            let tests = words.windows(2).filter(|w| w[0] == "--test").map(|w| w[1]);
            for test in tests {
                let places = [format!("crates/{folder}"), folder.to_owned()];
                let files = [
                    format!("tests/{test}.rs"),
                    format!("tests/{test}/main.rs"),
                    format!("tests/{test}/mod.rs"),
                ];
                let there = places
                    .iter()
                    .any(|p| files.iter().any(|f| root().join(p).join(f).exists()));
                assert!(there, "{path}: {command}");
            }
        }
    }
    assert!(seen > 20, "{seen} commands: they were not found");
}

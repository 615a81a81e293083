//! The pages under docs/ are held to what they speak of: every example is read as a cluster would read it, every link
//! leads somewhere, and every command is one that exists.
#![allow(clippy::unwrap_used, clippy::panic)]

mod examples;
mod links;

use std::path::{Path, PathBuf};

/// The repository.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A page, by its path in the repository.
fn page(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// Markdown files in a folder of the repository, as paths in it.
fn pages_in(folder: &str) -> Vec<String> {
    let mut pages: Vec<String> = std::fs::read_dir(root().join(folder))
        .unwrap_or_else(|e| panic!("{folder}: {e}"))
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".md"))
        .map(|name| format!("{folder}/{name}"))
        .collect();
    pages.sort();
    pages
}

/// A fenced block.
struct Fence {
    /// Line of the opening fence, from 1.
    line: usize,
    /// What stands after the opening fence.
    info: String,
    text: String,
}

/// The fenced blocks of a page, and the page with those blocks made empty: its prose, line by line.
fn fences(text: &str) -> (Vec<Fence>, Vec<&str>) {
    let (mut found, mut prose) = (Vec::<Fence>::new(), Vec::new());
    let mut open = false;
    for (n, line) in text.lines().enumerate() {
        let mark = line.trim_start().strip_prefix("```");
        match (open, mark) {
            (false, Some(info)) => found.push(Fence {
                line: n + 1,
                info: info.trim().to_owned(),
                text: String::new(),
            }),
            (true, None) => {
                let fence = found.last_mut().unwrap();
                fence.text.push_str(line);
                fence.text.push('\n');
            }
            _ => {}
        }
        prose.push(if open || mark.is_some() { "" } else { line });
        open ^= mark.is_some();
    }
    assert!(!open, "a fence is not closed");
    (found, prose)
}

//! Objects with one thing changed in each, and what `--check` says of them: `mutants OUT [MOST]`.
//!
//! Every field of every object of `crates/api/valid` is left out, misspelled, and given values of every type and of odd
//! notations. Each mutant is a file `OUT/NNNN.yaml`; `OUT/refused` lists those that the schema refuses. The e2e case
//! `01-crds` gives the same files to a real API server.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

use drmwatch_api::EgressPolicy;
use drmwatch_folder::{Stage, read};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::{fs, path::Path};

/// Stands in an object for text that JSON does not know.
const RAW: &str = "@@raw@@";
/// Values as YAML writes them. kubectl reads them by the rules of YAML 1.1.
const VALUES: [&str; 33] = [
    "null",
    "~",
    "",
    "{}",
    "[]",
    "[null]",
    "[[]]",
    "{a: b}",
    "no",
    "yes",
    "on",
    "y",
    "true",
    "'true'",
    "0",
    "-1",
    "010",
    "0x1F",
    "0o17",
    "1_000",
    "+5",
    "60.0",
    "6e1",
    "1.5",
    ".inf",
    "99999999999",
    "99999999999999999999",
    "'60'",
    "\"\"",
    "'a b!'",
    "2026-01-01",
    "!!str 60",
    "UPPER",
];

fn main() {
    let mut arguments = std::env::args().skip(1);
    let out = arguments.next().expect("usage: mutants OUT [MOST]");
    let most: usize = arguments
        .next()
        .map_or(usize::MAX, |n| n.parse().expect("a number"));
    let out = Path::new(&out);
    fs::create_dir_all(out).unwrap();
    let valid = Path::new(env!("CARGO_MANIFEST_DIR")).join("../api/valid/everything.yaml");
    let text = fs::read_to_string(valid).unwrap();
    let all: Vec<String> = text
        .split("\n---\n")
        .flat_map(|document| mutants(&to_json(document)))
        .collect();
    let step = all.len().div_ceil(most).max(1);
    let (mut refused, mut written) = (Vec::new(), 0);
    for (n, mutant) in all.iter().enumerate().step_by(step) {
        let file = out.join(format!("{n:05}.yaml"));
        fs::write(&file, mutant).unwrap();
        let found = read(&file, "local", &EgressPolicy::default(), Timestamp::UNIX_EPOCH).unwrap();
        written += 1;
        for mistake in &found.mistakes {
            let lines = mutant.lines().count();
            assert!(
                (1..=lines).contains(&mistake.at.line),
                "{mistake} lies outside of its file"
            );
        }
        if let Some(mistake) = found.mistakes.iter().find(|m| m.stage == Stage::Apply) {
            refused.push(format!("{n:05}.yaml\t{}: {}", mistake.field, mistake.message));
        }
    }
    fs::write(out.join("refused"), refused.join("\n") + "\n").unwrap();
    println!("{written} mutants of {}, {} refused", all.len(), refused.len());
}

/// A document as JSON, by the reader that it is not a test of.
fn to_json(document: &str) -> Value {
    serde_saphyr::from_str(document).unwrap()
}

fn mutants(object: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let mut paths = Vec::new();
    walk(object, &mut Vec::new(), &mut paths);
    for path in paths {
        let pointer = format!("/{}", path.join("/"));
        let (parent, last) = pointer.rsplit_once('/').unwrap();
        let last = &last.replace("~1", "/").replace("~0", "~");
        // The namespace has to be there, whatever it is named.
        if pointer == "/metadata/namespace" || pointer == "/kind" || pointer == "/apiVersion" {
            continue;
        }
        let mut change = |edit: &dyn Fn(&mut Value), raw: &str| {
            let mut copy = object.clone();
            edit(copy.pointer_mut(parent).unwrap());
            let text = serde_json::to_string_pretty(&copy).unwrap();
            // kubectl takes what begins with a brace for JSON.
            found.push(format!(
                "# One change.\n{}",
                text.replace(&format!("{RAW:?}"), raw)
            ));
        };
        for raw in VALUES {
            change(&|parent| set(parent, last, json!(RAW)), raw);
        }
        let long = format!("'{}'", "x".repeat(300));
        change(&|parent| set(parent, last, json!(RAW)), &long);
        change(&|parent| remove(parent, last), "");
        for name in [format!("{last}x"), last.to_uppercase(), last[1..].to_owned()] {
            change(&|parent| rename(parent, last, &name), "");
        }
        change(&|parent| twice(parent, last), "");
    }
    found
}

fn walk(value: &Value, path: &mut Vec<String>, paths: &mut Vec<Vec<String>>) {
    let mut go = |key: String, value: &Value| {
        path.push(key);
        paths.push(path.clone());
        walk(value, path, paths);
        path.pop();
    };
    match value {
        Value::Object(map) => map
            .iter()
            .for_each(|(key, value)| go(key.replace('~', "~0").replace('/', "~1"), value)),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .for_each(|(n, value)| go(n.to_string(), value)),
        _ => {}
    }
}

fn set(parent: &mut Value, key: &str, value: Value) {
    match parent {
        Value::Object(map) => drop(map.insert(key.to_owned(), value)),
        Value::Array(items) => items[key.parse::<usize>().unwrap()] = value,
        _ => {}
    }
}

fn remove(parent: &mut Value, key: &str) {
    match parent {
        Value::Object(map) => drop(map.remove(key)),
        Value::Array(items) => drop(items.remove(key.parse().unwrap())),
        _ => {}
    }
}

fn rename(parent: &mut Value, key: &str, name: &str) {
    if let Value::Object(map) = parent
        && let Some(value) = map.remove(key)
    {
        map.insert(name.to_owned(), value);
    }
}

/// An item of a list once more, or a field that nobody knows beside the one that is there.
fn twice(parent: &mut Value, key: &str) {
    match parent {
        Value::Object(map) => drop(map.insert("unknown".into(), json!(1))),
        Value::Array(items) => items.push(items[key.parse::<usize>().unwrap()].clone()),
        _ => {}
    }
}

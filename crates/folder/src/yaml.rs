//! YAML with the place of every key and value, read as kubectl reads it.
//!
//! kubectl turns YAML into JSON before it sends it, by the rules of YAML 1.1: `no` is `false` and `010` is 8. A
//! folder must mean the same, so these rules are here and not those of YAML 1.2.

use granit_parser::{Event, Options, Parser, ScalarStyle, ScanError, Span, Tag};
use std::collections::HashMap;

/// Most nodes of one document, aliases resolved. A document of aliases of aliases would not fit the memory.
const MAX_NODES: usize = 200_000;
/// How deep collections may be nested. Objects of this project need some fifteen levels.
const MAX_DEPTH: usize = 64;

/// A place in a file: line and column, both from 1. Columns count characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Place {
    /// Line, from 1.
    pub line: usize,
    /// Column, from 1.
    pub column: usize,
}

/// A value and where it is.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Where the value begins.
    pub at: Place,
    /// The value.
    pub value: Value,
}

/// A value as JSON knows it.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `null`, `~`, or nothing at all.
    Null,
    /// `true`, `yes`, `on` and their opposites.
    Bool(bool),
    /// A whole number.
    Integer(i128),
    /// Another number.
    Float(f64),
    /// Text.
    Text(String),
    /// A list.
    List(Vec<Node>),
    /// A mapping, in the order of its keys in the file.
    Map(Vec<(Key, Node)>),
}

/// A key of a mapping and where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// Its text.
    pub name: String,
    /// Where it is.
    pub at: Place,
}

/// Something that is not YAML, or that Kubernetes does not take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flaw {
    /// Where.
    pub at: Place,
    /// What is wrong.
    pub message: String,
}

impl Value {
    /// The value of a key of a mapping.
    pub fn get(&self, name: &str) -> Option<&Node> {
        match self {
            Value::Map(entries) => entries.iter().find(|(k, _)| k.name == name).map(|(_, v)| v),
            _ => None,
        }
    }

    /// Its text, if it is one.
    pub fn text(&self) -> Option<&str> {
        match self {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// What it is, in words: `a string`, `a number`.
    pub fn describe(&self) -> &'static str {
        match self {
            Value::Null => "null",
            Value::Bool(_) => "a boolean",
            Value::Integer(_) | Value::Float(_) => "a number",
            Value::Text(_) => "a string",
            Value::List(_) => "a list",
            Value::Map(_) => "a mapping",
        }
    }
}

/// The documents of a file. A flaw ends its document only: what follows is read all the same.
pub fn documents(text: &str) -> (Vec<Node>, Vec<Flaw>) {
    let (mut nodes, mut flaws) = (Vec::new(), Vec::new());
    // The default depends on who else uses the parser: Cargo adds up the features of all users.
    let mut options = Options::default();
    options.emit_comments = false;
    for (first_line, chunk) in chunks(text, &mut flaws) {
        let mut reader = Reader {
            parser: Parser::new_from_str_with_options(chunk, options.clone()),
            first_line,
            anchors: HashMap::new(),
            nodes: 0,
            flaws: Vec::new(),
        };
        match reader.documents() {
            Ok(found) => nodes.extend(found),
            Err(flaw) => flaws.push(flaw),
        }
        flaws.append(&mut reader.flaws);
    }
    (nodes, flaws)
}

/// The documents of a file by their separators, each with the number of lines before it.
fn chunks<'a>(text: &'a str, flaws: &mut Vec<Flaw>) -> Vec<(usize, &'a str)> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut found = Vec::new();
    let (mut begin, mut first_line, mut offset) = (0, 0, 0);
    for (n, line) in text.split_inclusive('\n').enumerate() {
        if let Some(rest) = line.strip_prefix("---") {
            found.push((first_line, &text[begin..offset]));
            (begin, first_line) = (offset + line.len(), n + 1);
            let rest = rest.trim();
            if !rest.is_empty() && !rest.starts_with('#') {
                flaws.push(Flaw {
                    at: Place {
                        line: n + 1,
                        column: 1,
                    },
                    message: "a document separator (---) must be alone on its line".into(),
                });
            }
        }
        offset += line.len();
    }
    found.push((first_line, &text[begin..]));
    found
}

struct Reader<'a> {
    parser: Parser<'a, granit_parser::StrInput<'a>>,
    first_line: usize,
    anchors: HashMap<usize, Node>,
    nodes: usize,
    flaws: Vec<Flaw>,
}

impl<'a> Reader<'a> {
    fn documents(&mut self) -> Result<Vec<Node>, Flaw> {
        let mut found = Vec::new();
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::StreamEnd => return Ok(found),
                Event::StreamStart | Event::DocumentStart(..) | Event::DocumentEnd => {}
                event => {
                    let node = self.node(event, span, 0)?;
                    if node.value != Value::Null {
                        found.push(node);
                    }
                }
            }
        }
    }

    fn next(&mut self) -> Result<(Event<'a>, Span), Flaw> {
        match self.parser.next() {
            Some(Ok(found)) => Ok(found),
            Some(Err(error)) => Err(self.not_yaml(&error)),
            None => Ok((Event::StreamEnd, Span::default())),
        }
    }

    fn not_yaml(&self, error: &ScanError) -> Flaw {
        let at = error.marker();
        Flaw {
            at: self.place(at.line(), at.col()),
            message: format!("this is not YAML: {}", error.info()),
        }
    }

    fn place(&self, line: usize, column: usize) -> Place {
        Place {
            line: self.first_line + line.max(1),
            column: column + 1,
        }
    }

    fn flaw(&self, at: Place, message: impl Into<String>) -> Flaw {
        Flaw {
            at,
            message: message.into(),
        }
    }

    fn node(&mut self, event: Event<'a>, span: Span, depth: usize) -> Result<Node, Flaw> {
        let at = self.place(span.start.line(), span.start.col());
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            return Err(self.flaw(at, format!("a document must have at most {MAX_NODES} values")));
        }
        if depth > MAX_DEPTH {
            return Err(self.flaw(
                at,
                format!("values must be nested at most {MAX_DEPTH} levels deep"),
            ));
        }
        let (anchor, value) = match event {
            Event::Scalar(text, style, anchor, tag) => (anchor, scalar(&text, style, tag.as_deref())),
            Event::Alias(id) => {
                let Some(known) = self.anchors.get(&id).cloned() else {
                    return Err(self.flaw(at, "an alias must be of an anchor that has ended"));
                };
                self.nodes += count(&known);
                // The place stays that of the anchor: there is the text to mend.
                return Ok(known);
            }
            Event::SequenceStart(_, anchor, _) => {
                let mut items = Vec::new();
                loop {
                    match self.next()? {
                        (Event::SequenceEnd, _) => break,
                        (event, span) => items.push(self.node(event, span, depth + 1)?),
                    }
                }
                (anchor, Value::List(items))
            }
            Event::MappingStart(_, anchor, _) => (anchor, self.mapping(depth)?),
            other => return Err(self.flaw(at, format!("this is not YAML: unexpected {other:?}"))),
        };
        if matches!(value, Value::Float(number) if !number.is_finite()) {
            return Err(self.flaw(
                at,
                "JSON, and so Kubernetes, knows neither infinity nor NaN; put text in quotes",
            ));
        }
        let node = Node { at, value };
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn mapping(&mut self, depth: usize) -> Result<Value, Flaw> {
        let mut entries: Vec<(Key, Node)> = Vec::new();
        let mut merged: Vec<(Key, Node)> = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if matches!(event, Event::MappingEnd) {
                break;
            }
            let plain = matches!(&event, Event::Scalar(_, ScalarStyle::Plain, ..));
            let key = self.node(event, span, depth + 1)?;
            let (event, span) = self.next()?;
            let value = self.node(event, span, depth + 1)?;
            let name = match key.value {
                Value::Text(name) => name,
                Value::Bool(value) => value.to_string(),
                Value::Integer(value) => value.to_string(),
                Value::Float(value) => value.to_string(),
                Value::Null => "null".to_owned(),
                Value::List(_) | Value::Map(_) => {
                    return Err(self.flaw(key.at, "a key must be a string"));
                }
            };
            if plain && name == "<<" {
                self.merge(value, &mut merged);
                continue;
            }
            if let Some((first, _)) = entries.iter().find(|(k, _)| k.name == name) {
                let message = format!(
                    "duplicate field {name:?}: it is on line {} already",
                    first.at.line
                );
                self.flaws.push(Flaw { at: key.at, message });
                continue;
            }
            entries.push((Key { name, at: key.at }, value));
        }
        for (key, value) in merged {
            if !entries.iter().any(|(k, _)| k.name == key.name) {
                entries.push((key, value));
            }
        }
        Ok(Value::Map(entries))
    }

    fn merge(&mut self, value: Node, merged: &mut Vec<(Key, Node)>) {
        match value.value {
            Value::Map(entries) => merged.extend(entries),
            Value::List(items) => items.into_iter().for_each(|item| self.merge(item, merged)),
            _ => self.flaws.push(Flaw {
                at: value.at,
                message: "<< must be followed by an alias of a mapping, or a list of them".into(),
            }),
        }
    }
}

fn count(node: &Node) -> usize {
    1 + match &node.value {
        Value::List(items) => items.iter().map(count).sum::<usize>(),
        Value::Map(entries) => entries.iter().map(|(_, v)| count(v)).sum(),
        _ => 0,
    }
}

/// What a scalar is, by the rules of YAML 1.1 as kubectl applies them. Dates stay text.
fn scalar(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Value {
    let tag = tag.and_then(Tag::core_suffix);
    if style != ScalarStyle::Plain || tag == Some("str") {
        return match tag {
            Some("int" | "float" | "bool" | "null") => plain(text),
            _ => Value::Text(text.to_owned()),
        };
    }
    plain(text)
}

fn plain(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            return Value::Bool(true);
        }
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            return Value::Bool(false);
        }
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => return Value::Float(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => return Value::Float(f64::NEG_INFINITY),
        ".nan" | ".NaN" | ".NAN" => return Value::Float(f64::NAN),
        _ => {}
    }
    if !text.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c)) {
        return Value::Text(text.to_owned());
    }
    let digits = text.replace('_', "");
    if let Some(value) = integer(&digits) {
        return Value::Integer(value);
    }
    let float = digits
        .bytes()
        .all(|b| b.is_ascii_digit() || b"+-.eE".contains(&b))
        && digits.bytes().any(|b| b.is_ascii_digit());
    match digits.parse::<f64>() {
        // JSON knows neither infinity nor a difference between 60.0 and 60.
        Ok(value) if float && value.is_finite() => whole(value).map_or(Value::Float(value), Value::Integer),
        _ => Value::Text(text.to_owned()),
    }
}

/// A float that JSON writes as a whole number.
#[allow(clippy::cast_possible_truncation)]
fn whole(value: f64) -> Option<i128> {
    (value.fract() == 0.0 && value.abs() < 1e21).then_some(value as i128)
}

fn integer(digits: &str) -> Option<i128> {
    let (negative, rest) = match digits.strip_prefix(['-', '+']) {
        Some(rest) => (digits.starts_with('-'), rest),
        None => (false, digits),
    };
    let lower = rest.to_ascii_lowercase();
    let (radix, number) = match lower.as_bytes() {
        [b'0', b'x', ..] => (16, &lower[2..]),
        [b'0', b'o', ..] => (8, &lower[2..]),
        [b'0', b'b', ..] => (2, &lower[2..]),
        [b'0', _, ..] => (8, &lower[1..]),
        _ => (10, lower.as_str()),
    };
    if number.starts_with(['+', '-']) {
        return None;
    }
    let value = i128::from_str_radix(number, radix).ok()?;
    let value = if negative { -value } else { value };
    // What fits neither an int64 nor a uint64 becomes a float.
    (i128::from(i64::MIN)..=i128::from(u64::MAX))
        .contains(&value)
        .then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> Node {
        let (mut nodes, flaws) = documents(text);
        assert_eq!(flaws, []);
        assert_eq!(nodes.len(), 1, "{text}");
        nodes.remove(0)
    }

    fn value(text: &str) -> Value {
        one(&format!("a: {text}")).value.get("a").unwrap().value.clone()
    }

    #[test]
    fn places_are_those_of_keys_and_values_in_block_and_flow_style() {
        let node = one("spec:\n  steps:\n  - name: a\n    http: {url: x,\n      method: GET}\n  - name: b\n");
        let steps = node.value.get("spec").unwrap().value.get("steps").unwrap();
        let Value::List(items) = &steps.value else {
            panic!("{steps:?}")
        };
        let method = items[0].value.get("http").unwrap().value.get("method").unwrap();
        assert_eq!(method.at, Place { line: 5, column: 15 });
        assert_eq!(
            items[1].value.get("name").unwrap().at,
            Place { line: 6, column: 11 }
        );
    }

    #[test]
    fn scalars_are_what_kubectl_makes_of_them() {
        for (text, expected) in [
            ("no", Value::Bool(false)),
            ("on", Value::Bool(true)),
            ("010", Value::Integer(8)),
            ("0o10", Value::Integer(8)),
            ("0x1F", Value::Integer(31)),
            ("08", Value::Integer(8)),
            ("1_000", Value::Integer(1000)),
            ("60.0", Value::Integer(60)),
            ("6e1", Value::Integer(60)),
            ("-1.5", Value::Float(-1.5)),
            ("~", Value::Null),
            ("2026-11-27", Value::Text("2026-11-27".into())),
            ("12:30", Value::Text("12:30".into())),
            ("1.2.3", Value::Text("1.2.3".into())),
            ("'60'", Value::Text("60".into())),
            ("!!str 60", Value::Text("60".into())),
            ("!!int '60'", Value::Integer(60)),
            ("99.5%", Value::Text("99.5%".into())),
            ("18446744073709551616", Value::Integer(18_446_744_073_709_551_616)),
        ] {
            assert_eq!(value(text), expected, "{text}");
        }
    }

    #[test]
    fn a_flaw_ends_its_document_only() {
        let (nodes, flaws) = documents("a: [1\n---\nb: 2\n--- c\nd: 4\n---\ne: 1\ne: 2\n");
        assert_eq!(nodes.len(), 3, "{nodes:?}");
        let lines: Vec<usize> = flaws.iter().map(|f| f.at.line).collect();
        assert_eq!(lines, [4, 1, 8], "{flaws:?}");
    }

    #[test]
    fn aliases_and_merges_are_resolved() {
        let node = one("base: &b {x: 1, z: 2}\nother: {<<: *b, z: 3}\nagain: *b\n");
        let other = &node.value.get("other").unwrap().value;
        assert_eq!(other.get("x").unwrap().value, Value::Integer(1));
        assert_eq!(other.get("z").unwrap().value, Value::Integer(3));
        assert_eq!(
            node.value.get("again").unwrap().value.get("x").unwrap().value,
            Value::Integer(1)
        );
    }

    #[test]
    fn a_bomb_of_aliases_and_a_tower_are_refused() {
        let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for n in 1..9 {
            let before = format!("*a{}, ", n - 1).repeat(10);
            bomb.push_str(&format!("a{n}: &a{n} [{}]\n", before.trim_end_matches(", ")));
        }
        let (_, flaws) = documents(&bomb);
        assert!(flaws[0].message.contains("at most 200000 values"), "{flaws:?}");
        let (_, flaws) = documents(&format!("a: {}1{}", "[".repeat(80), "]".repeat(80)));
        assert!(flaws[0].message.contains("nested"), "{flaws:?}");
    }
}

//! What the API server would say of an object, and more: all of it, each at its place.
//!
//! The API server stops at the first stage that finds something: unknown fields, then types and bounds, then rules. Here all
//! stages are gone through, on a copy in which what is wrong was replaced by something that is right, so that one mistake
//! neither hides another nor looks like two. A rule or a later check that looks at a replaced value says nothing.

use crate::{
    schema::{Kind, Schema},
    yaml::{Node, Place, Value},
};
use drmwatch_plan::did_you_mean;
use serde_json::{Map, Value as Json, json};
use std::collections::{BTreeMap, BTreeSet};

/// A mistake in an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Path of the field: `spec.steps[0].http.url`.
    pub field: String,
    /// Where it is.
    pub at: Place,
    /// What is wrong, and what must be.
    pub message: String,
}

/// An object after its validation.
#[derive(Default)]
pub struct Validated {
    /// The object with its defaults, and with something right in the place of what is wrong.
    pub value: Json,
    /// Every mistake.
    pub findings: Vec<Finding>,
    /// Places of the fields, by path.
    pub places: BTreeMap<String, Place>,
    /// Paths whose value is not what the author meant: what is said of them later is not the author's mistake.
    pub replaced: Vec<String>,
    /// Messages of the rules that were met.
    judged: BTreeSet<&'static str>,
}

/// Validates an object by a schema.
pub fn validate(schema: &'static Schema, node: &Node) -> Validated {
    let mut walk = Walk::default();
    let value = walk.value(schema, node, "", node.at);
    Validated {
        value,
        findings: walk.findings,
        places: walk.places,
        replaced: walk.replaced,
        judged: walk.judged,
    }
}

impl Validated {
    /// The place of a field, or of the nearest field around it that is there.
    pub fn place(&self, field: &str) -> Place {
        let mut path = field;
        loop {
            match (self.places.get(path), path.rfind(['.', '['])) {
                (Some(place), _) => return *place,
                (None, Some(end)) => path = &path[..end],
                (None, None) => return self.places.get("").copied().unwrap_or_default(),
            }
        }
    }

    /// Whether a mistake that a later check found is already said, or follows from one that is. Later checks repeat some
    /// rules, in the same words: those were judged here, and a repetition only adds a better place.
    pub fn explains(&self, field: &str, message: &str) -> bool {
        if self.replaced.iter().any(|replaced| under(field, replaced))
            || self.findings.iter().any(|f| f.field == field)
        {
            return true;
        }
        let mut said = self.findings.iter().filter(|f| message.starts_with(&f.message));
        match self.judged.iter().any(|rule| message.starts_with(rule)) {
            true => !self.places.contains_key(field) || !said.any(|f| under(field, &f.field)),
            false => said.any(|f| under(&f.field, field)),
        }
    }
}

/// Whether a path is another one or lies below it.
pub fn under(path: &str, above: &str) -> bool {
    path.strip_prefix(above)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']) || above.is_empty())
}

/// The name of the field at the end of a path, without an index.
fn leaf(path: &str) -> &str {
    let path = path.rsplit('.').next().unwrap_or(path);
    path.split('[').next().unwrap_or(path)
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}

#[derive(Default)]
struct Walk {
    findings: Vec<Finding>,
    places: BTreeMap<String, Place>,
    replaced: Vec<String>,
    judged: BTreeSet<&'static str>,
}

impl Walk {
    fn say(&mut self, field: &str, at: Place, message: impl Into<String>) {
        self.findings.push(Finding {
            field: field.to_owned(),
            at,
            message: message.into(),
        });
    }

    /// Says what is wrong with a value and goes on with something that is right.
    fn replace(&mut self, schema: &Schema, path: &str, at: Place, message: String) -> Json {
        self.say(path, at, message);
        self.replaced.push(path.to_owned());
        placeholder(schema)
    }

    /// `key`: where the value's key is; for a value without one, where it begins.
    fn value(&mut self, schema: &'static Schema, node: &Node, path: &str, key: Place) -> Json {
        // A mapping or list in block style begins on the line after its key: who looks for it looks for the key.
        let at = match node.value {
            Value::Map(_) | Value::List(_) => key,
            _ => node.at,
        };
        self.places.entry(path.to_owned()).or_insert(at);
        if node.value == Value::Null && schema.nullable {
            return match schema.choices.is_empty() {
                true => Json::Null,
                // The list of choices holds for null, too.
                false => self.choice(schema, node, Json::Null, path, at),
            };
        }
        let whole = matches!(node.value, Value::Integer(n) if i64::try_from(n).is_ok());
        if schema.int_or_string && !whole && node.value.text().is_none() {
            let message = format!(
                "must be a whole number or a string, not {}",
                node.value.describe()
            );
            return self.replace(schema, path, at, message);
        }
        let Some(kind) = schema.kind else {
            if let (Some(pattern), Value::Text(text)) = (&schema.pattern, &node.value)
                && !pattern.is_match(text)
            {
                let message = format!("should match {pattern}, is {}", shown(text));
                return self.replace(schema, path, at, message);
            }
            return plain(node);
        };
        let before = self.replaced.len();
        let value = match (kind, &node.value) {
            (Kind::Object, Value::Map(_)) => self.object(schema, node, path, at),
            (Kind::Array, Value::List(items)) => self.list(schema, items, path, at),
            (Kind::String, Value::Text(text)) => self.string(schema, text, path, at),
            (Kind::Integer, Value::Integer(_)) | (Kind::Number, Value::Integer(_) | Value::Float(_)) => {
                self.number(schema, node, path, at)
            }
            (Kind::Boolean, Value::Bool(value)) => json!(value),
            (kind, other) => {
                let hint = match (kind, other) {
                    (Kind::String, Value::Bool(_) | Value::Integer(_) | Value::Float(_)) => {
                        ": put it in quotes"
                    }
                    (Kind::Integer | Kind::Number, Value::Text(t)) if t.trim().parse::<f64>().is_ok() => {
                        ": take the quotes away"
                    }
                    (Kind::Boolean, Value::Text(t)) if t == "true" || t == "false" => {
                        ": take the quotes away"
                    }
                    _ => "",
                };
                // Never the value itself: it may be one of a Secret.
                let message = format!("must be {}, not {}{hint}", kind.words(), other.describe());
                return self.replace(schema, path, at, message);
            }
        };
        let value = self.choice(schema, node, value, path, at);
        self.rules(schema, &value, path, at, before);
        value
    }

    fn object(&mut self, schema: &'static Schema, node: &Node, path: &str, at: Place) -> Json {
        let Value::Map(entries) = &node.value else {
            return Json::Null;
        };
        let mut map = Map::new();
        // Fields that no schema knows are taken for the ones that were meant, as long as those are free.
        let mut free: BTreeSet<&str> = schema.properties.keys().map(String::as_str).collect();
        entries.iter().for_each(|(key, _)| {
            free.remove(key.name.as_str());
        });
        let (mut count, mut lost) = (0u64, false);
        for (key, node) in entries {
            count += 1;
            let field = join(path, &key.name);
            if let Some(property) = schema.properties.get(&key.name) {
                // As if it had not been written, says the API server.
                if node.value == Value::Null && !property.nullable {
                    continue;
                }
                let value = self.value(property, node, &field, key.at);
                map.insert(key.name.clone(), value);
            } else if let Some(others) = &schema.others {
                if node.value == Value::Null && !others.nullable {
                    continue;
                }
                let value = self.value(others, node, &field, key.at);
                map.insert(key.name.clone(), value);
            } else if schema.open {
                map.insert(key.name.clone(), plain(node));
            } else {
                let meant = drmwatch_plan::nearest(&key.name, free.iter().copied());
                let hint = match meant {
                    Some(meant) => format!("; did you mean {meant:?}?"),
                    None if free.is_empty() => String::new(),
                    None => format!("; expected one of {}", listed(&free)),
                };
                self.say(&field, key.at, format!("unknown field {:?}{hint}", key.name));
                self.places.insert(field.clone(), key.at);
                let meant = meant.and_then(|name| Some((name, schema.properties.get(name)?)));
                match meant {
                    Some((name, property)) => {
                        free.remove(name);
                        let field = join(path, name);
                        let value = self.value(property, node, &field, key.at);
                        map.insert(name.to_owned(), value);
                    }
                    None => lost = true,
                }
            }
        }
        for (name, property) in &schema.properties {
            if map.contains_key(name) {
                continue;
            }
            if let Some(default) = &property.default {
                let node = written(default, at);
                let places = self.places.clone();
                let value = self.value(property, &node, &join(path, name), at);
                // Nobody wrote it: it has no place.
                self.places = places;
                map.insert(name.clone(), value);
            } else if schema.required.contains(name) {
                let field = join(path, name);
                self.say(&field, at, format!("{name} is required"));
                self.replaced.push(field);
                map.insert(name.clone(), placeholder(property));
            }
        }
        self.bounds(schema.fields, count, "field", path, at);
        // A null has kept the default away. For rules it is as if nothing had been written.
        map.retain(|_, value| !value.is_null());
        if lost {
            // What the lost field was meant to be is not known, so no rule of this mapping can be judged.
            self.replaced.push(path.to_owned());
        }
        Json::Object(map)
    }

    fn list(&mut self, schema: &'static Schema, items: &[Node], path: &str, at: Place) -> Json {
        let item = |walk: &mut Walk, n: usize, item: &Node| match schema.items.as_deref() {
            Some(of) => walk.value(of, item, &format!("{path}[{n}]"), item.at),
            None => plain(item),
        };
        let values: Vec<Json> = items
            .iter()
            .enumerate()
            .map(|(n, node)| item(self, n, node))
            .collect();
        self.bounds(schema.count, values.len() as u64, "item", path, at);
        for (n, value) in values.iter().enumerate() {
            let same = |other: &Json| match schema.list_keys.is_empty() {
                true => schema.set && other == value,
                false => schema.list_keys.iter().all(|k| other.get(k) == value.get(k)),
            };
            let Some(first) = values[..n].iter().position(same) else {
                continue;
            };
            let here = format!("{path}[{n}]");
            if self
                .replaced
                .iter()
                .any(|r| under(r, &here) || under(r, &format!("{path}[{first}]")))
            {
                continue;
            }
            // What the API server says as well, after the name of the field that is the key.
            let (what, field) = match schema.list_keys.first() {
                Some(key) => {
                    let text = value.get(key).and_then(Json::as_str).map(|v| format!(" {v:?}"));
                    (
                        format!("{key}{}", text.unwrap_or_default()),
                        format!("{here}.{key}"),
                    )
                }
                None => (value.to_string(), here.clone()),
            };
            let place = self
                .places
                .get(&field)
                .or(self.places.get(&here))
                .copied()
                .unwrap_or(at);
            let subject = leaf(path);
            self.say(
                &field,
                place,
                format!("duplicate {what}: {subject}[{first}] has it already; each must be there once"),
            );
            self.replaced.push(field);
        }
        Json::Array(values)
    }

    fn string(&mut self, schema: &Schema, text: &str, path: &str, at: Place) -> Json {
        let before = self.findings.len();
        if !schema.choices.is_empty() {
            return json!(text);
        }
        self.bounds(schema.length, text.chars().count() as u64, "character", path, at);
        if before == self.findings.len()
            && let Some(pattern) = &schema.pattern
            && !pattern.is_match(text)
        {
            let (pattern, words) = (pattern.as_str(), expected(pattern.as_str()));
            let hint = match text.split_once("://") {
                Some((scheme, _)) if words.contains("://") => did_you_mean(scheme, ["https", "http"]),
                _ => String::new(),
            };
            self.say(
                path,
                at,
                format!("should match {pattern}{words}, is {}{hint}", shown(text)),
            );
        }
        match schema.format.as_deref() {
            Some("date-time") if text.parse::<jiff::Timestamp>().is_err() => {
                let message = format!("must be a time such as 2026-01-31T22:00:00Z, not {}", shown(text));
                return self.replace(schema, path, at, message);
            }
            Some("byte") if !is_base64(text) => {
                // Not shown: it is the value of a Secret.
                return self.replace(
                    schema,
                    path,
                    at,
                    "must be Base64; write plain text under stringData".into(),
                );
            }
            _ => {}
        }
        if before != self.findings.len() {
            self.replaced.push(path.to_owned());
        }
        json!(text)
    }

    fn number(&mut self, schema: &Schema, node: &Node, path: &str, at: Place) -> Json {
        #[allow(clippy::cast_precision_loss)]
        let (value, json) = match node.value {
            Value::Integer(value) => (value as f64, i64::try_from(value).map(|v| json!(v)).ok()),
            Value::Float(value) => (value, Some(json!(value))),
            _ => return Json::Null,
        };
        let (low, high) = match schema.format.as_deref() {
            Some("int32") => (Some(f64::from(i32::MIN)), Some(f64::from(i32::MAX))),
            _ => (None, None),
        };
        let (low, high) = (schema.range.0.or(low), schema.range.1.or(high));
        let wrong =
            low.is_some_and(|low| value < low) || high.is_some_and(|high| value > high) || json.is_none();
        if !wrong {
            return json.unwrap_or_default();
        }
        let bounds = match (low, high) {
            (Some(low), Some(high)) => format!("between {low} and {high}"),
            (Some(low), None) => format!("at least {low}"),
            (None, Some(high)) => format!("at most {high}"),
            (None, None) => format!("between {} and {}", i64::MIN, i64::MAX),
        };
        self.replace(schema, path, at, format!("must be {bounds}, is {value}"))
    }

    fn choice(&mut self, schema: &Schema, node: &Node, value: Json, path: &str, at: Place) -> Json {
        if schema.choices.is_empty() || schema.choices.contains(&value) {
            return value;
        }
        let words: Vec<&str> = schema.choices.iter().filter_map(Json::as_str).collect();
        let written = node.value.text().unwrap_or_default();
        let hint = did_you_mean(written, words.iter().copied());
        let message = format!(
            "must be one of {}, not {}{hint}",
            words.join(", "),
            shown(written)
        );
        let replaced = self.replace(schema, path, at, message);
        drmwatch_plan::nearest(written, words).map_or(replaced, |word| json!(word))
    }

    fn rules(&mut self, schema: &'static Schema, value: &Json, path: &str, at: Place, before: usize) {
        for (rule, message) in &schema.rules {
            self.judged.insert(message);
            let doubtful = self.replaced[before..]
                .iter()
                .any(|r| r == path || rule.mentions(leaf(r)));
            if doubtful {
                continue;
            }
            let message = match rule.holds(value) {
                Ok(true) => continue,
                Ok(false) => message.clone(),
                Err(error) => format!("{message} ({error})"),
            };
            let (field, at) = self.meant(&message, path, at);
            self.say(&field, at, message);
        }
    }

    /// The field that a rule's message is about: many begin with its name, `schedule.intervalSeconds must …`.
    fn meant(&self, message: &str, path: &str, at: Place) -> (String, Place) {
        let first = message.split([' ', ':']).next().unwrap_or_default();
        let field = join(path, first);
        match self.places.get(&field) {
            Some(place) => (field, *place),
            None => (path.to_owned(), at),
        }
    }

    fn bounds(&mut self, (low, high): (Option<u64>, Option<u64>), is: u64, of: &str, path: &str, at: Place) {
        let many = |n: u64| if n == 1 { "" } else { "s" };
        if let Some(low) = low.filter(|low| is < *low) {
            self.say(
                path,
                at,
                format!("must have at least {low} {of}{}, has {is}", many(low)),
            );
        }
        if let Some(high) = high.filter(|high| is > *high) {
            self.say(
                path,
                at,
                format!("must have at most {high} {of}{}, has {is}", many(high)),
            );
        }
    }
}

/// What a pattern takes, in words, for the patterns that most fields have.
fn expected(pattern: &str) -> &'static str {
    match pattern {
        r"^(https?://|\$\{)" => " (a URL that begins with http:// or https://, or a ${...} reference)",
        r"^(https?|\*)://" => " (an origin that begins with http://, https:// or *://)",
        r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$" | r"^[a-z]([-a-z0-9]*[a-z0-9])?$" => {
            " (lowercase letters, digits and hyphens, with a letter or digit at both ends)"
        }
        r"^[0-9a-fA-F-]{32,36}$" => " (a key ID of 32 hexadecimal digits, with or without hyphens)",
        r"^[0-9]{1,3}([.][0-9]{1,3})?%$" => " (a percentage such as 99.9%)",
        r"^[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+)*$" => " (a time zone such as Europe/Berlin)",
        r"^(/.*)?$" => " (a JSON pointer: empty, or beginning with /)",
        r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$" => " (the name of an HTTP header)",
        _ => "",
    }
}

fn listed(words: &BTreeSet<&str>) -> String {
    words.iter().copied().collect::<Vec<_>>().join(", ")
}

/// A value as it was written, in quotes and not at any length.
fn shown(text: &str) -> String {
    const MOST: usize = 60;
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{:?} and more", &text[..end]),
        None => format!("{text:?}"),
    }
}

fn is_base64(text: &str) -> bool {
    use base64::{Engine, prelude::BASE64_STANDARD};
    let text: String = text.chars().filter(|c| !"\r\n".contains(*c)).collect();
    BASE64_STANDARD.decode(text).is_ok()
}

/// Something that a schema takes.
fn placeholder(schema: &Schema) -> Json {
    if let Some(default) = schema.default.as_ref().or(schema.choices.first()) {
        return default.clone();
    }
    match schema.kind {
        Some(Kind::String) => {
            let fits = |text: &&str| schema.pattern.as_ref().is_none_or(|p| p.is_match(text));
            let known = [
                "x",
                "https://placeholder.invalid/",
                "1",
                "00:00",
                "50%",
                "1h",
                "2000-01-01",
                "* * * * *",
            ];
            match schema.format.as_deref() {
                Some("date-time") => json!("2000-01-01T00:00:00Z"),
                Some("byte") => json!(""),
                _ => json!(known.iter().find(|t| fits(t)).unwrap_or(&"x")),
            }
        }
        #[allow(clippy::cast_possible_truncation)]
        Some(Kind::Integer) => json!(schema.range.0.unwrap_or_default() as i64),
        Some(Kind::Number) => json!(schema.range.0.unwrap_or_default()),
        Some(Kind::Boolean) => json!(false),
        Some(Kind::Array) => {
            let item = schema.items.as_deref().map(placeholder).unwrap_or_default();
            let count = usize::try_from(schema.count.0.unwrap_or_default()).unwrap_or_default();
            json!(vec![item; count])
        }
        Some(Kind::Object) => {
            let required = schema
                .properties
                .iter()
                .filter(|(name, _)| schema.required.contains(name));
            Json::Object(required.map(|(name, s)| (name.clone(), placeholder(s))).collect())
        }
        None if schema.int_or_string => json!(0),
        None => Json::Null,
    }
}

/// A value as it is, without a schema.
fn plain(node: &Node) -> Json {
    match &node.value {
        Value::Null => Json::Null,
        Value::Bool(value) => json!(value),
        Value::Integer(value) => i64::try_from(*value).map_or(Json::Null, |v| json!(v)),
        Value::Float(value) => json!(value),
        Value::Text(text) => json!(text),
        Value::List(items) => items.iter().map(plain).collect(),
        Value::Map(entries) => {
            Json::Object(entries.iter().map(|(k, v)| (k.name.clone(), plain(v))).collect())
        }
    }
}

/// A default as if it had been written.
fn written(json: &Json, at: Place) -> Node {
    let value = match json {
        Json::Null => Value::Null,
        Json::Bool(value) => Value::Bool(*value),
        Json::Number(number) => match number.as_i64() {
            Some(value) => Value::Integer(value.into()),
            None => Value::Float(number.as_f64().unwrap_or_default()),
        },
        Json::String(text) => Value::Text(text.clone()),
        Json::Array(items) => Value::List(items.iter().map(|i| written(i, at)).collect()),
        Json::Object(map) => {
            let entry = |(name, value): (&String, &Json)| {
                let key = crate::yaml::Key {
                    name: name.clone(),
                    at,
                };
                (key, written(value, at))
            };
            Value::Map(map.iter().map(entry).collect())
        }
    };
    Node { at, value }
}

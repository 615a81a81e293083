//! The schema of a kind, read from its CRD: the same document that the API server validates by.

use drmwatch_plan::Rule;
use regex::Regex;
use serde_json::{Map, Value as Json};
use std::collections::BTreeMap;

/// What the schema says about one field.
#[derive(Default)]
pub struct Schema {
    /// Its type. `None`: any.
    pub kind: Option<Kind>,
    /// Whether `null` is a value of it.
    pub nullable: bool,
    /// Fields of an object.
    pub properties: BTreeMap<String, Schema>,
    /// Fields that must be there.
    pub required: Vec<String>,
    /// What other fields of an object are. `None`: there are none.
    pub others: Option<Box<Schema>>,
    /// Whether it is a whole number or a string, such as a quantity.
    pub int_or_string: bool,
    /// Whether unknown fields are kept as they are.
    pub open: bool,
    /// Items of a list.
    pub items: Option<Box<Schema>>,
    /// The only values there are. Empty: no such list.
    pub choices: Vec<Json>,
    /// What a string must match, with its source.
    pub pattern: Option<Regex>,
    /// Format of a string or number: `date-time`, `int32`, `int64`, `byte`.
    pub format: Option<String>,
    /// Bounds of a number.
    pub range: (Option<f64>, Option<f64>),
    /// Bounds of the length of a string, in characters.
    pub length: (Option<u64>, Option<u64>),
    /// Bounds of the number of items of a list.
    pub count: (Option<u64>, Option<u64>),
    /// Bounds of the number of fields of an object.
    pub fields: (Option<u64>, Option<u64>),
    /// What stands where nothing was written.
    pub default: Option<Json>,
    /// Fields that tell the items of a list apart.
    pub list_keys: Vec<String>,
    /// Whether the items of a list must differ.
    pub set: bool,
    /// CEL rules with their messages. Rules about a change (`oldSelf`) are left out: in a folder nothing changes.
    pub rules: Vec<(Rule, String)>,
}

/// The type of a field.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A mapping.
    Object,
    /// A list.
    Array,
    /// Text.
    String,
    /// A whole number.
    Integer,
    /// Any number.
    Number,
    /// `true` or `false`.
    Boolean,
}

impl Kind {
    /// In words, with an article.
    pub fn words(self) -> &'static str {
        match self {
            Kind::Object => "a mapping",
            Kind::Array => "a list",
            Kind::String => "a string",
            Kind::Integer => "a whole number",
            Kind::Number => "a number",
            Kind::Boolean => "true or false",
        }
    }
}

impl Schema {
    /// Reads an OpenAPI v3 schema of a CRD. An error names the rule or pattern that can't be compiled.
    pub fn read(json: &Json) -> Result<Schema, String> {
        let empty = Map::new();
        let json = json.as_object().unwrap_or(&empty);
        let text = |name: &str| json.get(name).and_then(Json::as_str);
        let flag = |name: &str| json.get(name) == Some(&Json::Bool(true));
        let float = |name: &str| json.get(name).and_then(Json::as_f64);
        let number = |name: &str| json.get(name).and_then(Json::as_u64);
        let strings = |name: &str| {
            let items = json.get(name).and_then(Json::as_array).into_iter().flatten();
            items.filter_map(Json::as_str).map(str::to_owned).collect()
        };
        let child = |name: &str| {
            let schema = json.get(name).filter(|s| s.is_object());
            schema.map(|s| Schema::read(s).map(Box::new)).transpose()
        };
        let mut properties = BTreeMap::new();
        for (name, schema) in json
            .get("properties")
            .and_then(Json::as_object)
            .into_iter()
            .flatten()
        {
            properties.insert(name.clone(), Schema::read(schema)?);
        }
        let mut rules = Vec::new();
        for rule in json
            .get("x-kubernetes-validations")
            .and_then(Json::as_array)
            .into_iter()
            .flatten()
        {
            let part = |name: &str| rule.get(name).and_then(Json::as_str).unwrap_or_default();
            if part("rule").contains("oldSelf") {
                continue;
            }
            let compiled = Rule::compile(part("rule")).map_err(|e| format!("{}: {e}", part("rule")))?;
            rules.push((compiled, part("message").to_owned()));
        }
        let choices = json.get("enum").and_then(Json::as_array).into_iter().flatten();
        Ok(Schema {
            kind: match text("type") {
                Some("object") => Some(Kind::Object),
                Some("array") => Some(Kind::Array),
                Some("string") => Some(Kind::String),
                Some("integer") => Some(Kind::Integer),
                Some("number") => Some(Kind::Number),
                Some("boolean") => Some(Kind::Boolean),
                _ => None,
            },
            nullable: flag("nullable"),
            required: strings("required"),
            int_or_string: flag("x-kubernetes-int-or-string"),
            others: child("additionalProperties")?,
            open: flag("x-kubernetes-preserve-unknown-fields")
                || json.get("type").is_none() && properties.is_empty(),
            items: child("items")?,
            // The API server refuses null for a field with choices, even where null is one of them.
            choices: choices.filter(|choice| !choice.is_null()).cloned().collect(),
            pattern: text("pattern")
                .map(|p| Regex::new(p).map_err(|e| format!("{p}: {e}")))
                .transpose()?,
            format: text("format").map(str::to_owned),
            range: (float("minimum"), float("maximum")),
            length: (number("minLength"), number("maxLength")),
            count: (number("minItems"), number("maxItems")),
            fields: (number("minProperties"), number("maxProperties")),
            default: json.get("default").cloned(),
            list_keys: strings("x-kubernetes-list-map-keys"),
            set: text("x-kubernetes-list-type") == Some("set"),
            properties,
            rules,
        })
    }
}

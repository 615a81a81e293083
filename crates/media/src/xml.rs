//! A small bounded tree over quick-xml, with the line of each element.

use quick_xml::{Reader, events::Event};
use thiserror::Error;

const MAX_DEPTH: usize = 32;
const MAX_ELEMENTS: usize = 200_000;
const MAX_ATTRIBUTES: usize = 128;

/// One element; names are local, without prefix.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Element {
    pub name: String,
    pub attributes: Vec<(String, String)>,
    pub children: Vec<Element>,
    pub text: String,
    pub line: usize,
}

/// Not the XML that it should be.
#[derive(Error, Debug, Clone, PartialEq, Eq)]
#[error("line {line}: {message}")]
pub struct XmlError {
    /// Line, from 1.
    pub line: usize,
    /// What is wrong.
    pub message: String,
}

impl Element {
    /// Value of an attribute, by its local name.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, v)| v.as_str())
    }

    /// Children of a name.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Element> {
        self.children.iter().filter(move |c| c.name == name)
    }

    /// First child of a name.
    pub fn first(&self, name: &str) -> Option<&Element> {
        self.children.iter().find(|c| c.name == name)
    }
}

/// Parses a document into its root element.
pub(crate) fn parse(text: &str) -> Result<Element, XmlError> {
    let mut reader = Reader::from_str(text);
    reader.config_mut().expand_empty_elements = true;
    let mut lines = Lines { text, at: 0, line: 1 };
    let mut stack: Vec<Element> = Vec::new();
    let mut count = 0;
    loop {
        let event = reader.read_event();
        let line = lines.at((reader.buffer_position() as usize).min(text.len()));
        let error = |message: String| XmlError { line, message };
        match event.map_err(|e| error(e.to_string()))? {
            Event::Start(start) => {
                count += 1;
                if stack.len() >= MAX_DEPTH || count > MAX_ELEMENTS {
                    return Err(error(format!(
                        "must not have more than {MAX_DEPTH} levels or {MAX_ELEMENTS} elements"
                    )));
                }
                let mut element = Element {
                    name: start.local_name().as_ref().to_owned(),
                    line,
                    ..Element::default()
                };
                for attribute in start.attributes() {
                    let attribute = attribute.map_err(|e| error(e.to_string()))?;
                    if element.attributes.len() >= MAX_ATTRIBUTES {
                        return Err(error(format!(
                            "must not have more than {MAX_ATTRIBUTES} attributes"
                        )));
                    }
                    let value = quick_xml::escape::unescape(&attribute.value)
                        .map_err(|e| error(e.to_string()))?
                        .into_owned();
                    element
                        .attributes
                        .push((attribute.key.local_name().as_ref().to_owned(), value));
                }
                stack.push(element);
            }
            Event::End(_) => {
                let Some(done) = stack.pop() else {
                    return Err(error("an end tag without a start".into()));
                };
                match stack.last_mut() {
                    Some(parent) => parent.children.push(done),
                    None => return Ok(done),
                }
            }
            Event::Text(piece) => push(&mut stack, &piece),
            Event::CData(piece) => push(&mut stack, &piece),
            Event::GeneralRef(reference) => {
                let text = quick_xml::escape::unescape(&format!("&{};", &*reference))
                    .map_err(|e| error(e.to_string()))?
                    .into_owned();
                push(&mut stack, &text);
            }
            Event::Eof => return Err(error("the document ends before its root element does".into())),
            _ => {}
        }
    }
}

fn push(stack: &mut [Element], text: &str) {
    if let Some(element) = stack.last_mut() {
        element.text.push_str(text);
    }
}

/// Counts lines forward only, so that a document costs one pass.
struct Lines<'a> {
    text: &'a str,
    at: usize,
    line: usize,
}

impl Lines<'_> {
    fn at(&mut self, offset: usize) -> usize {
        let bytes = self.text.as_bytes();
        self.line += bytes[self.at.min(offset)..offset]
            .iter()
            .filter(|b| **b == b'\n')
            .count();
        self.at = offset;
        self.line
    }
}

//! A small bounded tree over quick-xml, with the line of each element.
//!
//! The tree is two flat lists and borrows the document's text: an MPD of a day has a hundred thousand
//! elements, and none of them costs an allocation of its own.

use quick_xml::{Reader, events::Event};
use std::borrow::Cow;
use thiserror::Error;

const MAX_DEPTH: usize = 32;
const MAX_ELEMENTS: usize = 500_000;
const MAX_ATTRIBUTES: usize = 128;
/// Most bytes of a document.
pub(crate) const MAX_BYTES: usize = 16 << 20;

/// Not the XML that it should be.
#[derive(Error, Debug, Clone, PartialEq, Eq)]
#[error("line {line}: {message}")]
pub struct XmlError {
    /// Line, from 1.
    pub line: usize,
    /// What is wrong.
    pub message: String,
}

/// A parsed document.
pub(crate) struct Tree<'a> {
    nodes: Vec<Node<'a>>,
    attributes: Vec<(&'a str, Cow<'a, str>)>,
}

struct Node<'a> {
    name: Cow<'a, str>,
    attributes: (u32, u32),
    first: u32,
    last: u32,
    next: u32,
    line: u32,
    text: Cow<'a, str>,
}

/// No node: the root is node 0 and nobody's child.
const NONE: u32 = 0;

/// One element; names are local, without prefix.
#[derive(Clone, Copy)]
pub(crate) struct Element<'t> {
    tree: &'t Tree<'t>,
    at: u32,
}

impl<'a> Tree<'a> {
    pub fn root(&'a self) -> Element<'a> {
        Element { tree: self, at: 0 }
    }
}

impl<'t> Element<'t> {
    fn node(self) -> &'t Node<'t> {
        &self.tree.nodes[self.at as usize]
    }

    pub fn name(self) -> &'t str {
        &self.node().name
    }

    pub fn line(self) -> usize {
        self.node().line as usize
    }

    pub fn text(self) -> &'t str {
        self.node().text.trim()
    }

    /// Value of an attribute, by its local name.
    pub fn attribute(self, name: &str) -> Option<&'t str> {
        let (from, to) = self.node().attributes;
        let attributes = &self.tree.attributes[from as usize..to as usize];
        attributes
            .iter()
            .find(|(n, _)| *n == name)
            .map(|(_, v)| v.as_ref())
    }

    pub fn children(self) -> impl Iterator<Item = Element<'t>> {
        let tree = self.tree;
        let mut at = self.node().first;
        std::iter::from_fn(move || {
            let here = (at != NONE).then_some(Element { tree, at })?;
            at = here.node().next;
            Some(here)
        })
    }

    /// Children of a name.
    pub fn all(self, name: &str) -> impl Iterator<Item = Element<'t>> {
        self.children().filter(move |c| c.name() == name)
    }

    /// First child of a name.
    pub fn first(self, name: &str) -> Option<Element<'t>> {
        self.children().find(|c| c.name() == name)
    }
}

/// Parses a document.
pub(crate) fn parse(text: &str) -> Result<Tree<'_>, XmlError> {
    if text.len() > MAX_BYTES {
        let message = format!("must not have more than {MAX_BYTES} bytes");
        return Err(XmlError { line: 1, message });
    }
    let mut reader = Reader::from_str(text);
    reader.config_mut().expand_empty_elements = true;
    let mut lines = Lines { text, at: 0, line: 1 };
    let mut tree = Tree {
        nodes: Vec::new(),
        attributes: Vec::new(),
    };
    let mut stack: Vec<u32> = Vec::new();
    loop {
        let event = reader.read_event();
        let line = lines.at((reader.buffer_position() as usize).min(text.len()));
        let error = |message: String| XmlError { line, message };
        match event.map_err(|e| error(e.to_string()))? {
            Event::Start(start) => {
                if stack.len() >= MAX_DEPTH || tree.nodes.len() >= MAX_ELEMENTS {
                    return Err(error(format!(
                        "must not have more than {MAX_DEPTH} levels or {MAX_ELEMENTS} elements"
                    )));
                }
                let from = tree.attributes.len();
                for attribute in start.attributes() {
                    let attribute = attribute.map_err(|e| error(e.to_string()))?;
                    if tree.attributes.len() - from >= MAX_ATTRIBUTES {
                        return Err(error(format!(
                            "must not have more than {MAX_ATTRIBUTES} attributes"
                        )));
                    }
                    let value = match borrowed(text, &attribute.value) {
                        Some(value) if !value.contains('&') => Cow::Borrowed(value),
                        _ => {
                            let value = quick_xml::escape::unescape(&attribute.value)
                                .map_err(|e| error(e.to_string()))?;
                            Cow::Owned(value.into_owned())
                        }
                    };
                    let name = borrowed(text, attribute.key.local_name().as_ref())
                        .ok_or_else(|| error("an attribute outside of the text".into()))?;
                    tree.attributes.push((name, value));
                }
                let at = tree.nodes.len() as u32;
                let name = start.local_name();
                tree.nodes.push(Node {
                    name: borrowed(text, name.as_ref())
                        .map_or_else(|| Cow::Owned(name.as_ref().to_owned()), Cow::Borrowed),
                    attributes: (from as u32, tree.attributes.len() as u32),
                    first: NONE,
                    last: NONE,
                    next: NONE,
                    line: line as u32,
                    text: Cow::Borrowed(""),
                });
                if let Some(parent) = stack.last() {
                    let before = tree.nodes[*parent as usize].last;
                    match before {
                        NONE => tree.nodes[*parent as usize].first = at,
                        before => tree.nodes[before as usize].next = at,
                    }
                    tree.nodes[*parent as usize].last = at;
                }
                stack.push(at);
            }
            Event::End(_) => {
                if stack.pop().is_none() {
                    return Err(error("an end tag without a start".into()));
                }
                if stack.is_empty() {
                    return Ok(tree);
                }
            }
            Event::Text(piece) => push(&mut tree, &stack, text, &piece),
            Event::CData(piece) => push(&mut tree, &stack, text, &piece),
            Event::GeneralRef(reference) => {
                let found = quick_xml::escape::unescape(&format!("&{};", &*reference))
                    .map_err(|e| error(e.to_string()))?
                    .into_owned();
                push(&mut tree, &stack, text, &found);
            }
            Event::Eof => return Err(error("the document ends before its root element does".into())),
            _ => {}
        }
    }
}

fn push<'a>(tree: &mut Tree<'a>, stack: &[u32], text: &'a str, piece: &str) {
    if let Some(at) = stack.last()
        && !(piece.trim().is_empty())
    {
        let node = &mut tree.nodes[*at as usize];
        match borrowed(text, piece) {
            Some(piece) if node.text.is_empty() => node.text = Cow::Borrowed(piece),
            _ => node.text.to_mut().push_str(piece),
        }
    }
}

/// The same piece as a part of the whole text, where it is one: events borrow the text, but their
/// accessors do not say so in their types.
fn borrowed<'a>(text: &'a str, piece: &str) -> Option<&'a str> {
    let offset = (piece.as_ptr() as usize).checked_sub(text.as_ptr() as usize)?;
    text.get(offset..offset.checked_add(piece.len())?)
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

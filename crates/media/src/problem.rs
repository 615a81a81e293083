//! What is wrong in a document, and where.

use std::fmt;

/// Most problems that are kept of one document: more would tell nothing new.
pub const MAX_PROBLEMS: usize = 100;

/// Where in a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Line, from 1.
    Line(usize),
    /// Offset in bytes, from 0.
    Byte(usize),
}

/// One thing that breaks the document's specification. Reading goes on behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where.
    pub place: Place,
    /// Tag, element or box.
    pub subject: String,
    /// What it must be.
    pub message: String,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Line(line) => write!(f, "line {line}"),
            Place::Byte(offset) => write!(f, "byte {offset}"),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} {}", self.place, self.subject, self.message)
    }
}

/// The problems found so far.
#[derive(Debug, Default)]
pub(crate) struct Problems(pub Vec<Problem>);

impl Problems {
    pub fn line(&mut self, line: usize, subject: impl Into<String>, message: impl Into<String>) {
        if self.0.len() < MAX_PROBLEMS {
            let (subject, message) = (subject.into(), message.into());
            self.0.push(Problem {
                place: Place::Line(line),
                subject,
                message,
            });
        }
    }
}

/// At most so much of a foreign text is quoted in a message.
pub(crate) fn quoted(text: &str) -> String {
    let mut short: String = text.chars().take(40).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    format!("{short:?}")
}

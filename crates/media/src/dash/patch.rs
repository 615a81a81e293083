//! MPD patches (clause 5.15): what a client asks for in the stead of a whole MPD.

use super::{DashError, parse::Reader};
use crate::{Problem, xml};
use jiff::Timestamp;

/// A Patch document.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Patch {
    /// `mpdId`.
    pub mpd_id: Option<String>,
    /// `originalPublishTime`: of the MPD that it applies to.
    pub original_publish_time: Option<Timestamp>,
    /// `publishTime`: of the MPD that results.
    pub publish_time: Option<Timestamp>,
    /// What to do, in order.
    pub operations: Vec<Operation>,
    /// Every problem, in the order of the lines.
    pub problems: Vec<Problem>,
}

/// One change (RFC 5261).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    /// `add`, `replace` or `remove`.
    pub kind: String,
    /// The XPath in `sel`.
    pub selector: String,
    /// Line of the element.
    pub line: usize,
}

/// Parses a Patch document.
pub fn parse_patch(bytes: &[u8]) -> Result<Patch, DashError> {
    let text = std::str::from_utf8(bytes).map_err(|e| DashError::NotUtf8(e.valid_up_to()))?;
    let tree = xml::parse(text.strip_prefix('\u{feff}').unwrap_or(text))?;
    let root = tree.root();
    if root.name() != "Patch" {
        let found = root.name().chars().take(64).collect();
        return Err(DashError::Root {
            wanted: "Patch",
            found,
        });
    }
    let mut reader = Reader::default();
    let mut patch = Patch {
        mpd_id: root.attribute("mpdId").map(str::to_owned),
        original_publish_time: reader.instant(root, "originalPublishTime"),
        publish_time: reader.instant(root, "publishTime"),
        ..Patch::default()
    };
    for required in ["mpdId", "originalPublishTime", "publishTime"] {
        if root.attribute(required).is_none() {
            reader
                .problems
                .line(root.line(), "Patch", format!("must have @{required}"));
        }
    }
    for operation in root.children() {
        let (kind, line) = (operation.name().to_owned(), operation.line());
        if !matches!(kind.as_str(), "add" | "replace" | "remove") {
            reader.problems.line(line, kind, "must be add, replace or remove");
            continue;
        }
        match operation.attribute("sel") {
            Some(selector) => {
                let selector = selector.to_owned();
                patch.operations.push(Operation { kind, selector, line });
            }
            None => reader.problems.line(line, kind, "must have @sel"),
        }
    }
    patch.problems = reader.problems.0;
    Ok(patch)
}

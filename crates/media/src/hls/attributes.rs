//! Attribute lists (section 4.2) and the values in them.

use crate::problem::{Problems, quoted};
use jiff::Timestamp;
use std::{borrow::Cow, collections::BTreeMap};

/// Variables of `EXT-X-DEFINE`.
pub(super) type Variables = BTreeMap<String, String>;

/// Most attributes of one tag.
const MAX_ATTRIBUTES: usize = 128;

/// One tag's attributes, and where to say what is wrong with them.
pub(super) struct Attributes<'a, 'p> {
    pub tag: &'static str,
    pub line: usize,
    list: Vec<(&'a str, &'a str, bool)>,
    problems: &'p mut Problems,
    variables: &'p Variables,
}

impl<'a, 'p> Attributes<'a, 'p> {
    pub fn parse(
        tag: &'static str,
        line: usize,
        text: &'a str,
        problems: &'p mut Problems,
        variables: &'p Variables,
    ) -> Attributes<'a, 'p> {
        let mut list: Vec<(&str, &str, bool)> = Vec::with_capacity(8);
        let mut rest = text.trim();
        while !rest.is_empty() && list.len() < MAX_ATTRIBUTES {
            let Some((name, after)) = rest.split_once('=') else {
                problems.line(
                    line,
                    tag,
                    format!("must be a list of NAME=VALUE, not {}", quoted(rest)),
                );
                break;
            };
            let (value, next, is_quoted) = match after.strip_prefix('"') {
                Some(inside) => match inside.split_once('"') {
                    Some((value, next)) => (value, next, true),
                    None => {
                        problems.line(
                            line,
                            tag,
                            format!("must close the quotes of {}", quoted(name.trim())),
                        );
                        (inside, "", true)
                    }
                },
                None => after
                    .find(',')
                    .map_or((after, "", false), |at| (&after[..at], &after[at..], false)),
            };
            let name = name.trim();
            if list.iter().any(|(n, ..)| *n == name) {
                problems.line(line, tag, format!("must not have {} twice", quoted(name)));
            }
            list.push((name, if is_quoted { value } else { value.trim() }, is_quoted));
            let next = next.trim_start();
            rest = match next.strip_prefix(',') {
                Some(rest) => rest.trim_start(),
                None if next.is_empty() => "",
                None => {
                    problems.line(
                        line,
                        tag,
                        format!("must have a comma behind the value of {}", quoted(name)),
                    );
                    next
                }
            };
        }
        Attributes {
            tag,
            line,
            list,
            problems,
            variables,
        }
    }

    pub fn wrong(&mut self, message: impl Into<String>) {
        self.problems.line(self.line, self.tag, message);
    }

    fn raw(&self, name: &str) -> Option<(&'a str, bool)> {
        self.list
            .iter()
            .find(|(n, ..)| *n == name)
            .map(|(_, v, q)| (*v, *q))
    }

    pub fn has(&self, name: &str) -> bool {
        self.raw(name).is_some()
    }

    /// A quoted string, variables filled in. Unquoted ones are taken too: they are common and harmless.
    pub fn text(&mut self, name: &str) -> Option<String> {
        let (value, _) = self.raw(name)?;
        let filled = fill(value, self.line, self.tag, self.variables, self.problems);
        Some(filled.into_owned())
    }

    /// A quoted string that must be there.
    pub fn required(&mut self, name: &str) -> Option<String> {
        let value = self.text(name);
        if value.is_none() {
            self.wrong(format!("must have {name}"));
        }
        value
    }

    fn value<T>(&mut self, name: &str, what: &str, read: impl Fn(&str) -> Option<T>) -> Option<T> {
        let (value, _) = self.raw(name)?;
        let found = read(value);
        if found.is_none() {
            self.wrong(format!("must have {what} as {name}, not {}", quoted(value)));
        }
        found
    }

    /// A decimal integer below 2^64.
    pub fn integer(&mut self, name: &str) -> Option<u64> {
        self.value(name, "a whole number", |v| v.parse().ok())
    }

    /// A non-negative decimal number.
    pub fn number(&mut self, name: &str) -> Option<f64> {
        self.value(name, "a number", number)
    }

    pub fn yes(&mut self, name: &str) -> bool {
        let read = |v: &str| match v {
            "YES" => Some(true),
            "NO" => Some(false),
            _ => None,
        };
        self.value(name, "YES or NO", read).unwrap_or(false)
    }

    pub fn resolution(&mut self, name: &str) -> Option<(u32, u32)> {
        self.value(name, "WIDTHxHEIGHT", |v| {
            let (width, height) = v.split_once('x')?;
            Some((width.parse().ok()?, height.parse().ok()?))
        })
    }

    /// `0x…` bytes.
    pub fn hex(&mut self, name: &str) -> Option<Vec<u8>> {
        self.value(name, "hexadecimal digits behind 0x", hex)
    }

    pub fn date(&mut self, name: &str) -> Option<Timestamp> {
        self.value(name, "an ISO 8601 date with a zone", date)
    }

    /// LENGTH@OFFSET.
    pub fn byte_range(&mut self, name: &str) -> Option<(Option<u64>, u64)> {
        self.value(name, "LENGTH[@OFFSET]", byte_range)
    }
}

/// Fills `{$name}` in (section 4.3); a variable that is not defined makes the playlist invalid.
pub(super) fn fill<'a>(
    text: &'a str,
    line: usize,
    subject: &str,
    variables: &Variables,
    problems: &mut Problems,
) -> Cow<'a, str> {
    if !text.contains("{$") {
        return Cow::Borrowed(text);
    }
    let (mut out, mut rest) = (String::new(), text);
    while let Some((before, after)) = rest.split_once("{$") {
        out.push_str(before);
        let Some((name, behind)) = after.split_once('}') else {
            out.push_str("{$");
            rest = after;
            continue;
        };
        match variables.get(name) {
            Some(value) if out.len() + value.len() < 1 << 16 => out.push_str(value),
            Some(_) => problems.line(line, subject, "must not grow beyond 64 KiB by its variables"),
            None => problems.line(
                line,
                subject,
                format!(
                    "refers to the variable {}, which no EXT-X-DEFINE gives",
                    quoted(name)
                ),
            ),
        }
        rest = behind;
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// A non-negative, finite decimal number.
pub(super) fn number(text: &str) -> Option<f64> {
    let text = text.trim();
    let plain = text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    text.parse::<f64>().ok().filter(|n| plain && *n < 1e9)
}

pub(super) fn byte_range(text: &str) -> Option<(Option<u64>, u64)> {
    match text.trim().split_once('@') {
        Some((length, offset)) => Some((Some(offset.parse().ok()?), length.parse().ok()?)),
        None => Some((None, text.trim().parse().ok()?)),
    }
}

fn hex(text: &str) -> Option<Vec<u8>> {
    let digits = text
        .strip_prefix("0x")
        .or_else(|| text.strip_prefix("0X"))?
        .as_bytes();
    if digits.len() % 2 != 0 {
        return None;
    }
    let nibble = |b: u8| (b as char).to_digit(16);
    digits
        .chunks_exact(2)
        .map(|pair| Some((nibble(pair[0])? << 4 | nibble(pair[1])?) as u8))
        .collect()
}

/// ISO 8601 with a zone; `+0000` without its colon is what ffmpeg and others write.
pub(super) fn date(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    text.parse().ok().or_else(|| {
        let (head, minutes) = text.split_at_checked(text.len().checked_sub(2)?)?;
        format!("{head}:{minutes}").parse().ok()
    })
}

//! Texts with `${…}` references.

use thiserror::Error;

/// What a `${…}` refers to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reference {
    /// `${credentials.NAME}`.
    Credential(String),
    /// `${STEP.OUTPUT}`.
    Output {
        /// Name of the step.
        step: String,
        /// Name of its output.
        output: String,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Reference(Reference),
}

/// A text with references, parsed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template(Vec<Part>);

/// What is wrong with a text.
#[derive(Error, Debug, Clone, PartialEq, Eq)]
pub enum TemplateError {
    /// `${` without `}`.
    #[error("the reference at byte {0} has no closing brace")]
    Unclosed(usize),
    /// Something other than `NAME.NAME` between the braces.
    #[error("the reference ${{{0}}} must be ${{credentials.NAME}} or ${{STEP.OUTPUT}}")]
    Malformed(String),
    /// Nothing has that name.
    #[error("nothing is known by the name {0}")]
    Unknown(String),
}

impl Template {
    /// Parses a text. `$` without `{` stands for itself.
    pub fn parse(text: &str) -> Result<Template, TemplateError> {
        let (mut parts, mut rest, mut offset) = (Vec::new(), text, 0);
        while let Some(start) = rest.find("${") {
            let end = rest[start..]
                .find('}')
                .ok_or(TemplateError::Unclosed(offset + start))?
                + start;
            if start > 0 {
                parts.push(Part::Text(rest[..start].to_owned()));
            }
            parts.push(Part::Reference(reference(&rest[start + 2..end])?));
            offset += end + 1;
            rest = &rest[end + 1..];
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        Ok(Template(parts))
    }

    /// What it refers to, in order.
    pub fn references(&self) -> impl Iterator<Item = &Reference> {
        self.0.iter().filter_map(|p| match p {
            Part::Reference(r) => Some(r),
            Part::Text(_) => None,
        })
    }

    /// The text with every reference replaced by what `lookup` gives.
    pub fn render<'a>(
        &self,
        lookup: impl Fn(&Reference) -> Option<&'a str>,
    ) -> Result<String, TemplateError> {
        let mut out = String::new();
        for part in &self.0 {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Reference(r) => {
                    out.push_str(lookup(r).ok_or_else(|| TemplateError::Unknown(r.to_string()))?)
                }
            }
        }
        Ok(out)
    }
}

/// The outputs of earlier steps that a step refers to, as `(step, output)`.
pub fn outputs_used(step: &drmwatch_api::Step) -> Vec<(String, String)> {
    let texts = crate::compile::texts(step);
    let templates = texts.iter().filter_map(|(_, text)| Template::parse(text).ok());
    let used = templates.flat_map(|t| t.references().cloned().collect::<Vec<_>>());
    used.filter_map(|reference| match reference {
        Reference::Output { step, output } => Some((step, output)),
        Reference::Credential(_) => None,
    })
    .collect()
}

fn reference(inner: &str) -> Result<Reference, TemplateError> {
    let plain = |s: &str| {
        !s.is_empty()
            && s.bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    match inner.split_once('.') {
        Some((scope, name)) if plain(scope) && plain(name) => Ok(match scope {
            "credentials" => Reference::Credential(name.to_owned()),
            step => Reference::Output {
                step: step.to_owned(),
                output: name.to_owned(),
            },
        }),
        _ => Err(TemplateError::Malformed(inner.to_owned())),
    }
}

impl std::fmt::Display for Reference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Reference::Credential(name) => write!(f, "credentials.{name}"),
            Reference::Output { step, output } => write!(f, "{step}.{output}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_filled_in_and_dollars_left_alone() {
        let template = Template::parse("https://x/${credentials.k}/a$b?t=${token.access_token}$").unwrap();
        let text = template
            .render(|r| match r {
                Reference::Credential(_) => Some("K"),
                Reference::Output { .. } => Some("T"),
            })
            .unwrap();
        assert_eq!(text, "https://x/K/a$b?t=T$");
    }

    #[test]
    fn mistakes_name_their_place() {
        assert_eq!(Template::parse("ab${x.y"), Err(TemplateError::Unclosed(2)));
        assert_eq!(Template::parse("${x}"), Err(TemplateError::Malformed("x".into())));
        let unknown = Template::parse("${a.b}").unwrap().render(|_| None);
        assert_eq!(unknown, Err(TemplateError::Unknown("a.b".into())));
    }

    proptest::proptest! {
        #[test]
        fn any_text_parses_or_is_refused_without_panic(text in ".{0,200}") {
            if let Ok(template) = Template::parse(&text) {
                let _ = template.render(|_| Some("v"));
            }
        }
    }
}

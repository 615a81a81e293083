//! Reports as PDF, set by typst. What they say, and in which digits, is [`drmwatch_reports::page`], as in every other form.
//!
//! Pure: the same report gives the same bytes. The template reads no file, and what it is given is text and never markup.

use drmwatch_reports::{Report, page};
use std::{collections::BTreeSet, sync::LazyLock};
use typst::{
    Library, LibraryExt, World,
    diag::{FileError, FileResult, SourceDiagnostic},
    foundations::{Bytes, Datetime, Dict, Duration, Str, Value},
    syntax::{FileId, Source},
    text::{Font, FontBook},
    utils::LazyHash,
};
use typst_layout::PagedDocument;
use typst_pdf::{PdfOptions, Timestamp};

const TEMPLATE: &str = include_str!("report.typ");
/// The built-in family: Latin, Greek, Cyrillic, Hebrew.
const FAMILY: &str = "Libertinus Serif";

/// Why there is no PDF.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PdfError {
    /// None of the fonts has these characters.
    Characters(String),
    /// This is no font (TrueType, OpenType, or a collection of them).
    NoFont(usize),
    /// What typst says: the template is wrong, so we are.
    Template(String),
}

impl std::fmt::Display for PdfError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            PdfError::Characters(which) => write!(
                f,
                "no font has the characters {which} that the report must show: name one that does (--font FILE)"
            ),
            PdfError::NoFont(which) => write!(f, "font {which} is no font (TrueType, OpenType)"),
            PdfError::Template(why) => write!(f, "the PDF can't be set: {why}"),
        }
    }
}

impl std::error::Error for PdfError {}

/// The built-in fonts, read once.
static FONTS: LazyLock<Vec<Font>> = LazyLock::new(|| {
    let all = typst_assets::fonts().flat_map(|data| Font::iter(Bytes::new(data)));
    all.filter(|font| font.info().family == FAMILY).collect()
});

/// What typst sees of the world: a template, fonts, and a page in words.
struct Desk {
    library: LazyHash<Library>,
    book: LazyHash<FontBook>,
    fonts: Vec<Font>,
    template: Source,
}

impl World for Desk {
    fn library(&self) -> &LazyHash<Library> {
        &self.library
    }

    fn book(&self) -> &LazyHash<FontBook> {
        &self.book
    }

    fn main(&self) -> FileId {
        self.template.id()
    }

    fn source(&self, id: FileId) -> FileResult<Source> {
        match id == self.template.id() {
            true => Ok(self.template.clone()),
            false => Err(FileError::AccessDenied),
        }
    }

    fn file(&self, _: FileId) -> FileResult<Bytes> {
        Err(FileError::AccessDenied)
    }

    fn font(&self, index: usize) -> Option<Font> {
        self.fonts.get(index).cloned()
    }

    fn today(&self, _: Option<Duration>) -> Option<Datetime> {
        None
    }
}

fn told(errors: impl IntoIterator<Item = SourceDiagnostic>) -> PdfError {
    let all: Vec<String> = errors.into_iter().map(|e| e.message.to_string()).collect();
    PdfError::Template(all.join("; "))
}

/// A report as PDF. `fonts`: files of fonts that are asked for what the built-in one has not.
pub fn pdf(report: &Report, fonts: &[Vec<u8>]) -> Result<Vec<u8>, PdfError> {
    let words = serde_json::to_string(&page(report)).map_err(|e| PdfError::Template(e.to_string()))?;
    let (mut all, mut families) = (FONTS.clone(), vec![FAMILY.to_owned()]);
    for (i, file) in fonts.iter().enumerate() {
        let own: Vec<Font> = Font::iter(Bytes::new(file.clone())).collect();
        if own.is_empty() {
            return Err(PdfError::NoFont(i + 1));
        }
        families.extend(own.iter().map(|f| f.info().family.clone()));
        all.extend(own);
    }
    // A box where a name should be is worse than no report.
    let missing: BTreeSet<char> = words
        .chars()
        .filter(|c| !c.is_control() && !all.iter().any(|f| f.info().coverage.contains(*c as u32)))
        .collect();
    if !missing.is_empty() {
        return Err(PdfError::Characters(missing.into_iter().collect()));
    }
    let value = |text: String| Value::Str(Str::from(text));
    let inputs: Dict = [
        (Str::from("page"), value(words)),
        (Str::from("fonts"), value(families.join("\n"))),
    ]
    .into_iter()
    .collect();
    let desk = Desk {
        library: LazyHash::new(Library::builder().with_inputs(inputs).build()),
        book: LazyHash::new(FontBook::from_fonts(&all)),
        fonts: all,
        template: Source::detached(TEMPLATE),
    };
    let document = typst::compile::<PagedDocument>(&desk).output.map_err(told)?;
    let made = Datetime::from_ymd_hms;
    let at = report.generated_at.as_bytes();
    let number = |range: std::ops::Range<usize>| -> Option<i32> {
        std::str::from_utf8(at.get(range)?).ok()?.parse().ok()
    };
    let timestamp = || {
        let two = |from: usize| number(from..from + 2).and_then(|n| u8::try_from(n).ok());
        made(number(0..4)?, two(5)?, two(8)?, two(11)?, two(14)?, two(17)?).map(Timestamp::new_utc)
    };
    let options = PdfOptions {
        timestamp: timestamp(),
        ..PdfOptions::default()
    };
    typst_pdf::pdf(&document, &options).map_err(told)
}

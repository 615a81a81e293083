//! SLA reports: the figures of a tenant and a period ([`Report`]), and how they are written ([`csv`], [`html`], [`json`]).
//!
//! Every form says the same figures in the same digits: they are written by [`Digits`] alone.

mod csv;
mod digits;
mod html;
mod model;
mod page;

pub use csv::{csv, csv_line, incidents_csv};
pub use digits::Digits;
pub use html::html;
pub use model::{
    DayFigures, Exclusion, Latency, Report, ReportIncident, Request, Row, Total, Verdict, build,
};
pub use page::{Day, Look, Page, ProbeLine, Table, Trend, page};

/// A report as JSON (docs/reports.md).
pub fn json(report: &Report) -> String {
    let mut text = serde_json::to_string_pretty(report).unwrap_or_default();
    text.push('\n');
    text
}

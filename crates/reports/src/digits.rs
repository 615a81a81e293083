//! How numbers are written, the same in every form.

use drmwatch_sla::Figures;
use jiff::{Timestamp, tz::TimeZone};

/// Numbers as text. What is not there is empty.
pub struct Digits;

impl Digits {
    /// Percent with four places, cut and not rounded: what is not 100 must not look like it.
    pub fn percent(part: u64, whole: u64) -> String {
        if whole == 0 {
            return String::new();
        }
        let parts = u128::from(part) * 1_000_000 / u128::from(whole);
        format!("{}.{:04}", parts / 10_000, parts % 10_000)
    }

    /// Availability of figures.
    pub fn availability(of: &Figures) -> String {
        Digits::percent(of.good, of.counted)
    }

    /// Coverage of figures.
    pub fn coverage(of: &Figures) -> String {
        let seen = of.up + of.degraded + of.down;
        Digits::percent(seen, seen + of.no_data)
    }

    /// A number with at most this many places, without zeros at its end.
    pub fn number(value: Option<f64>, places: usize) -> String {
        let Some(value) = value else { return String::new() };
        let text = format!("{value:.places$}");
        match text.contains('.') {
            true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
            false => text,
        }
    }

    /// Microseconds as milliseconds with one place.
    pub fn millis(micros: Option<f64>) -> String {
        micros.map(|m| format!("{:.1}", m / 1000.0)).unwrap_or_default()
    }

    /// An instant in UTC, ISO 8601.
    pub fn instant(second: i64) -> String {
        Timestamp::from_second(second)
            .map(|t| t.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
            .unwrap_or_default()
    }

    /// An instant as clocks of a zone show it, to the minute.
    pub fn local(second: i64, zone: &TimeZone) -> String {
        let at = Timestamp::from_second(second).unwrap_or(Timestamp::UNIX_EPOCH);
        zone.to_datetime(at).strftime("%Y-%m-%d %H:%M").to_string()
    }

    /// Minutes in words: `2 d 3 h 4 min`.
    pub fn length(minutes: u64) -> String {
        let (days, hours, rest) = (minutes / 1440, minutes % 1440 / 60, minutes % 60);
        let parts = [(days, "d"), (hours, "h"), (rest, "min")];
        let parts: Vec<String> = parts
            .iter()
            .filter(|(n, _)| *n > 0)
            .map(|(n, unit)| format!("{n} {unit}"))
            .collect();
        match parts.is_empty() {
            true => "0 min".to_owned(),
            false => parts.join(" "),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_whole_does_not_look_whole() {
        assert_eq!(Digits::percent(43_199, 43_200), "99.9976");
        assert_eq!(Digits::percent(9_999_999, 10_000_000), "99.9999");
        assert_eq!(Digits::percent(1, 1), "100.0000");
        assert_eq!(
            (Digits::percent(0, 5), Digits::percent(0, 0)),
            ("0.0000".into(), String::new())
        );
        assert_eq!(
            (Digits::length(0), Digits::length(1505)),
            ("0 min".into(), "1 d 1 h 5 min".into())
        );
        assert_eq!(
            (Digits::number(Some(43.2), 3), Digits::number(Some(100.0), 1)),
            ("43.2".into(), "100".into())
        );
    }
}

//! Subtitle files: WebVTT (W3C) and TTML (W3C, IMSC).

use crate::{
    Problem,
    problem::{Problems, quoted},
    xml::{self, Element},
};

/// A subtitle file.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Subtitles {
    /// Number of cues.
    pub cues: usize,
    /// `X-TIMESTAMP-MAP` of WebVTT in HLS (draft-pantos-hls-rfc8216bis section 3.1.4): 90 kHz ticks and
    /// local seconds.
    pub timestamp_map: Option<(u64, f64)>,
    /// `xml:lang` of TTML.
    pub language: Option<String>,
    /// Every problem, in the order of the lines.
    pub problems: Vec<Problem>,
}

/// Reads WebVTT.
pub fn webvtt(bytes: &[u8]) -> Subtitles {
    let (mut found, mut problems) = (Subtitles::default(), Problems::default());
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text.strip_prefix('\u{feff}').unwrap_or(text),
        Err(error) => {
            let line = bytes[..error.valid_up_to()]
                .iter()
                .filter(|b| **b == b'\n')
                .count()
                + 1;
            problems.line(line, "the text", "must be UTF-8");
            ""
        }
    };
    for (n, line) in text.lines().enumerate().take(1_000_000) {
        let line = line.trim_end();
        if n == 0 {
            let rest = line.strip_prefix("WEBVTT");
            if rest.is_none_or(|r| !r.is_empty() && !r.starts_with([' ', '\t'])) {
                problems.line(1, "the file", "must begin with WEBVTT");
            }
        } else if let Some(map) = line.strip_prefix("X-TIMESTAMP-MAP=") {
            found.timestamp_map = timestamp_map(map);
            if found.timestamp_map.is_none() {
                problems.line(
                    n + 1,
                    "X-TIMESTAMP-MAP",
                    format!("must be MPEGTS:…,LOCAL:…, not {}", quoted(map)),
                );
            }
        } else if let Some((from, to)) = line.split_once("-->") {
            let to = to.trim_start().split([' ', '\t']).next().unwrap_or_default();
            match (clock(from.trim()), clock(to)) {
                (Some(from), Some(to)) if from <= to => found.cues += 1,
                (Some(_), Some(_)) => problems.line(n + 1, "the cue", "must not end before it begins"),
                _ => problems.line(
                    n + 1,
                    "the cue",
                    format!("must have two times, not {}", quoted(line)),
                ),
            }
        }
    }
    if text.is_empty() && problems.0.is_empty() {
        problems.line(1, "the file", "must begin with WEBVTT");
    }
    found.problems = problems.0;
    found
}

fn timestamp_map(text: &str) -> Option<(u64, f64)> {
    let (mut ticks, mut local) = (None, None);
    for part in text.split(',') {
        match part.trim().split_once(':')? {
            ("MPEGTS", value) => ticks = value.parse().ok(),
            ("LOCAL", value) => local = clock(value),
            _ => return None,
        }
    }
    Some((ticks?, local?))
}

/// `[HH:]MM:SS.mmm` in seconds.
fn clock(text: &str) -> Option<f64> {
    let (whole, millis) = text.split_once('.')?;
    let millis: u32 = (millis.len() == 3).then(|| millis.parse().ok()).flatten()?;
    let fields: Vec<u64> = whole.split(':').map(|f| f.parse().ok()).collect::<Option<_>>()?;
    let seconds = match fields[..] {
        [hours, minutes, seconds] if minutes < 60 && seconds < 60 => {
            hours.checked_mul(3600)?.checked_add(minutes * 60 + seconds)?
        }
        [minutes, seconds] if minutes < 60 && seconds < 60 => minutes * 60 + seconds,
        _ => return None,
    };
    Some(seconds as f64 + f64::from(millis) / 1000.0)
}

/// Reads TTML.
pub fn ttml(bytes: &[u8]) -> Subtitles {
    let (mut found, mut problems) = (Subtitles::default(), Problems::default());
    match std::str::from_utf8(bytes).map(|text| xml::parse(text.trim_start_matches('\u{feff}'))) {
        Ok(Ok(tree)) => {
            let root = tree.root();
            if root.name() != "tt" {
                problems.line(root.line(), quoted(root.name()), "must be tt as the root element");
            }
            found.language = root.attribute("lang").map(str::to_owned);
            found.cues = count(root, "p");
        }
        Ok(Err(error)) => problems.line(error.line, "the text", error.message),
        Err(_) => problems.line(1, "the text", "must be UTF-8"),
    }
    found.problems = problems.0;
    found
}

/// Elements of a name at any depth; the tree's depth is capped.
fn count(element: Element<'_>, name: &str) -> usize {
    element
        .children()
        .map(|c| usize::from(c.name() == name) + count(c, name))
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn webvtt_is_counted_and_mistakes_name_their_line() {
        let good = webvtt(b"WEBVTT\nX-TIMESTAMP-MAP=MPEGTS:900000,LOCAL:00:00:00.000\n\n00:01.000 --> 00:02.000 line:0\nHello\n");
        assert_eq!(
            (good.cues, good.timestamp_map, good.problems.len()),
            (1, Some((900_000, 0.0)), 0)
        );
        let said = |text: &str| {
            webvtt(text.as_bytes())
                .problems
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
        };
        assert_eq!(said("WEBVTTX\n"), ["line 1: the file must begin with WEBVTT"]);
        assert_eq!(said(""), ["line 1: the file must begin with WEBVTT"]);
        // The most hours of which the seconds are 64 bits, and what makes them more.
        assert_eq!(
            clock("5124095576030431:00:14.000"),
            Some(18_446_744_073_709_551_614.0)
        );
        assert_eq!(clock("5124095576030431:00:16.000"), None);
        assert_eq!(
            said("WEBVTT\n\n00:03.000 --> 00:02.000\n00:xx --> 1\n"),
            [
                "line 3: the cue must not end before it begins",
                "line 4: the cue must have two times, not \"00:xx --> 1\""
            ]
        );
    }

    #[test]
    fn ttml_is_counted() {
        let found = ttml(b"<tt xml:lang=\"en\"><body><div><p>a</p><p>b</p></div></body></tt>");
        assert_eq!(
            (found.cues, found.language.as_deref(), found.problems.len()),
            (2, Some("en"), 0)
        );
        assert_eq!(
            ttml(b"<tx/>").problems[0].to_string(),
            "line 1: \"tx\" must be tt as the root element"
        );
    }
}

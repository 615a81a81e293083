//! What may be asked, and how cursors are written.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use drmwatch_runs::{Kind, Mark, Record, sla::Level};
use jiff::{ToSpan, Unit, civil::Date};
use serde::{Deserialize, Serialize};

/// Items of a page if nobody says.
const USUAL: usize = 100;
/// Most items of a page.
pub const MOST: usize = 1000;
/// Most days of a question.
const LONGEST: i32 = 400;

/// What was asked, as the query says. Names may be given more than once by commas.
#[derive(Deserialize, Debug, Default, Clone)]
#[serde(deny_unknown_fields)]
pub struct Asked {
    from: Option<String>,
    to: Option<String>,
    #[serde(default)]
    probe: String,
    #[serde(default)]
    region: String,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    outcome: String,
    level: Option<String>,
    limit: Option<String>,
    cursor: Option<String>,
}

/// Where to go on.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
pub struct Cursor {
    /// Of which day, or of which period's first.
    pub day: Date,
    /// After which record of it.
    pub mark: Option<Mark>,
    /// After so many lines of it.
    pub lines: usize,
    /// The question that it belongs to.
    question: String,
}

/// A question that makes sense.
#[derive(Debug, Clone)]
pub struct Query {
    /// The first day.
    pub from: Date,
    /// The last day.
    pub to: Date,
    pub limit: usize,
    pub level: Level,
    pub cursor: Option<Cursor>,
    probes: Vec<String>,
    regions: Vec<String>,
    reasons: Vec<String>,
    outcomes: Vec<String>,
    question: String,
}

fn list(text: &str) -> Vec<String> {
    text.split(',')
        .filter(|t| !t.is_empty())
        .map(str::to_owned)
        .collect()
}

fn has(list: &[String], value: Option<&str>) -> bool {
    list.is_empty() || value.is_some_and(|v| list.iter().any(|l| l == v))
}

impl Asked {
    /// The question, or what is wrong with it: the parameter, and what it must be.
    pub fn query(self, today: Date) -> Result<Query, (&'static str, String)> {
        let day = |name: &'static str, text: &Option<String>, usual: Date| match text {
            None => Ok(usual),
            Some(text) => text
                .parse::<Date>()
                .map_err(|_| (name, format!("must be a day, as 2026-11-26, not {text:?}"))),
        };
        let to = day("to", &self.to, today)?;
        let from = day("from", &self.from, to)?;
        if from > to {
            return Err(("from", format!("{from} is after to, {to}")));
        }
        let days = to.since((Unit::Day, from)).map_or(i32::MAX, |s| s.get_days());
        if days >= LONGEST {
            return Err((
                "from",
                format!(
                    "a question is about at most {LONGEST} days, not {}",
                    days.saturating_add(1)
                ),
            ));
        }
        let limit = match &self.limit {
            None => USUAL,
            Some(text) => match text.parse::<usize>() {
                Ok(limit) if (1..=MOST).contains(&limit) => limit,
                _ => {
                    return Err((
                        "limit",
                        format!("must be a number from 1 to {MOST}, not {text:?}"),
                    ));
                }
            },
        };
        let level = match &self.level {
            None => Level::Day,
            Some(name) => Level::ALL
                .into_iter()
                .find(|l| l.name() == name)
                .ok_or(("level", format!("must be 15m, 1h, 1d, 1w or 1mo, not {name:?}")))?,
        };
        for outcome in list(&self.outcome) {
            let known = ["pass", "fail", "inconclusive", "missed", "unwatched"];
            if !known.contains(&outcome.as_str()) {
                return Err((
                    "outcome",
                    format!("must be of {}, not {outcome:?}", known.join(", ")),
                ));
            }
        }
        let question = format!(
            "{from}|{to}|{}|{}|{}|{}|{}",
            self.probe,
            self.region,
            self.reason,
            self.outcome,
            level.name()
        );
        let cursor = match &self.cursor {
            None => None,
            Some(text) => {
                let read = || serde_json::from_slice::<Cursor>(&URL_SAFE_NO_PAD.decode(text).ok()?).ok();
                let cursor = read().ok_or(("cursor", "must be what an answer gave as `next`".to_owned()))?;
                if cursor.question != question {
                    return Err((
                        "cursor",
                        "belongs to another question: everything else must stay as it was".into(),
                    ));
                }
                Some(cursor)
            }
        };
        Ok(Query {
            from,
            to,
            limit,
            level,
            cursor,
            probes: list(&self.probe),
            regions: list(&self.region),
            reasons: list(&self.reason),
            outcomes: list(&self.outcome),
            question,
        })
    }
}

impl Query {
    /// The days, from where the cursor stands.
    pub fn days(&self) -> impl Iterator<Item = Date> {
        let first = self.cursor.as_ref().map_or(self.from, |c| c.day.max(self.from));
        let mut day = first;
        let last = self.to;
        std::iter::from_fn(move || {
            let now = (day <= last).then_some(day)?;
            day = day.saturating_add(1.day());
            Some(now)
        })
    }

    /// Whether a record is asked for.
    pub fn wants(&self, record: &Record) -> bool {
        let outcome = match record.kind {
            Kind::Run => record.outcome.as_deref(),
            other => Some(other.as_str()),
        };
        has(&self.probes, Some(&record.probe))
            && has(&self.regions, Some(&record.region))
            && has(&self.reasons, record.reason.as_deref())
            && has(&self.outcomes, outcome)
    }

    /// Whether a line of roll-ups is asked for; `*` is all regions together.
    pub fn wants_line(&self, probe: &str, region: Option<&str>) -> bool {
        has(&self.probes, Some(probe)) && has(&self.regions, Some(region.unwrap_or("*")))
    }

    /// A cursor, as text.
    pub fn cursor(&self, day: Date, mark: Option<Mark>, lines: usize) -> String {
        let cursor = Cursor {
            day,
            mark,
            lines,
            question: self.question.clone(),
        };
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(&cursor).unwrap_or_default())
    }
}

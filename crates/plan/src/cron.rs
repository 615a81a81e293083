//! Cron schedules, exactly as a Kubernetes CronJob reads them: five fields and descriptors, parsed and advanced as
//! `robfig/cron` 3.0.1 does, daylight saving included (`tests/cron`: golden times by that library itself).
//!
//! Fields are bit sets. Day of month and day of week are combined as cron always has: both must fit where one of them is
//! `*`, else either.

use jiff::{Timestamp, civil, tz::TimeZone};
use thiserror::Error;

/// The set holds every value because of `*` or `?`.
const STAR: u64 = 1 << 63;
/// After so many years without a match there is none: 30 February.
const YEARS: i16 = 5;

/// What is wrong with an expression.
#[derive(Error, Debug, Clone, PartialEq, Eq)]
pub enum CronError {
    /// Nothing there.
    #[error("a cron expression must not be empty")]
    Empty,
    /// A zone in the expression.
    #[error("a cron expression must not name a time zone: use timeZone")]
    Zone,
    /// Not five fields.
    #[error(
        "a cron expression must have 5 fields (minute, hour, day of month, month, day of week); it has {0}"
    )]
    Fields(usize),
    /// An unknown descriptor.
    #[error(
        "{0:?} must be one of @yearly, @annually, @monthly, @weekly, @daily, @midnight, @hourly, @every DURATION"
    )]
    Descriptor(String),
    /// A duration that can't be read.
    #[error("{0:?} must be a duration such as 1h30m")]
    Duration(String),
    /// A field.
    #[error("{name}: {text:?} {problem}")]
    Field {
        /// Which.
        name: &'static str,
        /// The part of it that is wrong.
        text: String,
        /// What it must be.
        problem: &'static str,
    },
    /// An unknown zone.
    #[error("{0:?} must be a time zone of the IANA database, such as Europe/Berlin")]
    UnknownZone(String),
    /// It never comes.
    #[error("the schedule never comes")]
    Never,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    /// Seconds between two times, and what they are counted from where that is not the time before.
    Every(i64, Option<i64>),
    /// Minute, hour, day of month, month, day of week.
    Sets([u64; 5]),
}

/// A schedule in a zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cron {
    kind: Kind,
    zone: TimeZone,
}

struct Bounds {
    name: &'static str,
    least: u64,
    most: u64,
    names: &'static [&'static str],
}

const BOUNDS: [Bounds; 5] = [
    Bounds {
        name: "minute",
        least: 0,
        most: 59,
        names: &[],
    },
    Bounds {
        name: "hour",
        least: 0,
        most: 23,
        names: &[],
    },
    Bounds {
        name: "day of month",
        least: 1,
        most: 31,
        names: &[],
    },
    Bounds {
        name: "month",
        least: 1,
        most: 12,
        names: &[
            "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
        ],
    },
    Bounds {
        name: "day of week",
        least: 0,
        most: 6,
        names: &["sun", "mon", "tue", "wed", "thu", "fri", "sat"],
    },
];

impl Cron {
    /// Reads an expression; `zone` is a name of the IANA database, UTC without one.
    pub fn parse(expression: &str, zone: Option<&str>) -> Result<Cron, CronError> {
        let zone = match zone {
            None => TimeZone::UTC,
            Some(name) => TimeZone::get(name).map_err(|_| CronError::UnknownZone(name.to_owned()))?,
        };
        Ok(Cron {
            kind: kind(expression)?,
            zone,
        })
    }

    /// The same, where `@every` counts from then on: its times are the same for whoever asks, and whenever.
    pub fn from(mut self, from: Timestamp) -> Cron {
        if let Kind::Every(_, counted) = &mut self.kind {
            *counted = Some(from.as_second());
        }
        self
    }

    /// The first time after `after`; `None` where there is none within five years.
    pub fn next(&self, after: Timestamp) -> Option<Timestamp> {
        let seconds = after.as_second() - i64::from(after.subsec_nanosecond() < 0);
        let found = match &self.kind {
            Kind::Every(every, None) => seconds + every,
            Kind::Every(every, Some(from)) => from + ((seconds - from).div_euclid(*every) + 1) * every,
            Kind::Sets(sets) => self.matching(sets, seconds + 1)?,
        };
        Timestamp::from_second(found).ok()
    }

    /// The last time at or before `now`, not before `since`; and how many there are in (`since`, `now`], at most `most`.
    pub fn last(&self, since: Timestamp, now: Timestamp, most: u64) -> (Option<Timestamp>, u64) {
        let (mut at, mut last, mut count) = (since, None, 0);
        while count < most {
            match self.next(at) {
                Some(next) if next <= now => (at, last, count) = (next, Some(next), count + 1),
                _ => break,
            }
        }
        (last, count)
    }

    fn local(&self, seconds: i64) -> Local {
        let offset = Timestamp::from_second(seconds)
            .map(|at| i64::from(self.zone.to_offset(at).seconds()))
            .unwrap_or(0);
        Local::of(seconds + offset)
    }

    /// The instant of a local time, where the clock jumps just as Go's `time.Date` has it: by the offset in force at
    /// that reading of UTC, corrected once.
    fn instant(&self, local: i64) -> i64 {
        let offset = |seconds: i64| {
            Timestamp::from_second(seconds).map_or(0, |at| i64::from(self.zone.to_offset(at).seconds()))
        };
        match offset(local) {
            0 => local,
            first => local - offset(local - first),
        }
    }

    /// robfig's search: whole months, days, hours and minutes are skipped while they do not fit; when one wraps around,
    /// the search begins again at the field above it.
    fn matching(&self, sets: &[u64; 5], from: i64) -> Option<i64> {
        let [minute, hour, day, month, weekday] = *sets;
        let holds = |set: u64, value: i64| set & (1 << value) != 0;
        let mut t = from;
        let mut cut = false;
        let limit = self.local(t).year + YEARS;
        'wrap: loop {
            if self.local(t).year > limit {
                return None;
            }
            while !holds(month, self.local(t).month) {
                let l = self.local(t);
                if !std::mem::replace(&mut cut, true) {
                    t = self.instant(Local::midnight(l.year, l.month, 1));
                }
                let l = self.local(t);
                t = self.instant(Local::midnight(l.year, l.month + 1, l.day) + l.second_of_day);
                if self.local(t).month == 1 {
                    continue 'wrap;
                }
            }
            let fits = |l: &Local| {
                let (by_date, by_weekday) = (holds(day, l.day), holds(weekday, l.weekday));
                match day & STAR != 0 || weekday & STAR != 0 {
                    true => by_date && by_weekday,
                    false => by_date || by_weekday,
                }
            };
            while !fits(&self.local(t)) {
                let l = self.local(t);
                if !std::mem::replace(&mut cut, true) {
                    t = self.instant(Local::midnight(l.year, l.month, l.day));
                }
                let l = self.local(t);
                let next = self.instant(Local::midnight(l.year, l.month, l.day + 1) + l.second_of_day);
                // Where a whole day is missing (Apia, 30 December 2011) the library never returns; here it goes on.
                t = if next > t { next } else { t + 86_400 };
                // Midnight itself may be skipped, or come twice.
                match self.local(t).hour() {
                    0 => {}
                    hour if hour > 12 => t += (24 - hour) * 3600,
                    hour => t -= hour * 3600,
                }
                if self.local(t).day == 1 {
                    continue 'wrap;
                }
            }
            while !holds(hour, self.local(t).hour()) {
                let l = self.local(t);
                if !std::mem::replace(&mut cut, true) {
                    t = self.instant(Local::midnight(l.year, l.month, l.day) + l.hour() * 3600);
                }
                t += 3600;
                if self.local(t).hour() == 0 {
                    continue 'wrap;
                }
            }
            while !holds(minute, self.local(t).minute()) {
                if !std::mem::replace(&mut cut, true) {
                    t -= t.rem_euclid(60);
                }
                t += 60;
                if self.local(t).minute() == 0 {
                    continue 'wrap;
                }
            }
            // The second is nought.
            while self.local(t).second() != 0 {
                cut = true;
                t += 1;
                if self.local(t).second() == 0 {
                    continue 'wrap;
                }
            }
            return Some(t);
        }
    }
}

/// A local time.
struct Local {
    year: i16,
    month: i64,
    day: i64,
    weekday: i64,
    second_of_day: i64,
}

impl Local {
    /// Of seconds since the epoch, read as if the zone were UTC.
    fn of(seconds: i64) -> Local {
        let days = seconds.div_euclid(86_400);
        let date =
            civil::date(1970, 1, 1).saturating_add(jiff::Span::new().days(days.clamp(-4_000_000, 2_900_000)));
        Local {
            year: date.year(),
            month: i64::from(date.month()),
            day: i64::from(date.day()),
            weekday: i64::from(date.weekday().to_sunday_zero_offset()),
            second_of_day: seconds.rem_euclid(86_400),
        }
    }

    /// Seconds since the epoch of a date, whose month and day may be one too large.
    fn midnight(year: i16, month: i64, day: i64) -> i64 {
        let (year, month) = if month > 12 {
            (year + 1, month - 12)
        } else {
            (year, month)
        };
        let first = civil::date(year, month as i8, 1);
        let since = civil::date(1970, 1, 1)
            .until(first)
            .map_or(0, |span| i64::from(span.get_days()));
        (since + day - 1) * 86_400
    }

    fn hour(&self) -> i64 {
        self.second_of_day / 3600
    }

    fn minute(&self) -> i64 {
        self.second_of_day / 60 % 60
    }

    fn second(&self) -> i64 {
        self.second_of_day % 60
    }
}

fn kind(expression: &str) -> Result<Kind, CronError> {
    if expression.is_empty() {
        return Err(CronError::Empty);
    }
    if expression.starts_with("TZ=") || expression.starts_with("CRON_TZ=") {
        return Err(CronError::Zone);
    }
    if expression.starts_with('@') {
        return descriptor(expression);
    }
    let fields: Vec<&str> = expression.split_whitespace().collect();
    if fields.len() != 5 {
        return Err(CronError::Fields(fields.len()));
    }
    let mut sets = [0; 5];
    for ((set, field), bounds) in sets.iter_mut().zip(fields).zip(&BOUNDS) {
        for part in field.split(',').filter(|part| !part.is_empty()) {
            *set |= range(part, bounds)?;
        }
    }
    Ok(Kind::Sets(sets))
}

fn descriptor(text: &str) -> Result<Kind, CronError> {
    let all = |n: usize| bits(BOUNDS[n].least, BOUNDS[n].most, 1) | STAR;
    let one = |n: usize| 1 << BOUNDS[n].least;
    Ok(Kind::Sets(match text {
        "@yearly" | "@annually" => [one(0), one(1), one(2), one(3), all(4)],
        "@monthly" => [one(0), one(1), one(2), all(3), all(4)],
        "@weekly" => [one(0), one(1), all(2), all(3), one(4)],
        "@daily" | "@midnight" => [one(0), one(1), all(2), all(3), all(4)],
        "@hourly" => [one(0), all(1), all(2), all(3), all(4)],
        _ => {
            let every = text
                .strip_prefix("@every ")
                .ok_or_else(|| CronError::Descriptor(text.to_owned()))?;
            let nanoseconds = duration(every).ok_or_else(|| CronError::Duration(every.to_owned()))?;
            // Whole seconds, and at least one.
            return Ok(Kind::Every((nanoseconds / 1_000_000_000).max(1) as i64, None));
        }
    }))
}

/// A duration as Go writes it, nanoseconds: `1h30m`, `1.5h`, `100ms`.
fn duration(text: &str) -> Option<i128> {
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(0);
    }
    let mut total: i128 = 0;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let end = rest
            .find(|c: char| !(c.is_ascii_digit() || c == '.'))
            .unwrap_or(rest.len());
        let (number, tail) = rest.split_at(end);
        let unit_end = tail
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(tail.len());
        let (unit, next) = tail.split_at(unit_end);
        let scale: i128 = match unit {
            "ns" => 1,
            "us" | "\u{b5}s" | "\u{3bc}s" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            _ => return None,
        };
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if whole.is_empty() && fraction.is_empty() || fraction.contains('.') || whole.len() > 18 {
            return None;
        }
        let whole: i128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
        total += whole * scale;
        let mut place = scale;
        for digit in fraction.bytes().take(18) {
            place /= 10;
            total += i128::from(digit - b'0') * place;
        }
        rest = next;
    }
    // Go's durations have 63 bits.
    let total = if negative { -total } else { total };
    i64::try_from(total).ok().map(i128::from)
}

fn bits(least: u64, most: u64, step: u64) -> u64 {
    (least..=most)
        .step_by(usize::try_from(step).unwrap_or(usize::MAX))
        .fold(0, |set, n| set | 1 << n)
}

/// One part of a field: a number, a name, a range, a star, with or without a step.
fn range(text: &str, bounds: &Bounds) -> Result<u64, CronError> {
    let wrong = |problem| CronError::Field {
        name: bounds.name,
        text: text.to_owned(),
        problem,
    };
    let mut stepped = text.split('/');
    let span = stepped.next().unwrap_or_default();
    let mut ends = span.split('-');
    let first = ends.next().unwrap_or_default();
    let (second, single) = (ends.next(), !span.contains('-'));
    let mut extra = 0;
    let (start, mut end) = if matches!(first, "*" | "?") {
        extra = STAR;
        (bounds.least, bounds.most)
    } else {
        let start = number(first, bounds.names).ok_or_else(|| wrong("must be a number or a name"))?;
        let end = match second {
            None => start,
            Some(second) => {
                number(second, bounds.names).ok_or_else(|| wrong("must be a number or a name"))?
            }
        };
        if ends.next().is_some() {
            return Err(wrong("has too many hyphens"));
        }
        (start, end)
    };
    let step = match stepped.next() {
        None => 1,
        Some(step) => {
            let step = number(step, &[]).ok_or_else(|| wrong("must have a number as step"))?;
            // N/step is N-max/step.
            if single {
                end = bounds.most;
            }
            if step > 1 {
                extra = 0;
            }
            step
        }
    };
    match () {
        () if stepped.next().is_some() => Err(wrong("has too many slashes")),
        () if start < bounds.least => Err(wrong("is below what the field allows")),
        () if end > bounds.most => Err(wrong("is above what the field allows")),
        () if start > end => Err(wrong("must not end before it begins")),
        () if step == 0 => Err(wrong("must not have a step of nought")),
        () => Ok(bits(start, end, step) | extra),
    }
}

/// A number as Go's `Atoi` reads it, not negative, or a name.
fn number(text: &str, names: &[&str]) -> Option<u64> {
    let lower = text.to_ascii_lowercase();
    if let Some(at) = names.iter().position(|name| *name == lower) {
        // Months begin with 1, days of the week with 0.
        return Some(at as u64 + u64::from(names.len() == 12));
    }
    let digits = text.strip_prefix('+').unwrap_or(text);
    // "-0" is nought to Go.
    let digits = match text.strip_prefix('-') {
        Some(rest) if !rest.is_empty() && rest.bytes().all(|b| b == b'0') => "0",
        _ => digits,
    };
    let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    plain
        .then(|| digits.parse::<i64>().ok().and_then(|n| u64::try_from(n).ok()))
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(expression: &str, zone: &str, after: &str) -> Option<String> {
        let cron = Cron::parse(expression, Some(zone)).unwrap();
        cron.next(after.parse().unwrap()).map(|t| t.to_string())
    }

    #[test]
    fn daylight_saving_skips_and_does_not_repeat() {
        // 02:30 does not exist on that day, and comes twice on the other.
        assert_eq!(
            next("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z").as_deref(),
            Some("2026-03-30T00:30:00Z")
        );
        assert_eq!(
            next("0 0 29 2 *", "UTC", "2026-03-01T00:00:00Z").as_deref(),
            Some("2028-02-29T00:00:00Z")
        );
        assert_eq!(next("0 0 30 2 *", "UTC", "2026-03-01T00:00:00Z"), None);
        // A day that never was.
        assert_eq!(
            next("0 12 31 12 *", "Pacific/Apia", "2011-12-29T05:00:00Z").as_deref(),
            Some("2011-12-30T22:00:00Z")
        );
    }

    #[test]
    fn mistakes_are_named() {
        let error = |text: &str| Cron::parse(text, None).unwrap_err().to_string();
        assert_eq!(
            error("60 * * * *"),
            "minute: \"60\" is above what the field allows"
        );
        assert!(error("* * * *").contains("it has 4"));
        assert!(error("TZ=UTC * * * * *").contains("use timeZone"));
        assert!(error("@fortnightly").contains("@weekly"));
        assert!(Cron::parse("* * * * *", Some("Mars/Olympus")).is_err());
    }

    #[test]
    fn missed_times_are_counted_up_to_a_limit() {
        let cron = Cron::parse("*/5 * * * *", None).unwrap();
        let at = |t: &str| t.parse::<Timestamp>().unwrap();
        let (last, count) = cron.last(at("2026-01-01T00:00:00Z"), at("2026-01-01T00:17:00Z"), 100);
        assert_eq!((last, count), (Some(at("2026-01-01T00:15:00Z")), 3));
        let (_, count) = cron.last(at("2026-01-01T00:00:00Z"), at("2026-02-01T00:00:00Z"), 100);
        assert_eq!(count, 100);
        assert_eq!(
            cron.last(at("2026-01-01T00:00:00Z"), at("2026-01-01T00:04:59Z"), 100),
            (None, 0)
        );
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_or_refused_and_times_go_on(text in "[0-9*/,?a-zA-Z@ -]{0,24}", after in 0i64..4_000_000_000) {
            if let Ok(cron) = Cron::parse(&text, Some("Australia/Lord_Howe")) {
                let after = Timestamp::from_second(after).unwrap();
                if let Some(next) = cron.next(after) {
                    proptest::prop_assert!(next > after);
                }
            }
        }
    }
}

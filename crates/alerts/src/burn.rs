//! The arithmetic of burn rates: which windows, which factors, and what a failure weighs.
//!
//! Windows and percentages are those of the SRE workbook (chapter 5), as Sloth has them for periods of four weeks and more,
//! and Sloth's own example for a week. A factor follows from them: percent of the budget times period over long window.

use crate::{PAGE, TICKET};
use drmwatch_api::{Objective, ObjectiveWindow};

/// Bad minutes (or slow runs) that a long window must have before anyone hears of it: at 99.9 % a single one would burn the
/// hour's share.
pub(crate) const FEWEST: u32 = 3;

/// One pair of windows: a long one that says how much was burnt, and a short one that says that it still burns.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Pair {
    pub long: &'static str,
    pub short: &'static str,
    pub long_hours: f64,
    /// Share of the whole budget that is burnt in the long window when it fires, in percent.
    pub percent: f64,
    pub severity: &'static str,
}

/// Windows that error ratios are recorded for, shortest first.
pub(crate) const WINDOWS: [&str; 7] = ["5m", "30m", "1h", "2h", "6h", "1d", "3d"];

/// The four pairs of a period.
pub(crate) fn pairs(window: ObjectiveWindow) -> [Pair; 4] {
    let percents = match window {
        ObjectiveWindow::Week => [8.0, 12.5, 20.0, 42.0],
        ObjectiveWindow::FourWeeks | ObjectiveWindow::Month | ObjectiveWindow::Quarter => {
            [2.0, 5.0, 10.0, 10.0]
        }
    };
    let shape = [
        ("1h", "5m", 1.0),
        ("6h", "30m", 6.0),
        ("1d", "2h", 24.0),
        ("3d", "6h", 72.0),
    ];
    std::array::from_fn(|n| Pair {
        long: shape[n].0,
        short: shape[n].1,
        long_hours: shape[n].2,
        percent: percents[n],
        severity: if n < 2 { PAGE } else { TICKET },
    })
}

impl Pair {
    /// How many times as fast as the budget allows.
    pub fn factor(&self, window: ObjectiveWindow) -> f64 {
        tidy(self.percent / 100.0 * f64::from(window.days()) * 24.0 / self.long_hours)
    }
}

/// What a target leaves: the share that may be bad, from 0 to 1.
pub(crate) fn budget(objective: &Objective) -> f64 {
    tidy(1.0 - ratio(objective))
}

/// The target, from 0 to 1.
pub(crate) fn ratio(objective: &Objective) -> f64 {
    tidy(percent(objective) / 100.0)
}

/// The target in percent. What can't be read is refused before it comes here.
pub(crate) fn percent(objective: &Objective) -> f64 {
    objective.target.trim_end_matches('%').parse().unwrap_or(99.0)
}

/// Without the dust of binary fractions: targets have five decimal places, factors fewer.
fn tidy(value: f64) -> f64 {
    (value * 1e9).round() / 1e9
}

/// Fewest bad minutes before an alert, for probes that run every so many seconds: three runs that failed.
pub(crate) fn fewest(interval_seconds: u32) -> u32 {
    FEWEST.max((FEWEST * interval_seconds).div_ceil(60))
}

/// What must be said of an objective at apply, though it is not wrong.
pub(crate) fn cautions(objective: &Objective, interval_seconds: u32) -> Vec<String> {
    let (budget, window, name) = (budget(objective), objective.window, &objective.name);
    let pages = pairs(window).map(|p| (p, p.factor(window) * budget));
    let mut cautions = Vec::new();
    if pages[..2].iter().all(|(_, share)| *share >= 1.0) {
        cautions.push(format!(
            "{name}: at {} no outage can burn the budget fast enough to page; choose a higher target",
            objective.target
        ));
    }
    if objective.latency.is_some() {
        return cautions;
    }
    let (fast, share) = pages[0];
    let run = f64::from(interval_seconds.max(60)) / 60.0;
    let trips = share * fast.long_hours * 60.0 / run;
    if trips <= 1.0 {
        cautions.push(format!(
            "{name}: at {} over {} days one failed run of a probe every {interval_seconds} s burns {:.1} times an hour's share of the budget; \
             {} bad minutes are waited for before anyone is paged. A lower target or a shorter interval tells an outage from a blip sooner",
            objective.target,
            window.days(),
            1.0 / trips,
            fewest(interval_seconds)
        ));
    }
    cautions
}

#[cfg(test)]
mod tests {
    use super::*;
    use drmwatch_api::Availability;

    fn objective(target: &str, window: ObjectiveWindow) -> Objective {
        Objective {
            name: "o".into(),
            target: target.into(),
            window,
            probes: Vec::new(),
            availability: Some(Availability {}),
            latency: None,
            live_edge: None,
        }
    }

    #[test]
    fn factors_are_those_of_the_workbook_and_of_sloth() {
        let of = |window: ObjectiveWindow| pairs(window).map(|p| p.factor(window));
        assert_eq!(of(ObjectiveWindow::Month), [14.4, 6.0, 3.0, 1.0]);
        assert_eq!(of(ObjectiveWindow::FourWeeks), [13.44, 5.6, 2.8, 0.933333333]);
        assert_eq!(of(ObjectiveWindow::Week), [13.44, 3.5, 1.4, 0.98]);
        assert_eq!(of(ObjectiveWindow::Quarter), [43.2, 18.0, 9.0, 3.0]);
        assert_eq!(budget(&objective("99.95%", ObjectiveWindow::Month)), 0.0005);
    }

    #[test]
    fn what_fires_on_one_failure_is_said_and_what_never_fires() {
        let said = |target, interval| cautions(&objective(target, ObjectiveWindow::Month), interval);
        assert!(said("99%", 60).is_empty() && said("99.5%", 60).is_empty());
        assert!(said("99.9%", 60)[0].contains("one failed run of a probe every 60 s burns 1.2 times"));
        assert!(said("99.5%", 300)[0].contains("burns 1.2 times"));
        assert!(said("80%", 60)[0].contains("no outage can burn"));
        // More often than once a minute weighs no more than a minute.
        assert_eq!(
            said("99.9%", 5),
            vec![said("99.9%", 60)[0].replace("every 60 s", "every 5 s")]
        );
        assert_eq!((fewest(60), fewest(5), fewest(300), fewest(90)), (3, 3, 15, 5));
    }
}

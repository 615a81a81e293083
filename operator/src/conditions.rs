//! Conditions, as the Kubernetes API conventions have them.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

/// What a condition should say.
#[derive(Debug, Clone, PartialEq)]
pub struct Wanted {
    pub kind: &'static str,
    /// `True`, `False` or `Unknown`.
    pub status: &'static str,
    pub reason: String,
    pub message: String,
}

impl Wanted {
    pub fn new(
        kind: &'static str,
        status: &'static str,
        reason: impl Into<String>,
        message: impl Into<String>,
    ) -> Wanted {
        Wanted {
            kind,
            status,
            reason: reason.into(),
            message: message.into(),
        }
    }
}

/// The conditions to write, and the changes that people should hear of: those of status or reason.
pub fn merge(
    before: &[Condition],
    wanted: &[Wanted],
    generation: Option<i64>,
    now: Timestamp,
) -> (Vec<Condition>, Vec<Wanted>) {
    let mut transitions = Vec::new();
    let conditions = wanted
        .iter()
        .map(|want| {
            let old = before.iter().find(|c| c.type_ == want.kind);
            if old.is_none_or(|o| o.status != want.status || o.reason != want.reason) {
                transitions.push(want.clone());
            }
            // "Since when" is about the status, by the conventions; the reason may change meanwhile.
            let since = old
                .filter(|o| o.status == want.status)
                .map_or(Time(now), |o| o.last_transition_time.clone());
            Condition {
                type_: want.kind.to_owned(),
                status: want.status.to_owned(),
                reason: want.reason.clone(),
                message: want.message.chars().take(4096).collect(),
                observed_generation: generation,
                last_transition_time: since,
            }
        })
        .collect();
    (conditions, transitions)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn the_time_of_transition_moves_with_the_status_only() {
        let wanted = |status, reason: &str| [Wanted::new("Healthy", status, reason, "m")];
        let (first, news) = merge(&[], &wanted("Unknown", "AwaitingFirstRun"), Some(1), at(1));
        assert_eq!(news.len(), 1);
        let (again, news) = merge(&first, &wanted("Unknown", "AwaitingFirstRun"), Some(1), at(2));
        assert_eq!((&again, news.len()), (&first, 0));
        let (fails, _) = merge(&again, &wanted("False", "Timeout"), Some(1), at(3));
        assert_eq!(fails[0].last_transition_time.0, at(3));
        let (other, news) = merge(&fails, &wanted("False", "ServerError"), Some(2), at(4));
        assert_eq!((other[0].last_transition_time.0, news.len()), (at(3), 1));
        assert_eq!(other[0].observed_generation, Some(2));
    }
}

//! What is to be done with a ticket.

use crate::Incident;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

/// Tag by which a person takes a ticket over: nothing is written to it any more.
pub const IGNORE: &str = "drmwatch-ignore";
/// Tag of a ticket whose settings Zendesk refused, so that it was made without them.
pub const REDUCED: &str = "drmwatch-settings-refused";
/// Hours after which a solved ticket is not opened again, unless the tenant says otherwise.
const REOPEN_HOURS: i32 = 24;
/// What the tag of the state begins with.
const STATE: &str = "drmwatch-state-";

/// Status of a ticket; a custom one counts as its category.
#[derive(Deserialize, Debug, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Nobody has looked at it.
    New,
    /// Somebody works on it.
    Open,
    /// It waits for the requester.
    Pending,
    /// It waits for somebody else.
    Hold,
    /// It is done; it can be opened again.
    Solved,
    /// It can't be changed any more.
    Closed,
    /// One that Zendesk did not have when this was written: such a ticket is left alone.
    #[serde(other)]
    Unknown,
}

/// A ticket, as far as it matters here.
#[derive(Deserialize, Debug, Clone, PartialEq)]
pub struct Ticket {
    /// Number.
    pub id: u64,
    /// Status.
    pub status: Status,
    /// Tags.
    #[serde(default)]
    pub tags: Vec<String>,
    /// When it was changed last.
    pub updated_at: Timestamp,
}

/// By how much the clocks of two bridges may differ, in seconds.
const SKEW: i64 = 30;

/// What a ticket says already: a tag `drmwatch-state-STATE-SEEN-CHANGED`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// The state.
    pub state: String,
    /// When a bridge was notified of it, in seconds since 1970.
    pub seen: i64,
    /// When the last of its alerts began or ended, by Prometheus' clock.
    pub changed: i64,
}

impl Said {
    /// As a tag.
    pub fn tag(&self) -> String {
        format!("{STATE}{}-{}-{}", self.state, self.seen, self.changed)
    }

    fn parse(tag: &str) -> Option<Said> {
        let mut parts = tag.strip_prefix(STATE)?.splitn(3, '-');
        Some(Said {
            state: parts.next()?.to_owned(),
            seen: parts.next()?.parse().ok()?,
            changed: parts.next()?.parse().ok()?,
        })
    }

    /// Whether this is older than what stands on the ticket. Seen at about the same time by two bridges, the order of things
    /// is that of Prometheus' clock; else that of seeing, since an alert that Alertmanager had lost sight of returns with the
    /// time at which it once began.
    fn older_than(&self, other: &Said) -> bool {
        match self.seen - other.seen {
            later if later >= SKEW => false,
            earlier if earlier <= -SKEW => true,
            _ => other.changed > self.changed,
        }
    }
}

impl Ticket {
    /// What it says already; the newest, should there be several.
    pub fn said(&self) -> Option<Said> {
        let said = self.tags.iter().filter_map(|t| Said::parse(t));
        said.max_by_key(|s| s.seen)
    }

    /// Its tags with another state; what people added stays.
    pub fn tags_with(&self, said: &Said, more: &[&str]) -> Vec<String> {
        let others = self.tags.iter().filter(|t| !t.starts_with(STATE));
        let mut tags: Vec<String> = others.cloned().collect();
        tags.push(said.tag());
        tags.extend(more.iter().map(|t| (*t).to_owned()));
        tags
    }
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Make a ticket. `previous`: the one before, 0 for none. `follow_up`: say so, of a closed one.
    Create {
        /// The ticket before, 0 for none.
        previous: u64,
        /// Whether it is closed, so that the new one is its follow-up.
        follow_up: bool,
    },
    /// Add a comment.
    Comment(u64),
    /// Add a comment and solve it.
    Solve(u64),
    /// Add a comment and open it again.
    Reopen(u64),
    /// Nothing is to be done.
    Leave,
    /// The alert is over and there is no ticket: one may be on its way, by another bridge.
    NoneToSolve,
}

impl Action {
    /// The word in the metric.
    pub fn label(self) -> &'static str {
        match self {
            Action::Create { follow_up: true, .. } => "follow_up",
            Action::Create { .. } => "create",
            Action::Comment(_) => "comment",
            Action::Solve(_) => "solve",
            Action::Reopen(_) => "reopen",
            Action::Leave | Action::NoneToSolve => "leave",
        }
    }
}

/// What is to be done about an incident, of which these tickets are there.
pub fn decide(incident: &Incident, tickets: &[Ticket], now: Timestamp) -> Action {
    let known = || tickets.iter().filter(|t| t.status != Status::Unknown);
    let open = known().filter(|t| t.status != Status::Closed);
    let latest = open.max_by_key(|t| t.id).or_else(|| known().max_by_key(|t| t.id));
    let Some(ticket) = latest else {
        return match incident.fires() {
            true => Action::Create {
                previous: 0,
                follow_up: false,
            },
            false => Action::NoneToSolve,
        };
    };
    let (said, ours) = (ticket.said(), incident.said());
    // What another bridge saw later is on it already; what is on it already is not said twice.
    let known = said.is_some_and(|said| said.state == ours.state || ours.older_than(&said));
    if known || ticket.tags.iter().any(|t| t == IGNORE) {
        return Action::Leave;
    }
    let settings = &incident.settings.zendesk;
    if !incident.fires() {
        return match ticket.status {
            Status::Closed => Action::Leave,
            Status::Solved => Action::Comment(ticket.id),
            _ if settings.solve_on_resolve => Action::Solve(ticket.id),
            _ => Action::Comment(ticket.id),
        };
    }
    match ticket.status {
        Status::Closed => Action::Create {
            previous: ticket.id,
            follow_up: true,
        },
        Status::Solved => {
            let hours = settings.reopen_within_hours.unwrap_or(REOPEN_HOURS);
            match now.duration_since(ticket.updated_at) < SignedDuration::from_hours(hours.into()) {
                true => Action::Reopen(ticket.id),
                false => Action::Create {
                    previous: ticket.id,
                    follow_up: false,
                },
            }
        }
        _ => Action::Comment(ticket.id),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Alert, Notification, Settings};

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    /// Seen at a time, and changed at that time.
    fn incident(firing: &[&str], seen: i64) -> Incident {
        let alert = |name: &&str| Alert {
            firing: true,
            summary: String::new(),
            description: String::new(),
            runbook: String::new(),
            region: String::new(),
            starts: at(seen),
            ends: at(seen),
            fingerprint: (*name).to_owned(),
        };
        let mut alerts: Vec<Alert> = firing.iter().map(alert).collect();
        alerts.push(Alert {
            firing: false,
            ..alert(&"over")
        });
        let notification = Notification {
            group: [("alertname".to_owned(), "A".to_owned())].into(),
            alerts,
            more: 0,
        };
        Incident::new(
            "drmwatch:1".into(),
            ("n", "t"),
            Settings::default(),
            notification,
            at(seen),
        )
    }

    fn ticket(id: u64, status: Status, said: Option<Said>) -> Ticket {
        Ticket {
            id,
            status,
            tags: said
                .map(|s| s.tag())
                .into_iter()
                .chain(["gold".to_owned()])
                .collect(),
            updated_at: at(100),
        }
    }

    #[test]
    fn a_ticket_is_made_commented_solved_and_opened_again() {
        let (fires, more, over) = (incident(&["a"], 10), incident(&["a", "b"], 20), incident(&[], 30));
        let check = |incident: &Incident, tickets: &[Ticket], hour: i64, expected: Action| {
            assert_eq!(
                decide(incident, tickets, at(100 + hour * 3600)),
                expected,
                "{tickets:?}"
            );
        };
        let create = |previous, follow_up| Action::Create { previous, follow_up };
        let of = |status, incident: &Incident| ticket(7, status, Some(incident.said()));
        check(&fires, &[], 0, create(0, false));
        check(&over, &[], 0, Action::NoneToSolve);
        for status in [Status::New, Status::Open, Status::Pending, Status::Hold] {
            check(&fires, &[of(status, &fires)], 0, Action::Leave);
            check(&more, &[of(status, &fires)], 0, Action::Comment(7));
            check(&over, &[of(status, &fires)], 0, Action::Solve(7));
            check(&over, &[of(status, &over)], 0, Action::Leave);
        }
        // Somebody solved it though it fires: that is theirs to say, until something else fires, or it is over.
        check(&fires, &[of(Status::Solved, &fires)], 0, Action::Leave);
        check(&more, &[of(Status::Solved, &fires)], 0, Action::Reopen(7));
        check(&over, &[of(Status::Solved, &fires)], 0, Action::Comment(7));
        let again = incident(&["a"], 40);
        check(&again, &[of(Status::Solved, &over)], 23, Action::Reopen(7));
        check(&again, &[of(Status::Solved, &over)], 24, create(7, false));
        check(&again, &[of(Status::Closed, &over)], 99, create(7, true));
        check(&over, &[of(Status::Closed, &fires)], 0, Action::Leave);
        let strange: Ticket =
            serde_json::from_str(r#"{"id": 9, "status": "deleted", "updated_at": "2026-11-25T00:00:00Z"}"#)
                .unwrap();
        check(&fires, &[strange], 0, create(0, false));
        // The newest that can be changed counts.
        let tickets = [
            of(Status::Closed, &over),
            ticket(8, Status::Open, Some(again.said())),
        ];
        check(&again, &tickets, 0, Action::Leave);
    }

    #[test]
    fn what_another_bridge_saw_later_is_not_written_over() {
        let (early, late) = (incident(&["a"], 10), incident(&["a", "b"], 11));
        let open = ticket(7, Status::Open, Some(late.said()));
        assert_eq!(decide(&early, std::slice::from_ref(&open), at(0)), Action::Leave);
        let solved = ticket(7, Status::Solved, Some(incident(&[], 12).said()));
        assert_eq!(
            decide(&early, std::slice::from_ref(&solved), at(0)),
            Action::Leave
        );
        // A clock that is twenty seconds ahead does not keep a ticket open.
        let mut over = incident(&[], 12);
        over.observed = at(-8);
        assert_eq!(decide(&over, &[open], at(0)), Action::Solve(7));
        // What Alertmanager had lost sight of comes back with the time at which it began.
        let mut returns = incident(&["a"], 5);
        returns.observed = at(42);
        assert_eq!(decide(&returns, &[solved], at(100)), Action::Reopen(7));
    }

    #[test]
    fn a_person_can_take_a_ticket_over_and_keeps_its_tags() {
        let mut open = ticket(7, Status::Open, Some(incident(&["a"], 1).said()));
        let said = incident(&["b"], 2).said();
        assert_eq!(
            open.tags_with(&said, &["more"]),
            ["gold".to_owned(), said.tag(), "more".to_owned()]
        );
        open.tags.push(IGNORE.to_owned());
        assert_eq!(
            decide(&incident(&["b"], 2), std::slice::from_ref(&open), at(0)),
            Action::Leave
        );
        assert_eq!(decide(&incident(&[], 2), &[open], at(0)), Action::Leave);
    }

    #[test]
    fn tenants_settings_decide() {
        let mut over = incident(&[], 3);
        over.settings.zendesk.solve_on_resolve = false;
        let open = ticket(7, Status::Open, Some(incident(&["a"], 1).said()));
        assert_eq!(decide(&over, &[open], at(0)), Action::Comment(7));
        let mut again = incident(&["a"], 4);
        again.settings.zendesk.reopen_within_hours = Some(0);
        let solved = ticket(7, Status::Solved, Some(over.said()));
        let create = Action::Create {
            previous: 7,
            follow_up: false,
        };
        assert_eq!(decide(&again, &[solved], at(100)), create);
    }
}

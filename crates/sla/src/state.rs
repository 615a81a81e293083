//! How a minute was.

use serde::{Deserialize, Serialize};

/// How a probe was in a minute.
#[derive(Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It passed in every region that reported.
    Up,
    /// It failed in fewer regions than make a quorum.
    Degraded,
    /// It failed in a quorum of the regions that reported.
    Down,
    /// A maintenance window with the effect ExcludeFromSla was open.
    Maintenance,
    /// It was to be looked at, and fewer than half of the regions can tell.
    NoData,
    /// It was not to be looked at: not there yet, or no more, suspended, or paused by a maintenance window.
    Unwatched,
}

impl State {
    /// Every state, in the order of their codes.
    pub const ALL: [State; 6] = [
        State::Up,
        State::Degraded,
        State::Down,
        State::Maintenance,
        State::NoData,
        State::Unwatched,
    ];

    /// The code in files: 0 up, 1 degraded, 2 down, 3 maintenance, 4 no data, 5 unwatched.
    pub fn code(self) -> u8 {
        self as u8
    }

    /// The state of a code.
    pub fn of(code: u8) -> Option<State> {
        State::ALL.get(usize::from(code)).copied()
    }

    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            State::Up => "up",
            State::Degraded => "degraded",
            State::Down => "down",
            State::Maintenance => "maintenance",
            State::NoData => "no data",
            State::Unwatched => "not watched",
        }
    }
}

/// Why it was down or degraded.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cause {
    /// A word of the closed list of reasons.
    pub reason: String,
    /// The step that failed.
    pub step: Option<String>,
    /// Where: the regions that failed, in the order of their names.
    pub regions: Vec<String>,
}

/// Minutes in a row that were alike.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// How they were.
    pub state: State,
    /// How many.
    pub minutes: u32,
    /// Why, of those that were down or degraded.
    pub cause: Option<Cause>,
}

/// Adds minutes to spans; those that are alike become one.
pub(crate) fn push(spans: &mut Vec<Span>, state: State, minutes: u32, cause: Option<Cause>) {
    match spans.last_mut() {
        _ if minutes == 0 => {}
        Some(last) if last.state == state && last.cause == cause => last.minutes += minutes,
        _ => spans.push(Span {
            state,
            minutes,
            cause,
        }),
    }
}

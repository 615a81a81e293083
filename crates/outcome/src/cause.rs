//! Why a slot had no run.

/// Why a slot did not run to its end: the values of the label `cause`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// Beyond its starting deadline, or passed while the machine slept.
    Late,
    /// Passed while a run went on that forbids another.
    Overlap,
    /// Its run was ended by the next one.
    Replaced,
    /// The tenant's budget did not allow it.
    Budget,
    /// Passed while no runner had it.
    NoOwner,
    /// It had not begun, or its run had not ended, when the runner had to stop or hand the probe over.
    Shutdown,
}

impl Cause {
    /// All of them.
    pub const ALL: [Cause; 6] = [
        Cause::Late,
        Cause::Overlap,
        Cause::Replaced,
        Cause::Budget,
        Cause::NoOwner,
        Cause::Shutdown,
    ];

    /// As a label.
    pub fn label(self) -> &'static str {
        match self {
            Cause::Late => "late",
            Cause::Overlap => "overlap",
            Cause::Replaced => "replaced",
            Cause::Budget => "budget",
            Cause::NoOwner => "no_owner",
            Cause::Shutdown => "shutdown",
        }
    }
}

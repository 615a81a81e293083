//! The shape of a row.

use super::virtual_world::{Asked, Told};

/// How large a mutation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    Benign,
    Borderline,
    Severe,
}

impl Level {
    pub const ALL: [Level; 3] = [Level::Benign, Level::Borderline, Level::Severe];

    /// The value for this level.
    pub fn of<T: Copy>(self, values: [T; 3]) -> T {
        values[self as usize]
    }
}

/// One check, one stream, one mutation in three sizes.
pub struct Row {
    pub check: &'static str,
    pub stream: &'static str,
    /// The mutation in words, for each level.
    pub says: [&'static str; 3],
    /// More fields of the stream step, for each level.
    pub options: [&'static str; 3],
    /// The stream must be live.
    pub live: bool,
    /// A step before it.
    pub first: &'static str,
    pub ahead: fn(&mut Asked, Level),
    pub behind: fn(&Asked, &mut Told, Level),
    /// What fails at the border.
    pub borderline: &'static [&'static str],
    /// The mutation is there from the first run on.
    pub always: bool,
    /// It can be seen only by who remembers.
    pub memory: bool,
    /// The run after the fault has gone is silent.
    pub heals: bool,
    /// Seconds between the runs, for each level.
    pub gap: [f64; 3],
}

impl Row {
    pub fn new(check: &'static str, stream: &'static str, says: [&'static str; 3]) -> Row {
        Row {
            check,
            stream,
            says,
            options: [""; 3],
            live: true,
            first: "",
            ahead: |_, _| {},
            behind: |_, _, _| {},
            borderline: &[],
            always: false,
            memory: false,
            heals: true,
            gap: [60.0; 3],
        }
    }

    pub fn ahead(self, ahead: fn(&mut Asked, Level)) -> Row {
        Row { ahead, ..self }
    }

    pub fn behind(self, behind: fn(&Asked, &mut Told, Level)) -> Row {
        Row { behind, ..self }
    }

    pub fn on_demand(self) -> Row {
        Row { live: false, ..self }
    }

    pub fn options(self, options: [&'static str; 3]) -> Row {
        // What differs by what is expected is so from the first run on.
        let always = self.always || options[0] != options[2];
        Row {
            options,
            always,
            ..self
        }
    }

    pub fn border_fails(self, borderline: &'static [&'static str]) -> Row {
        Row { borderline, ..self }
    }

    pub fn always(self) -> Row {
        Row { always: true, ..self }
    }

    pub fn memory(self) -> Row {
        Row { memory: true, ..self }
    }

    pub fn scars(self) -> Row {
        Row { heals: false, ..self }
    }

    pub fn gap(self, gap: [f64; 3]) -> Row {
        Row { gap, ..self }
    }

    /// Long enough for what is tried once an hour.
    pub fn hourly(self) -> Row {
        self.gap([3700.0; 3])
    }

    pub fn expected(&self, level: Level) -> Vec<&'static str> {
        match level {
            Level::Benign => Vec::new(),
            Level::Borderline => self.borderline.to_vec(),
            Level::Severe => vec![self.check],
        }
    }

    /// YAML of the steps.
    pub fn steps(&self, level: Level) -> String {
        let options = self.options[level as usize];
        let comma = if options.is_empty() { "" } else { ", " };
        format!(
            "{}  - name: s\n    stream: {{url: \"URL/{}\", live: {}{comma}{options}}}",
            self.first, self.stream, self.live
        )
    }
}

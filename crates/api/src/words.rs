//! The words of closed lists, as they stand in labels, in objects that the operator writes, and in records. They are spelled
//! out here, so that renaming a variant in Rust changes no label and no file.

use crate::{ConcurrencyPolicy, DrmSystem, Effect, Execution, Weekday};

macro_rules! words {
    ($($type:ident { $($variant:ident = $word:literal),+ $(,)? })+) => {
        $(impl $type {
            /// Every value, in the order of the list.
            pub const ALL: &'static [$type] = &[$($type::$variant),+];

            /// The word that users write, and that labels and objects carry.
            pub fn as_str(self) -> &'static str {
                match self { $($type::$variant => $word),+ }
            }
        })+

        #[cfg(test)]
        mod tests {
            use super::*;

            #[test]
            fn words_are_those_of_the_schema() {
                $(for value in $type::ALL {
                    assert_eq!(serde_json::to_value(value).unwrap(), value.as_str());
                })+
            }
        }
    };
}

words! {
    ConcurrencyPolicy { Allow = "Allow", Forbid = "Forbid", Replace = "Replace" }
    DrmSystem {
        ClearKey = "ClearKey", Widevine = "Widevine", PlayReady = "PlayReady", FairPlay = "FairPlay",
        Proprietary = "Proprietary",
    }
    Effect { Mute = "Mute", ExcludeFromSla = "ExcludeFromSla", Pause = "Pause" }
    Execution { Resident = "Resident", Job = "Job" }
    Weekday {
        Monday = "Monday", Tuesday = "Tuesday", Wednesday = "Wednesday", Thursday = "Thursday", Friday = "Friday",
        Saturday = "Saturday", Sunday = "Sunday",
    }
}

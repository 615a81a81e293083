//! Incidents, and what their tickets should say.
//!
//! An incident is what one notification of Alertmanager is about: one alert of one probe of one severity. Everything here is
//! a function of what was notified, what ticket is there, and the time; `bridge/` does the rest. What was said of an
//! incident last stands on its ticket, as a tag ([`Said`]), and nowhere else: so several bridges, several Alertmanagers and
//! a bridge that died in between agree without talking to each other.

mod decision;
mod incident;
mod notification;
mod settings;
mod text;
mod ticketing;
mod token;

pub use decision::{Action, IGNORE, REDUCED, Said, Status, Ticket, decide};
pub use incident::{Alert, Frozen, Incident, MOST_ALERTS};
pub use notification::{MOST_NOTIFIED, Notification, Refused};
pub use settings::{Settings, SettingsError, webhook_url};
pub use text::{comment, create, create_reduced};
pub use ticketing::{CustomField, Requester, Ticketing};
pub use token::{Key, KeyError};

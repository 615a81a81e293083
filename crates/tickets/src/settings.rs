//! What is to be done with a tenant's tickets, as it travels in the URL of the webhook: a bridge needs no view of the
//! cluster, and a change holds from the next notification on.

use crate::Ticketing;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};

/// What is to be done with a tenant's tickets.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Default)]
#[serde(rename_all = "camelCase")]
pub struct Settings {
    /// Name of the tenant, for people.
    pub display_name: String,
    /// What the tenant wrote.
    pub zendesk: Ticketing,
    /// Where Grafana is, for a link.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grafana: Option<String>,
}

/// Settings that can't be read. A newer operator may have written them: who sent them should try again.
#[derive(thiserror::Error, Debug)]
pub enum SettingsError {
    /// Not Base64 (RFC 4648 section 5).
    #[error("settings: {0}")]
    Encoding(#[from] base64::DecodeError),
    /// Not what this version knows.
    #[error("settings: {0}")]
    Content(#[from] serde_json::Error),
}

impl Settings {
    /// Those of a tenant.
    pub fn new(display_name: &str, zendesk: Ticketing, grafana: Option<&str>) -> Settings {
        Settings {
            display_name: display_name.to_owned(),
            zendesk,
            grafana: grafana.map(str::to_owned),
        }
    }

    fn encode(&self) -> String {
        // A map with keys that are strings can always be written.
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(self).unwrap_or_default())
    }

    /// Reads them back.
    pub fn decode(text: &str) -> Result<Settings, SettingsError> {
        Ok(serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text)?)?)
    }
}

/// Where Alertmanager sends a tenant's notifications.
pub fn webhook_url(bridge: &str, namespace: &str, tenant: &str, settings: &Settings) -> String {
    let base = bridge.trim_end_matches('/');
    format!(
        "{base}/v1/alerts/{namespace}/{tenant}?settings={}",
        settings.encode()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_tenant_wrote_comes_back_from_the_url() {
        let zendesk = Ticketing {
            organization_id: Some(7),
            tags: vec!["gold".into()],
            ..Ticketing::default()
        };
        let settings = Settings::new("ACME Télévision", zendesk, Some("https://grafana.example"));
        let url = webhook_url("http://bridge:9467/", "tv", "acme", &settings);
        let (path, query) = url.split_once("?settings=").unwrap();
        assert_eq!(path, "http://bridge:9467/v1/alerts/tv/acme");
        assert_eq!(Settings::decode(query).unwrap(), settings);
        assert!(Settings::decode("?").is_err() && Settings::decode("e30").is_err());
    }
}

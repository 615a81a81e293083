//! Alertmanager, asked whether something still fires (its API, version 2).

use crate::zendesk::query_text;
use drmwatch_tickets::Incident;
use reqwest::Client;
use serde::Deserialize;
use serde_json::Value;
use std::time::Duration;
use tracing::warn;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// The Alertmanagers that send notifications.
pub struct Alertmanagers {
    pub client: Client,
    pub urls: Vec<String>,
}

#[derive(Deserialize)]
struct Active {
    #[serde(rename = "fingerprint")]
    _fingerprint: Value,
}

/// What Alertmanager says of an incident.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Says {
    /// Something of it fires.
    Fires,
    /// All say that nothing does.
    Over,
    /// There is none to ask, or one can't be asked.
    Nothing,
}

impl Alertmanagers {
    /// What they say of an incident. If one can't be asked it is not known, and what was notified is believed: a ticket too
    /// many is better than one too few.
    pub async fn ask(&self, incident: &Incident) -> Says {
        for url in &self.urls {
            match self.active(url, incident).await {
                Ok(0) => {}
                Ok(_) => return Says::Fires,
                Err(error) => {
                    warn!(
                        alertmanager = url,
                        error, "can't be asked whether an alert still fires"
                    );
                    return Says::Nothing;
                }
            }
        }
        match self.urls.is_empty() {
            true => Says::Nothing,
            false => Says::Over,
        }
    }

    async fn active(&self, url: &str, incident: &Incident) -> Result<usize, String> {
        let quoted = |value: &str| value.replace('\\', "\\\\").replace('"', "\\\"");
        let labels = incident.group.iter().map(|(n, v)| (n.as_str(), v.as_str()));
        let labels = labels.chain([("namespace", incident.namespace.as_str())]);
        let filters: Vec<String> = labels
            .map(|(name, value)| format!("{name}=\"{}\"", quoted(value)))
            .collect();
        let mut query = vec![("active", "true"), ("silenced", "true"), ("inhibited", "true")];
        query.extend(filters.iter().map(|filter| ("filter", filter.as_str())));
        let url = format!(
            "{}/api/v2/alerts{}",
            url.trim_end_matches('/'),
            query_text(&query)
        );
        let answer = self.client.get(url).timeout(PATIENCE).send().await;
        let answer = answer
            .and_then(reqwest::Response::error_for_status)
            .map_err(|e| e.without_url().to_string())?;
        let alerts: Vec<Active> = answer.json().await.map_err(|e| e.without_url().to_string())?;
        Ok(alerts.len())
    }
}

//! One probe made ready to run.

use crate::Due;
use drmwatch_api::{Budget, ConcurrencyPolicy, EgressPolicy, Execution, SecretKeyRef, Step, Tls};
use drmwatch_outcome::{Outcome, ProbeId, VerdictRecord};
use jiff::Timestamp;
use litemap::LiteMap;
use serde::{Deserialize, Serialize};

/// Key of a plan Secret that holds the plan.
pub const PLAN_KEY: &str = "plan.json";
/// Prefix of the keys of a plan Secret that hold credential values.
pub const CREDENTIAL_PREFIX: &str = "credential.";

/// One probe made ready to run. No secret value is ever in it.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// Identity.
    pub id: ProbeId,
    /// UID of the probe object; the probe's name without a cluster.
    pub uid: String,
    /// Generation of the probe object that this was made from.
    pub generation: i64,
    /// Region of the release that made it.
    pub region: String,
    /// Where it runs.
    pub execution: Execution,
    /// Seconds between slots; absent for cron.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval_seconds: Option<u32>,
    /// Five-field cron expression.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cron: Option<String>,
    /// IANA time zone in which it is read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
    /// When the probe was made, of one by cron: what `@every` counts from, as a CronJob does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<Timestamp>,
    /// What happens when a slot is due while a run goes on.
    #[serde(default)]
    pub concurrency_policy: ConcurrencyPolicy,
    /// Seconds after which a late slot counts as missed.
    pub starting_deadline_seconds: u32,
    /// Seconds after which a run fails.
    pub timeout_seconds: u32,
    /// Whether no slot is due.
    #[serde(default)]
    pub suspend: bool,
    /// Names of the maintenance windows that are open now and exclude it from the SLA: they stand in its results.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub excluded_by: Vec<String>,
    /// The credentials that it needs, by name, and where their values lie.
    #[serde(default)]
    pub credentials: LiteMap<String, SecretKeyRef>,
    /// Trust and client identity.
    #[serde(default)]
    pub tls: Tls,
    /// Addresses that it may connect to.
    #[serde(default)]
    pub egress: EgressPolicy,
    /// How much the tenant's services may be asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<Budget>,
    /// What is done, in order.
    pub steps: Vec<Step>,
}

impl Plan {
    /// Whether a run opens something that must be given back.
    pub fn opens_session(&self) -> bool {
        self.steps.iter().any(|s| s.finally)
    }

    /// Hosts that its steps name, each once; those that a reference fills in are not known beforehand.
    pub fn hosts(&self) -> Vec<String> {
        let urls = self.steps.iter().flat_map(|s| {
            let http = s.http.iter().map(|h| &h.url);
            let streams = s.stream.iter().map(|h| &h.url);
            let licenses = s.license.iter().map(|l| &l.url);
            let servers = s.key_server.iter().map(|k| &k.url);
            http.chain(streams).chain(licenses).chain(servers)
        });
        let mut hosts: Vec<String> = urls
            .filter_map(|text| {
                let rest = text.split_once("://")?.1;
                let authority = rest.split(['/', '?', '#']).next()?;
                let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
                (!host.contains("${")).then(|| host.to_ascii_lowercase())
            })
            .collect();
        hosts.sort();
        hosts.dedup();
        hosts
    }

    /// Seconds between two slots, of cron the longest such time: how long silence is no sign of anything.
    pub fn longest_gap(&self, now: Timestamp) -> f64 {
        let due = || Due::of(self).ok().flatten();
        let gap = || due().map_or(0.0, |due| due.longest_gap(now));
        self.interval_seconds.map_or_else(gap, f64::from)
    }

    /// What its shard is chosen by: the probe, or its tenant where the tenant has a budget. One runner then runs all
    /// of the tenant's probes, so that the account is exact without any talk between runners.
    pub fn shard_key(&self) -> String {
        match self.budget {
            Some(_) => format!("{}/{}", self.id.namespace, self.id.tenant),
            None => self.uid.clone(),
        }
    }

    /// What is known of the probe after a run of this plan that ended as `outcome`.
    pub fn verdict_record(&self, outcome: &Outcome) -> VerdictRecord {
        VerdictRecord {
            id: self.id.clone(),
            generation: self.generation,
            region: self.region.clone(),
            verdict: outcome.verdict,
            step: outcome.step.clone(),
            message: outcome.message.clone(),
            since: outcome.started_at,
        }
    }
}

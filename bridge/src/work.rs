//! Makes tickets say what incidents say. What fails is tried again for as long as it takes.
//!
//! It may die at any instant: what has been done is found on the ticket itself, what may have been done is asked for again
//! under the same key and with the same body.

use crate::{
    alertmanager::{Alertmanagers, Says},
    store::Store,
    zendesk::{Error, Zendesk},
};
use drmwatch_metrics::{
    BRIDGE_ACTIONS, BRIDGE_NOTIFICATIONS, BRIDGE_OVERDUE, BRIDGE_PENDING, Metrics, Owner,
};
use drmwatch_tickets::{Action, Frozen, Incident, Status, Ticket, comment, create, create_reduced, decide};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{sync::Notify, task::JoinSet, time::Instant};
use tracing::{info, warn};

/// Wakes the worker.
pub type Wake = Arc<Notify>;

/// Incidents that are worked on at a time.
const AT_ONCE: usize = 8;
/// Longest wait between two looks.
const LOOK: Duration = Duration::from_millis(500);
/// For how long a ticket is looked for that another bridge may be making of an alert that is over already.
const OTHERS: SignedDuration = SignedDuration::from_mins(15);
/// Longest wait between two attempts.
const LONGEST: i64 = 300;
/// Wait where Zendesk refuses for good: somebody has to mend something.
const REFUSED: SignedDuration = SignedDuration::from_mins(10);
/// A loop that has not come by for so long is stuck.
const STUCK: u64 = 120;

/// What the worker needs.
pub struct Worker {
    pub store: Arc<Store>,
    pub zendesk: Zendesk,
    pub alertmanagers: Alertmanagers,
    pub metrics: Metrics,
    pub wake: Wake,
    pub coalesce: SignedDuration,
    /// How often Alertmanager is asked about what fires and is told.
    pub sweep_every: Duration,
    /// Seconds since the program began at which the loop last came by.
    pub beat: Arc<AtomicU64>,
    pub began: Instant,
}

/// How an attempt ended that did not fail.
enum Done {
    /// So much was written.
    Wrote(Action),
    /// The same, by a request of an earlier attempt: it may not say what there is to say now.
    WroteBefore(Action),
    /// There was nothing to write.
    Nothing,
    /// Alertmanager says that it is over.
    Over,
    /// To be looked at again.
    Later(SignedDuration),
}

/// Why the program must be started anew, by how far its loop is behind.
pub fn stuck(beat: &AtomicU64, began: Instant) -> Option<String> {
    let behind = began
        .elapsed()
        .as_secs()
        .saturating_sub(beat.load(Ordering::Relaxed));
    (behind > STUCK).then(|| format!("the worker has not come by for {behind} s"))
}

impl Worker {
    /// Works for as long as it is let.
    pub async fn run(self: Arc<Worker>) {
        let mut tasks: JoinSet<String> = JoinSet::new();
        let mut busy: BTreeSet<String> = BTreeSet::new();
        loop {
            self.beat.store(self.began.elapsed().as_secs(), Ordering::Relaxed);
            let now = drmwatch_program::now();
            let mut due = self.store.all(|i| {
                let is = i.pending() && i.not_before <= now && !busy.contains(&i.id);
                is.then(|| (i.not_before, i.id.clone()))
            });
            due.sort();
            for (_, id) in due.into_iter().take(AT_ONCE.saturating_sub(busy.len())) {
                busy.insert(id.clone());
                let worker = self.clone();
                tasks.spawn(async move {
                    worker.attempt(&id).await;
                    id
                });
            }
            self.tell(now);
            tokio::select! {
                Some(ended) = tasks.join_next() => match ended {
                    Ok(id) => drop(busy.remove(&id)),
                    // A task that broke took its name with it; what it was about is due still.
                    Err(error) => {
                        warn!(%error, "an attempt broke");
                        if tasks.is_empty() {
                            busy.clear();
                        }
                    }
                },
                () = self.wake.notified() => {}
                () = tokio::time::sleep(LOOK) => {}
            }
        }
    }

    /// Says how far behind tickets are.
    fn tell(&self, now: Timestamp) {
        let behind = self
            .store
            .all(|i| i.pending().then(|| (i.behind, i.problem.is_some())));
        let overdue = behind.iter().filter(|(_, failed)| *failed);
        let longest = overdue.map(|(since, _)| now.duration_since(*since).as_secs_f64());
        let owner = Owner::program();
        self.metrics
            .set(&BRIDGE_PENDING, &owner, &[], behind.len() as f64);
        self.metrics
            .set(&BRIDGE_OVERDUE, &owner, &[], longest.fold(0.0, f64::max));
    }

    /// Now and then asks about what fires and is told: what Alertmanager knows nothing of for two looks has ended without our
    /// hearing of it. What has ended long ago is forgotten.
    pub async fn sweep(self: Arc<Worker>) {
        let mut doubted = BTreeSet::new();
        loop {
            tokio::time::sleep(self.sweep_every).await;
            let before = std::mem::take(&mut doubted);
            for incident in self.store.all(|i| (i.fires() && !i.pending()).then(|| i.clone())) {
                match self.alertmanagers.ask(&incident).await {
                    Says::Fires => {}
                    Says::Over if before.contains(&incident.id) => self.end(&incident),
                    Says::Over => drop(doubted.insert(incident.id)),
                    Says::Nothing => break,
                }
            }
            self.store.tidy(drmwatch_program::now());
        }
    }

    fn end(&self, incident: &Incident) {
        info!(
            incident = incident.id,
            "over, by what Alertmanager says; nobody told"
        );
        let now = drmwatch_program::now();
        // A notification that came meanwhile knows better.
        let same = |i: &Incident| i.notified == incident.notified;
        if let Err(error) = self.store.update(&incident.id, |i| {
            if same(i) {
                i.end(now)
            }
        }) {
            warn!(%error, "an incident can't be kept");
        }
    }

    /// One attempt at one incident.
    async fn attempt(&self, id: &str) {
        let Some(incident) = self.store.get(id) else {
            return;
        };
        let result = self.carry_out(&incident).await;
        let now = drmwatch_program::now();
        let kept = match &result {
            Ok(Done::Later(wait)) => self.store.update(id, |i| i.not_before = now + *wait),
            Ok(done) => self.store.update(id, |i| {
                (i.attempts, i.problem, i.frozen) = (0, None, None);
                i.not_before = now;
                if !matches!(done, Done::WroteBefore(_)) {
                    i.told = incident.notified;
                }
                if let Done::Wrote(_) | Done::WroteBefore(_) = done {
                    i.not_before = now + self.coalesce;
                }
            }),
            Err(error) => {
                let wait = match error {
                    Error::Limited(wait) => SignedDuration::try_from(*wait).unwrap_or(REFUSED),
                    Error::Refused { .. } => REFUSED,
                    Error::Taken | Error::Conflict => SignedDuration::from_secs(1),
                    _ => SignedDuration::from_secs((1_i64 << incident.attempts.min(10)).min(LONGEST)),
                };
                self.store.update(id, |i| {
                    i.attempts = i.attempts.saturating_add(1);
                    i.problem = Some(error.to_string());
                    i.not_before = now + wait;
                })
            }
        };
        if let Err(error) = kept {
            // What was done is found on the ticket.
            warn!(incident = id, %error, "how far a ticket is can't be kept");
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        let (namespace, tenant) = (incident.namespace.as_str(), incident.tenant.as_str());
        let acted = |action: &str| {
            self.metrics.add(
                &BRIDGE_ACTIONS,
                &Owner::program(),
                &[namespace, tenant, action],
                1,
            );
        };
        match result {
            Ok(Done::Wrote(action) | Done::WroteBefore(action)) => {
                acted(action.label());
                let alert = incident.group.get("alertname");
                info!(
                    incident = id,
                    namespace,
                    tenant,
                    alert,
                    action = action.label(),
                    "ticket"
                );
            }
            Ok(Done::Nothing) => acted("leave"),
            Ok(Done::Over) => self
                .metrics
                .add(&BRIDGE_NOTIFICATIONS, &Owner::program(), &["ignored"], 1),
            Ok(Done::Later(_)) | Err(Error::Taken | Error::Conflict) => {}
            Err(error) => {
                if let Error::Refused { .. } = error {
                    acted("drop");
                }
                warn!(incident = id, namespace, tenant, attempts = incident.attempts + 1, %error, "a ticket can't be written");
            }
        }
    }

    async fn carry_out(&self, incident: &Incident) -> Result<Done, Error> {
        let tickets = self.zendesk.tickets(&incident.id).await?;
        let now = drmwatch_program::now();
        let action = decide(incident, &tickets, now);
        let ticket = |id: u64| tickets.iter().find(|t| t.id == id);
        let done = match action {
            Action::Leave => Done::Nothing,
            Action::NoneToSolve if now.duration_since(incident.observed) < OTHERS => {
                let age = now.duration_since(incident.observed);
                Done::Later((age / 2).clamp(SignedDuration::from_secs(5), SignedDuration::from_mins(2)))
            }
            Action::NoneToSolve => Done::Nothing,
            Action::Create { .. } | Action::Reopen(_)
                if self.alertmanagers.ask(incident).await == Says::Over =>
            {
                Done::Over
            }
            Action::Create { previous, .. } => match self.create(incident, action, previous).await? {
                true => Done::Wrote(action),
                false => Done::WroteBefore(action),
            },
            Action::Comment(id) | Action::Solve(id) | Action::Reopen(id) => {
                let Some(ticket) = ticket(id) else {
                    return Err(Error::Conflict);
                };
                self.write(incident, action, ticket).await?;
                Done::Wrote(action)
            }
        };
        Ok(done)
    }

    /// Makes a ticket; whether it says what there is to say now.
    async fn create(&self, incident: &Incident, action: Action, previous: u64) -> Result<bool, Error> {
        let key = incident.key(previous);
        let made = self
            .create_as(incident, key.clone(), || create(incident, action))
            .await;
        let Err(Error::Refused { said, status }) = made else {
            return made;
        };
        warn!(
            incident = incident.id,
            status, said, "Zendesk refuses the settings of the ticket; it is made without them"
        );
        let acted = [incident.namespace.as_str(), incident.tenant.as_str(), "drop"];
        self.metrics.add(&BRIDGE_ACTIONS, &Owner::program(), &acted, 1);
        self.create_as(incident, format!("{key}:reduced"), || {
            create_reduced(incident, action, &said)
        })
        .await
    }

    /// Sends what was written down under the key, or writes it down first.
    async fn create_as(
        &self,
        incident: &Incident,
        key: String,
        body: impl FnOnce() -> Value,
    ) -> Result<bool, Error> {
        let kept = self
            .store
            .get(&incident.id)
            .and_then(|i| i.frozen)
            .filter(|f| f.key == key);
        let now = kept.is_none();
        let request = match kept {
            Some(frozen) => frozen,
            None => {
                let frozen = Frozen {
                    key,
                    body: body().to_string(),
                };
                let keep = frozen.clone();
                self.store
                    .update(&incident.id, |i| i.frozen = Some(keep))
                    .map_err(|e| Error::Unavailable(e.to_string()))?;
                frozen
            }
        };
        self.zendesk.create(&request).await.map(|_| now)
    }

    async fn write(&self, incident: &Incident, action: Action, ticket: &Ticket) -> Result<(), Error> {
        let settings = &incident.settings.zendesk;
        let change = |more: &[&str], status: Option<&str>, words: &str| {
            let mut change = json!({
                "comment": { "body": comment(incident) + words, "public": settings.public_comments },
                "tags": ticket.tags_with(&incident.said(), more),
            });
            if let Some(status) = status {
                change["status"] = status.into();
            }
            change
        };
        let status = match action {
            Action::Solve(_) => Some("solved"),
            Action::Reopen(_) => Some("open"),
            _ => None,
        };
        match self.zendesk.update(ticket, change(&[], status, "")).await {
            // A field that must be filled, or nobody that it is assigned to: a person has to close it, and is told so.
            Err(Error::Refused { status: code, said })
                if status.is_some() && ticket.status != Status::Closed =>
            {
                warn!(
                    incident = incident.id,
                    ticket = ticket.id,
                    code,
                    said,
                    "Zendesk does not let the status be changed; a comment says so"
                );
                let words =
                    format!("\nZendesk does not let drmwatch change the status of this ticket: {said}\n");
                self.zendesk
                    .update(ticket, change(&["drmwatch-status-refused"], None, &words))
                    .await
            }
            other => other,
        }
    }
}

//! Who may read what: Kubernetes decides, by a TokenReview (whose is this token?) and a SubjectAccessReview (may they `get`
//! `monitoredtenants/results` of this name?). It is asked about each token and tenant twice a minute at most.

use drmwatch_metrics::{Metrics, Owner, READER_REVIEWS};
use k8s_openapi::api::{
    authentication::v1::{TokenReview, TokenReviewSpec, UserInfo},
    authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec},
};
use kube::{Api, Client, api::PostParams};
use sha2::{Digest, Sha256};
use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};
use tokio::time::{Instant, timeout};

/// For how long a decision holds: who loses a right can read for so much longer.
const HOLDS: Duration = Duration::from_secs(30);
/// How long the API server may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Decisions that are remembered at most: strangers must not fill the memory.
const MOST: usize = 10_000;

/// What Kubernetes says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// They may.
    Allowed,
    /// The token is nobody's, or not meant for us.
    Unknown,
    /// They may not.
    Denied,
}

/// Kubernetes does not answer.
#[derive(Debug)]
pub struct Silent;

/// Decides who may read what.
pub trait Authority: Send + Sync + 'static {
    /// Whether the holder of a token may read the results of a tenant.
    fn decide(
        &self,
        token: &str,
        namespace: &str,
        tenant: &str,
    ) -> impl Future<Output = Result<Decision, Silent>> + Send;
}

/// The hash of a token, namespace and tenant.
type Question = [u8; 32];

/// A cluster that is asked.
pub struct Cluster {
    client: Client,
    audiences: Vec<String>,
    metrics: Metrics,
    known: Mutex<HashMap<Question, (Instant, Decision)>>,
}

impl Cluster {
    pub fn new(client: Client, audiences: Vec<String>, metrics: Metrics) -> Cluster {
        Cluster {
            client,
            audiences,
            metrics,
            known: Mutex::default(),
        }
    }

    async fn ask(&self, token: &str, namespace: &str, tenant: &str) -> Result<Decision, kube::Error> {
        let review = TokenReview {
            spec: TokenReviewSpec {
                token: Some(token.to_owned()),
                audiences: (!self.audiences.is_empty()).then(|| self.audiences.clone()),
            },
            ..TokenReview::default()
        };
        let reviews: Api<TokenReview> = Api::all(self.client.clone());
        let status = reviews
            .create(&PostParams::default(), &review)
            .await?
            .status
            .unwrap_or_default();
        // Of those that were asked for the API server names the ones that it is meant for.
        let meant = self.audiences.is_empty() || status.audiences.is_some_and(|a| !a.is_empty());
        let (true, true, Some(user)) = (status.authenticated == Some(true), meant, status.user) else {
            return Ok(Decision::Unknown);
        };
        let reviews: Api<SubjectAccessReview> = Api::all(self.client.clone());
        let review = access(user, namespace, tenant);
        let status = reviews
            .create(&PostParams::default(), &review)
            .await?
            .status
            .unwrap_or_default();
        Ok(match status.allowed && status.denied != Some(true) {
            true => Decision::Allowed,
            false => Decision::Denied,
        })
    }
}

fn access(user: UserInfo, namespace: &str, tenant: &str) -> SubjectAccessReview {
    SubjectAccessReview {
        spec: SubjectAccessReviewSpec {
            resource_attributes: Some(ResourceAttributes {
                group: Some("drmwatch.io".into()),
                resource: Some("monitoredtenants".into()),
                subresource: Some("results".into()),
                verb: Some("get".into()),
                namespace: Some(namespace.to_owned()),
                name: Some(tenant.to_owned()),
                ..ResourceAttributes::default()
            }),
            user: user.username,
            uid: user.uid,
            groups: user.groups,
            extra: user.extra,
            ..SubjectAccessReviewSpec::default()
        },
        ..SubjectAccessReview::default()
    }
}

fn question(token: &str, namespace: &str, tenant: &str) -> Question {
    let mut hash = Sha256::new();
    for part in [token, namespace, tenant] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

impl Authority for Cluster {
    async fn decide(&self, token: &str, namespace: &str, tenant: &str) -> Result<Decision, Silent> {
        let question = question(token, namespace, tenant);
        let known = |known: &HashMap<Question, (Instant, Decision)>| {
            let (at, decision) = known.get(&question)?;
            (at.elapsed() < HOLDS).then_some(*decision)
        };
        if let Some(decision) = known(&self.known.lock().unwrap_or_else(PoisonError::into_inner)) {
            return Ok(decision);
        }
        let asked = timeout(PATIENCE, self.ask(token, namespace, tenant)).await;
        let decision = match asked {
            Ok(Ok(decision)) => Ok(decision),
            Ok(Err(error)) => {
                tracing::warn!(%error, "the API server can't be asked who may read");
                Err(Silent)
            }
            Err(_) => {
                tracing::warn!("the API server does not say who may read");
                Err(Silent)
            }
        };
        let outcome = match decision {
            Ok(Decision::Allowed) => "allowed",
            Ok(_) => "denied",
            Err(_) => "error",
        };
        self.metrics
            .add(&READER_REVIEWS, &Owner::program(), &[outcome], 1);
        if let Ok(decision) = decision {
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            if known.len() >= MOST {
                known.retain(|_, (at, _)| at.elapsed() < HOLDS);
            }
            if known.len() < MOST {
                known.insert(question, (Instant::now(), decision));
            }
        }
        decision
    }
}

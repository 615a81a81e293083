//! Decides whether the holder of a token may do something to an object of a tenant. Kubernetes decides: a TokenReview says
//! whose the token is, and a SubjectAccessReview says what they may do. Answers are remembered for [`HOLDS`], so the API
//! server is asked about each token and tenant twice a minute at most.
//!
//! Sources: <https://kubernetes.io/docs/reference/kubernetes-api/authentication-resources/token-review-v1/>,
//! <https://kubernetes.io/docs/reference/kubernetes-api/authorization-resources/subject-access-review-v1/>.

use drmwatch_outcome::TenantKey;
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

/// How long a decision holds. Who loses a right keeps it for at most this long.
pub const HOLDS: Duration = Duration::from_secs(30);
/// How long the API server may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Number of decisions that are remembered at most. Strangers must not fill the memory.
const MOST: usize = 10_000;

/// What a request needs: a verb on a resource, as a ClusterRole grants it. The object is the tenant's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Right {
    /// API group, such as `drmwatch.io`.
    pub group: &'static str,
    /// Resource in the plural, such as `monitoredtenants`.
    pub resource: &'static str,
    /// Subresource, such as `results`.
    pub subresource: &'static str,
    /// Verb, such as `get`.
    pub verb: &'static str,
}

/// What Kubernetes says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// The holder of the token has the right.
    Allowed,
    /// The token is nobody's, has expired, or is meant for another audience.
    Unknown,
    /// The holder of the token does not have the right.
    Denied,
}

/// Kubernetes does not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Silent;

/// Answers whether the holder of a token has a right.
pub trait Authority: Send + Sync + 'static {
    /// Whether the holder of a token has the right for a tenant.
    fn decide(
        &self,
        token: &str,
        tenant: &TenantKey,
    ) -> impl Future<Output = Result<Decision, Silent>> + Send;
}

/// The hash of a token and a tenant. Tokens themselves are not kept.
type Question = [u8; 32];

/// Reviews that were asked for, by outcome. A program exports them.
pub type Observer = Box<dyn Fn(Result<Decision, Silent>) + Send + Sync>;

/// The authority of a cluster for one right.
pub struct Cluster {
    client: Client,
    right: Right,
    audiences: Vec<String>,
    observe: Observer,
    known: Mutex<HashMap<Question, (Instant, Decision)>>,
}

impl Cluster {
    /// Asks this cluster about `right`. Tokens must be meant for one of `audiences`; without any, for the API server itself.
    /// `observe` is called once for each review that was asked for, and not for remembered answers.
    pub fn new(client: Client, right: Right, audiences: Vec<String>, observe: Observer) -> Cluster {
        Cluster {
            client,
            right,
            audiences,
            observe,
            known: Mutex::default(),
        }
    }

    async fn ask(&self, token: &str, tenant: &TenantKey) -> Result<Decision, kube::Error> {
        let review = TokenReview {
            spec: TokenReviewSpec {
                token: Some(token.to_owned()),
                audiences: (!self.audiences.is_empty()).then(|| self.audiences.clone()),
            },
            ..TokenReview::default()
        };
        let reviews: Api<TokenReview> = Api::all(self.client.clone());
        let reviewed = reviews.create(&PostParams::default(), &review).await?;
        let status = reviewed.status.unwrap_or_default();
        // The API server names those of the requested audiences for which the token is meant.
        let meant = self.audiences.is_empty() || status.audiences.is_some_and(|a| !a.is_empty());
        let (true, true, Some(user)) = (status.authenticated == Some(true), meant, status.user) else {
            return Ok(Decision::Unknown);
        };
        let reviews: Api<SubjectAccessReview> = Api::all(self.client.clone());
        let review = self.access(user, tenant);
        let reviewed = reviews.create(&PostParams::default(), &review).await?;
        let status = reviewed.status.unwrap_or_default();
        Ok(match status.allowed && status.denied != Some(true) {
            true => Decision::Allowed,
            false => Decision::Denied,
        })
    }

    fn access(&self, user: UserInfo, tenant: &TenantKey) -> SubjectAccessReview {
        SubjectAccessReview {
            spec: SubjectAccessReviewSpec {
                resource_attributes: Some(ResourceAttributes {
                    group: Some(self.right.group.into()),
                    resource: Some(self.right.resource.into()),
                    subresource: Some(self.right.subresource.into()),
                    verb: Some(self.right.verb.into()),
                    namespace: Some(tenant.namespace.clone()),
                    name: Some(tenant.name.clone()),
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

    fn remembered(&self, question: &Question) -> Option<Decision> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, decision) = known.get(question)?;
        (at.elapsed() < HOLDS).then_some(*decision)
    }

    fn remember(&self, question: Question, decision: Decision) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST {
            known.retain(|_, (at, _)| at.elapsed() < HOLDS);
        }
        if known.len() < MOST {
            known.insert(question, (Instant::now(), decision));
        }
    }
}

fn question(token: &str, tenant: &TenantKey) -> Question {
    let mut hash = Sha256::new();
    for part in [token, &tenant.namespace, &tenant.name] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

impl Authority for Cluster {
    async fn decide(&self, token: &str, tenant: &TenantKey) -> Result<Decision, Silent> {
        let question = question(token, tenant);
        if let Some(decision) = self.remembered(&question) {
            return Ok(decision);
        }
        let decision = match timeout(PATIENCE, self.ask(token, tenant)).await {
            Ok(Ok(decision)) => Ok(decision),
            Ok(Err(error)) => {
                tracing::warn!(%error, "access review failed: the API server returned an error");
                Err(Silent)
            }
            Err(_) => {
                tracing::warn!("access review timed out: the API server did not answer");
                Err(Silent)
            }
        };
        (self.observe)(decision);
        if let Ok(decision) = decision {
            self.remember(question, decision);
        }
        decision
    }
}

#[cfg(test)]
mod tests;

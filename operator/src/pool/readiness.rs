//! Whether the runners of a pool are ready, and if not, why they do not start.

use super::objects;
use crate::{
    conditions::{Status, Wanted, reasons},
    context::Context,
    metered::Error,
};
use drmwatch_api::{RunnerPool, condition};
use drmwatch_plan::Problem;
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::{Api, ResourceExt, api::ListParams};

/// Pods that are looked at. One is reported.
const MOST_PODS: u32 = 20;

/// How many runners there are.
#[derive(Default, Clone, Copy)]
pub struct Replicas {
    pub all: i32,
    pub ready: i32,
    pub updated: i32,
}

impl Replicas {
    /// Whether there are as many as the pool wants, all of the current version.
    pub fn suffice(&self, wanted: i32) -> bool {
        self.ready >= wanted && self.updated >= wanted
    }
}

/// What may keep runners from starting.
#[derive(Default)]
pub struct Obstacles {
    /// Pull Secrets that do not exist in the pool's namespace.
    missing_secrets: Vec<String>,
    /// A pod that waits, and for what.
    waiting: Option<Waiting>,
}

struct Waiting {
    pod: String,
    image: String,
    /// The kubelet's reason, such as `ImagePullBackOff`.
    reason: String,
    message: String,
}

impl Obstacles {
    /// Looks for them. The pods are read only if some are not ready (`start`).
    pub async fn find(pool: &RunnerPool, start: bool, context: &Context) -> Result<Obstacles, Error> {
        let namespace = pool.namespace().unwrap_or_default();
        let secrets: Api<Secret> = Api::namespaced(context.client.clone(), &namespace);
        let mut missing_secrets = Vec::new();
        for name in &context.options.image_pull_secrets {
            if secrets.get_metadata_opt(name).await?.is_none() {
                missing_secrets.push(name.clone());
            }
        }
        let mut waiting = None;
        if start {
            let pods: Api<Pod> = Api::namespaced(context.client.clone(), &namespace);
            let pending = ListParams::default()
                .labels(&objects::selector(pool))
                .fields("status.phase=Pending")
                .limit(MOST_PODS);
            waiting = first_waiting(&pods.list(&pending).await?.items);
        }
        Ok(Obstacles {
            missing_secrets,
            waiting,
        })
    }

    /// Whether to look again soon: no watch says when one of them goes away.
    pub fn any(&self) -> bool {
        !self.missing_secrets.is_empty() || self.waiting.is_some()
    }

    fn missing(&self, namespace: &str) -> Option<String> {
        let names: Vec<String> = self.missing_secrets.iter().map(|n| format!("\"{n}\"")).collect();
        match names.as_slice() {
            [] => None,
            [name] => Some(format!(
                "pull Secret {name} does not exist in namespace \"{namespace}\""
            )),
            names => Some(format!(
                "pull Secrets {} do not exist in namespace \"{namespace}\"",
                names.join(", ")
            )),
        }
    }
}

/// The pod that waits for something other than its turn, the first by name so that the message stays.
fn first_waiting(pods: &[Pod]) -> Option<Waiting> {
    let of = |pod: &Pod| {
        let statuses = pod.status.as_ref()?.container_statuses.as_ref()?;
        statuses.iter().find_map(|container| {
            let waiting = container.state.as_ref()?.waiting.as_ref()?;
            let reason = waiting.reason.clone()?;
            (reason != "ContainerCreating" && reason != "PodInitializing").then(|| Waiting {
                pod: pod.name_any(),
                image: container.image.clone(),
                reason,
                message: waiting.message.clone().unwrap_or_default(),
            })
        })
    };
    pods.iter().filter_map(of).min_by(|a, b| a.pod.cmp(&b.pod))
}

impl Waiting {
    /// Whether its image cannot be pulled. The kubelet alternates between both words.
    fn for_image(&self) -> bool {
        self.reason == "ErrImagePull" || self.reason == "ImagePullBackOff"
    }

    /// What the kubelet says, without what changes from one attempt to the next.
    fn cause(&self) -> &str {
        let message = match self.message.split_once("ErrImagePull: ") {
            Some((_, cause)) => cause,
            None if self.reason == "ImagePullBackOff" => "",
            None => &self.message,
        };
        message.trim_start_matches("rpc error: code = Unknown desc = ")
    }

    fn text(&self) -> String {
        let (what, cause) = match self.for_image() {
            true => (format!("image {} cannot be pulled", self.image), self.cause()),
            false => (self.reason.clone(), self.message.as_str()),
        };
        match cause {
            "" => format!("{what} (pod {})", self.pod),
            cause => format!("{what} (pod {}): {cause}", self.pod),
        }
    }
}

/// The condition `Ready`.
pub fn ready(pool: &RunnerPool, problems: &[Problem], replicas: Replicas, obstacles: &Obstacles) -> Wanted {
    if let Some(problem) = problems.first() {
        return Wanted::new(
            condition::READY,
            Status::False,
            reasons::INVALID,
            problem.to_string(),
        );
    }
    let missing = obstacles.missing(&pool.namespace().unwrap_or_default());
    let enough = replicas.suffice(pool.spec.replicas);
    let (status, reason) = match &obstacles.waiting {
        _ if enough => (Status::True, reasons::AVAILABLE),
        Some(waiting) if waiting.for_image() && missing.is_some() => {
            (Status::False, reasons::PULL_SECRET_MISSING)
        }
        Some(waiting) if waiting.for_image() => (Status::False, reasons::IMAGE_PULL_FAILED),
        _ => (Status::False, reasons::UNAVAILABLE),
    };
    let count = format!("{} of {} runners are ready", replicas.ready, pool.spec.replicas);
    let waiting = obstacles.waiting.as_ref().filter(|_| !enough).map(Waiting::text);
    let parts: Vec<String> = [Some(count), missing, waiting].into_iter().flatten().collect();
    Wanted::new(condition::READY, status, reason, parts.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn pod(name: &str, waiting: Value) -> Pod {
        serde_json::from_value(json!({
            "metadata": { "name": name },
            "status": { "containerStatuses": [{
                "name": "runner", "image": "r.example/runner:1", "imageID": "", "ready": false, "restartCount": 0,
                "state": { "waiting": waiting },
            }] },
        }))
        .unwrap()
    }

    fn said(ready: i32, missing: &[&str], pods: &[Pod]) -> String {
        let pool: RunnerPool = serde_json::from_value(json!({
            "apiVersion": "drmwatch.io/v1alpha1", "kind": "RunnerPool",
            "metadata": { "name": "default", "namespace": "runners" }, "spec": { "replicas": 2 },
        }))
        .unwrap();
        let replicas = Replicas {
            all: 2,
            ready,
            updated: 2,
        };
        let obstacles = Obstacles {
            missing_secrets: missing.iter().map(|&name| name.to_owned()).collect(),
            waiting: first_waiting(pods),
        };
        let wanted = super::ready(&pool, &[], replicas, &obstacles);
        format!("{} {}: {}", wanted.status.as_str(), wanted.reason, wanted.message)
    }

    #[test]
    fn a_pool_says_why_its_runners_do_not_start() {
        let refused = "failed to resolve reference: 401 Unauthorized";
        let tried = pod(
            "b",
            json!({ "reason": "ErrImagePull", "message": format!("rpc error: code = Unknown desc = {refused}") }),
        );
        let waits = pod(
            "b",
            json!({ "reason": "ImagePullBackOff", "message": format!("Back-off pulling image \"r.example/runner:1\": ErrImagePull: {refused}") }),
        );
        let terse = pod(
            "b",
            json!({ "reason": "ImagePullBackOff", "message": "Back-off pulling image \"r.example/runner:1\"" }),
        );
        let creating = pod("a", json!({ "reason": "ContainerCreating" }));
        let unconfigured = pod(
            "a",
            json!({ "reason": "CreateContainerConfigError", "message": "secret \"s3\" not found" }),
        );
        let failed = format!("image r.example/runner:1 cannot be pulled (pod b): {refused}");
        let absent = "pull Secret \"registry\" does not exist in namespace \"runners\"";
        let none = "0 of 2 runners are ready";
        let missing = &["registry"][..];
        for (ready, missing, pods, expected) in [
            (
                2,
                &[][..],
                vec![],
                "True Available: 2 of 2 runners are ready".to_owned(),
            ),
            (
                2,
                missing,
                vec![],
                format!("True Available: 2 of 2 runners are ready; {absent}"),
            ),
            (
                0,
                &[],
                vec![creating.clone()],
                format!("False Unavailable: {none}"),
            ),
            (
                0,
                missing,
                vec![creating.clone()],
                format!("False Unavailable: {none}; {absent}"),
            ),
            (
                0,
                &[],
                vec![tried.clone()],
                format!("False ImagePullFailed: {none}; {failed}"),
            ),
            // The same message, whichever of the two the kubelet is at.
            (
                0,
                &[],
                vec![creating, waits.clone()],
                format!("False ImagePullFailed: {none}; {failed}"),
            ),
            (
                0,
                &[],
                vec![terse],
                format!("False ImagePullFailed: {none}; image r.example/runner:1 cannot be pulled (pod b)"),
            ),
            (
                0,
                missing,
                vec![waits.clone()],
                format!("False PullSecretMissing: {none}; {absent}; {failed}"),
            ),
            (
                0,
                &["registry", "mirror"],
                vec![waits.clone()],
                format!(
                    "False PullSecretMissing: {none}; pull Secrets \"registry\", \"mirror\" do not exist in namespace \"runners\"; {failed}"
                ),
            ),
            (
                0,
                &[],
                vec![waits, unconfigured],
                format!(
                    "False Unavailable: {none}; CreateContainerConfigError (pod a): secret \"s3\" not found"
                ),
            ),
        ] {
            assert_eq!(said(ready, missing, &pods), expected);
        }
    }
}

//! The CronJob of a probe with `execution: Job`: Kubernetes' own schedule, the same plan, the same
//! runner.

use super::plan_secret;
use crate::{
    metered::Error,
    options::Options,
    pool::{environment, pod_security, pull_secrets, restricted, volumes},
};
use drmwatch_api::{DrmProbe, RunnerPool};
use drmwatch_plan::contract;
use drmwatch_plan::{Plan, phase};
use k8s_openapi::api::batch::v1::CronJob;
use serde_json::json;

/// Label of the pods.
pub const POD_LABEL: &str = "drmwatch.io/job-probe-uid";
/// What a pod may take on top of the probe's own timeout: being scheduled and starting.
const START_SECONDS: u32 = 60;

/// Builds it.
pub fn build(plan: &Plan, probe: &DrmProbe, pool: &RunnerPool, options: &Options) -> Result<CronJob, Error> {
    let schedule = &probe.spec.schedule;
    let labels = json!({ POD_LABEL: plan.uid, "app.kubernetes.io/name": "drmwatch-probe" });
    let annotations = plan_secret::metadata(plan, pool).annotations;
    let resources = pool
        .spec
        .resources
        .as_ref()
        .map(serde_json::to_value)
        .transpose()?;
    let (claimed, mounted, places) = volumes(&pool.spec);
    let mut volumes = vec![
        json!({ "name": "plan", "secret": { "secretName": plan_secret::name(&plan.uid), "defaultMode": 288 } }),
    ];
    let mut mounts = vec![json!({ "name": "plan", "mountPath": "/plan", "readOnly": true })];
    volumes.extend(claimed);
    mounts.extend(mounted);
    let mut pod = json!({
        "metadata": { "labels": labels, "annotations": annotations },
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": false,
            "imagePullSecrets": pull_secrets(options),
            "nodeSelector": pool.spec.node_selector,
            "tolerations": pool.spec.tolerations,
            "securityContext": pod_security(),
            "containers": [{
                "name": "probe",
                "image": options.runner_image,
                "imagePullPolicy": options.runner_pull_policy,
                "args": ["--once", "/plan", "--termination-log", "/dev/termination-log"],
                "resources": resources.unwrap_or_else(|| json!({ "requests": { "cpu": "10m", "memory": "32Mi" }, "limits": { "memory": "256Mi" } })),
                "securityContext": restricted(),
                "volumeMounts": mounts,
            }],
            "volumes": volumes,
        },
    });
    if !places.is_empty() {
        pod["spec"]["containers"][0]["env"] = json!(places);
    }
    let from = environment(&pool.spec);
    if !from.is_empty() {
        pod["spec"]["containers"][0]["envFrom"] = json!(from);
    }
    let mut metadata = plan_secret::metadata(plan, pool);
    if let Some(labels) = &mut metadata.labels {
        labels.remove(contract::SHARD);
    }
    Ok(serde_json::from_value(json!({
        "metadata": metadata,
        "spec": {
            "schedule": cron(plan, schedule.cron.as_deref()),
            "timeZone": schedule.time_zone,
            "concurrencyPolicy": schedule.concurrency_policy.as_str(),
            "startingDeadlineSeconds": schedule.starting_deadline_seconds,
            "suspend": plan.suspend,
            "successfulJobsHistoryLimit": 1,
            "failedJobsHistoryLimit": 1,
            "jobTemplate": {
                "metadata": { "labels": labels, "annotations": annotations },
                "spec": {
                    // The verdict is the exit code: a failed probe is a finding, not a pod to try again.
                    "backoffLimit": 0,
                    // A failure is tried again.
                    "activeDeadlineSeconds": 2 * plan.timeout_seconds + START_SECONDS,
                    "ttlSecondsAfterFinished": 600,
                    "template": pod,
                },
            },
        },
    }))?)
}

/// Whole minutes that divide an hour, begun at a minute of the probe's own so that not all start at once.
fn cron(plan: &Plan, given: Option<&str>) -> String {
    if let Some(cron) = given {
        return cron.to_owned();
    }
    let minutes = plan.interval_seconds.unwrap_or(60) / 60;
    match minutes {
        0 | 1 => "* * * * *".to_owned(),
        60 => format!("{} * * * *", offset(plan, minutes)),
        _ => format!("{}/{minutes} * * * *", offset(plan, minutes)),
    }
}

fn offset(plan: &Plan, minutes: u32) -> u64 {
    phase(&plan.uid, &plan.region, minutes * 60) / 60_000
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;
    use drmwatch_plan::compile;

    #[test]
    fn the_cron_job_of_a_probe_is_this_and_its_plan_secret_holds_no_value_in_the_plan() {
        let probe: DrmProbe = serde_json::from_value(json!({
            "apiVersion": "drmwatch.io/v1alpha1", "kind": "DrmProbe",
            "metadata": { "name": "p", "namespace": "acme", "uid": "0b5a7e91", "generation": 4 },
            "spec": {
                "tenantRef": { "name": "t" }, "schedule": { "intervalSeconds": 300 }, "execution": "Job",
                "credentials": [{ "name": "k", "secretKeyRef": { "name": "s", "key": "x" } }],
                "steps": [{ "name": "a", "http": { "url": "https://example.com/${credentials.k}" } }],
            },
        }))
        .unwrap();
        let tenant = serde_json::from_value(json!({
            "apiVersion": "drmwatch.io/v1alpha1", "kind": "MonitoredTenant",
            "metadata": { "name": "t", "namespace": "acme" }, "spec": { "displayName": "T" },
        }))
        .unwrap();
        let pool: RunnerPool = serde_json::from_value(json!({
            "apiVersion": "drmwatch.io/v1alpha1", "kind": "RunnerPool",
            "metadata": { "name": "default", "namespace": "drmwatch-runners" }, "spec": {},
        }))
        .unwrap();
        let options = Options::parse_from(["operator", "--region", "eu", "--runner-image", "runner:1"]);
        let plan = compile(&tenant, &probe, "eu", &pool.spec.egress).unwrap();
        insta::assert_yaml_snapshot!(build(&plan, &probe, &pool, &options).unwrap());
        let value = k8s_openapi::ByteString(b"hunter22".to_vec());
        let secret = plan_secret::build(&plan, &[("k".to_owned(), value)].into(), &pool).unwrap();
        let data = secret.data.unwrap();
        assert!(!String::from_utf8_lossy(&data["plan.json"].0).contains("hunter22"));
        assert_eq!(data["credential.k"].0, b"hunter22");
        assert_eq!(
            serde_json::from_slice::<Plan>(&data["plan.json"].0).unwrap(),
            plan
        );
    }
}

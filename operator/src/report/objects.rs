//! The Secret and the CronJob of a report, in its pool's namespace.

use crate::{
    metered::Error,
    options::Options,
    pool::{environment, pod_security, pull_secrets, restricted, results_volumes},
};
use drmwatch_api::{RunnerPool, SlaReport};
use drmwatch_plan::contract;
use drmwatch_plan::{REPORT_KEY, ReportPlan};
use k8s_openapi::{
    ByteString,
    api::{batch::v1::CronJob, core::v1::Secret},
};
use kube::{ResourceExt, api::ObjectMeta};
use serde_json::{Value, json};
use std::collections::BTreeMap;

pub use drmwatch_plan::contract::REPORT_UID as UID_LABEL;
/// Annotation with its namespace.
pub const NAMESPACE: &str = "drmwatch.io/report-namespace";
/// Annotation with its name.
pub const NAME: &str = "drmwatch.io/report-name";
/// Seconds for which a pod tries again what can't be delivered: four hours. What then is left is delivered when the next
/// report is due.
const PATIENCE: u32 = 4 * 3600;
/// Seconds for all else that it does.
const WORK: u32 = 3600;

fn labels(plan: &ReportPlan, pool: &RunnerPool) -> Value {
    json!({
        "app.kubernetes.io/managed-by": "drmwatch-operator",
        "app.kubernetes.io/name": "drmwatch-report",
        contract::POOL: pool.name_any(),
        UID_LABEL: plan.uid,
    })
}

fn annotations(plan: &ReportPlan) -> Value {
    json!({ NAMESPACE: plan.namespace, NAME: plan.name })
}

/// Metadata of both. Owner references do not cross namespaces: the report's finalizer deletes them.
fn metadata(plan: &ReportPlan, pool: &RunnerPool) -> Result<ObjectMeta, Error> {
    Ok(serde_json::from_value(json!({
        "name": format!("report-{}", plan.uid),
        "namespace": pool.namespace(),
        "labels": labels(plan, pool),
        "annotations": annotations(plan),
    }))?)
}

/// The plan, and beside it the values that recipients need.
pub fn secret(
    plan: &ReportPlan,
    values: BTreeMap<String, ByteString>,
    pool: &RunnerPool,
) -> Result<Secret, Error> {
    let mut data = values;
    data.insert(REPORT_KEY.to_owned(), ByteString(serde_json::to_vec(plan)?));
    Ok(Secret {
        metadata: metadata(plan, pool)?,
        data: Some(data),
        type_: Some(contract::REPORT_TYPE.into()),
        ..Secret::default()
    })
}

/// What delivers it: Kubernetes' own schedule, of which one that was missed is caught up; what is due is decided by what was
/// delivered.
pub fn cron_job(
    plan: &ReportPlan,
    report: &SlaReport,
    pool: &RunnerPool,
    options: &Options,
) -> Result<CronJob, Error> {
    let (mut volumes, mut mounts, places) = results_volumes(&pool.spec);
    let name = format!("report-{}", plan.uid);
    volumes.push(json!({ "name": "report", "secret": { "secretName": name, "defaultMode": 0o440 } }));
    mounts.push(json!({ "name": "report", "mountPath": "/report", "readOnly": true }));
    let args = [
        "deliver".to_owned(),
        "--plan=/report".to_owned(),
        "--sign=/results-keys/signing".to_owned(),
        format!("--patience={PATIENCE}"),
        "--termination-log=/dev/termination-log".to_owned(),
    ];
    let pod = json!({
        "metadata": { "labels": labels(plan, pool), "annotations": annotations(plan) },
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": false,
            "imagePullSecrets": pull_secrets(options),
            "nodeSelector": pool.spec.node_selector,
            "tolerations": pool.spec.tolerations,
            "securityContext": pod_security(),
            "containers": [{
                "name": "report",
                "image": options.reporter_image,
                "imagePullPolicy": options.runner_pull_policy,
                "args": args,
                "env": places,
                "envFrom": environment(&pool.spec),
                "resources": { "requests": { "cpu": "50m", "memory": "128Mi" }, "limits": { "memory": "2Gi" } },
                "securityContext": restricted(),
                "volumeMounts": mounts,
            }],
            "volumes": volumes,
        },
    });
    Ok(serde_json::from_value(json!({
        "metadata": metadata(plan, pool)?,
        "spec": {
            "schedule": plan.schedule,
            "timeZone": plan.time_zone,
            "concurrencyPolicy": "Forbid",
            "suspend": report.spec.suspend,
            "successfulJobsHistoryLimit": 1,
            "failedJobsHistoryLimit": 1,
            "jobTemplate": {
                "metadata": { "labels": labels(plan, pool), "annotations": annotations(plan) },
                "spec": {
                    // Tried again within the pod; a second one is for a node that went away.
                    "backoffLimit": 1,
                    "activeDeadlineSeconds": PATIENCE + WORK,
                    "template": pod,
                },
            },
        },
    }))?)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use clap::Parser;
    use drmwatch_plan::compile_report;

    #[test]
    fn the_cron_job_of_a_report_is_this_and_the_plan_holds_no_value() {
        let report: SlaReport = serde_json::from_value(json!({
            "apiVersion": "drmwatch.io/v1alpha1", "kind": "SlaReport",
            "metadata": { "name": "monthly", "namespace": "acme", "uid": "0b5a7e91", "generation": 2 },
            "spec": {
                "schedule": "0 6 4 * *", "timeZone": "Europe/Berlin",
                "recipients": [{ "name": "customer", "webhook": { "urlSecretRef": { "name": "s", "key": "url" } } }],
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
            "metadata": { "name": "default", "namespace": "drmwatch-runners" },
            "spec": { "results": { "claim": "results", "keysSecret": "results-keys" } },
        }))
        .unwrap();
        let options = Options::parse_from(["operator", "--region", "eu", "--reporter-image", "drmwatch:1"]);
        let plan = compile_report(&report, &[&tenant], &pool.spec.egress).unwrap();
        insta::assert_yaml_snapshot!(cron_job(&plan, &report, &pool, &options).unwrap());
        let url = ByteString(b"https://hooks.example.com/T0/secret".to_vec());
        let secret = secret(&plan, [("customer.url".to_owned(), url)].into(), &pool).unwrap();
        let data = secret.data.unwrap();
        assert!(!String::from_utf8_lossy(&data[REPORT_KEY].0).contains("hooks.example.com"));
        assert_eq!(
            serde_json::from_slice::<ReportPlan>(&data[REPORT_KEY].0).unwrap(),
            plan
        );
    }
}

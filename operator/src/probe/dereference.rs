//! The only reader: everything that a probe refers to, or the name of what is missing.

use super::plan_secret;
use crate::{context::Context, metered::Error};
use drmwatch_api::{DrmProbe, MonitoredTenant, RunnerPool};
use drmwatch_credentials::{UnusableCredential, check_credentials};
use drmwatch_plan::{Plan, Secrets};
use k8s_openapi::{ByteString, api::core::v1::Secret};
use kube::{Api, ResourceExt};
use std::{collections::BTreeMap, sync::Arc};

/// What a probe refers to.
pub struct Found {
    pub tenant: Arc<MonitoredTenant>,
    pub pool: Arc<RunnerPool>,
}

/// What is not there.
#[derive(Debug, Clone, PartialEq)]
pub enum Missing {
    Tenant {
        name: String,
    },
    Pool {
        namespace: String,
        name: String,
    },
    Secret {
        credential: String,
        name: String,
    },
    Key {
        credential: String,
        name: String,
        key: String,
    },
    NotText {
        credential: String,
        name: String,
        key: String,
    },
    Unusable(Vec<UnusableCredential>),
}

/// Tenant and pool of a probe.
pub async fn dereference(probe: &DrmProbe, context: &Context) -> Result<Result<Found, Missing>, Error> {
    let namespace = probe.namespace().ok_or(Error::Missing("namespace"))?;
    let name = probe.spec.tenant_ref.name.clone();
    // What a store does not know before it is filled must not be taken for missing.
    tokio::join!(context.tenants.filled(), context.pools.filled());
    let found = context.tenants.get(&name, &namespace);
    let Some(tenant) = found.filter(|t| t.metadata.deletion_timestamp.is_none()) else {
        return Ok(Err(Missing::Tenant { name }));
    };
    let (namespace, name) = pool_of(probe, Some(&tenant), context);
    Ok(match context.pools.get(&name, &namespace) {
        Some(pool) => Ok(Found { tenant, pool }),
        None => Err(Missing::Pool { namespace, name }),
    })
}

fn pool_of(probe: &DrmProbe, tenant: Option<&MonitoredTenant>, context: &Context) -> (String, String) {
    let chosen = probe
        .spec
        .pool_ref
        .as_ref()
        .or_else(|| tenant?.spec.defaults.pool_ref.as_ref());
    context.options.pool(chosen)
}

/// Where the plan of a probe would lie if nothing else is known of it.
pub fn default_place(probe: &DrmProbe, context: &Context) -> (String, String) {
    (
        pool_of(probe, None, context).0,
        plan_secret::name(&probe.uid().unwrap_or_default()),
    )
}

/// Values of the credentials that a plan needs, by their names. What is used is noted even when it is
/// missing, so that the probe heals when it appears.
pub async fn secrets(
    plan: &Plan,
    context: &Context,
) -> Result<Result<BTreeMap<String, ByteString>, Missing>, Error> {
    let namespace = &plan.id.namespace;
    context.uses(
        namespace,
        &plan.id.probe,
        plan.credentials.values().map(|r| r.name.clone()),
    );
    let api: Api<Secret> = Api::namespaced(context.client.clone(), namespace);
    let mut read: BTreeMap<&str, Option<Secret>> = BTreeMap::new();
    let mut values = BTreeMap::new();
    for (credential, reference) in &plan.credentials {
        let (name, key) = (reference.name.clone(), reference.key.clone());
        if !read.contains_key(reference.name.as_str()) {
            read.insert(&reference.name, api.get_opt(&name).await?);
        }
        let credential = credential.clone();
        let Some(Some(secret)) = read.get(reference.name.as_str()) else {
            return Ok(Err(Missing::Secret { credential, name }));
        };
        let Some(value) = secret.data.as_ref().and_then(|d| d.get(&key)) else {
            return Ok(Err(Missing::Key {
                credential,
                name,
                key,
            }));
        };
        if std::str::from_utf8(&value.0).is_err() {
            return Ok(Err(Missing::NotText {
                credential,
                name,
                key,
            }));
        }
        values.insert(credential, value.clone());
    }
    let mut texts = Secrets::default();
    for (credential, value) in &values {
        texts.insert(credential, String::from_utf8_lossy(&value.0));
    }
    let unusable = check_credentials(plan, &texts);
    Ok(match unusable.is_empty() {
        true => Ok(values),
        false => Err(Missing::Unusable(unusable)),
    })
}

//! `--apply-crds`: this version's CRDs, applied by the chart's upgrade hook.

use crate::context::MANAGER;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{
    Api, Client,
    api::{Patch, PatchParams},
};
use std::error::Error;
use tracing::info;

/// Applies every CRD.
pub async fn apply() -> Result<(), Box<dyn Error>> {
    let api: Api<CustomResourceDefinition> = Api::all(Client::try_default().await?);
    for (_, crd) in drmwatch_api::crds() {
        let name = crd["metadata"]["name"].as_str().unwrap_or_default();
        api.patch(name, &PatchParams::apply(MANAGER).force(), &Patch::Apply(&crd))
            .await?;
        info!(name, "applied");
    }
    Ok(())
}

//! `drmwatch rules`: rule files, for a Prometheus without the Prometheus Operator.

use crate::folder::{self, Error};
use clap::{Args, ValueEnum};
use drmwatch_alerts::{RuleFile, Scope, infrastructure, objectives, services};
use drmwatch_api::MonitoredTenant;
use drmwatch_folder::Folder;
use drmwatch_plan::Due;
use drmwatch_program::{note, say};
use kube::ResourceExt;
use std::{collections::BTreeMap, fs, path::PathBuf, process::ExitCode};

/// What is written above each file.
const HEAD: &str = "Rendered by `drmwatch rules`.";

/// Write Prometheus rule files: the rules that drmwatch ships, and one file for each tenant with objectives.
///
/// Use it for a Prometheus without the Prometheus Operator. In Kubernetes, the Helm chart and the operator write the same
/// rules.
#[derive(Args)]
pub struct Rules {
    /// Folder of YAML files with MonitoredTenants and DrmProbes, or one such file. Their Secrets are not needed.
    folder: PathBuf,
    /// Folder to write the rule files to. If the YAML files have a mistake, nothing is written.
    #[arg(long, short, value_name = "FOLDER")]
    out: PathBuf,
    /// Which metrics the Prometheus that evaluates the rules has.
    #[arg(long, value_enum, default_value = "regional")]
    scope: View,
    /// URL or path where the runbooks are published: the beginning of the annotation `runbook_url` of alerts.
    #[arg(long, value_name = "URL", default_value = "docs/runbooks")]
    runbooks: String,
}

#[derive(ValueEnum, Clone, Copy)]
enum View {
    /// Those of one region.
    Regional,
    /// Those of all regions. A service is down if most regions say so.
    Global,
}

impl Rules {
    /// Writes the files. Exits with 2 where what users wrote is wrong, or can't be read.
    pub fn run(&self) -> ExitCode {
        folder::exit(self.write())
    }

    fn write(&self) -> Result<(), Error> {
        let folder = folder::read(&self.folder)?;
        let scope = match self.scope {
            View::Regional => Scope::Regional,
            View::Global => Scope::Global,
        };
        let mut files: Vec<(String, RuleFile)> = vec![match scope {
            Scope::Regional => ("drmwatch-regional.yaml".into(), services(scope)),
            Scope::Global => ("drmwatch-global.yaml".into(), services(scope)),
        }];
        if scope == Scope::Regional {
            files.push(("drmwatch-infrastructure.yaml".into(), infrastructure()));
        }
        for tenant in folder.tenants.iter().filter(|t| !t.spec.objectives.is_empty()) {
            files.push(of_objectives(tenant, &folder, scope)?);
        }
        fs::create_dir_all(&self.out).map_err(folder::io(&self.out))?;
        for (name, file) in files {
            let path = self.out.join(name);
            fs::write(&path, file.runbooks_at(&self.runbooks).yaml(HEAD)?).map_err(folder::io(&path))?;
            say!("{}", path.display());
        }
        Ok(())
    }
}

/// The rule file of a tenant's objectives. What is to be said of them goes to standard error.
fn of_objectives(
    tenant: &MonitoredTenant,
    folder: &Folder,
    scope: Scope,
) -> Result<(String, RuleFile), Error> {
    let (namespace, name) = (tenant.namespace().unwrap_or_default(), tenant.name_any());
    let now = drmwatch_program::now();
    let own = |p: &&drmwatch_api::DrmProbe| {
        p.spec.tenant_ref.name == name && p.metadata.namespace == tenant.metadata.namespace
    };
    let probes = folder.probes.iter().filter(own);
    let probes: BTreeMap<String, u32> = probes
        .map(|p| (p.name_any(), Due::gap_of(&p.spec.schedule, now) as u32))
        .collect();
    let made = objectives(tenant, &probes, scope);
    if !made.unknown.is_empty() {
        return Err(Error::Mistakes(format!(
            "{namespace}/{name}: objectives name probes that the tenant does not have: {}",
            made.unknown.join(", ")
        )));
    }
    made.cautions
        .iter()
        .for_each(|c| note!("{namespace}/{name}: caution: {c}"));
    Ok((format!("{namespace}.{name}.yaml"), made.file))
}

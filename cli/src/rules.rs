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

/// Render Prometheus rules.
#[derive(Args)]
pub struct Rules {
    /// Folder (or file) of MonitoredTenants and DrmProbes. Their Secrets need not be there.
    folder: PathBuf,
    /// Folder to write rule files to. Nothing is written if a file of the other folder has a mistake.
    #[arg(long, short)]
    out: PathBuf,
    /// Which view the Prometheus has that reads them: of one region, or of all (a quorum of regions decides).
    #[arg(long, value_enum, default_value = "regional")]
    scope: View,
    /// Where the runbooks are published.
    #[arg(long, default_value = "docs/runbooks")]
    runbooks: String,
}

#[derive(ValueEnum, Clone, Copy)]
enum View {
    Regional,
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

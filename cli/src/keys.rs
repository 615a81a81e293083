//! `drmwatch keys`: make, rotate, destroy.

use crate::{
    folder::{Error, exit, io},
    place::{Place, Tenant, block, known, with_ending, write},
};
use clap::{Args, Subcommand};
use drmwatch_program::say;
use drmwatch_results::{
    keep,
    keys::{KeyError, Names},
    kms,
    sign::Signer,
};
use std::{fs, path::PathBuf, process::ExitCode};

/// Make, rotate and destroy keys.
#[derive(Args)]
pub struct Keys {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make a tenant's first key, and the folder of keys with it. A tenant that has one keeps it.
    Create {
        /// Folder of keys.
        #[arg(long, env = "DRMWATCH_RESULTS_KEYS")]
        keys: PathBuf,
        /// Who holds tenants' keys, where it is not that folder: awskms://REGION, or vault+https://HOST/MOUNT.
        #[arg(long, env = "DRMWATCH_RESULTS_KMS")]
        kms: Option<String>,
        /// Tenants, as NAMESPACE/NAME.
        #[arg(required = true)]
        tenants: Vec<Tenant>,
    },
    /// Make the next version of a tenant's key, and wrap the keys of all its files by it. No file is written anew.
    Rotate {
        #[command(flatten)]
        place: Place,
        /// The tenant, as NAMESPACE/NAME.
        tenant: Tenant,
    },
    /// Destroy every version of a tenant's key and delete its files: nothing of it can be read any more, copies
    /// included. What is left is a signed tombstone.
    Shred {
        #[command(flatten)]
        place: Place,
        /// The tenant, as NAMESPACE/NAME.
        tenant: Tenant,
        /// Private key that signs the tombstone (`drmwatch keys signing`).
        #[arg(long, value_name = "FILE")]
        sign: PathBuf,
        /// Why; stands in the tombstone.
        #[arg(long)]
        reason: String,
        /// Yes, for ever.
        #[arg(long, required = true)]
        yes: bool,
    },
    /// Make a pair of keys that sign reports and tombstones: FILE, and FILE.pub.
    Signing {
        /// File of the private key.
        file: PathBuf,
    },
}

impl Keys {
    pub fn run(self) -> ExitCode {
        exit(self.work())
    }

    fn work(self) -> Result<(), Error> {
        match self.command {
            Command::Create { keys, kms, tenants } => {
                fs::create_dir_all(&keys).map_err(io(&keys))?;
                let names = Names::read_or_make(&keys)?;
                let holder = kms::holder(kms.as_deref(), &keys, drmwatch_program::now)?;
                for tenant in tenants {
                    let id = names.tenant(&tenant.namespace, &tenant.name);
                    let kek = block(async {
                        match holder.newest(&id).await {
                            Ok(kek) => Ok(kek),
                            Err(KeyError::None(_)) => Ok(holder.create(&id).await?),
                            Err(error) => Err(error.into()),
                        }
                    })?;
                    say!("{tenant} {kek}");
                }
                Ok(())
            }
            Command::Rotate { place, tenant } => {
                let store = place.open()?;
                block(async {
                    let id = known(&store, &tenant).await?;
                    let kek = store.kms().create(&id).await?;
                    let files = store.rewrap(&id).await?;
                    say!("{tenant} {kek}: {files} keys of files wrapped anew");
                    Ok(())
                })
            }
            Command::Shred {
                place,
                tenant,
                sign,
                reason,
                ..
            } => {
                let store = place.open()?;
                let signer = signer(&sign)?;
                block(async {
                    let id = store.tenant(&tenant.namespace, &tenant.name);
                    let stone = keep::shred(&store, &id, &reason, &signer, drmwatch_program::now()).await?;
                    say!(
                        "{tenant} {id}: {} versions of its key destroyed, {} files deleted",
                        stone.keys,
                        stone.files
                    );
                    Ok(())
                })
            }
            Command::Signing { file } => {
                if file.exists() {
                    return Err(Error::Mistakes(format!(
                        "{} is there already, and is not overwritten",
                        file.display()
                    )));
                }
                let wrong = |e: drmwatch_results::sign::SignError| Error::Mistakes(e.to_string());
                let private = Signer::make().map_err(wrong)?;
                let public = Signer::new(&private).map_err(wrong)?.public();
                let beside = with_ending(&file, ".pub");
                write(&[
                    (file.clone(), private.into_bytes()),
                    (beside, public.into_bytes()),
                ])?;
                use std::os::unix::fs::PermissionsExt;
                fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).map_err(io(&file))
            }
        }
    }
}

/// Who signs, with the private key in a file.
pub fn signer(file: &std::path::Path) -> Result<Signer, Error> {
    let text = fs::read_to_string(file).map_err(io(file))?;
    Signer::new(&text).map_err(|e| Error::Mistakes(format!("{}: {e}", file.display())))
}

//! `drmwatch keys`: make, rotate, destroy.

use crate::{
    folder::{Error, exit, io},
    place::{Place, block, known, with_ending, write},
};
use clap::{Args, Subcommand};
use drmwatch_archive::{
    keys::{KeyError, Names},
    kms, shred,
    sign::Signer,
};
use drmwatch_outcome::TenantKey;
use drmwatch_program::say;

use std::{fs, path::PathBuf, process::ExitCode};

/// Create, rotate and destroy the keys that encrypt results and sign reports.
#[derive(Args)]
pub struct Keys {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Create the first key of a tenant, and the folder of keys if it does not exist. An existing key is kept.
    Create {
        /// Folder for the keys.
        #[arg(long, value_name = "FOLDER", env = "DRMWATCH_RESULTS_KEYS")]
        keys: PathBuf,
        /// Key management service that holds the tenants' keys: awskms://REGION or vault+https://HOST/MOUNT (with VAULT_TOKEN).
        /// Without this option, the keys are in the folder of --keys.
        #[arg(long, value_name = "URL", env = "DRMWATCH_RESULTS_KMS")]
        kms: Option<String>,
        /// Tenants, as NAMESPACE/NAME.
        #[arg(required = true)]
        tenants: Vec<TenantKey>,
    },
    /// Create a new version of a tenant's key, and encrypt the keys of its files with it. The files themselves do not change.
    Rotate {
        #[command(flatten)]
        place: Place,
        /// TenantKey, as NAMESPACE/NAME.
        tenant: TenantKey,
    },
    /// Destroy all versions of a tenant's key and delete its files. Copies and backups become unreadable too. This can't be
    /// undone. A signed record of the deletion (tombstone) remains.
    Shred {
        #[command(flatten)]
        place: Place,
        /// TenantKey, as NAMESPACE/NAME.
        tenant: TenantKey,
        /// File with the private key that signs the tombstone; `drmwatch keys signing` makes one.
        #[arg(long, value_name = "FILE")]
        sign: PathBuf,
        /// Reason for the deletion, for the tombstone.
        #[arg(long, value_name = "TEXT")]
        reason: String,
        /// Confirm that the results are to be destroyed for good.
        #[arg(long, required = true)]
        yes: bool,
    },
    /// Create a key pair that signs reports and tombstones: FILE (private) and FILE.pub (public).
    Signing {
        /// File for the private key. It must not exist.
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
                    let id = names.tenant(&tenant);
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
                    say!("{tenant} {kek}: the keys of {files} files are encrypted with it");
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
                    let id = store.tenant(&tenant);
                    let stone = shred::shred(&store, &id, &reason, &signer, drmwatch_program::now()).await?;
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
                        "{} already exists and is not overwritten",
                        file.display()
                    )));
                }
                let wrong = |e: drmwatch_archive::sign::SignError| Error::Mistakes(e.to_string());
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

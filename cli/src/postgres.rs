//! `drmwatch postgres`: roll-ups for dashboards and joins, in PostgreSQL.

use crate::{
    folder::{Error, exit, io},
    place::{Place, block, known},
    progress,
};
use clap::{Args, Subcommand};
use drmwatch_outcome::TenantKey;
use drmwatch_postgres::{Done, SCHEMA, Settings, connect, export, grant, setup};
use drmwatch_program::say;
use drmwatch_runs::sla::Level;
use jiff::ToSpan;
use std::{fs, path::PathBuf, process::ExitCode};

/// Copy roll-ups to PostgreSQL, for dashboards and SQL. Each database role reads only the tenants that it was granted.
#[derive(Args)]
pub struct Postgres {
    #[command(subcommand)]
    command: Command,
}

const DATABASE: &str = "PostgreSQL";

/// Where PostgreSQL is.
#[derive(Args)]
struct Server {
    /// Connection URL: postgresql://USER:PASSWORD@HOST/DATABASE. Use the variable or --url-file: other users of the machine can
    /// see arguments.
    #[arg(
        long, help_heading = DATABASE,
        value_name = "URL",
        env = "DRMWATCH_POSTGRES",
        hide_env_values = true,
        conflicts_with = "url_file"
    )]
    url: Option<String>,
    /// File with the connection URL.
    #[arg(long, help_heading = DATABASE, value_name = "FILE")]
    url_file: Option<PathBuf>,
    /// File of CA certificates (PEM) to trust, in addition to the public CAs.
    #[arg(long, help_heading = DATABASE, value_name = "FILE", env = "DRMWATCH_POSTGRES_CA")]
    ca_file: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Command {
    /// Print the SQL of the schema, without connecting to PostgreSQL.
    Schema,
    /// Create or update the schema: tables, roles and row-level policies. Can be repeated.
    Setup {
        #[command(flatten)]
        server: Server,
    },
    /// Update the rows: write the periods that changed, and delete those that are no longer in the store.
    Export {
        #[command(flatten)]
        server: Server,
        #[command(flatten)]
        place: Place,
        /// TenantKey, as NAMESPACE/NAME. Defaults to all tenants in the store; rows of shredded tenants are deleted.
        #[arg(long)]
        tenant: Option<TenantKey>,
        /// Lengths of the periods to copy, separated by commas: 15m, 1h, 1d, 1w and 1mo.
        #[arg(long, value_name = "LEVELS", value_delimiter = ',', value_parser = level, default_value = "1h,1d,1w,1mo")]
        level: Vec<Level>,
        /// Only periods that began in the last N days, up to 3660. Defaults to all periods.
        #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(i64).range(1..=3660))]
        recent: Option<i64>,
        /// First create or update the schema.
        #[arg(long)]
        setup: bool,
    },
    /// Allow a database role to read a tenant. The role must be a member of drmwatch_reader.
    Grant(Grant),
    /// Stop allowing a database role to read a tenant.
    Revoke(Grant),
}

#[derive(Args)]
struct Grant {
    #[command(flatten)]
    server: Server,
    #[command(flatten)]
    place: Place,
    /// Database role.
    #[arg(long)]
    role: String,
    /// TenantKey, as NAMESPACE/NAME.
    tenant: TenantKey,
}

fn level(name: &str) -> Result<Level, String> {
    let found = Level::ALL.into_iter().find(|l| l.name() == name);
    found.ok_or_else(|| "must be 15m, 1h, 1d, 1w or 1mo".to_owned())
}

impl Server {
    async fn client(&self) -> Result<drmwatch_postgres::Client, Error> {
        let url = match (&self.url, &self.url_file) {
            (Some(url), _) => url.clone(),
            (None, Some(file)) => fs::read_to_string(file).map_err(io(file))?,
            (None, None) => {
                return Err(Error::Mistakes(
                    "the connection URL of PostgreSQL is missing: set DRMWATCH_POSTGRES, or use --url-file"
                        .into(),
                ));
            }
        };
        Ok(connect(&url, self.ca_file.as_deref()).await?)
    }
}

impl Postgres {
    pub fn run(self) -> ExitCode {
        exit(self.work())
    }

    fn work(self) -> Result<(), Error> {
        match self.command {
            Command::Schema => {
                drmwatch_program::write_text(SCHEMA);
                Ok(())
            }
            Command::Setup { server } => block(async { Ok(setup(&mut server.client().await?).await?) }),
            Command::Export {
                server,
                place,
                tenant,
                level,
                recent,
                setup: first,
            } => {
                let store = place.open()?;
                let at = drmwatch_program::now();
                let today = jiff::tz::TimeZone::UTC.to_datetime(at).date();
                let settings = Settings {
                    levels: level,
                    from: recent.map(|days| today.saturating_sub(days.days())),
                    to: None,
                    at,
                };
                block(async {
                    let tenants = match &tenant {
                        Some(tenant) => vec![known(&store, tenant).await?],
                        None => store.tenants_ever().await?,
                    };
                    let mut client = server.client().await?;
                    if first {
                        setup(&mut client).await?;
                    }
                    let bar = progress::bar(tenants.len() as u64, "tenants");
                    let mut all = Done::default();
                    for tenant in &tenants {
                        all.add(export(&mut client, &store, tenant, &settings).await?);
                        bar.inc(1);
                    }
                    bar.finish_and_clear();
                    say!(
                        "{} tenants: {} periods written ({} rows), {} unchanged, {} deleted",
                        tenants.len(),
                        all.written,
                        all.rows,
                        all.unchanged,
                        all.deleted
                    );
                    Ok(())
                })
            }
            Command::Grant(of) => of.work(true),
            Command::Revoke(of) => of.work(false),
        }
    }
}

impl Grant {
    fn work(self, reads: bool) -> Result<(), Error> {
        let store = self.place.open()?;
        block(async {
            let id = known(&store, &self.tenant).await?;
            let client = self.server.client().await?;
            let changed = grant(&client, &self.role, id.as_str(), reads).await?;
            say!(
                "{} {} {}{}",
                self.role,
                if reads { "reads" } else { "no longer reads" },
                self.tenant,
                if changed { "" } else { ", as before" }
            );
            Ok(())
        })
    }
}

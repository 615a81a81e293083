//! `drmwatch postgres`: roll-ups for dashboards and joins, in PostgreSQL.

use crate::{
    folder::{Error, exit, io},
    place::{Place, Tenant, block, known},
    progress,
};
use clap::{Args, Subcommand};
use drmwatch_postgres::{Done, SCHEMA, Settings, connect, export, grant, setup};
use drmwatch_program::say;
use drmwatch_results::sla::Level;
use jiff::ToSpan;
use std::{fs, path::PathBuf, process::ExitCode};

/// Copy roll-ups into PostgreSQL, where each login reads the tenants that it was granted.
#[derive(Args)]
pub struct Postgres {
    #[command(subcommand)]
    command: Command,
}

/// Where PostgreSQL is.
#[derive(Args)]
struct Server {
    /// postgresql://USER:PASSWORD@HOST/DATABASE. From the environment rather than from here: others can read arguments.
    #[arg(
        long,
        env = "DRMWATCH_POSTGRES",
        hide_env_values = true,
        conflicts_with = "url_file"
    )]
    url: Option<String>,
    /// A file with that.
    #[arg(long, value_name = "FILE")]
    url_file: Option<PathBuf>,
    /// Certificates (PEM) of authorities beyond the public ones.
    #[arg(long, value_name = "FILE", env = "DRMWATCH_POSTGRES_CA")]
    ca_file: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Command {
    /// Print the schema, for who applies it by hand.
    Schema,
    /// Apply the schema: tables, roles, policies. It may be applied again.
    Setup {
        #[command(flatten)]
        server: Server,
    },
    /// Bring the rows up to date: periods that changed are written anew, those that the store keeps no longer are deleted.
    Export {
        #[command(flatten)]
        server: Server,
        #[command(flatten)]
        place: Place,
        /// The tenant, as NAMESPACE/NAME; without one every tenant of the store, and those that were shredded.
        #[arg(long)]
        tenant: Option<Tenant>,
        /// Levels, by commas: 15m, 1h, 1d, 1w, 1mo.
        #[arg(long, value_delimiter = ',', value_parser = level, default_value = "1h,1d,1w,1mo")]
        level: Vec<Level>,
        /// Only periods that began in so many days before today; without it all that there are.
        #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(i64).range(1..=3660))]
        recent: Option<i64>,
        /// Apply the schema first.
        #[arg(long)]
        setup: bool,
    },
    /// Let a role (a login that is a member of drmwatch_reader) read a tenant.
    Grant(Grant),
    /// Let it read a tenant no more.
    Revoke(Grant),
}

#[derive(Args)]
struct Grant {
    #[command(flatten)]
    server: Server,
    #[command(flatten)]
    place: Place,
    /// The role.
    #[arg(long)]
    role: String,
    /// The tenant, as NAMESPACE/NAME.
    tenant: Tenant,
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
                    "where PostgreSQL is must be told: DRMWATCH_POSTGRES, or --url-file".into(),
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

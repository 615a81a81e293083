//! Roll-ups in PostgreSQL: a copy for dashboards and joins, brought up to date by [`export`]; the store stays the truth
//! (docs/postgres.md).

mod connect;
mod export;

pub use connect::connect;
pub use export::{Done, Settings, export};
pub use tokio_postgres::Client;

/// The schema, as SQL.
pub const SCHEMA: &str = include_str!("schema.sql");
/// Its version.
pub const VERSION: i32 = 1;
/// The lock under which schemas are applied: "drmw".
const SCHEMA_LOCK: i64 = 0x6472_6d77;

/// Why it can't be done.
#[derive(thiserror::Error, Debug)]
pub enum Error {
    /// PostgreSQL can't be reached, or refuses. What it says of its own is in the source.
    #[error("PostgreSQL: {}", told(.0))]
    Postgres(#[from] tokio_postgres::Error),
    /// What was given can't be used.
    #[error("PostgreSQL: {0}")]
    Settings(String),
    /// The store can't be read.
    #[error(transparent)]
    Store(#[from] drmwatch_archive::StoreError),
}

/// What the server said, or else what happened to the connection.
fn told(error: &tokio_postgres::Error) -> String {
    use std::error::Error;
    match (error.as_db_error(), error.source()) {
        (Some(said), _) => format!("{} (SQLSTATE {})", said.message(), said.code().code()),
        (None, Some(source)) => format!("{error}: {source}"),
        (None, None) => error.to_string(),
    }
}

/// Applies the schema. A newer one is refused, and nothing is changed.
pub async fn setup(client: &mut Client) -> Result<(), Error> {
    let transaction = client.transaction().await?;
    transaction
        .execute("SELECT pg_advisory_xact_lock($1)", &[&SCHEMA_LOCK])
        .await?;
    if let Some(there) = version(&transaction).await?.filter(|v| *v > VERSION) {
        return Err(newer(there));
    }
    transaction.batch_execute(SCHEMA).await?;
    transaction
        .batch_execute("DELETE FROM drmwatch.schema_version")
        .await?;
    transaction
        .execute("INSERT INTO drmwatch.schema_version VALUES ($1)", &[&VERSION])
        .await?;
    transaction.commit().await?;
    Ok(())
}

fn newer(there: i32) -> Error {
    Error::Settings(format!(
        "the schema drmwatch there has version {there}; this drmwatch writes {VERSION}: a newer one is needed"
    ))
}

/// The version of the schema that is there, if any.
async fn version(client: &impl tokio_postgres::GenericClient) -> Result<Option<i32>, Error> {
    let there = client
        .query_one("SELECT to_regclass('drmwatch.schema_version') IS NOT NULL", &[])
        .await?;
    if !there.get::<_, bool>(0) {
        return Ok(None);
    }
    let row = client
        .query_opt("SELECT version FROM drmwatch.schema_version", &[])
        .await?;
    Ok(row.map(|row| row.get(0)))
}

/// Lets a role read a tenant, or (`reads` false) lets it no more; says whether that changed anything.
pub async fn grant(client: &Client, role: &str, tenant: &str, reads: bool) -> Result<bool, Error> {
    let known = client
        .query_opt("SELECT FROM pg_roles WHERE rolname = $1", &[&role])
        .await?;
    if known.is_none() && reads {
        return Err(Error::Settings(format!(
            "there is no role {role}: CREATE ROLE {role} LOGIN IN ROLE drmwatch_reader"
        )));
    }
    let statement = match reads {
        true => "INSERT INTO drmwatch.grants VALUES ($1::text::name, $2) ON CONFLICT DO NOTHING",
        false => "DELETE FROM drmwatch.grants WHERE role = $1::text::name AND tenant_id = $2",
    };
    Ok(client.execute(statement, &[&role, &tenant]).await? > 0)
}

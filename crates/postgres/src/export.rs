//! Roll-ups of the store become rows: each period that changed, in a transaction of its own.

use crate::{Error, SCHEMA_LOCK, VERSION, newer, version};
use drmwatch_archive::keys::TenantId;
use drmwatch_runs::{
    Store,
    consolidate::{self, Listed},
    sla::{Level, Rollup, State},
};
use jiff::{Timestamp, civil::Date};
use std::{collections::BTreeMap, pin::pin};
use tokio_postgres::{
    Client, Transaction,
    binary_copy::BinaryCopyInWriter,
    types::{ToSql, Type},
};

/// What is exported.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Which levels.
    pub levels: Vec<Level>,
    /// First days of periods from this one on; None: all there are.
    pub from: Option<Date>,
    /// And before this one.
    pub to: Option<Date>,
    /// The time, which is noted.
    pub at: Timestamp,
}

/// What was done.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Done {
    /// Periods that were written.
    pub written: u64,
    /// Rows of roll-ups in them.
    pub rows: u64,
    /// Periods that were there as they should be.
    pub unchanged: u64,
    /// Periods that were deleted: the store has them no more.
    pub deleted: u64,
}

impl Done {
    /// Both.
    pub fn add(&mut self, other: Done) {
        self.written += other.written;
        self.rows += other.rows;
        self.unchanged += other.unchanged;
        self.deleted += other.deleted;
    }
}

/// Brings the rows of a tenant up to date.
pub async fn export(
    client: &mut Client,
    store: &Store,
    tenant: &TenantId,
    settings: &Settings,
) -> Result<Done, Error> {
    match version(client).await? {
        Some(VERSION) => {}
        Some(there) if there > VERSION => return Err(newer(there)),
        _ => {
            return Err(Error::Settings(
                "its schema is not there: drmwatch postgres setup".into(),
            ));
        }
    }
    let id = tenant.as_str();
    if store.shredded(tenant).await? {
        let deleted = client
            .query_one(
                "SELECT count(*) FROM drmwatch.periods WHERE tenant_id = $1",
                &[&id],
            )
            .await?;
        let statement = "DELETE FROM drmwatch.tenants WHERE tenant_id = $1";
        client.execute(statement, &[&id]).await?;
        return Ok(Done {
            deleted: deleted.get::<_, i64>(0) as u64,
            ..Done::default()
        });
    }
    let names = store.name_of(tenant).await?;
    let (namespace, name) = names.map(|key| (key.namespace, key.name)).unzip();
    client
        .execute(
            "INSERT INTO drmwatch.tenants VALUES ($1, $2, $3, $4) ON CONFLICT (tenant_id) DO UPDATE
             SET namespace = coalesce(excluded.namespace, drmwatch.tenants.namespace),
                 tenant = coalesce(excluded.tenant, drmwatch.tenants.tenant), exported_at = excluded.exported_at",
            &[&id, &namespace, &name, &settings.at],
        )
        .await?;
    let mut done = Done::default();
    for level in &settings.levels {
        let rows = client
            .query(
                "SELECT period_date, version FROM drmwatch.periods WHERE tenant_id = $1 AND level = $2",
                &[&id, &level.name()],
            )
            .await?;
        let mut there: BTreeMap<Date, String> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
        for period in consolidate::list(store, tenant, *level).await? {
            let same = there
                .remove(&period.date())
                .is_some_and(|version| version == period.version());
            let wanted = settings.from.is_none_or(|from| from <= period.date())
                && settings.to.is_none_or(|to| period.date() < to);
            match (same, wanted) {
                (true, _) => done.unchanged += 1,
                (false, false) => {}
                (false, true) => {
                    done.rows += write(client, store, id, &period).await?;
                    done.written += 1;
                }
            }
        }
        // What the store keeps no longer is not kept here either.
        let gone: Vec<Date> = there.into_keys().collect();
        done.deleted += client
            .execute(
                "DELETE FROM drmwatch.periods WHERE tenant_id = $1 AND level = $2 AND period_date = ANY($3)",
                &[&id, &level.name(), &gone],
            )
            .await?;
    }
    Ok(done)
}

/// Writes a period anew; says how many rows of roll-ups it has.
async fn write(client: &mut Client, store: &Store, tenant: &str, period: &Listed) -> Result<u64, Error> {
    let rollups = period.read(store).await?;
    let transaction = client.transaction().await?;
    // Two exporters at a time write one after another.
    transaction
        .execute(
            "SELECT pg_advisory_xact_lock($1, hashtext($2))",
            &[&(SCHEMA_LOCK as i32), &tenant],
        )
        .await?;
    let level = period.level().name();
    transaction
        .execute(
            "DELETE FROM drmwatch.periods WHERE tenant_id = $1 AND level = $2 AND period_date = $3",
            &[&tenant, &level, &period.date()],
        )
        .await?;
    transaction
        .execute(
            "INSERT INTO drmwatch.periods VALUES ($1, $2, $3, $4, $5)",
            &[
                &tenant,
                &level,
                &period.date(),
                &period.version(),
                &period.fixed(),
            ],
        )
        .await?;
    copy_rollups(&transaction, tenant, period, &rollups).await?;
    if period.level() == Level::Day {
        copy_spans(&transaction, tenant, period, &rollups).await?;
    }
    transaction.commit().await?;
    Ok(rollups.len() as u64)
}

/// An instant. None is out of range: our own files hold none such.
fn instant(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap_or(Timestamp::MAX)
}

/// The region of a row.
fn region(of: &Rollup) -> &str {
    of.region.as_deref().unwrap_or("*")
}

async fn copy_rollups(
    transaction: &Transaction<'_>,
    tenant: &str,
    period: &Listed,
    rollups: &[Rollup],
) -> Result<(), Error> {
    let mut types = vec![
        Type::TEXT,
        Type::TEXT,
        Type::DATE,
        Type::TIMESTAMPTZ,
        Type::TIMESTAMPTZ,
        Type::TEXT,
        Type::TEXT,
    ];
    types.extend([Type::INT8; 5]);
    types.extend([Type::INT4; 7]);
    types.extend([Type::INT8; 4]);
    types.extend([Type::FLOAT8; 3]);
    let sink = transaction
        .copy_in("COPY drmwatch.rollups FROM STDIN BINARY")
        .await?;
    let mut writer = pin!(BinaryCopyInWriter::new(sink, &types));
    for of in rollups {
        let minutes = |state: State| -> i32 {
            let own = of.spans.iter().filter(|s| s.state == state);
            own.map(|s| s.minutes).sum::<u32>() as i32
        };
        let states = State::ALL.map(minutes);
        let counts = [of.runs, of.passed, of.failed, of.inconclusive, of.missed].map(|n| n as i64);
        let latency = &of.latency;
        let some = (latency.count > 0).then_some(());
        let bounds = [latency.min, latency.max].map(|n| some.map(|()| n as i64));
        let quantiles = [0.5, 0.95, 0.99].map(|share| latency.quantile(share));
        let (start, end, total) = (instant(of.start), instant(of.end()), of.minutes as i32);
        let (level, date, region) = (period.level().name(), period.date(), region(of));
        let (count, sum) = (latency.count as i64, latency.sum as i64);
        let mut row: Vec<&(dyn ToSql + Sync)> =
            vec![&tenant, &level, &date, &start, &end, &of.probe, &region];
        row.extend(counts.iter().map(|n| n as &(dyn ToSql + Sync)));
        row.push(&total);
        row.extend(states.iter().map(|n| n as &(dyn ToSql + Sync)));
        row.extend([&count as &(dyn ToSql + Sync), &sum]);
        row.extend(bounds.iter().map(|n| n as &(dyn ToSql + Sync)));
        row.extend(quantiles.iter().map(|n| n as &(dyn ToSql + Sync)));
        writer.as_mut().write(&row).await?;
    }
    writer.finish().await?;
    Ok(())
}

async fn copy_spans(
    transaction: &Transaction<'_>,
    tenant: &str,
    period: &Listed,
    rollups: &[Rollup],
) -> Result<(), Error> {
    let mut types = vec![Type::TEXT, Type::TEXT, Type::DATE, Type::TEXT, Type::TEXT];
    types.extend([Type::TIMESTAMPTZ, Type::TIMESTAMPTZ]);
    types.extend([Type::TEXT, Type::TEXT, Type::TEXT, Type::TEXT]);
    let sink = transaction
        .copy_in("COPY drmwatch.spans FROM STDIN BINARY")
        .await?;
    let mut writer = pin!(BinaryCopyInWriter::new(sink, &types));
    for of in rollups {
        let mut at = of.start;
        for span in &of.spans {
            let end = at + i64::from(span.minutes) * 60;
            let cause = span.cause.as_ref();
            let (reason, step) = (cause.map(|c| &c.reason), cause.and_then(|c| c.step.as_ref()));
            let regions = cause.map(|c| c.regions.join(" "));
            writer
                .as_mut()
                .write(&[
                    &tenant,
                    &period.level().name(),
                    &period.date(),
                    &of.probe,
                    &region(of),
                    &instant(at),
                    &instant(end),
                    &span.state.words(),
                    &reason,
                    &step,
                    &regions,
                ])
                .await?;
            at = end;
        }
    }
    writer.finish().await?;
    Ok(())
}

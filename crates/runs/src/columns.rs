//! Records as columns: version 1 of the schema (docs/results.md).

use crate::{
    SCHEMA,
    record::{Kind, Record, StepRecord},
};
use arrow_array::{
    Array, ArrayRef, BooleanArray, DictionaryArray, Int64Array, ListArray, RecordBatch, StringArray,
    StructArray, TimestampMillisecondArray, UInt8Array, UInt16Array, UInt32Array, UInt64Array,
    cast::AsArray,
    types::{Int32Type, Int64Type, TimestampMillisecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type},
};
use arrow_buffer::OffsetBuffer;
use arrow_schema::{ArrowError, DataType, Field, Fields, Schema, TimeUnit};
use jiff::Timestamp;
use std::sync::Arc;

pub(crate) fn word() -> DataType {
    DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8))
}

pub(crate) fn time() -> DataType {
    DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()))
}

/// A list of structs.
pub(crate) fn list(fields: Fields) -> DataType {
    DataType::List(Arc::new(Field::new("element", DataType::Struct(fields), false)))
}

/// As many structs for each row.
pub(crate) fn listed(
    fields: Fields,
    lengths: impl Iterator<Item = usize>,
    columns: Vec<ArrayRef>,
) -> Result<ArrayRef, ArrowError> {
    let element = Field::new("element", DataType::Struct(fields.clone()), false);
    let values = StructArray::try_new(fields, columns, None)?;
    let offsets = OffsetBuffer::from_lengths(lengths);
    Ok(Arc::new(ListArray::try_new(
        Arc::new(element),
        offsets,
        Arc::new(values),
        None,
    )?))
}

fn step_fields() -> Fields {
    use DataType::{Int64, UInt8, UInt16, UInt32, UInt64, Utf8};
    let field = Field::new;
    Fields::from(vec![
        field("name", Utf8, false),
        field("kind", Utf8, false),
        field("outcome", Utf8, false),
        field("reason", Utf8, true),
        field("duration_us", UInt64, false),
        field("dns_us", UInt64, true),
        field("connect_us", UInt64, true),
        field("tls_us", UInt64, true),
        field("request_us", UInt64, true),
        field("first_byte_us", UInt64, true),
        field("transfer_us", UInt64, true),
        field("status", UInt16, true),
        field("bytes", UInt64, false),
        field("requests", UInt32, false),
        field("address", Utf8, true),
        field("certificate_not_after", time(), true),
        field("drm_system", Utf8, true),
        field("license_level", UInt8, true),
        field("license_latency_us", UInt64, true),
        field("live_edge_age_ms", Int64, true),
        field("failed_checks", Utf8, true),
    ])
}

/// The schema.
pub fn schema() -> Arc<Schema> {
    use DataType::{Boolean, Int64, UInt8, UInt32, UInt64, Utf8};
    let field = Field::new;
    Arc::new(Schema::new(vec![
        field("kind", word(), false),
        field("tenant_namespace", word(), false),
        field("tenant", word(), false),
        field("probe", word(), false),
        field("uid", word(), false),
        field("generation", Int64, false),
        field("region", word(), false),
        field("runner", word(), false),
        field("shard", UInt32, true),
        field("slot", time(), false),
        field("lag_ms", Int64, false),
        field("duration_us", UInt64, false),
        field("attempt", UInt8, false),
        field("counts", Boolean, false),
        field("slots", UInt32, false),
        field("stands_seconds", UInt32, false),
        field("outcome", word(), true),
        field("domain", word(), true),
        field("step", word(), true),
        field("reason", word(), true),
        field("message", Utf8, true),
        field("trace_id", Utf8, true),
        field("evidence", Utf8, true),
        field("maintenance", word(), true),
        field("steps", list(step_fields()), false),
    ]))
}

fn words<'a>(of: impl Iterator<Item = Option<&'a str>>) -> ArrayRef {
    Arc::new(of.collect::<DictionaryArray<Int32Type>>())
}

fn texts<'a>(of: impl Iterator<Item = Option<&'a str>>) -> ArrayRef {
    Arc::new(of.collect::<StringArray>())
}

fn times(of: impl Iterator<Item = Option<Timestamp>>) -> ArrayRef {
    let array: TimestampMillisecondArray = of.map(|t| t.map(Timestamp::as_millisecond)).collect();
    Arc::new(array.with_timezone("UTC"))
}

macro_rules! numbers {
    ($array:ty, $of:expr, $get:expr) => {
        Arc::new($of.iter().map($get).collect::<$array>()) as ArrayRef
    };
}

fn steps_of(records: &[Record]) -> Result<ArrayRef, ArrowError> {
    let steps: Vec<&StepRecord> = records.iter().flat_map(|r| &r.steps).collect();
    let text = |get: fn(&StepRecord) -> Option<&str>| texts(steps.iter().map(|s| get(s)));
    let micros = |get: fn(&StepRecord) -> Option<u64>| numbers!(UInt64Array, steps, |s| get(s));
    let columns: Vec<ArrayRef> = vec![
        text(|s| Some(&s.name)),
        text(|s| Some(&s.kind)),
        text(|s| Some(&s.outcome)),
        text(|s| s.reason.as_deref()),
        micros(|s| Some(s.duration_us)),
        micros(|s| s.dns_us),
        micros(|s| s.connect_us),
        micros(|s| s.tls_us),
        micros(|s| s.request_us),
        micros(|s| s.first_byte_us),
        micros(|s| s.transfer_us),
        numbers!(UInt16Array, steps, |s| s.status),
        micros(|s| Some(s.bytes)),
        numbers!(UInt32Array, steps, |s| Some(s.requests)),
        text(|s| s.address.as_deref()),
        times(steps.iter().map(|s| s.certificate_not_after)),
        text(|s| s.drm_system.as_deref()),
        numbers!(UInt8Array, steps, |s| s.license_level),
        micros(|s| s.license_latency_us),
        numbers!(Int64Array, steps, |s| s.live_edge_age_ms),
        text(|s| s.failed_checks.as_deref()),
    ];
    listed(step_fields(), records.iter().map(|r| r.steps.len()), columns)
}

/// Records as columns.
pub fn encode(records: &[Record]) -> Result<RecordBatch, ArrowError> {
    let word = |get: fn(&Record) -> Option<&str>| words(records.iter().map(get));
    let text = |get: fn(&Record) -> Option<&str>| texts(records.iter().map(get));
    let columns: Vec<ArrayRef> = vec![
        word(|r| Some(r.kind.as_str())),
        word(|r| Some(&r.tenant_namespace)),
        word(|r| Some(&r.tenant)),
        word(|r| Some(&r.probe)),
        word(|r| Some(&r.uid)),
        numbers!(Int64Array, records, |r| Some(r.generation)),
        word(|r| Some(&r.region)),
        word(|r| Some(&r.runner)),
        numbers!(UInt32Array, records, |r| r.shard),
        times(records.iter().map(|r| Some(r.slot))),
        numbers!(Int64Array, records, |r| Some(r.lag_ms)),
        numbers!(UInt64Array, records, |r| Some(r.duration_us)),
        numbers!(UInt8Array, records, |r| Some(r.attempt)),
        Arc::new(records.iter().map(|r| Some(r.counts)).collect::<BooleanArray>()),
        numbers!(UInt32Array, records, |r| Some(r.slots)),
        numbers!(UInt32Array, records, |r| Some(r.stands_seconds)),
        word(|r| r.outcome.as_deref()),
        word(|r| r.domain.as_deref()),
        word(|r| r.step.as_deref()),
        word(|r| r.reason.as_deref()),
        text(|r| r.message.as_deref()),
        text(|r| r.trace_id.as_deref()),
        text(|r| r.evidence.as_deref()),
        word(|r| r.maintenance.as_deref()),
        steps_of(records)?,
    ];
    RecordBatch::try_new(schema(), columns)
}

/// The schema of evidence: a bundle a row, by the id of its run.
pub fn evidence_schema() -> Arc<Schema> {
    let field = |name: &str| Field::new(name, DataType::Utf8, false);
    Arc::new(Schema::new(vec![field("run"), field("bundle")]))
}

/// The bundles of records; None: there is none.
pub fn encode_evidence(records: &[Record]) -> Result<Option<RecordBatch>, ArrowError> {
    let with: Vec<&Record> = records.iter().filter(|r| r.bundle.is_some()).collect();
    if with.is_empty() {
        return Ok(None);
    }
    let names: Vec<String> = with.iter().map(|r| r.name()).collect();
    let columns = vec![
        texts(names.iter().map(|n| Some(n.as_str()))),
        texts(with.iter().map(|r| r.bundle.as_deref())),
    ];
    RecordBatch::try_new(evidence_schema(), columns).map(Some)
}

/// The bundle of a run, if it is in the batch.
pub fn find_evidence(batch: &RecordBatch, run: &str) -> Result<Option<String>, ArrowError> {
    let of = Columns(batch);
    let (runs, bundles) = (of.texts("run")?, of.texts("bundle")?);
    let row = (0..batch.num_rows()).find(|row| runs.value(*row) == run);
    Ok(row.map(|row| bundles.value(row).to_owned()))
}

/// A column of a batch, or the error that says which is missing.
pub(crate) struct Columns<'a>(pub &'a dyn Named);

/// What has columns by name.
pub(crate) trait Named {
    fn named(&self, name: &str) -> Option<&ArrayRef>;
}

impl Named for RecordBatch {
    fn named(&self, name: &str) -> Option<&ArrayRef> {
        self.column_by_name(name)
    }
}

impl Named for StructArray {
    fn named(&self, name: &str) -> Option<&ArrayRef> {
        self.column_by_name(name)
    }
}

/// The error that a column is not as it must be.
pub(crate) fn wrong(name: &str) -> ArrowError {
    ArrowError::SchemaError(format!(
        "column {name} is missing or of another type than schema version {SCHEMA} has"
    ))
}

/// A column of words: its dictionary and a key for each row.
pub(crate) struct Words<'a> {
    keys: &'a arrow_array::PrimitiveArray<Int32Type>,
    values: &'a StringArray,
}

impl<'a> Words<'a> {
    pub(crate) fn get(&self, row: usize) -> Option<&'a str> {
        self.keys
            .is_valid(row)
            .then(|| self.values.value(self.keys.value(row) as usize))
    }

    /// The place in the dictionary.
    pub(crate) fn key(&self, row: usize) -> Option<usize> {
        self.keys.is_valid(row).then(|| self.keys.value(row) as usize)
    }

    /// What stands there in the dictionary.
    pub(crate) fn value(&self, key: usize) -> &'a str {
        self.values.value(key)
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = Option<&'a str>> {
        self.values.iter()
    }
}

impl<'a> Columns<'a> {
    fn column(&self, name: &str) -> Result<&'a ArrayRef, ArrowError> {
        self.0.named(name).ok_or_else(|| wrong(name))
    }

    pub(crate) fn words(&self, name: &str) -> Result<Words<'a>, ArrowError> {
        let column = self.column(name)?;
        let dictionary = column.as_any().downcast_ref::<DictionaryArray<Int32Type>>();
        let dictionary = dictionary.ok_or_else(|| wrong(name))?;
        Ok(Words {
            keys: dictionary.keys(),
            values: dictionary.values().as_string_opt().ok_or_else(|| wrong(name))?,
        })
    }

    pub(crate) fn texts(&self, name: &str) -> Result<&'a StringArray, ArrowError> {
        self.column(name)?.as_string_opt().ok_or_else(|| wrong(name))
    }

    pub(crate) fn lists(&self, name: &str) -> Result<&'a ListArray, ArrowError> {
        self.column(name)?.as_list_opt().ok_or_else(|| wrong(name))
    }

    pub(crate) fn bools(&self, name: &str) -> Result<&'a BooleanArray, ArrowError> {
        self.column(name)?.as_boolean_opt().ok_or_else(|| wrong(name))
    }

    pub(crate) fn numbers<T: arrow_array::ArrowPrimitiveType>(
        &self,
        name: &str,
    ) -> Result<&'a arrow_array::PrimitiveArray<T>, ArrowError> {
        self.column(name)?.as_primitive_opt().ok_or_else(|| wrong(name))
    }
}

fn some<T: arrow_array::ArrowPrimitiveType>(
    of: &arrow_array::PrimitiveArray<T>,
    row: usize,
) -> Option<T::Native> {
    of.is_valid(row).then(|| of.value(row))
}

fn text(of: &StringArray, row: usize) -> Option<String> {
    of.is_valid(row).then(|| of.value(row).to_owned())
}

fn instant(name: &str, millis: i64) -> Result<Timestamp, ArrowError> {
    Timestamp::from_millisecond(millis).map_err(|_| wrong(name))
}

fn decode_steps(of: &StructArray) -> Result<Vec<StepRecord>, ArrowError> {
    let of_struct = Columns(of);
    let (name, kind) = (of_struct.texts("name")?, of_struct.texts("kind")?);
    let (outcome, reason) = (of_struct.texts("outcome")?, of_struct.texts("reason")?);
    let micros = |name: &str| of_struct.numbers::<UInt64Type>(name);
    let (duration, dns, connect, tls) = (
        micros("duration_us")?,
        micros("dns_us")?,
        micros("connect_us")?,
        micros("tls_us")?,
    );
    let (request, first, transfer) = (
        micros("request_us")?,
        micros("first_byte_us")?,
        micros("transfer_us")?,
    );
    let (bytes, latency) = (micros("bytes")?, micros("license_latency_us")?);
    let status = of_struct.numbers::<UInt16Type>("status")?;
    let requests = of_struct.numbers::<UInt32Type>("requests")?;
    let level = of_struct.numbers::<UInt8Type>("license_level")?;
    let age = of_struct.numbers::<Int64Type>("live_edge_age_ms")?;
    let expiry = of_struct.numbers::<TimestampMillisecondType>("certificate_not_after")?;
    let (address, system) = (of_struct.texts("address")?, of_struct.texts("drm_system")?);
    let failed = of_struct.texts("failed_checks")?;
    (0..of.len())
        .map(|row| {
            Ok(StepRecord {
                name: name.value(row).to_owned(),
                kind: kind.value(row).to_owned(),
                outcome: outcome.value(row).to_owned(),
                reason: text(reason, row),
                duration_us: duration.value(row),
                dns_us: some(dns, row),
                connect_us: some(connect, row),
                tls_us: some(tls, row),
                request_us: some(request, row),
                first_byte_us: some(first, row),
                transfer_us: some(transfer, row),
                status: some(status, row),
                bytes: bytes.value(row),
                requests: requests.value(row),
                address: text(address, row),
                certificate_not_after: some(expiry, row)
                    .map(|t| instant("certificate_not_after", t))
                    .transpose()?,
                drm_system: text(system, row),
                license_level: some(level, row),
                license_latency_us: some(latency, row),
                live_edge_age_ms: some(age, row),
                failed_checks: text(failed, row),
            })
        })
        .collect()
}

/// Columns as records.
pub fn decode(batch: &RecordBatch) -> Result<Vec<Record>, ArrowError> {
    let of = Columns(batch);
    let word = |name: &'static str| of.words(name);
    let (kind, namespace, tenant) = (word("kind")?, word("tenant_namespace")?, word("tenant")?);
    let (probe, uid, region, runner) = (word("probe")?, word("uid")?, word("region")?, word("runner")?);
    let (outcome, domain, step) = (word("outcome")?, word("domain")?, word("step")?);
    let (reason, maintenance) = (word("reason")?, word("maintenance")?);
    let generation = of.numbers::<Int64Type>("generation")?;
    let shard = of.numbers::<UInt32Type>("shard")?;
    let slot = of.numbers::<TimestampMillisecondType>("slot")?;
    let lag = of.numbers::<Int64Type>("lag_ms")?;
    let duration = of.numbers::<UInt64Type>("duration_us")?;
    let attempt = of.numbers::<UInt8Type>("attempt")?;
    let counts = of.bools("counts")?;
    let slots = of.numbers::<UInt32Type>("slots")?;
    let stands = of.numbers::<UInt32Type>("stands_seconds")?;
    let (message, trace, evidence) = (of.texts("message")?, of.texts("trace_id")?, of.texts("evidence")?);
    let steps = of.lists("steps")?;
    let own = |name: &str, word: Option<&str>| word.map(str::to_owned).ok_or_else(|| wrong(name));
    (0..batch.num_rows())
        .map(|row| {
            let of_row = steps.value(row);
            let of_row = of_row.as_struct_opt().ok_or_else(|| wrong("steps"))?;
            Ok(Record {
                kind: kind.get(row).and_then(Kind::of).ok_or_else(|| wrong("kind"))?,
                tenant_namespace: own("tenant_namespace", namespace.get(row))?,
                tenant: own("tenant", tenant.get(row))?,
                probe: own("probe", probe.get(row))?,
                uid: own("uid", uid.get(row))?,
                generation: generation.value(row),
                region: own("region", region.get(row))?,
                runner: own("runner", runner.get(row))?,
                shard: some(shard, row),
                slot: instant("slot", slot.value(row))?,
                lag_ms: lag.value(row),
                duration_us: duration.value(row),
                attempt: attempt.value(row),
                counts: counts.value(row),
                slots: slots.value(row),
                stands_seconds: stands.value(row),
                outcome: outcome.get(row).map(str::to_owned),
                domain: domain.get(row).map(str::to_owned),
                step: step.get(row).map(str::to_owned),
                reason: reason.get(row).map(str::to_owned),
                message: text(message, row),
                trace_id: text(trace, row),
                evidence: text(evidence, row),
                maintenance: maintenance.get(row).map(str::to_owned),
                steps: decode_steps(of_row)?,
                bundle: None,
            })
        })
        .collect()
}

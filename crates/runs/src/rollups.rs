//! Roll-ups as columns.

use crate::columns::{Columns, list, listed, time, word};
use arrow_array::{
    Array, ArrayRef, DictionaryArray, Int32Array, RecordBatch, StringArray, StructArray,
    TimestampMillisecondArray, UInt8Array, UInt32Array, UInt64Array,
    cast::AsArray,
    types::{Int32Type, TimestampMillisecondType, UInt8Type, UInt32Type, UInt64Type},
};
use arrow_schema::{ArrowError, DataType, Field, Fields, Schema};
use drmwatch_sla::{Cause, Rollup, Sketch, Span, State};
use std::sync::Arc;

fn bucket_fields() -> Fields {
    Fields::from(vec![
        Field::new("bucket", DataType::Int32, false),
        Field::new("count", DataType::UInt64, false),
    ])
}

fn span_fields() -> Fields {
    Fields::from(vec![
        Field::new("state", DataType::UInt8, false),
        Field::new("minutes", DataType::UInt32, false),
        Field::new("reason", DataType::Utf8, true),
        Field::new("step", DataType::Utf8, true),
        Field::new("regions", DataType::Utf8, true),
    ])
}

/// The schema (docs/results.md).
pub fn schema() -> Arc<Schema> {
    use DataType::{UInt32, UInt64};
    let field = Field::new;
    Arc::new(Schema::new(vec![
        field("probe", word(), false),
        field("region", word(), true),
        field("start", time(), false),
        field("minutes", UInt32, false),
        field("runs", UInt64, false),
        field("passed", UInt64, false),
        field("failed", UInt64, false),
        field("inconclusive", UInt64, false),
        field("missed", UInt64, false),
        field("latency_count", UInt64, false),
        field("latency_sum_us", UInt64, false),
        field("latency_min_us", UInt64, false),
        field("latency_max_us", UInt64, false),
        field("latency_buckets", list(bucket_fields()), false),
        field("spans", list(span_fields()), false),
    ]))
}

/// Roll-ups as columns.
pub fn encode(rollups: &[Rollup]) -> Result<RecordBatch, ArrowError> {
    let numbers = |get: fn(&Rollup) -> u64| -> ArrayRef {
        Arc::new(rollups.iter().map(|r| Some(get(r))).collect::<UInt64Array>())
    };
    let start: TimestampMillisecondArray = rollups.iter().map(|r| Some(r.start * 1000)).collect();
    let buckets = || rollups.iter().flat_map(|r| &r.latency.buckets);
    let spans = || rollups.iter().flat_map(|r| &r.spans);
    let cause = |get: fn(&Cause) -> Option<String>| -> ArrayRef {
        Arc::new(
            spans()
                .map(|s| s.cause.as_ref().and_then(get))
                .collect::<StringArray>(),
        )
    };
    let columns: Vec<ArrayRef> = vec![
        Arc::new(
            rollups
                .iter()
                .map(|r| Some(r.probe.as_str()))
                .collect::<DictionaryArray<Int32Type>>(),
        ),
        Arc::new(
            rollups
                .iter()
                .map(|r| r.region.as_deref())
                .collect::<DictionaryArray<Int32Type>>(),
        ),
        Arc::new(start.with_timezone("UTC")),
        Arc::new(rollups.iter().map(|r| Some(r.minutes)).collect::<UInt32Array>()),
        numbers(|r| r.runs),
        numbers(|r| r.passed),
        numbers(|r| r.failed),
        numbers(|r| r.inconclusive),
        numbers(|r| r.missed),
        numbers(|r| r.latency.count),
        numbers(|r| r.latency.sum),
        numbers(|r| r.latency.min),
        numbers(|r| r.latency.max),
        listed(
            bucket_fields(),
            rollups.iter().map(|r| r.latency.buckets.len()),
            vec![
                Arc::new(buckets().map(|(b, _)| Some(*b)).collect::<Int32Array>()),
                Arc::new(buckets().map(|(_, n)| Some(*n)).collect::<UInt64Array>()),
            ],
        )?,
        listed(
            span_fields(),
            rollups.iter().map(|r| r.spans.len()),
            vec![
                Arc::new(spans().map(|s| Some(s.state.code())).collect::<UInt8Array>()),
                Arc::new(spans().map(|s| Some(s.minutes)).collect::<UInt32Array>()),
                cause(|c| Some(c.reason.clone())),
                cause(|c| c.step.clone()),
                cause(|c| Some(c.regions.join(","))),
            ],
        )?,
    ];
    RecordBatch::try_new(schema(), columns)
}

fn wrong(name: &str) -> ArrowError {
    ArrowError::SchemaError(format!("column {name} of a roll-up is missing or malformed"))
}

fn decode_spans(of: &StructArray) -> Result<Vec<Span>, ArrowError> {
    let columns = Columns(of);
    let (state, minutes) = (
        columns.numbers::<UInt8Type>("state")?,
        columns.numbers::<UInt32Type>("minutes")?,
    );
    let (reason, step, regions) = (
        columns.texts("reason")?,
        columns.texts("step")?,
        columns.texts("regions")?,
    );
    (0..of.len())
        .map(|row| {
            let cause = reason.is_valid(row).then(|| Cause {
                reason: reason.value(row).to_owned(),
                step: step.is_valid(row).then(|| step.value(row).to_owned()),
                regions: regions.value(row).split(',').map(str::to_owned).collect(),
            });
            Ok(Span {
                state: State::of(state.value(row)).ok_or_else(|| wrong("spans.state"))?,
                minutes: minutes.value(row),
                cause,
            })
        })
        .collect()
}

/// Columns as roll-ups.
pub fn decode(batch: &RecordBatch) -> Result<Vec<Rollup>, ArrowError> {
    let of = Columns(batch);
    let (probe, region) = (of.words("probe")?, of.words("region")?);
    let start = of.numbers::<TimestampMillisecondType>("start")?;
    let minutes = of.numbers::<UInt32Type>("minutes")?;
    let number = |name: &str| of.numbers::<UInt64Type>(name);
    let (runs, passed, failed) = (number("runs")?, number("passed")?, number("failed")?);
    let (inconclusive, missed) = (number("inconclusive")?, number("missed")?);
    let (count, sum) = (number("latency_count")?, number("latency_sum_us")?);
    let (min, max) = (number("latency_min_us")?, number("latency_max_us")?);
    let lists = |name: &'static str| of.lists(name);
    let (buckets, spans) = (lists("latency_buckets")?, lists("spans")?);
    (0..batch.num_rows())
        .map(|row| {
            let bucket = buckets.value(row);
            let bucket = Columns(bucket.as_struct_opt().ok_or_else(|| wrong("latency_buckets"))?);
            let keys = bucket.numbers::<Int32Type>("bucket")?.values();
            let counts = bucket.numbers::<UInt64Type>("count")?.values();
            let span = spans.value(row);
            Ok(Rollup {
                probe: probe.get(row).ok_or_else(|| wrong("probe"))?.to_owned(),
                region: region.get(row).map(str::to_owned),
                start: start.value(row).div_euclid(1000),
                minutes: minutes.value(row),
                runs: runs.value(row),
                passed: passed.value(row),
                failed: failed.value(row),
                inconclusive: inconclusive.value(row),
                missed: missed.value(row),
                latency: Sketch {
                    count: count.value(row),
                    sum: sum.value(row),
                    min: min.value(row),
                    max: max.value(row),
                    buckets: keys.iter().copied().zip(counts.iter().copied()).collect(),
                },
                spans: decode_spans(span.as_struct_opt().ok_or_else(|| wrong("spans"))?)?,
            })
        })
        .collect()
}

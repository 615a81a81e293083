//! The contract (OpenAPI 3.1).

use crate::query::MOST;
use serde_json::{Map, Value, json};

/// Properties that are always there. `what`: name, type, and what it says; a type with `?` may be null.
fn object(what: &[(&str, &str, &str)], more: &[(&str, Value)]) -> Value {
    let mut properties = Map::new();
    for (name, kind, says) in what {
        let (kind, nullable) = match kind.strip_suffix('?') {
            Some(kind) => (kind, true),
            None => (*kind, false),
        };
        let (kind, format) = match kind {
            "instant" => ("string", Some("date-time")),
            "date" => ("string", Some("date")),
            other => (other, None),
        };
        let mut property = json!({ "type": kind, "description": says });
        if nullable {
            property["type"] = json!([kind, "null"]);
        }
        if let Some(format) = format {
            property["format"] = json!(format);
        }
        properties.insert((*name).to_owned(), property);
    }
    properties.extend(
        more.iter()
            .map(|(name, value)| ((*name).to_owned(), value.clone())),
    );
    let required: Vec<&String> = properties.keys().collect();
    json!({ "type": "object", "required": required, "properties": properties })
}

fn page(of: &str) -> Value {
    let items = json!({ "type": "array", "items": { "$ref": format!("#/components/schemas/{of}") } });
    let next = "Give it as `cursor` to go on, with everything else as it was; null: there is no more. A page may be shorter than `limit` and not be the last.";
    object(&[("next", "string?", next)], &[("items", items)])
}

fn record() -> Value {
    let step = object(
        &[
            ("name", "string", "Name of the step."),
            ("kind", "string", "Its kind."),
            ("outcome", "string", "pass, fail or inconclusive."),
            (
                "reason",
                "string?",
                "Why not: a word of the closed list (docs/metrics.md#reasons).",
            ),
            ("duration_us", "integer", "Microseconds."),
            ("dns_us", "integer?", "Name resolution, microseconds."),
            ("connect_us", "integer?", "TCP connect, microseconds."),
            ("tls_us", "integer?", "TLS handshake, microseconds."),
            (
                "request_us",
                "integer?",
                "Until the request was sent, microseconds.",
            ),
            (
                "first_byte_us",
                "integer?",
                "Until the head of the answer, microseconds.",
            ),
            ("transfer_us", "integer?", "Until its end, microseconds."),
            ("status", "integer?", "HTTP status of the last answer."),
            ("bytes", "integer", "Bytes of the answers."),
            ("requests", "integer", "Requests that were made."),
            ("address", "string?", "Address of the last server."),
            (
                "certificate_not_after",
                "instant?",
                "When the first of the certificates expires.",
            ),
            (
                "drm_system",
                "string?",
                "Which system's licence server was asked.",
            ),
            (
                "license_level",
                "integer?",
                "How far up the ladder a licence step came (docs/licences.md).",
            ),
            (
                "license_latency_us",
                "integer?",
                "How long the licence took, microseconds.",
            ),
            (
                "live_edge_age_ms",
                "integer?",
                "Age of a live stream's newest segment, milliseconds.",
            ),
            (
                "failed_checks",
                "string?",
                "Checks of a stream that failed, by commas (docs/checks.md).",
            ),
        ],
        &[],
    );
    object(
        &[
            (
                "kind",
                "string",
                "run, missed (slots that were not run) or unwatched (from here on it is not to be run).",
            ),
            ("tenant_namespace", "string", "Namespace of tenant and probe."),
            ("tenant", "string", "Name of the tenant."),
            ("probe", "string", "Name of the probe."),
            ("uid", "string", "UID of the probe object."),
            ("generation", "integer", "Its generation."),
            ("region", "string", "Where it ran."),
            ("runner", "string", "The runner that ran it."),
            ("shard", "integer?", "The shard that it belonged to."),
            ("slot", "instant", "When it was due."),
            ("lag_ms", "integer", "How much later it began, milliseconds."),
            ("duration_us", "integer", "How long it took, microseconds."),
            ("attempt", "integer", "Which attempt in its slot, from 1."),
            ("counts", "boolean", "Whether this attempt decides of its slot."),
            ("slots", "integer", "How many slots it tells of."),
            ("stands_seconds", "integer", "Seconds until the next is due."),
            ("outcome", "string?", "pass, fail or inconclusive, of a run."),
            ("domain", "string?", "Whose fault it is."),
            ("step", "string?", "The step that decided."),
            ("reason", "string?", "Why it did not pass, or was missed."),
            ("message", "string?", "What to tell a person; redacted."),
            (
                "trace_id",
                "string?",
                "Trace id of its requests, where it did not pass.",
            ),
            (
                "evidence",
                "string?",
                "Name of the evidence that was kept: drmwatch results --evidence.",
            ),
            (
                "maintenance",
                "string?",
                "Maintenance windows that exclude it from the SLA, by commas.",
            ),
        ],
        &[("steps", json!({ "type": "array", "items": step }))],
    )
}

fn rollup() -> Value {
    let whole = |names: &[&str]| {
        let all: Vec<(&str, &str, &str)> = names.iter().map(|n| (*n, "integer", "Minutes.")).collect();
        object(&all, &[])
    };
    let span = object(
        &[
            (
                "state",
                "string",
                "degraded, down, maintenance, no_data or unwatched.",
            ),
            ("start", "instant", "Its beginning."),
            ("end", "instant", "Its end."),
            ("reason", "string?", "Why, of those that were down or degraded."),
            ("step", "string?", "The step that failed."),
        ],
        &[(
            "regions",
            json!({ "type": ["array", "null"], "items": { "type": "string" }, "description": "Where." }),
        )],
    );
    object(
        &[
            (
                "date",
                "date",
                "The first day of its period, in the zone of the roll-ups (of 15m and 1h: UTC).",
            ),
            ("final", "boolean", "Whether it will not change any more."),
            ("probe", "string", "The probe."),
            ("region", "string", "The region; *: all together."),
            ("start", "instant", "Its beginning."),
            ("end", "instant", "Its end."),
            ("runs", "integer", "Slots that were run, each once."),
            ("passed", "integer", "Of them those that passed."),
            ("failed", "integer", "Those that failed."),
            ("inconclusive", "integer", "Those that could not tell."),
            ("missed", "integer", "Slots that were missed."),
            (
                "availability",
                "string?",
                "Percent of minutes that count (neither maintenance nor without data), cut after four places; null: none counts.",
            ),
            (
                "coverage",
                "string?",
                "Percent of the minutes that were to be watched.",
            ),
        ],
        &[
            (
                "minutes",
                whole(&[
                    "total",
                    "up",
                    "degraded",
                    "down",
                    "maintenance",
                    "no_data",
                    "unwatched",
                ]),
            ),
            (
                "latency_us",
                object(
                    &[
                        ("count", "integer", "Runs that passed."),
                        ("mean", "number?", "Microseconds."),
                        ("p50", "number?", "Microseconds, within one percent."),
                        ("p95", "number?", "Microseconds, within one percent."),
                        ("p99", "number?", "Microseconds, within one percent."),
                    ],
                    &[],
                ),
            ),
            (
                "spans",
                json!({ "type": "array", "items": span, "description": "What was not up, minute by minute." }),
            ),
        ],
    )
}

fn parameter(place: &str, name: &str, says: &str, schema: Value) -> Value {
    json!({ "name": name, "in": place, "required": place == "path", "description": says, "schema": schema })
}

fn path(id: &str, summary: &str, of: &str, more: Vec<Value>) -> Value {
    let text = || json!({ "type": "string" });
    let day = || json!({ "type": "string", "format": "date" });
    let mut parameters = vec![
        parameter("path", "namespace", "Namespace of the tenant.", text()),
        parameter("path", "tenant", "Its name.", text()),
        parameter("query", "from", "The first day. Defaults to `to`.", day()),
        parameter("query", "to", "The last day. Defaults to today, UTC.", day()),
        parameter("query", "probe", "Only of these probes, by commas.", text()),
        parameter("query", "region", "Only of these regions, by commas.", text()),
        parameter(
            "query",
            "cursor",
            "Where to go on: `next` of the answer before.",
            text(),
        ),
        parameter(
            "query",
            "limit",
            "Most items of the answer.",
            json!({ "type": "integer", "minimum": 1, "maximum": MOST, "default": 100 }),
        ),
    ];
    parameters.extend(more);
    let content = |kind: &str, of: &str| {
        let mut content = Map::new();
        content.insert(
            kind.to_owned(),
            json!({ "schema": { "$ref": format!("#/components/schemas/{of}") } }),
        );
        Value::Object(content)
    };
    let mut responses = Map::new();
    responses.insert(
        "200".into(),
        json!({ "description": "A page.", "content": content("application/json", of) }),
    );
    for (status, says) in [
        (
            "400",
            "The question makes no sense; `parameter` says which part of it.",
        ),
        ("401", "There is no token, or Kubernetes does not know it."),
        ("403", "Its holder may not read the results of this tenant."),
        ("404", "There is nothing of this tenant."),
        ("410", "The results of this tenant were destroyed."),
        (
            "503",
            "Store or Kubernetes do not answer, or too much is asked at once: try again after `Retry-After` seconds.",
        ),
    ] {
        let response =
            json!({ "description": says, "content": content("application/problem+json", "Problem") });
        responses.insert(status.into(), response);
    }
    json!({ "get": {
        "operationId": id, "summary": summary, "parameters": parameters, "responses": responses,
        "security": [{ "kubernetes": [] }],
    } })
}

/// The document.
pub fn document() -> Value {
    let text = || json!({ "type": "string" });
    let levels = json!({ "type": "string", "enum": ["15m", "1h", "1d", "1w", "1mo"], "default": "1d" });
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "drmwatch results", "version": env!("CARGO_PKG_VERSION"),
            "description": "Results of probes and their roll-ups, to be read. Whose they may be is decided by Kubernetes: the holder of the token needs the verb get on monitoredtenants/results of group drmwatch.io.",
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "paths": {
            "/v1/tenants/{namespace}/{tenant}/results": path(
                "results", "Results of single runs, in the order of their days (UTC) and slots.", "Results",
                vec![
                    parameter("query", "reason", "Only with these reasons, by commas.", text()),
                    parameter("query", "outcome", "Only with these: pass, fail, inconclusive, missed, unwatched; by commas.", text()),
                ],
            ),
            "/v1/tenants/{namespace}/{tenant}/rollups": path(
                "rollups", "Roll-ups, in the order of their periods.", "Rollups",
                vec![parameter("query", "level", "How long a period is.", levels)],
            ),
        },
        "components": {
            "securitySchemes": { "kubernetes": { "type": "http", "scheme": "bearer", "description": "A token of Kubernetes: kubectl create token." } },
            "schemas": {
                "Results": page("Result"), "Result": record(), "Rollups": page("Rollup"), "Rollup": rollup(),
                "Problem": {
                    "type": "object", "description": "RFC 9457.", "required": ["title", "status", "detail"],
                    "properties": {
                        "title": { "type": "string" }, "status": { "type": "integer" }, "detail": { "type": "string" },
                        "parameter": { "type": "string", "description": "The parameter that is wrong." },
                    },
                },
            },
        },
    })
}

//! CSV: RFC 4180, UTF-8, instants in ISO 8601 UTC, columns that stay.

use crate::{Digits, Report, Row};
use drmwatch_outcome::Reason;

/// Columns of the figures. New ones come last.
const COLUMNS: &str = "period_start,period_end,timezone,tenant,service,probe,region,runs,ok,failed,error,missed_slots,\
total_min,up_min,degraded_min,downtime_min,maintenance_min,no_data_min,not_watched_min,availability_pct,coverage_pct,\
slo_target_pct,budget_min,budget_used_pct,incidents,mttr_s,mtbf_s,longest_outage_s,latency_p50_ms,latency_p95_ms,\
latency_p99_ms,final";

/// Columns of the incidents.
const INCIDENTS: &str = "tenant,probe,start,end,downtime_min,reason,step,regions,open,domain";

/// A field. What a spreadsheet would take for a formula begins with an apostrophe; numbers are none.
fn field(text: &str) -> String {
    let formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']) && text.parse::<f64>().is_err();
    let text = if formula {
        format!("'{text}")
    } else {
        text.to_owned()
    };
    match text.contains(['"', ',', '\n', '\r']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text,
    }
}

/// A line of fields.
pub fn csv_line(fields: &[String]) -> String {
    let fields: Vec<String> = fields.iter().map(|f| field(f)).collect();
    format!("{}\r\n", fields.join(","))
}

fn row(report: &Report, row: &Row) -> String {
    let of = &row.figures;
    let target = report.policy.target;
    csv_line(&[
        report.period_start.clone(),
        report.period_end.clone(),
        report.time_zone.clone(),
        format!("{}/{}", report.namespace, report.tenant),
        row.service.clone().unwrap_or_default(),
        row.probe.clone(),
        row.region.clone().unwrap_or_else(|| "*".into()),
        row.runs.to_string(),
        row.passed.to_string(),
        row.failed.to_string(),
        row.inconclusive.to_string(),
        row.missed.to_string(),
        of.total.to_string(),
        of.up.to_string(),
        of.degraded.to_string(),
        of.down.to_string(),
        of.maintenance.to_string(),
        of.no_data.to_string(),
        of.unwatched.to_string(),
        row.availability.clone(),
        row.coverage.clone(),
        Digits::number(target, 3),
        Digits::number(row.budget_minutes, 3),
        Digits::number(row.budget_used, 2),
        of.incidents.len().to_string(),
        Digits::number(row.mttr_seconds, 1),
        Digits::number(row.mtbf_seconds, 1),
        row.longest_outage_seconds.to_string(),
        Digits::millis(row.latency.p50),
        Digits::millis(row.latency.p95),
        Digits::millis(row.latency.p99),
        report.fixed.to_string(),
    ])
}

/// The figures: a line for each probe by all regions together (`*`), and one by each region.
pub fn csv(report: &Report) -> String {
    let lines: String = report.rows.iter().map(|r| row(report, r)).collect();
    format!("{COLUMNS}\r\n{lines}")
}

/// The incidents, in the order of time.
pub fn incidents_csv(report: &Report) -> String {
    let lines: String = report
        .incidents
        .iter()
        .map(|i| {
            let cause = i.cause.as_ref();
            csv_line(&[
                format!("{}/{}", report.namespace, report.tenant),
                i.probe.clone(),
                i.start.clone(),
                i.end.clone(),
                i.minutes.to_string(),
                cause.map(|c| c.reason.clone()).unwrap_or_default(),
                cause.and_then(|c| c.step.clone()).unwrap_or_default(),
                cause.map(|c| c.regions.join(" ")).unwrap_or_default(),
                i.open.to_string(),
                cause
                    .and_then(|c| Reason::parse(&c.reason))
                    .map(|r| r.domain().as_str().to_owned())
                    .unwrap_or_default(),
            ])
        })
        .collect();
    format!("{INCIDENTS}\r\n{lines}")
}

#[cfg(test)]
mod tests {
    use super::field;

    #[test]
    fn no_field_breaks_its_line_or_is_run_by_a_spreadsheet() {
        assert_eq!(field("a,b"), "\"a,b\"");
        assert_eq!(field("say \"no\"\r\n"), "\"say \"\"no\"\"\r\n\"");
        assert_eq!(field("=HYPERLINK(\"x\")"), "\"'=HYPERLINK(\"\"x\"\")\"");
        assert_eq!(
            (field("@SUM(A1)"), field("+1+1"), field("-cmd")),
            ("'@SUM(A1)".into(), "'+1+1".into(), "'-cmd".into())
        );
        assert_eq!(
            (field("-1.5"), field("ünïcode")),
            ("-1.5".into(), "ünïcode".into())
        );
    }
}

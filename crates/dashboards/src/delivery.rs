//! Whether what is noticed gets to people.

use crate::{
    Dashboard, Panel, Row,
    model::{GREEN, Kind, NONE_IS_GOOD, RED, YELLOW, by, instances, part},
};
use drmwatch_metrics::*;

pub(crate) fn dashboard() -> Dashboard {
    let of = |metric: &Metric| by(metric, "");
    let rate =
        |metric: &Metric, by: &str| format!("sum by ({by}) (rate({}[$__rate_interval])) * 60", of(metric));
    // Of Alertmanager and Prometheus themselves: their job is not ours.
    let theirs = |metric: &str, by: &str| format!("sum by ({by}) (rate({metric}[$__rate_interval])) * 60");
    let tickets = Row {
        title: "Tickets",
        panels: vec![
            Panel::new(Kind::Stat, "Bridges", "short", "Ticket bridges that are scraped. Empty: there is none.").ask_if(format!("count({})", of(&BRIDGE_INFO)), "bridges"),
            Panel::new(Kind::Stat, "Tickets behind", "short", "Incidents whose ticket does not say yet what it should.").ask_if(format!("sum({})", of(&BRIDGE_PENDING)), "behind").steps(&[(None, GREEN), (Some(10.0), YELLOW)]),
            Panel::new(Kind::Stat, "Longest behind", "s", "For how long, where Zendesk can't be reached or refuses. TicketingFailing fires at five minutes.").ask_if(format!("max({})", of(&BRIDGE_OVERDUE)), "overdue").steps(&[(None, GREEN), (Some(60.0), YELLOW), (Some(300.0), RED)]),
            Panel::new(Kind::Stat, "Refused for good", "short", "Tickets of the last day whose settings Zendesk refuses: somebody has to mend them.").ask_if(format!("sum(increase({}[1d])) or vector(0)", by(&BRIDGE_ACTIONS, ",action=\"drop\"")), "refused").steps(NONE_IS_GOOD),
            Panel::new(Kind::Stack, "What was done", "cpm", "Tickets made, commented, solved, opened again, followed up; leave: there was nothing to do.").ask_if(rate(&BRIDGE_ACTIONS, "action"), "{{action}}"),
            Panel::new(Kind::Stack, "Notifications", "cpm", "Notifications of Alertmanager, by what became of them.").ask_if(rate(&BRIDGE_NOTIFICATIONS, "outcome"), "{{outcome}}"),
            Panel::new(Kind::Lines, "Requests to Zendesk", "reqpm", "By the status of the answer: 429 is the account's limit, none is no answer.").ask_if(rate(&BRIDGE_REQUESTS, "status"), "{{status}}"),
            Panel::new(Kind::Lines, "Zendesk's answers, 95th percentile", "s", "How long they take.").ask_if(format!("histogram_quantile(0.95, sum by (le) (rate({}[$__rate_interval])))", part(&of(&BRIDGE_REQUEST_DURATION), &BRIDGE_REQUEST_DURATION, "bucket")), "95 %"),
        ],
    };
    let messages = Row {
        title: "Messages",
        panels: vec![
            Panel::new(Kind::Lines, "Alertmanager's notifications", "cpm", "By receiver's kind, a minute. Empty: this Prometheus does not scrape Alertmanager.").ask_if(theirs("alertmanager_notifications_total", "integration"), "{{integration}}"),
            Panel::new(Kind::Lines, "Those that failed", "cpm", "Nobody hears of an alert whose notification fails.").ask_if(theirs("alertmanager_notifications_failed_total", "integration"), "{{integration}}").steps(&[(None, GREEN), (Some(0.1), RED)]),
            Panel::new(Kind::Lines, "Prometheus to Alertmanager", "cpm", "Alerts sent, and those that no Alertmanager took. Empty: this Prometheus does not scrape itself.").ask_if(theirs("prometheus_notifications_sent_total", "alertmanager"), "{{alertmanager}}").ask_if(theirs("prometheus_notifications_dropped_total", "instance"), "dropped"),
            Panel::new(Kind::Table, "Alerts about delivery", "short", "TicketingFailing, and whether Watchdog fires, which must always be so.").ask("ALERTS{alertname=~\"TicketingFailing|Watchdog\",alertstate=\"firing\"}", "Firing").hide(&["__name__", "alertstate", "Value"]).size(12, 8),
        ],
    };
    Dashboard {
        name: "delivery",
        title: "Delivery",
        description: "Whether what is noticed gets to people: tickets, messages, and who sends them.",
        variables: vec![instances(&PROCESS_START)],
        rows: vec![tickets, messages],
    }
}

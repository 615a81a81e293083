//! What a message in Slack says, as Alertmanager's templates write it: the verdict first, since it is read on a phone.

/// Colour of the bar beside it.
pub(crate) const COLOR: &str = "{{ if eq .Status \"resolved\" }}good{{ else if eq .GroupLabels.severity \"page\" }}danger{{ else }}warning{{ end }}";

/// First line: what it is, and of whom. What is about no tenant names its pool or region.
pub(crate) const TITLE: &str = "{{ if eq .Status \"resolved\" }}RESOLVED{{ else if eq .GroupLabels.severity \"page\" }}PAGE{{ else }}TICKET{{ end }} \
{{ .GroupLabels.alertname }}: {{ with .GroupLabels.tenant }}{{ . }}{{ with $.GroupLabels.probe }}/{{ . }}{{ end }}\
{{ else }}{{ with .GroupLabels.pool }}{{ . }} {{ end }}{{ with .CommonLabels.region }}{{ . }}{{ else }}drmwatch{{ end }}{{ end }}";

/// Most alerts of a message that are told one by one.
const MOST: u32 = 5;

/// The rest: each alert in words, since when or how long, and where to go on.
pub(crate) fn text(grafana: Option<&str>) -> String {
    let few = format!("{{{{ if lt $i {MOST} }}}}");
    let place = "{{ with .Labels.region }}{{ . }}, {{ end }}";
    let dashboard = grafana.map(|base| {
        format!(
            "{{{{ with .GroupLabels.probe }}}} | <{}/d/drmwatch-probe?var-tenant={{{{ $.GroupLabels.tenant }}}}&var-probe={{{{ . }}}}|Dashboard>{{{{ end }}}}",
            base.trim_end_matches('/')
        )
    });
    format!(
        "{{{{ range $i, $a := .Alerts.Firing }}}}{few}*{{{{ .Annotations.summary }}}}*\n\
         {{{{ with .Annotations.description }}}}{{{{ . }}}}\n{{{{ end }}}}\
         {place}since {{{{ .StartsAt.UTC.Format \"15:04 UTC, 2 Jan\" }}}}\n{{{{ end }}}}{{{{ end }}}}\
         {{{{ range $i, $a := .Alerts.Resolved }}}}{few}Was: {{{{ .Annotations.summary }}}}\n\
         {place}from {{{{ .StartsAt.UTC.Format \"15:04 UTC, 2 Jan\" }}}} for {{{{ (.EndsAt.Sub .StartsAt).Round 1000000000 }}}}\n{{{{ end }}}}{{{{ end }}}}\
         {{{{ if gt (len .Alerts) {MOST} }}}}{{{{ len .Alerts }}}} alerts in all\n{{{{ end }}}}\
         {{{{ with .CommonAnnotations.runbook_url }}}}<{{{{ . }}}}|Runbook>{{{{ end }}}}{}\
         {{{{ with .GroupLabels.probe }}}} | record: *_{{{{ $.CommonLabels.namespace }}}}_{{{{ . }}}}.json{{{{ end }}}}",
        dashboard.unwrap_or_default()
    )
}

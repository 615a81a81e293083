//! What a dashboard is made of.

use drmwatch_metrics::Metric;

/// A dashboard.
#[derive(Debug, Clone)]
pub struct Dashboard {
    /// Its name in URLs, after `drmwatch-`; also the name of its file.
    pub name: &'static str,
    /// Title.
    pub title: &'static str,
    /// What it answers.
    pub description: &'static str,
    /// What is chosen at its top, besides the data source and the job.
    pub variables: Vec<Variable>,
    /// Panels, row by row.
    pub rows: Vec<Row>,
}

/// A choice at the top of a dashboard: values of a label.
#[derive(Debug, Clone)]
pub struct Variable {
    /// Name.
    pub name: &'static str,
    /// What people read.
    pub label: &'static str,
    /// `label_values(...)`.
    pub query: String,
    /// Whether several, or all, can be chosen.
    pub multi: bool,
}

/// A row of panels under a heading.
#[derive(Debug, Clone)]
pub struct Row {
    /// Heading.
    pub title: &'static str,
    /// Panels from left to right; what does not fit begins a new line.
    pub panels: Vec<Panel>,
}

/// How a panel shows what it asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Lines over time.
    Lines,
    /// The same, on top of each other.
    Stack,
    /// One number each.
    Stat,
    /// Rows and columns.
    Table,
    /// States over time, a line each.
    States,
    /// A histogram over time.
    Heat,
    /// Bars, one each.
    Bars,
}

/// One question.
#[derive(Debug, Clone)]
pub struct Target {
    /// PromQL.
    pub expr: String,
    /// Legend, or in a table the column's name.
    pub legend: String,
    /// Whether nothing is a right answer: while all is well, or where a part is not used.
    pub may_be_empty: bool,
}

/// A panel.
#[derive(Debug, Clone)]
pub struct Panel {
    pub(crate) kind: Kind,
    /// Title.
    pub title: &'static str,
    /// What it says, and what a right value looks like.
    pub description: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) width: u32,
    pub(crate) height: u32,
    /// What it asks.
    pub targets: Vec<Target>,
    /// From which values on it has which colour; the first has none.
    pub(crate) steps: Vec<(Option<f64>, &'static str)>,
    /// Words for values.
    pub(crate) words: Vec<(&'static str, &'static str, &'static str)>,
    /// Columns of a table that are not shown.
    pub(crate) hide: Vec<&'static str>,
    /// A variable for each of whose values the panel is there once.
    pub(crate) repeat: Option<&'static str>,
    /// Units of columns, where they differ.
    pub(crate) units: Vec<(&'static str, &'static str)>,
    /// Where a click leads: title and dashboard with its variables.
    pub(crate) links: Vec<(&'static str, &'static str)>,
}

pub(crate) const GREEN: &str = "green";
pub(crate) const YELLOW: &str = "yellow";
pub(crate) const ORANGE: &str = "orange";
pub(crate) const RED: &str = "red";

/// Colours of what is good while it is nothing.
pub(crate) const NONE_IS_GOOD: &[(Option<f64>, &str)] = &[(None, GREEN), (Some(1.0), RED)];

impl Target {
    pub(crate) fn new(expr: impl Into<String>, legend: impl Into<String>) -> Target {
        Target {
            expr: expr.into(),
            legend: legend.into(),
            may_be_empty: false,
        }
    }

    /// Nothing is a right answer.
    pub(crate) fn or_nothing(mut self) -> Target {
        self.may_be_empty = true;
        self
    }
}

impl Panel {
    /// A panel of its kind's usual size.
    pub(crate) fn new(
        kind: Kind,
        title: &'static str,
        unit: &'static str,
        description: &'static str,
    ) -> Panel {
        let (width, height) = match kind {
            Kind::Stat => (4, 4),
            Kind::Table => (24, 9),
            Kind::States => (24, 8),
            Kind::Lines | Kind::Stack | Kind::Heat => (12, 8),
            Kind::Bars => (8, 8),
        };
        Panel {
            kind,
            title,
            description,
            unit,
            width,
            height,
            targets: Vec::new(),
            steps: vec![(None, GREEN)],
            words: Vec::new(),
            hide: Vec::new(),
            repeat: None,
            units: Vec::new(),
            links: Vec::new(),
        }
    }

    /// Asks one more question.
    pub(crate) fn ask(mut self, expr: impl Into<String>, legend: impl Into<String>) -> Panel {
        self.targets.push(Target::new(expr, legend));
        self
    }

    /// Asks one more question to which nothing is a right answer.
    pub(crate) fn ask_if(mut self, expr: impl Into<String>, legend: impl Into<String>) -> Panel {
        self.targets.push(Target::new(expr, legend).or_nothing());
        self
    }

    pub(crate) fn size(mut self, width: u32, height: u32) -> Panel {
        (self.width, self.height) = (width, height);
        self
    }

    pub(crate) fn steps(mut self, steps: &[(Option<f64>, &'static str)]) -> Panel {
        self.steps = steps.to_vec();
        self
    }

    /// Words and colours for values.
    pub(crate) fn words(mut self, words: &[(&'static str, &'static str, &'static str)]) -> Panel {
        self.words = words.to_vec();
        self
    }

    pub(crate) fn hide(mut self, columns: &[&'static str]) -> Panel {
        self.hide = columns.to_vec();
        self
    }

    pub(crate) fn repeat(mut self, variable: &'static str) -> Panel {
        self.repeat = Some(variable);
        self
    }

    pub(crate) fn column(mut self, name: &'static str, unit: &'static str) -> Panel {
        self.units.push((name, unit));
        self
    }

    pub(crate) fn link(mut self, title: &'static str, to: &'static str) -> Panel {
        self.links.push((title, to));
        self
    }
}

/// Labels that name a probe.
pub(crate) const PROBE: &str = "tenant_namespace, tenant, probe";
/// What is chosen: regions and tenants.
pub(crate) const CHOSEN: &str = "region=~\"$region\",tenant_namespace=~\"$namespace\",tenant=~\"$tenant\"";

/// Series of a metric about probes, of what is chosen.
pub(crate) fn of(metric: &Metric, more: &str) -> String {
    format!("{}{{job=~\"$job\",{CHOSEN}{more}}}", metric.name)
}

/// Series of a metric about programs, of what is chosen.
pub(crate) fn by(metric: &Metric, more: &str) -> String {
    format!("{}{{job=~\"$job\",instance=~\"$instance\"{more}}}", metric.name)
}

/// The bucket, sum or count of a histogram.
pub(crate) fn part(series: &str, metric: &Metric, part: &str) -> String {
    series.replacen(metric.name, &format!("{}_{part}", metric.name), 1)
}

/// The region, namespace and tenant, for most dashboards.
pub(crate) fn tenants(multi: bool) -> Vec<Variable> {
    let info = drmwatch_metrics::PROBE_INFO.name;
    vec![
        Variable {
            name: "region",
            label: "Region",
            query: format!("label_values({info}{{job=~\"$job\"}}, region)"),
            multi: true,
        },
        Variable {
            name: "namespace",
            label: "Namespace",
            query: format!("label_values({info}{{job=~\"$job\",region=~\"$region\"}}, tenant_namespace)"),
            multi: true,
        },
        Variable {
            name: "tenant",
            label: "Tenant",
            query: format!(
                "label_values({info}{{job=~\"$job\",region=~\"$region\",tenant_namespace=~\"$namespace\"}}, tenant)"
            ),
            multi,
        },
    ]
}

/// The probe.
pub(crate) fn probes(multi: bool) -> Variable {
    Variable {
        name: "probe",
        label: "Probe",
        query: format!("label_values({}, probe)", of(&drmwatch_metrics::PROBE_INFO, "")),
        multi,
    }
}

/// Instances that export a metric.
pub(crate) fn instances(metric: &Metric) -> Variable {
    Variable {
        name: "instance",
        label: "Instance",
        query: format!("label_values({}{{job=~\"$job\"}}, instance)", metric.name),
        multi: true,
    }
}

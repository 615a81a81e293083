//! A tenant's services as probes.

use drmwatch_api::{
    DrmProbe, DrmProbeSpec, FairPlay, HttpStep, LicenseStep, Method, MonitoredTenant, Schedule, Service,
    Step, StreamStep, TenantRef,
};

/// Seconds between slots where nothing else is said.
const INTERVAL: i32 = 60;

/// The default probes of a tenant: one for each service, named `TENANT-SERVICE`, in its namespace.
pub fn default_probes(tenant: &MonitoredTenant) -> Vec<DrmProbe> {
    let name = tenant.metadata.name.clone().unwrap_or_default();
    let defaults = &tenant.spec.defaults;
    let interval = defaults.interval_seconds.unwrap_or(INTERVAL);
    let timeout = defaults.timeout_seconds.unwrap_or((interval / 2).clamp(1, 30));
    tenant
        .spec
        .services
        .iter()
        .map(|service| {
            let spec = DrmProbeSpec {
                tenant_ref: TenantRef { name: name.clone() },
                schedule: Schedule {
                    interval_seconds: Some(interval),
                    ..Schedule::default()
                },
                timeout_seconds: timeout.min(interval - 1),
                regions: Vec::new(),
                execution: Default::default(),
                pool_ref: None,
                credentials: Vec::new(),
                tls: None,
                steps: steps(service),
            };
            let mut probe = DrmProbe::new(&format!("{name}-{}", service.name), spec);
            probe.metadata.namespace = tenant.metadata.namespace.clone();
            probe
        })
        .collect()
}

fn steps(service: &Service) -> Vec<Step> {
    let stream_step = |url: &str| StreamStep {
        url: url.to_owned(),
        token: None,
        appears_within_seconds: None,
        format: Default::default(),
        headers: Vec::new(),
        live: None,
        max_live_edge_age_seconds: None,
        kids: Vec::new(),
        checks: Default::default(),
        expected: Default::default(),
        full_segments: Default::default(),
    };
    let mut steps = Vec::new();
    if let Some(s) = &service.stream {
        let stream = StreamStep {
            format: s.format,
            headers: s.headers.clone(),
            ..stream_step(&s.url)
        };
        steps.push(Step {
            stream: Some(Box::new(stream)),
            ..step("stream")
        });
    }
    if let Some(s) = &service.license {
        if let Some(url) = &s.stream_url {
            steps.push(Step {
                stream: Some(Box::new(stream_step(url))),
                ..step("stream")
            });
        }
        let license = LicenseStep {
            headers: s.headers.clone(),
            kids_from: s.stream_url.is_some().then(|| "stream".into()),
            fair_play: s.certificate_url.clone().map(|url| FairPlay {
                certificate_url: Some(url),
            }),
            ..LicenseStep::new(s.system, &s.url)
        };
        steps.push(Step {
            license: Some(Box::new(license)),
            ..step("license")
        });
    }
    if let Some(s) = &service.endpoint {
        let http = HttpStep {
            method: Method::Get,
            url: s.url.clone(),
            headers: s.headers.clone(),
            body: None,
            max_redirects: HttpStep::default_redirects(),
            outputs: Vec::new(),
        };
        steps.push(Step {
            http: Some(http),
            ..step("endpoint")
        });
    }
    steps
}

fn step(name: &str) -> Step {
    Step {
        name: name.into(),
        http: None,
        stream: None,
        license: None,
        key_server: None,
        plugin: None,
        finally: false,
        expect: Vec::new(),
        expect_denied: None,
    }
}

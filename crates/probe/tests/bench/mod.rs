//! A world, an engine and a tenant, for tests of verdicts.
#![allow(dead_code)]

use base64::{Engine as _, engine::general_purpose::STANDARD};
use drmwatch_api::{DrmProbe, EgressPolicy, MonitoredTenant};
use drmwatch_net::Resolver;
use drmwatch_outcome::Outcome;
use drmwatch_plan::{Secrets, compile};
use drmwatch_probe::{Engine, Prepared, ProbeState, clock};
use drmwatch_testkit::{Fault, Ports, World, drm};

pub struct Bench {
    pub world: World,
    pub engine: Engine,
    pub secrets: Secrets,
    /// A line of the tenant.
    pub budget: Option<String>,
}

const CREDENTIALS: [&str; 18] = [
    "ca",
    "client-cert",
    "client-key",
    "api-key",
    "other-ca",
    "challenge",
    "old-challenge",
    "no-challenge",
    "pr-challenge",
    "spc",
    "token-key",
    "device-id",
    "device-key",
    "wv-root",
    "pr-root",
    "ks-user",
    "ks-password",
    "opaque",
];

impl Bench {
    pub async fn start() -> Bench {
        let world = World::start([127, 0, 0, 1].into(), Ports::default())
            .await
            .unwrap();
        let other = World::start([127, 0, 0, 1].into(), Ports::default())
            .await
            .unwrap();
        let mut secrets = Secrets::default();
        secrets.insert("ca", world.certificates.ca_pem.clone());
        secrets.insert("other-ca", other.certificates.ca_pem.clone());
        secrets.insert("client-cert", world.certificates.client_pem.clone());
        secrets.insert("client-key", world.certificates.client_key_pem.clone());
        secrets.insert("api-key", "demo-api-key");
        let base64 = |bytes: &[u8]| STANDARD.encode(bytes);
        let challenge = drm::recorded_challenge();
        let mut old = challenge.clone();
        let at = old.windows(16).position(|w| w == b"drm-town-service").unwrap();
        old[at] ^= 1;
        secrets.insert("challenge", base64(&challenge));
        secrets.insert("old-challenge", base64(&old));
        secrets.insert("no-challenge", "bm90IGEgY2hhbGxlbmdl");
        secrets.insert("pr-challenge", base64(&drm::recorded_playready_challenge()));
        secrets.insert("spc", base64(&drm::recorded_spc()));
        secrets.insert("token-key", drm::TOKEN_KEY);
        secrets.insert("device-id", base64(&drm::identity()));
        secrets.insert("device-key", drm::device_key());
        secrets.insert("wv-root", base64(&drm::widevine_root()));
        secrets.insert("pr-root", base64(&drm::playready_root()));
        secrets.insert("ks-user", drm::KEY_SERVER_USER);
        secrets.insert("ks-password", drm::KEY_SERVER_PASSWORD);
        secrets.insert("opaque", "an-opaque-token-of-yesterday");
        Bench {
            world,
            engine: Engine::new(Resolver::system().unwrap(), clock::system),
            secrets,
            budget: None,
        }
    }

    pub fn prepare(&self, spec: &str, allow: &str) -> Prepared {
        let credentials: String = CREDENTIALS
            .iter()
            .map(|c| format!("  - {{name: {c}, secretKeyRef: {{name: s, key: {c}}}}}\n"))
            .collect();
        let budget = self.budget.as_deref().unwrap_or_default();
        let tenant = format!(
            "apiVersion: drmwatch.io/v1alpha1\nkind: MonitoredTenant\nmetadata: {{name: t, namespace: n}}\nspec:\n  displayName: T\n{budget}  credentials:\n{credentials}"
        );
        let spec: String = spec.lines().map(|l| format!("  {l}\n")).collect();
        let world = &self.world;
        let spec = spec
            .replace("HTTP", &format!("http://{}", world.http))
            .replace("SECURE", &format!("https://{}", world.https))
            .replace("EXPIRED", &format!("https://{}", world.https_expired))
            .replace("WRONGNAME", &format!("https://{}", world.https_wrong_name))
            .replace("UNTRUSTED", &format!("https://{}", world.https_untrusted))
            .replace("MUTUAL", &format!("https://{}", world.https_mutual))
            .replace("RAW", &format!("http://{}", world.raw));
        let probe = format!(
            "apiVersion: drmwatch.io/v1alpha1\nkind: DrmProbe\nmetadata: {{name: p, namespace: n}}\nspec:\n  tenantRef: {{name: t}}\n  schedule: {{intervalSeconds: 60}}\n{spec}"
        );
        let tenant: MonitoredTenant = serde_saphyr::from_str(&tenant).unwrap();
        let probe: DrmProbe = serde_saphyr::from_str(&probe).unwrap_or_else(|e| panic!("{e}\n{probe}"));
        let egress = EgressPolicy {
            allow_cidrs: if allow.is_empty() {
                vec![]
            } else {
                vec![allow.into()]
            },
        };
        let plan = compile(&tenant, &probe, "test", &egress).unwrap_or_else(|e| panic!("{e:?}"));
        Prepared::new(plan, self.secrets.clone(), self.engine.resolver()).unwrap()
    }

    pub async fn run(&self, spec: &str) -> Outcome {
        self.engine
            .run(&self.prepare(spec, "127.0.0.0/8"), &mut ProbeState::default())
            .await
    }

    pub async fn check(&self, spec: &str, verdict: &str) -> Outcome {
        let outcome = self.run(spec).await;
        assert_eq!(outcome.verdict.to_string(), verdict, "{spec}\n{outcome:#?}");
        outcome
    }

    pub async fn under(&self, fault: Fault, spec: &str, verdict: &str) {
        self.check(spec, "Pass").await;
        self.world.faults.set(fault, true);
        self.check(spec, verdict).await;
        self.world.faults.set(fault, false);
        self.check(spec, "Pass").await;
    }
}

//! A run: the steps of a plan in order, until one does not pass.

use crate::{
    ProbeState,
    budget::Accounts,
    clock::Clock,
    http, key_server,
    license::{self, gather, model::Exchange},
    metered::Metered,
    plugin,
    scope::Scope,
    stream::{self, Finding},
};
use drmwatch_api::{ErrorRule, ExpectDenied, Header, Step, Tls};
use drmwatch_net::{Client, Credential, Door, Failure, Guard, Identity, PrepareError, Resolver, TlsSetup};
use drmwatch_outcome::{Hop, Outcome, Reason, StepFacts, StepOutcome, Verdict};
use drmwatch_plan::{Expression, Plan, Secrets, outputs_used, step_kind, step_variables};
use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};
use tokio::time::Instant;

/// What all runs of a program share.
pub struct Engine {
    resolver: Resolver,
    clock: Clock,
    plugins: Option<PathBuf>,
    accounts: Accounts,
}

/// What a probe that opens sessions keeps of its time to give them back, at most.
const GIVE_BACK: Duration = Duration::from_secs(10);

/// An error rule, ready.
pub(crate) struct Rule {
    pub rule: ErrorRule,
    pub pattern: Option<Arc<regex::Regex>>,
}

/// A plan with everything compiled that need not be compiled in each run.
pub struct Prepared {
    plan: Plan,
    secrets: Secrets,
    client: Box<dyn Door>,
    expressions: Vec<Vec<(Expression, Option<String>)>>,
    regexes: BTreeMap<(String, String), regex::Regex>,
    /// Error rules, by step.
    rules: Vec<Vec<Rule>>,
}

/// What a running step may use.
pub(crate) struct Context<'a, 'b> {
    pub client: &'a dyn Door,
    pub clock: Clock,
    pub deadline: Instant,
    pub scope: &'a mut Scope<'b>,
    pub hops: &'a mut Vec<Hop>,
    pub facts: &'a mut StepFacts,
    pub regexes: &'a BTreeMap<(String, String), regex::Regex>,
    pub rules: &'a [Rule],
    pub plugins: Option<&'a std::path::Path>,
    pub exchanges: &'a mut Vec<Exchange>,
}

/// What a step found: the variables of its expressions.
pub(crate) struct Found {
    pub variables: serde_json::Value,
}

impl Context<'_, '_> {
    /// Headers with their references filled in.
    pub fn headers(&self, headers: &[Header]) -> Result<Vec<(String, String)>, Failure> {
        headers
            .iter()
            .map(|h| Ok((h.name.clone(), self.scope.fill(&h.value)?)))
            .collect()
    }
}

/// What `expectDenied` makes of a status: `None` where the step goes on as usual.
pub(crate) fn judge_refusal(denied: &ExpectDenied, status: u16, host: &str) -> Result<(), Failure> {
    if denied.statuses.contains(&status) {
        return Ok(());
    }
    let (reason, what) = match status {
        200..=299 => (Reason::EntitlementLeak, "granted what it must refuse"),
        _ => (Reason::WrongRefusal, "did not refuse as it must"),
    };
    Err(Failure::fail(
        reason,
        format!(
            "{host} {what}: it answered {status}, not one of {:?}",
            denied.statuses
        ),
    ))
}

/// Whom a plan trusts, and who it is.
pub fn identity<'a>(tls: &'a Tls, secrets: &'a Secrets) -> Identity<'a> {
    let credential = |name: &'a Option<String>| {
        let name = name.as_deref()?;
        let value = secrets.get(name);
        Some(Credential { name, value })
    };
    Identity {
        ca: credential(&tls.ca_credential),
        certificate: credential(&tls.client_certificate_credential),
        key: credential(&tls.client_key_credential),
    }
}

impl Prepared {
    /// Makes a plan ready. Fails when its credentials can't be used; that is the user's to mend.
    pub fn new(plan: Plan, secrets: Secrets, resolver: &Resolver) -> Result<Prepared, PrepareError> {
        let tls = TlsSetup::new(identity(&plan.tls, &secrets))?;
        let client = Client::new(resolver.clone(), Guard::new(&plan.egress.allow_cidrs), tls);
        Prepared::behind(plan, secrets, Box::new(client))
    }

    /// Makes a plan ready that leaves by another door.
    pub fn behind(
        mut plan: Plan,
        mut secrets: Secrets,
        client: Box<dyn Door>,
    ) -> Result<Prepared, PrepareError> {
        // There may be ten thousand of them; where the values lay is of no use any more.
        plan.steps.shrink_to_fit();
        plan.credentials = Default::default();
        secrets.shrink();
        let unusable = |e: String| PrepareError::Unusable(e);
        let mut expressions = Vec::new();
        let mut regexes = BTreeMap::new();
        let mut rules = Vec::new();
        for step in &plan.steps {
            let own = match (&step.license, &step.key_server) {
                (Some(license), _) => gather::compile(&license.error_rules),
                (_, Some(_)) => gather::compile(&drmwatch_plan::common_error_rules()),
                _ => Ok(Vec::new()),
            };
            rules.push(own.map_err(|_| unusable(format!("a regex of step {} is too large", step.name)))?);
            let kind = step_kind(step);
            let compiled = step.expect.iter().map(|e| {
                let expression = Expression::compile(&e.cel, kind, step_variables(kind));
                Ok((
                    expression.map_err(|e| unusable(e.to_string()))?,
                    e.message.clone(),
                ))
            });
            expressions.push(compiled.collect::<Result<_, PrepareError>>()?);
            for output in step.http.iter().flat_map(|h| &h.outputs) {
                if let Some(pattern) = &output.regex {
                    let regex = regex::RegexBuilder::new(pattern).size_limit(1 << 20).build();
                    let regex = regex
                        .map_err(|_| unusable(format!("the regex of output {} is too large", output.name)))?;
                    regexes.insert((step.name.clone(), output.name.clone()), regex);
                }
            }
        }
        Ok(Prepared {
            plan,
            secrets,
            client,
            expressions,
            regexes,
            rules,
        })
    }

    /// The plan.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }
}

impl Engine {
    /// An engine with the system's resolver.
    pub fn new(resolver: Resolver, clock: Clock) -> Engine {
        Engine {
            resolver,
            clock,
            plugins: None,
            accounts: Accounts::default(),
        }
    }

    /// The engine with a folder of plug-ins, by whose names steps may call them.
    pub fn with_plugins(mut self, folder: PathBuf) -> Engine {
        self.plugins = Some(folder);
        self
    }

    /// The resolver, for [`Prepared::new`].
    pub fn resolver(&self) -> &Resolver {
        &self.resolver
    }

    /// The clock.
    pub fn now(&self) -> jiff::Timestamp {
        (self.clock)()
    }

    /// Runs a plan once. Always ends by the plan's timeout and always has an outcome.
    pub async fn run(&self, prepared: &Prepared, state: &mut ProbeState) -> Outcome {
        self.run_within(prepared, state, Duration::MAX).await
    }

    /// [`Engine::run`] that ends by `room`, too.
    pub async fn run_within(&self, prepared: &Prepared, state: &mut ProbeState, room: Duration) -> Outcome {
        let (started_at, started) = (self.now(), Instant::now());
        let plan = &prepared.plan;
        let account = plan.budget.as_ref().map(|b| self.accounts.of(&plan.id, b));
        let held = account
            .as_ref()
            .map(|a| a.begin(plan.opens_session()))
            .transpose();
        let _session = match held {
            Ok(session) => session,
            Err(why) => {
                let verdict = Verdict::Inconclusive(Reason::BudgetExhausted);
                let message = format!(
                    "the budget of the tenant {} does not allow this run: {why}",
                    plan.id.tenant
                );
                let mut outcome = Outcome::without_steps(verdict, message, started_at);
                outcome.budget_left = account.as_ref().and_then(|a| a.left());
                return outcome;
            }
        };
        let door = Metered::new(prepared.client.as_ref(), account.as_deref());
        let whole = Duration::from_secs(u64::from(plan.timeout_seconds)).min(room);
        let reserve = match plan.opens_session() {
            true => (whole / 4).min(GIVE_BACK),
            false => Duration::ZERO,
        };
        let mut run = Running {
            engine: self,
            prepared,
            door: &door,
            scope: Scope::new(&prepared.secrets),
            findings: BTreeMap::new(),
            steps: Vec::new(),
        };
        let mut failed = false;
        for (n, step) in plan.steps.iter().enumerate() {
            if failed && !(step.finally && run.can_give_back(step)) {
                continue;
            }
            let end = if step.finally { whole } else { whole - reserve };
            door.always(step.finally);
            let verdict = run.step(n, step, started + end, state).await;
            failed |= verdict != Verdict::Pass;
        }
        let steps = run.steps;
        let first = steps.iter().find(|s| s.verdict != Verdict::Pass);
        Outcome {
            verdict: first.map_or(Verdict::Pass, |s| s.verdict),
            step: first.map(|s| s.name.clone()),
            message: first.map(|s| s.message.clone()).unwrap_or_default(),
            started_at,
            duration_seconds: started.elapsed().as_secs_f64(),
            trace_id: door.trace_id().to_owned(),
            budget_left: account.as_ref().and_then(|a| a.left()),
            steps,
        }
    }
}

/// A run that goes on.
struct Running<'a> {
    engine: &'a Engine,
    prepared: &'a Prepared,
    door: &'a Metered<'a>,
    scope: Scope<'a>,
    findings: BTreeMap<String, Finding>,
    steps: Vec<StepOutcome>,
}

impl Running<'_> {
    /// Whether there is something to give back: every output that the step refers to is there.
    fn can_give_back(&self, step: &Step) -> bool {
        let used = outputs_used(step);
        used.iter().all(|(step, output)| self.scope.has(step, output))
    }

    /// Runs one step.
    async fn step(&mut self, n: usize, step: &Step, deadline: Instant, state: &mut ProbeState) -> Verdict {
        let (prepared, started) = (self.prepared, Instant::now());
        let (mut hops, mut facts, mut exchanges) = (Vec::new(), StepFacts::default(), Vec::new());
        let mut context = Context {
            client: self.door,
            clock: self.engine.clock,
            deadline,
            scope: &mut self.scope,
            hops: &mut hops,
            facts: &mut facts,
            regexes: &prepared.regexes,
            rules: &prepared.rules[n],
            plugins: self.engine.plugins.as_deref(),
            exchanges: &mut exchanges,
        };
        let findings = &mut self.findings;
        // The larger ones are kept apart: the memory of a run, and what it takes to move one, is that of its largest step.
        let result = if let Some(http) = &step.http {
            http::run(&mut context, step, http).await
        } else if let Some(stream) = &step.stream {
            let canary = wants_canary(&prepared.plan.steps, &step.name);
            Box::pin(stream::run(&mut context, step, stream, canary, state, findings)).await
        } else if let Some(license) = &step.license {
            let memory = state.licenses.entry(step.name.clone()).or_default();
            Box::pin(license::run(&mut context, step, license, findings, memory)).await
        } else if let Some(server) = &step.key_server {
            Box::pin(key_server::run(&mut context, step, server, findings)).await
        } else if let Some(plugin) = &step.plugin {
            Box::pin(plugin::run(&mut context, step, plugin)).await
        } else {
            Err(Failure::internal("the step has no kind"))
        };
        let result = result.and_then(|found| judge_expectations(&prepared.expressions[n], &found));
        let redactor = &self.scope.redactor;
        let (verdict, message) = match result {
            Ok(()) => (Verdict::Pass, String::new()),
            Err(failure) => (failure.verdict, redactor.redact(&failure.message)),
        };
        for check in facts.stream.iter_mut().flat_map(|s| &mut s.checks) {
            check.detail = redactor.redact(&check.detail);
        }
        let mut records = Vec::new();
        if verdict != Verdict::Pass {
            records.extend(exchanges.iter().filter_map(|x| serde_json::to_value(x).ok()));
            records.iter_mut().for_each(|value| redactor.redact_value(value));
        }
        self.steps.push(StepOutcome {
            name: step.name.clone(),
            kind: step_kind(step).to_owned(),
            verdict,
            message,
            duration_seconds: started.elapsed().as_secs_f64(),
            hops,
            facts,
            exchanges: records,
        });
        verdict
    }
}

/// Whether a later license step opens a segment of this stream step.
fn wants_canary(steps: &[Step], name: &str) -> bool {
    steps
        .iter()
        .flat_map(|s| &s.license)
        .any(|l| l.open_canary && l.kids_from.as_deref() == Some(name))
}

fn judge_expectations(expressions: &[(Expression, Option<String>)], found: &Found) -> Result<(), Failure> {
    for (expression, message) in expressions {
        let say = |why: &str| {
            let said = message
                .clone()
                .unwrap_or_else(|| format!("expected {}", expression.source()));
            Failure::fail(Reason::ExpectationFailed, format!("{said}{why}"))
        };
        match expression.holds(&found.variables) {
            Ok(true) => {}
            Ok(false) => return Err(say("")),
            Err(error) => return Err(say(&format!(" ({error})"))),
        }
    }
    Ok(())
}

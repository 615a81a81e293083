//! A run: the steps of a plan in order, until one does not pass.

use crate::{
    ProbeState,
    clock::Clock,
    http, license,
    net::{Client, Door, Failure, Guard, PrepareError, Resolver, TlsSetup},
    scope::Scope,
    stream,
};
use drmwatch_api::{ExpectDenied, Header, Step};
use drmwatch_plan::{
    Expression, Hop, Outcome, Plan, Reason, Secrets, StepFacts, StepOutcome, Verdict, step_kind,
    step_variables,
};
use std::{collections::BTreeMap, time::Duration};
use tokio::time::Instant;

/// What all runs of a program share.
pub struct Engine {
    resolver: Resolver,
    clock: Clock,
}

/// A plan with everything compiled that need not be compiled in each run.
pub struct Prepared {
    plan: Plan,
    secrets: Secrets,
    client: Box<dyn Door>,
    expressions: Vec<Vec<(Expression, Option<String>)>>,
    regexes: BTreeMap<(String, String), regex::Regex>,
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

impl Prepared {
    /// Makes a plan ready. Fails when its credentials can't be used; that is the user's to mend.
    pub fn new(plan: Plan, secrets: Secrets, resolver: &Resolver) -> Result<Prepared, PrepareError> {
        let tls = TlsSetup::new(&plan.tls, &secrets)?;
        let client = Client::new(resolver.clone(), Guard::new(&plan.egress), tls);
        Prepared::behind(plan, secrets, Box::new(client))
    }

    /// Makes a plan ready that leaves by another door.
    pub fn behind(plan: Plan, secrets: Secrets, client: Box<dyn Door>) -> Result<Prepared, PrepareError> {
        let unusable = |e: String| PrepareError::Unusable(e);
        let mut expressions = Vec::new();
        let mut regexes = BTreeMap::new();
        for step in &plan.steps {
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
        Engine { resolver, clock }
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
        let (started_at, started) = (self.now(), Instant::now());
        let deadline = started + Duration::from_secs(u64::from(prepared.plan.timeout_seconds));
        let mut scope = Scope::new(&prepared.secrets);
        let mut findings = BTreeMap::new();
        let mut steps = Vec::new();
        for (step, expressions) in prepared.plan.steps.iter().zip(&prepared.expressions) {
            let step_started = Instant::now();
            let (mut hops, mut facts) = (Vec::new(), StepFacts::default());
            let mut context = Context {
                client: prepared.client.as_ref(),
                clock: self.clock,
                deadline,
                scope: &mut scope,
                hops: &mut hops,
                facts: &mut facts,
                regexes: &prepared.regexes,
            };
            let canary = wants_canary(&prepared.plan.steps, &step.name);
            let result = match (&step.http, &step.stream, &step.license) {
                (Some(http), _, _) => http::run(&mut context, step, http).await,
                (_, Some(stream), _) => {
                    stream::run(&mut context, step, stream, canary, state, &mut findings).await
                }
                (_, _, Some(license)) => license::run(&mut context, step, license, &findings).await,
                _ => Err(Failure::internal("the step has no kind")),
            };
            let result = result.and_then(|found| judge_expectations(expressions, &found));
            let (verdict, message) = match result {
                Ok(()) => (Verdict::Pass, String::new()),
                Err(failure) => (failure.verdict, scope.redactor.redact(&failure.message)),
            };
            for check in facts.stream.iter_mut().flat_map(|s| &mut s.checks) {
                check.detail = scope.redactor.redact(&check.detail);
            }
            steps.push(StepOutcome {
                name: step.name.clone(),
                kind: step_kind(step).to_owned(),
                verdict,
                message,
                duration_seconds: step_started.elapsed().as_secs_f64(),
                hops,
                facts,
            });
            if verdict != Verdict::Pass {
                break;
            }
        }
        let last = steps.last().filter(|s| s.verdict != Verdict::Pass);
        Outcome {
            verdict: last.map_or(Verdict::Pass, |s| s.verdict),
            step: last.map(|s| s.name.clone()),
            message: last.map(|s| s.message.clone()).unwrap_or_default(),
            started_at,
            duration_seconds: started.elapsed().as_secs_f64(),
            steps,
        }
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

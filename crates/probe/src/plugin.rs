//! Plug-ins: programs and services of the operator's own, for what speaks no protocol that is known here
//! (docs/plugins.md). JSON goes in and JSON comes out.

use crate::run::{Context, Found};
use drmwatch_api::{Hook, PluginStep, Step};
use drmwatch_net::{Failure, Request};
use drmwatch_outcome::{Reason, Verdict};
use serde_json::{Map, Value, json};
use std::process::Stdio;
use tokio::{io::AsyncWriteExt, process::Command, time::Instant};

/// Version of the contract.
const VERSION: u32 = 1;
/// Largest answer.
const MAX_ANSWER: usize = 1 << 20;

fn broken(message: String) -> Failure {
    Failure::inconclusive(Reason::PluginBroken, message)
}

/// Calls a plug-in: `kind` is what is asked of it, `ask` what it needs to know.
pub(crate) async fn call(
    context: &mut Context<'_, '_>,
    hook: &Hook,
    kind: &str,
    ask: Value,
) -> Result<Map<String, Value>, Failure> {
    let input = match &hook.input {
        None => Value::Null,
        Some(text) => serde_json::from_str(&context.scope.fill(text)?).map_err(|e| {
            Failure::inconclusive(
                Reason::ConfigurationInvalid,
                format!("the input must be JSON: {e}"),
            )
        })?,
    };
    let mut credentials = Map::new();
    for name in &hook.credentials {
        let value = context.scope.credential(name)?;
        credentials.insert(name.clone(), Value::String(value));
    }
    let left = context.deadline.saturating_duration_since(Instant::now());
    let document = json!({
        "version": VERSION,
        "kind": kind,
        "ask": ask,
        "input": input,
        "credentials": credentials,
        "deadlineSeconds": left.as_secs_f64(),
    })
    .to_string()
    .into_bytes();
    let answer = match (&hook.exec, &hook.url) {
        (Some(name), _) => exec(context, name, document).await?,
        (_, Some(url)) => post(context, url, document).await?,
        _ => return Err(broken("a plug-in must have exec or url".into())),
    };
    serde_json::from_slice(&answer)
        .map_err(|e| broken(format!("the plug-in must answer with a JSON object: {e}")))
}

async fn post(context: &mut Context<'_, '_>, url: &str, body: Vec<u8>) -> Result<Vec<u8>, Failure> {
    let request = Request {
        method: hyper::Method::POST,
        url: context.scope.fill(url)?,
        headers: vec![("content-type".into(), "application/json".into())],
        body,
        max_redirects: 0,
        max_body: MAX_ANSWER,
        truncate: false,
        address: None,
    };
    let sent = context
        .client
        .send(&request, context.deadline, context.hops)
        .await;
    // The plug-in is the operator's: when it is down, nothing is known of the tenant's service.
    let response = sent.map_err(|failure| broken(format!("the plug-in: {}", failure.message)))?;
    match response.status.is_success() {
        true => Ok(response.body.to_vec()),
        false => Err(broken(format!(
            "the plug-in answered {}",
            response.status.as_u16()
        ))),
    }
}

async fn exec(context: &Context<'_, '_>, name: &str, document: Vec<u8>) -> Result<Vec<u8>, Failure> {
    let folder = context
        .plugins
        .ok_or_else(|| broken("this runner has no plug-in folder (--plugins)".into()))?;
    // The API allows names only; this holds for plans that came another way.
    if name.contains(['/', '.']) {
        return Err(broken("a plug-in must be named, not a path".into()));
    }
    let fails = |what: &str| broken(format!("the plug-in {name} {what}"));
    let mut child = Command::new(folder.join(name))
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(|e| fails(&format!("can't be started: {}", e.kind())))?;
    let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
    let work = async {
        if let Some(mut stdin) = stdin {
            // One that does not read its input may still answer.
            let _ = stdin.write_all(&document).await;
        }
        let mut answer = Vec::new();
        if let Some(stdout) = stdout {
            use tokio::io::AsyncReadExt;
            let mut bounded = stdout.take(MAX_ANSWER as u64 + 1);
            bounded.read_to_end(&mut answer).await?;
        }
        Ok::<_, std::io::Error>((answer, child.wait().await?))
    };
    let (answer, status) = tokio::time::timeout_at(context.deadline, work)
        .await
        .map_err(|_| fails("did not answer in time"))?
        .map_err(|e| fails(&format!("can't be read: {}", e.kind())))?;
    if answer.len() > MAX_ANSWER {
        return Err(fails("answers with more than 1 MiB"));
    }
    match status.success() {
        true => Ok(answer),
        false => Err(fails(&format!("ended with {status}"))),
    }
}

/// The `plugin` step.
pub(crate) async fn run(
    context: &mut Context<'_, '_>,
    step: &Step,
    plugin: &PluginStep,
) -> Result<Found, Failure> {
    let started = Instant::now();
    let answer = call(context, &plugin.hook, "check", json!({ "step": step.name })).await?;
    let text = |name: &str| answer.get(name).and_then(Value::as_str).unwrap_or_default();
    let said = match text("message") {
        "" => "without a message".to_owned(),
        message => message.chars().take(512).collect(),
    };
    match text("outcome") {
        "Pass" => {}
        "Inconclusive" => return Err(broken(format!("the plug-in can't tell: {said}"))),
        "Fail" => {
            let reason = Reason::parse(text("reason")).unwrap_or(Reason::PluginFailed);
            return Err(Failure {
                verdict: Verdict::Fail(reason),
                message: said,
            });
        }
        _ => {
            return Err(broken(
                "the plug-in's outcome must be Pass, Fail or Inconclusive".into(),
            ));
        }
    }
    let outputs = answer.get("outputs").cloned().unwrap_or_default();
    for output in &plugin.outputs {
        let pointer = output.json_pointer.as_deref().unwrap_or_default();
        let value = match outputs.pointer(pointer) {
            Some(Value::String(text)) => text.clone(),
            Some(value @ (Value::Number(_) | Value::Bool(_))) => value.to_string(),
            _ => {
                return Err(broken(format!(
                    "the plug-in must give the output {}",
                    output.name
                )));
            }
        };
        context.scope.output(&step.name, &output.name, value, true);
    }
    Ok(Found {
        variables: json!({
            "outputs": outputs,
            "facts": answer.get("facts").cloned().unwrap_or_default(),
            "durationSeconds": started.elapsed().as_secs_f64(),
        }),
    })
}

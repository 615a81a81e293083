//! What references can refer to while a plan runs.

use drmwatch_outcome::{Reason, Verdict};
use drmwatch_plan::{Redactor, Reference, Secrets, Template};
use std::collections::BTreeMap;

use drmwatch_net::Failure;

/// Credentials and the outputs of the steps so far.
pub(crate) struct Scope<'a> {
    secrets: &'a Secrets,
    outputs: BTreeMap<(String, String), String>,
    pub redactor: Redactor,
}

impl<'a> Scope<'a> {
    pub fn new(secrets: &'a Secrets) -> Scope<'a> {
        let mut redactor = Redactor::default();
        secrets.values().for_each(|value| redactor.add(value));
        Scope {
            secrets,
            outputs: BTreeMap::new(),
            redactor,
        }
    }

    /// Adds an output. What a service answers may be a token, so it is treated as a secret from here on.
    pub fn output(&mut self, step: &str, name: &str, value: String, secret: bool) {
        if secret {
            self.redactor.add(&value);
        }
        self.outputs.insert((step.to_owned(), name.to_owned()), value);
    }

    /// Whether an output is there.
    pub fn has(&self, step: &str, output: &str) -> bool {
        self.outputs.contains_key(&(step.to_owned(), output.to_owned()))
    }

    /// The value of a credential.
    pub fn credential(&self, name: &str) -> Result<String, Failure> {
        self.fill(&format!("${{credentials.{name}}}"))
    }

    /// Fills the references of a text in.
    pub fn fill(&self, text: &str) -> Result<String, Failure> {
        let broken = |reason, message: String| Failure {
            verdict: Verdict::Inconclusive(reason),
            message,
        };
        let template =
            Template::parse(text).map_err(|e| broken(Reason::ConfigurationInvalid, e.to_string()))?;
        for reference in template.references() {
            if let Reference::Credential(name) = reference
                && self.secrets.get(name).is_none()
            {
                return Err(broken(
                    Reason::CredentialMissing,
                    format!("the credential {name} is not there"),
                ));
            }
        }
        template
            .render(|reference| match reference {
                Reference::Credential(name) => self.secrets.get(name),
                Reference::Output { step, output } => self
                    .outputs
                    .get(&(step.clone(), output.clone()))
                    .map(String::as_str),
            })
            .map_err(|e| broken(Reason::ConfigurationInvalid, e.to_string()))
    }
}

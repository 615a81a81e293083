//! `--selftest`: whether Zendesk lets the bridge do what it must. No account was at hand when it was written: here a user
//! finds out before the first incident does.

use crate::{
    options::Options,
    zendesk::{Error, Zendesk},
};
use drmwatch_program::say;
use drmwatch_tickets::Frozen;
use serde_json::{Value, json};
use std::process::ExitCode;

/// Asks, prints each answer, and succeeds if all are as they must be.
pub async fn run(zendesk: &Zendesk, options: &Options) -> ExitCode {
    let mut well = true;
    let mut say = |what: &str, result: Result<String, Error>| {
        well &= result.is_ok();
        match result {
            Ok(said) => say!("ok    {what}{}{said}", if said.is_empty() { "" } else { ": " }),
            Err(error) => say!("FAIL  {what}: {error}"),
        }
    };
    let name = |user: Value| format!("{} ({})", user["user"]["name"], user["user"]["role"]);
    say("the OAuth client is let in", zendesk.me().await.map(name));
    // A name that no incident has.
    let id = format!("drmwatch:selftest:{}", options.installation);
    let found = zendesk.tickets(&id).await.map(|t| format!("{} found", t.len()));
    say("tickets are found by external_id", found);
    if options.with_ticket {
        let body = json!({ "ticket": {
            "subject": "drmwatch selftest", "external_id": id, "tags": ["drmwatch", "drmwatch-selftest"], "type": "incident",
            "comment": { "body": "Made by drmwatch-bridge --selftest --with-ticket. It solves itself.", "public": false },
        } });
        let request = Frozen {
            key: format!("{id}:{}", drmwatch_program::now().as_millisecond()),
            body: body.to_string(),
        };
        let made = zendesk.create(&request).await;
        let again = zendesk.create(&request).await;
        match (made, again) {
            (Ok(made), Ok(again)) => {
                say("a ticket is made", Ok(format!("#{}", made.id)));
                say(
                    "the same request makes no second one",
                    match made.id == again.id {
                        true => Ok(String::new()),
                        false => Err(Error::Unavailable(format!("it made #{}", again.id))),
                    },
                );
                let change = json!({ "status": "solved", "comment": { "body": "Solved.", "public": false } });
                say(
                    "a ticket is solved",
                    zendesk.update(&again, change).await.map(|()| String::new()),
                );
            }
            (Err(error), _) | (_, Err(error)) => say("a ticket is made", Err(error)),
        }
    }
    match well {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

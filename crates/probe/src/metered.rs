//! The door of one run: every request carries the run's trace id, and is paid for from the tenant's budget.

use crate::budget::Account;
use drmwatch_net::{Door, Failure, Request, Response};
use drmwatch_outcome::{Hop, Reason};
use futures::future::BoxFuture;
use std::{
    net::IpAddr,
    sync::atomic::{AtomicBool, Ordering},
};
use tokio::time::Instant;
use url::Url;

pub(crate) struct Metered<'a> {
    door: &'a dyn Door,
    account: Option<&'a Account>,
    trace_id: String,
    always: AtomicBool,
}

impl<'a> Metered<'a> {
    pub fn new(door: &'a dyn Door, account: Option<&'a Account>) -> Metered<'a> {
        let id: u128 = rand::random();
        Metered {
            door,
            account,
            // All noughts are no trace id.
            trace_id: format!("{:032x}", id.max(1)),
            always: AtomicBool::new(false),
        }
    }

    /// Whether requests are made whatever the budget says: they give back what was taken.
    pub fn always(&self, on: bool) {
        self.always.store(on, Ordering::Relaxed);
    }

    pub fn trace_id(&self) -> &str {
        &self.trace_id
    }

    fn pay(&self, requests: usize) -> bool {
        let always = self.always.load(Ordering::Relaxed);
        self.account
            .is_none_or(|account| (0..requests).all(|_| account.take(always)))
    }
}

impl Door for Metered<'_> {
    fn send<'b>(
        &'b self,
        request: &'b Request,
        deadline: Instant,
        hops: &'b mut Vec<Hop>,
    ) -> BoxFuture<'b, Result<Response, Failure>> {
        Box::pin(async move {
            if !self.pay(1) {
                return Err(Failure::inconclusive(
                    Reason::BudgetExhausted,
                    "the tenant's request budget was used up during the run",
                ));
            }
            let span: u64 = rand::random();
            let mut marked = request.clone();
            marked.headers.push((
                "traceparent".into(),
                format!("00-{}-{:016x}-01", self.trace_id, span.max(1)),
            ));
            let before = hops.len();
            let answered = self.door.send(&marked, deadline, hops).await;
            // Redirects are requests as well; they have been made by now.
            let more = hops.len().saturating_sub(before + 1);
            if let Some(account) = self.account {
                for _ in 0..more {
                    account.take(true);
                }
            }
            answered
        })
    }

    fn addresses<'b>(
        &'b self,
        url: &'b Url,
        deadline: Instant,
    ) -> BoxFuture<'b, Result<Vec<IpAddr>, Failure>> {
        self.door.addresses(url, deadline)
    }
}

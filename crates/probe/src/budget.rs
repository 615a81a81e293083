//! How much a tenant's services may be asked for: one account for each tenant that has a budget.
//!
//! All resident probes of such a tenant run in one runner (`Plan::shard_key`), so that the account here is the whole one.

use drmwatch_api::Budget;
use drmwatch_outcome::ProbeId;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard},
};
use tokio::time::Instant;

/// One tenant's account.
pub(crate) struct Account {
    /// Requests in a minute.
    limit: Option<f64>,
    /// Runs at a time that hold a session.
    most_sessions: Option<u32>,
    state: Mutex<State>,
}

struct State {
    left: f64,
    filled: Instant,
    sessions: u32,
}

/// Every account.
#[derive(Default)]
pub(crate) struct Accounts(Mutex<BTreeMap<(String, String), Arc<Account>>>);

/// A session that is held while a run goes on.
pub(crate) struct Session(Option<Arc<Account>>);

impl Drop for Session {
    fn drop(&mut self) {
        if let Some(account) = &self.0 {
            let mut state = account.state();
            state.sessions = state.sessions.saturating_sub(1);
        }
    }
}

impl Accounts {
    /// The account of a probe's tenant. A budget that was changed begins anew.
    pub fn of(&self, id: &ProbeId, budget: &Budget) -> Arc<Account> {
        let key = (id.namespace.clone(), id.tenant.clone());
        let limit = budget.requests_per_minute.map(f64::from);
        let most_sessions = budget.concurrent_sessions.map(i32::unsigned_abs);
        let mut accounts = self.0.lock().unwrap_or_else(|e| e.into_inner());
        if let Some(found) = accounts.get(&key)
            && (found.limit, found.most_sessions) == (limit, most_sessions)
        {
            return found.clone();
        }
        let account = Arc::new(Account {
            limit,
            most_sessions,
            state: Mutex::new(State {
                left: limit.unwrap_or(0.0),
                filled: Instant::now(),
                sessions: 0,
            }),
        });
        accounts.insert(key, account.clone());
        account
    }
}

impl Account {
    /// The state, with what the time since has brought.
    fn state(&self) -> MutexGuard<'_, State> {
        let mut state = self.state.lock().unwrap_or_else(|e| e.into_inner());
        if let Some(limit) = self.limit {
            let now = Instant::now();
            let since = now.saturating_duration_since(state.filled).as_secs_f64();
            state.left = (state.left + since * limit / 60.0).min(limit);
            state.filled = now;
        }
        state
    }

    /// Begins a run; `None` where the budget does not allow one.
    pub fn begin(self: &Arc<Account>, session: bool) -> Result<Session, &'static str> {
        let mut state = self.state();
        if self.limit.is_some() && state.left < 1.0 {
            return Err("its requests of this minute are used up");
        }
        if !session {
            return Ok(Session(None));
        }
        if self.most_sessions.is_some_and(|most| state.sessions >= most) {
            return Err("as many sessions as it may have are open");
        }
        state.sessions += 1;
        drop(state);
        Ok(Session(Some(self.clone())))
    }

    /// Takes one request; whether it may be made. What gives back is always allowed, and paid for later.
    pub fn take(&self, always: bool) -> bool {
        if self.limit.is_none() {
            return true;
        }
        let mut state = self.state();
        if state.left < 1.0 && !always {
            return false;
        }
        state.left -= 1.0;
        true
    }

    /// What is left, as a share of the budget from 0 to 1.
    pub fn left(&self) -> Option<f64> {
        let limit = self.limit?;
        Some((self.state().left / limit).clamp(0.0, 1.0))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn id(tenant: &str) -> ProbeId {
        ProbeId {
            namespace: "ns".into(),
            tenant: tenant.into(),
            probe: "p".into(),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn requests_are_counted_by_tenant_and_come_back_with_time() {
        let accounts = Accounts::default();
        let budget = Budget {
            requests_per_minute: Some(6),
            concurrent_sessions: None,
        };
        let account = accounts.of(&id("a"), &budget);
        assert_eq!((0..10).filter(|_| account.take(false)).count(), 6);
        assert!(account.begin(false).is_err() && account.left() == Some(0.0));
        assert!(accounts.of(&id("b"), &budget).begin(false).is_ok());
        tokio::time::advance(Duration::from_secs(11)).await;
        assert!(accounts.of(&id("a"), &budget).begin(false).is_ok());
        assert!(account.take(false) && !account.take(false));
        // What is given back is paid for later.
        assert!(account.take(true));
        tokio::time::advance(Duration::from_secs(11)).await;
        assert!(!account.take(false));
    }

    #[tokio::test(start_paused = true)]
    async fn sessions_are_counted_while_they_are_held() {
        let budget = Budget {
            requests_per_minute: None,
            concurrent_sessions: Some(1),
        };
        let account = Accounts::default().of(&id("a"), &budget);
        let held = account.begin(true).unwrap();
        assert!(account.begin(true).is_err());
        assert!(account.begin(false).is_ok());
        drop(held);
        assert!(account.begin(true).is_ok());
    }
}

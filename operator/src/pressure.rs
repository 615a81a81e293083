//! How much the operator asks of the API server at once. One that says it has too much to do (429, or 503) is left alone
//! for as long as it asks, and then met by one reconcile at a time; with every ten that succeed one more may run beside
//! the others (additive increase, as TCP does after a loss; RFC 5681).

use crate::metered::Error;
use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};

/// Above what controllers do at once: no limit.
const MOST: u32 = 64;
/// So many that succeed earn one place.
const EARNED: u32 = 10;
/// An API server that does not say how long it wants to be left alone.
const LEAST: Duration = Duration::from_secs(1);
/// What it may ask for at most.
const LONGEST: Duration = Duration::from_secs(60);

/// How many reconciles may run, and from when on.
pub struct Pressure {
    state: Mutex<State>,
    /// One that waits may look again.
    news: Notify,
}

struct State {
    places: u32,
    running: u32,
    /// That have succeeded since the number of places changed.
    succeeded: u32,
    until: Instant,
}

/// A place of a reconcile that runs.
pub struct Place<'a>(&'a Pressure);

impl Default for Pressure {
    fn default() -> Pressure {
        let state = State {
            places: MOST,
            running: 0,
            succeeded: 0,
            until: Instant::now(),
        };
        Pressure {
            state: Mutex::new(state),
            news: Notify::new(),
        }
    }
}

impl Pressure {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until one more may run.
    pub async fn enter(&self) -> Place<'_> {
        loop {
            let news = self.news.notified();
            let until = {
                let mut state = self.state();
                if state.until <= Instant::now() && state.running < state.places {
                    state.running += 1;
                    return Place(self);
                }
                state.until
            };
            // Whoever leaves wakes one that waits; the end of a pause wakes all, of whom one gets in.
            tokio::select! {
                () = news => {}
                () = sleep_until(until), if until > Instant::now() => {}
            }
        }
    }

    /// Takes in how a reconcile ended.
    pub fn learn<T>(&self, result: &Result<T, Error>) {
        let mut state = self.state();
        match result {
            Ok(_) => {
                state.succeeded += 1;
                if state.succeeded >= EARNED && state.places < MOST {
                    (state.places, state.succeeded) = (state.places + 1, 0);
                    drop(state);
                    self.news.notify_one();
                }
            }
            Err(error) => {
                if let Some(asked) = asked(error) {
                    (state.places, state.succeeded) = (1, 0);
                    state.until = state.until.max(Instant::now() + asked.clamp(LEAST, LONGEST));
                }
            }
        }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.state().running -= 1;
        self.0.news.notify_one();
    }
}

/// For how long an API server that has too much to do wants to be left alone.
pub fn asked(error: &Error) -> Option<Duration> {
    let Error::Api(kube::Error::Api(status)) = error else {
        return None;
    };
    let seconds = status.details.as_ref().map_or(0, |d| d.retry_after_seconds);
    matches!(status.code, 429 | 503).then(|| Duration::from_secs(seconds.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use kube::core::Status;
    use std::sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    };
    use tokio::{task::JoinSet, time::sleep};

    fn busy(seconds: u32) -> Error {
        let status: Status = serde_json::from_value(serde_json::json!({
            "status": "Failure", "message": "", "reason": "TooManyRequests", "code": 429,
            "details": { "retryAfterSeconds": seconds },
        }))
        .unwrap();
        Error::Api(kube::Error::Api(Box::new(status)))
    }

    /// An API server that serves one at a time and refuses the others, asked by two hundred, each until it has succeeded.
    #[tokio::test(start_paused = true)]
    async fn an_api_server_with_one_seat_is_not_stormed_and_everybody_is_served() {
        let (pressure, seats) = (Arc::new(Pressure::default()), Arc::new(AtomicU32::new(1)));
        let refused = Arc::new(AtomicU32::new(0));
        let began = Instant::now();
        let mut all = JoinSet::new();
        for _ in 0..200 {
            let (pressure, seats, refused) = (pressure.clone(), seats.clone(), refused.clone());
            all.spawn(async move {
                loop {
                    let _place = pressure.enter().await;
                    let taken =
                        seats.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1));
                    sleep(Duration::from_millis(20)).await;
                    if taken.is_ok() {
                        seats.fetch_add(1, Ordering::Relaxed);
                        pressure.learn(&Ok(()));
                        return;
                    }
                    refused.fetch_add(1, Ordering::Relaxed);
                    pressure.learn::<()>(&Err(busy(1)));
                }
            });
        }
        while all.join_next().await.is_some() {}
        let (refused, took) = (refused.load(Ordering::Relaxed), began.elapsed().as_secs_f64());
        // The first ones could not know; then one is refused for every ten that succeed, and a pause of a second follows.
        assert!(refused < MOST + 30, "{refused}");
        assert!((10.0..60.0).contains(&took), "{took}");
        assert_eq!(pressure.state().running, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_left_alone_for_as_long_as_it_asks_and_not_for_ever() {
        for (seconds, waited) in [(0, 1), (25, 25), (100_000, 60)] {
            let (pressure, began) = (Pressure::default(), Instant::now());
            pressure.learn::<()>(&Err(busy(seconds)));
            drop(pressure.enter().await);
            assert_eq!(began.elapsed().as_secs(), waited);
        }
        // Other failures are nobody's wish to be left alone.
        let (pressure, began) = (Pressure::default(), Instant::now());
        pressure.learn::<()>(&Err(Error::Missing("namespace")));
        drop(pressure.enter().await);
        assert_eq!(began.elapsed(), Duration::ZERO);
    }
}

//! Tells the task of a plan how to end, and hears when it has. A channel of tokio's does the same, at four hundred bytes
//! for each of ten thousand probes.

use std::sync::{
    Arc,
    atomic::{AtomicU8, AtomicUsize, Ordering::SeqCst},
};
use tokio::sync::Notify;

/// How a plan's task is to end, once what runs has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// Not at all.
    Go,
    /// The runner hands it over, or leaves: the last outcome counts.
    Drain,
    /// A newer plan of the same probe has taken over: the slot counts, the outcome is old news.
    Replaced,
    /// The probe is no longer run here: its series are gone and must stay gone.
    Removed,
}

const ALL: [Stop; 4] = [Stop::Go, Stop::Drain, Stop::Replaced, Stop::Removed];

#[derive(Default)]
struct Shared {
    /// Place in [`ALL`].
    said: AtomicU8,
    hearers: AtomicUsize,
    /// Something was said, or the last who hears has gone.
    news: Notify,
}

impl Shared {
    /// Waits until `until` finds what it looks for.
    async fn wait<T>(&self, until: impl Fn() -> Option<T>) -> T {
        loop {
            let mut news = std::pin::pin!(self.news.notified());
            // What comes between the look and the wait is heard.
            news.as_mut().enable();
            if let Some(found) = until() {
                return found;
            }
            news.await;
        }
    }
}

/// The end that tells. Clones are the same.
#[derive(Clone)]
pub struct Stopper(Arc<Shared>);

/// The end that hears.
pub struct Stopped(Arc<Shared>);

/// Both ends; nothing is said yet.
pub fn stop() -> (Stopper, Stopped) {
    let shared = Arc::new(Shared::default());
    shared.hearers.store(1, SeqCst);
    (Stopper(shared.clone()), Stopped(shared))
}

impl Stopper {
    /// Tells.
    pub fn tell(&self, stop: Stop) {
        let place = ALL.iter().position(|s| *s == stop).unwrap_or_default();
        self.0.said.store(place as u8, SeqCst);
        self.0.news.notify_waiters();
    }

    /// Waits until nobody hears any more: all that ran has ended.
    pub async fn ended(&self) {
        let shared = &self.0;
        shared
            .wait(|| (shared.hearers.load(SeqCst) == 0).then_some(()))
            .await
    }
}

impl Stopped {
    /// What was said last.
    pub fn said(&self) -> Stop {
        ALL.get(usize::from(self.0.said.load(SeqCst)))
            .copied()
            .unwrap_or(Stop::Go)
    }

    /// Waits until it is not to go on.
    pub async fn stopped(&self) -> Stop {
        self.0
            .wait(|| Some(self.said()).filter(|stop| *stop != Stop::Go))
            .await
    }
}

impl Clone for Stopped {
    fn clone(&self) -> Stopped {
        self.0.hearers.fetch_add(1, SeqCst);
        Stopped(self.0.clone())
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        if self.0.hearers.fetch_sub(1, SeqCst) == 1 {
            self.0.news.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::time::timeout;

    #[tokio::test(start_paused = true)]
    async fn all_hear_and_the_end_of_the_last_is_heard() {
        let (stopper, stopped) = stop();
        let others: Vec<_> = (0..3)
            .map(|_| {
                let other = stopped.clone();
                tokio::spawn(async move { other.stopped().await })
            })
            .collect();
        let second = Duration::from_secs(1);
        assert!(timeout(second, stopped.stopped()).await.is_err());
        stopper.tell(Stop::Drain);
        assert_eq!(
            (stopped.stopped().await, stopped.said()),
            (Stop::Drain, Stop::Drain)
        );
        for other in others {
            assert_eq!(other.await.unwrap(), Stop::Drain);
        }
        assert!(timeout(second, stopper.ended()).await.is_err());
        let waits = tokio::spawn(async move { stopper.ended().await });
        tokio::task::yield_now().await;
        drop(stopped);
        waits.await.unwrap();
    }

    #[test]
    fn it_is_small() {
        assert!(size_of::<Shared>() <= 64, "{}", size_of::<Shared>());
    }
}

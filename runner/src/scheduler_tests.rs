//! Slots in virtual time: what a Kubernetes CronJob does with the same schedule, and the account of every slot.
//!
//! The cases are those of the CronJob controller's own tables (`cronjob_controllerv2_test.go`): with a prior run that goes
//! on, by policy; past the deadline; after a pause; clocks that are set.

use super::*;
use drmwatch_plan::Hop;
use drmwatch_probe::net::{Door, Failure, Request, Resolver, Response};
use futures::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};
use std::{cell::Cell, net::IpAddr};
use tokio::time::Instant;

thread_local! {
    /// Where virtual time began, and by how much the wall clock was set since, seconds.
    static BEGAN: Cell<Option<Instant>> = const { Cell::new(None) };
    static SET: Cell<i64> = const { Cell::new(0) };
}

const NOON: i64 = 1_767_268_800; // 2026-01-01T12:00:00Z

fn wall() -> Timestamp {
    let began = BEGAN.get().unwrap_or_else(Instant::now);
    BEGAN.set(Some(began));
    let since = SignedDuration::try_from(Instant::now().duration_since(began)).unwrap();
    Timestamp::from_second(NOON + 20 + SET.get()).unwrap() + since
}

/// Every request takes that long and fails.
struct Slow(u64);

impl Door for Slow {
    fn send<'a>(
        &'a self,
        _: &'a Request,
        _: Instant,
        _: &'a mut Vec<Hop>,
    ) -> BoxFuture<'a, Result<Response, Failure>> {
        Box::pin(async move {
            sleep(Duration::from_secs(self.0)).await;
            Err(Failure::fail(Reason::ConnectionRefused, "a stub"))
        })
    }
    fn addresses<'a>(&'a self, _: &'a url::Url, _: Instant) -> BoxFuture<'a, Result<Vec<IpAddr>, Failure>> {
        Box::pin(async { Ok(Vec::new()) })
    }
}

/// Counts of slots.
#[derive(Debug, PartialEq)]
struct Account {
    expected: f64,
    finished: f64,
    late: f64,
    overlap: f64,
    replaced: f64,
    running: f64,
}

impl Account {
    /// Every slot is accounted for, at any instant.
    fn holds(&self) {
        let known = self.finished + self.late + self.overlap + self.replaced + self.running;
        assert_eq!(self.expected, known, "{self:?}");
    }
}

struct Bench {
    metrics: drmwatch_metrics::Metrics,
    owner: Owner,
    stop: watch::Sender<Stop>,
    task: JoinHandle<()>,
}

impl Bench {
    fn start(schedule: serde_json::Value, seconds: u64) -> Bench {
        BEGAN.set(None);
        SET.set(0);
        // An interval is longer than its timeout.
        let timeout = if schedule["cron"].is_string() { 500 } else { 50 };
        let probe = serde_json::json!({
            "apiVersion": "drmwatch.io/v1alpha1", "kind": "DrmProbe", "metadata": { "name": "p", "namespace": "n" },
            "spec": { "tenantRef": { "name": "t" }, "schedule": schedule, "timeoutSeconds": timeout,
                "steps": [{ "name": "s", "http": { "url": "http://example.com/" } }] },
        });
        let tenant = serde_json::json!({
            "apiVersion": "drmwatch.io/v1alpha1", "kind": "MonitoredTenant",
            "metadata": { "name": "t", "namespace": "n" }, "spec": { "displayName": "T" },
        });
        let (tenant, probe) = (
            serde_json::from_value(tenant).unwrap(),
            serde_json::from_value(probe).unwrap(),
        );
        let plan = drmwatch_plan::compile(&tenant, &probe, "r", &Default::default()).unwrap();
        let due = Due::of(&plan).unwrap().unwrap();
        let owner = Owner::probe(&plan.id, &plan.region);
        let metrics = drmwatch_metrics::Metrics::default();
        let (sink, _) = Sink::new(metrics.clone(), None);
        let (stop, stopped) = watch::channel(Stop::Go);
        let run = Run {
            engine: Arc::new(Engine::new(Resolver::system().unwrap(), wall)),
            sink,
            memory: Memory::default(),
            prepared: Arc::new(Prepared::behind(plan, Secrets::default(), Box::new(Slow(seconds))).unwrap()),
            due,
            stopped,
        };
        let task = tokio::spawn(run.forever());
        Bench {
            metrics,
            owner,
            stop,
            task,
        }
    }

    fn account(&self) -> Account {
        let of = |metric, labels: &[&str]| self.metrics.value(metric, &self.owner, labels).unwrap_or(0.0);
        let running = self.metrics.value(&RUNNER_IN_FLIGHT, &Owner::program(), &[]);
        Account {
            expected: of(&SLOTS_EXPECTED, &[]),
            finished: of(&SLOTS_FINISHED, &[]),
            late: of(&SLOTS_MISSED, &[LATE]),
            overlap: of(&SLOTS_MISSED, &[OVERLAP]),
            replaced: of(&SLOTS_MISSED, &[REPLACED]),
            running: running.unwrap_or(0.0),
        }
    }

    /// Lets virtual time pass; the account holds at every second of it.
    async fn pass(&self, seconds: u64) -> Account {
        for _ in 0..seconds {
            sleep(Duration::from_secs(1)).await;
            self.account().holds();
        }
        self.account()
    }

    async fn end(self) {
        self.stop.send(Stop::Drain).unwrap();
        self.task.await.unwrap();
    }
}

fn cron(policy: &str) -> serde_json::Value {
    serde_json::json!({ "cron": "* * * * *", "concurrencyPolicy": policy })
}

#[tokio::test(start_paused = true)]
async fn each_minute_runs_once_and_nothing_runs_before_its_time() {
    let bench = Bench::start(cron("Forbid"), 1);
    // Its first slot was 20 s ago: it may have been another runner's, so it runs.
    assert_eq!(bench.pass(30).await.finished, 1.0);
    let account = bench.pass(600).await;
    assert_eq!((account.expected, account.finished), (11.0, 11.0));
    bench.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_prior_run_forbids_is_joined_or_is_replaced() {
    // Runs take a minute and a half.
    let bench = Bench::start(cron("Forbid"), 90);
    let account = bench.pass(3600).await;
    assert!(
        account.overlap >= 18.0 && account.replaced == 0.0 && account.finished >= 39.0,
        "{account:?}"
    );
    bench.end().await;
    let bench = Bench::start(cron("Allow"), 90);
    let account = bench.pass(3600).await;
    assert!(
        account.running >= 1.0 && account.overlap == 0.0 && account.finished >= 58.0,
        "{account:?}"
    );
    bench.end().await;
    let bench = Bench::start(cron("Replace"), 90);
    let account = bench.pass(3600).await;
    assert!(
        account.finished == 0.0 && account.replaced >= 59.0 && account.running == 1.0,
        "{account:?}"
    );
    bench.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_slot_past_its_deadline_is_missed_and_said_to_be() {
    // The run before ends half a minute into the next slot, whose deadline is ten seconds.
    let schedule = serde_json::json!({ "cron": "* * * * *", "startingDeadlineSeconds": 10 });
    let bench = Bench::start(schedule, 90);
    let account = bench.pass(3600).await;
    assert!(account.late >= 25.0 && account.finished >= 25.0, "{account:?}");
    bench.end().await;
}

#[tokio::test(start_paused = true)]
async fn clocks_that_are_set_neither_storm_nor_starve() {
    for schedule in [cron("Forbid"), serde_json::json!({ "intervalSeconds": 60 })] {
        for jump in [90, -90, 3600, -3600, 86_400 * 3] {
            let bench = Bench::start(schedule.clone(), 1);
            let before = bench.pass(300).await;
            SET.set(jump);
            let account = bench.pass(600).await;
            let ran = account.finished - before.finished;
            // Ten minutes, ten runs: one more or less where the jump fell.
            assert!((9.0..=12.0).contains(&ran), "{jump}: {ran} runs, {account:?}");
            let expected = if jump > 0 { (jump / 60) as f64 } else { 0.0 };
            assert!(account.late >= expected.min(9_000.0) - 2.0, "{jump}: {account:?}");
            bench.end().await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_slept_runs_once_and_says_what_it_missed() {
    let bench = Bench::start(serde_json::json!({ "cron": "0 * * * *" }), 1);
    bench.pass(10).await;
    // Virtual time stands still; the wall clock goes on for ten hours.
    SET.set(36_000);
    let account = bench.pass(60).await;
    assert_eq!(
        (account.expected, account.finished, account.late),
        (11.0, 2.0, 9.0),
        "{account:?}"
    );
    bench.end().await;
}

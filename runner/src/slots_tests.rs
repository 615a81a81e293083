//! Slots in virtual time: what a Kubernetes CronJob does with the same schedule, and the account of every slot.
//!
//! The cases are those of the CronJob controller's own tables (`cronjob_controllerv2_test.go`): with a prior run that goes
//! on, by policy; past the deadline; after a pause; clocks that are set.

use super::*;
use crate::{scheduler::Scheduler, stop::Stopper};
use drmwatch_net::{Door, Failure, Request, Resolver, Response};
use drmwatch_outcome::{Cause, Hop};
use drmwatch_plan::Secrets;
use futures::future::BoxFuture;
use serde_json::{Value, json};
use std::{
    cell::Cell,
    collections::BTreeMap,
    net::IpAddr,
    sync::atomic::{AtomicUsize, Ordering},
};
use tokio::{task::JoinHandle, time::Instant};

thread_local! {
    /// When virtual time began, and by how much the wall clock was set since, seconds.
    static BEGAN: Cell<Option<Instant>> = const { Cell::new(None) };
    static SET: Cell<i64> = const { Cell::new(0) };
    static FROM: Cell<i64> = const { Cell::new(0) };
}

const NOON: i64 = 1_767_268_800; // 2026-01-01T12:00:00Z

fn wall() -> Timestamp {
    let began = BEGAN.get().unwrap_or_else(Instant::now);
    BEGAN.set(Some(began));
    let since = SignedDuration::try_from(Instant::now().duration_since(began)).unwrap();
    Timestamp::from_second(FROM.get() + SET.get()).unwrap() + since
}

/// Every request takes that long. The pattern tells of each, over and over, whether it is answered or fails.
struct Slow(u64, &'static [bool], AtomicUsize);

const ANSWERED: &[bool] = &[true];
/// Nor does it end by its deadline.
const NEVER: &[bool] = &[];

impl Door for Slow {
    fn send<'a>(
        &'a self,
        request: &'a Request,
        deadline: Instant,
        _: &'a mut Vec<Hop>,
    ) -> BoxFuture<'a, Result<Response, Failure>> {
        Box::pin(async move {
            if self.1.is_empty() {
                sleep(Duration::from_secs(self.0)).await;
            }
            let (n, seconds) = (
                self.2.fetch_add(1, Ordering::Relaxed),
                Duration::from_secs(self.0),
            );
            if tokio::time::timeout_at(deadline, sleep(seconds)).await.is_err() {
                return Err(Failure::fail(Reason::Timeout, "a stub"));
            }
            if self.1[n % self.1.len()] {
                return Ok(Response {
                    status: Default::default(),
                    headers: Default::default(),
                    body: Default::default(),
                    url: request.url.parse().unwrap(),
                });
            }
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
    started: f64,
    finished: f64,
    missed: BTreeMap<&'static str, f64>,
    running: f64,
}

impl Account {
    /// Every slot is accounted for, at any instant.
    fn holds(&self) {
        let known = self.finished + self.missed.values().sum::<f64>() + self.running;
        assert_eq!(self.expected, known, "{self:?}");
    }

    fn missed(&self, cause: Cause) -> f64 {
        self.missed[cause.label()]
    }
}

fn account(metrics: &Metrics, owner: &Owner) -> Account {
    let of = |metric| metrics.value(metric, owner, &[]).unwrap_or(0.0);
    let by = |cause| metrics.value(&SLOTS_MISSED, owner, &[cause]).unwrap_or(0.0);
    let running = metrics.value(&RUNNER_IN_FLIGHT, &Owner::program(), &[]);
    let missed = Cause::ALL.into_iter().map(Cause::label);
    Account {
        expected: of(&SLOTS_EXPECTED),
        started: of(&SLOTS_STARTED),
        finished: of(&SLOTS_FINISHED),
        missed: missed.map(|cause| (cause, by(cause))).collect(),
        running: running.unwrap_or(0.0),
    }
}

struct Bench {
    metrics: Metrics,
    owner: Owner,
    load: Load,
    stop: Stopper,
    task: JoinHandle<()>,
}

fn plan(name: &str, tenant: Value, schedule: &Value, timeout: u32) -> Plan {
    let probe = json!({
        "apiVersion": "drmwatch.io/v1alpha1", "kind": "DrmProbe", "metadata": { "name": name, "namespace": "n" },
        "spec": { "tenantRef": { "name": tenant["metadata"]["name"] }, "schedule": schedule, "timeoutSeconds": timeout,
            "steps": [{ "name": "s", "http": { "url": "http://example.com/" } }] },
    });
    let (tenant, probe) = (
        serde_json::from_value(tenant).unwrap(),
        serde_json::from_value(probe).unwrap(),
    );
    drmwatch_plan::compile(&tenant, &probe, "r", &Default::default()).unwrap()
}

fn tenant(name: &str) -> Value {
    json!({
        "apiVersion": "drmwatch.io/v1alpha1", "kind": "MonitoredTenant",
        "metadata": { "name": name, "namespace": "n" }, "spec": { "displayName": "T" },
    })
}

fn shared(places: usize) -> Shared {
    Shared {
        engine: Arc::new(Engine::new(Resolver::system().unwrap(), wall)),
        sink: Sink::new(Metrics::default(), None, false).0,
        memory: Memory::default(),
        gate: Gate::new(places),
        load: Load::default(),
    }
}

fn slots(
    shared: &Arc<Shared>,
    plan: Plan,
    (seconds, answered): (u64, &'static [bool]),
    stopped: Stopped,
) -> Slots {
    Slots {
        shared: shared.clone(),
        owner: Owner::probe(&plan.id, &plan.region),
        lanes: shared.gate.lanes(&plan),
        due: Due::of(&plan).unwrap().unwrap(),
        steps: Memory::steps(&plan),
        unowned: None,
        excluded: Default::default(),
        stopped,
        prepared: Arc::new(
            Prepared::behind(
                plan,
                Secrets::default(),
                Box::new(Slow(seconds, answered, AtomicUsize::new(0))),
            )
            .unwrap(),
        ),
    }
}

impl Bench {
    /// Runs a schedule whose runs take so many seconds, from noon and twenty seconds on.
    fn start(schedule: Value, seconds: u64) -> Bench {
        Bench::from(NOON + 20, schedule, (seconds, ANSWERED), None, tenant("t"))
    }

    fn from(
        from: i64,
        schedule: Value,
        runs: (u64, &'static [bool]),
        unowned: Option<i64>,
        tenant: Value,
    ) -> Bench {
        BEGAN.set(None);
        SET.set(0);
        FROM.set(from);
        // An interval is longer than its timeout.
        let timeout = schedule["intervalSeconds"]
            .as_u64()
            .map_or(500, |s| s as u32 - 10);
        let shared = Arc::new(shared(100));
        let (stop, stopped) = crate::stop::stop();
        let plan = plan("p", tenant, &schedule, timeout);
        let mut slots = slots(&shared, plan, runs, stopped);
        slots.unowned = unowned.map(|second| Timestamp::from_second(second).unwrap());
        Bench {
            metrics: shared.sink.metrics.clone(),
            owner: slots.owner.clone(),
            load: shared.load.clone(),
            stop,
            task: tokio::spawn(slots.forever()),
        }
    }

    fn account(&self) -> Account {
        account(&self.metrics, &self.owner)
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
        self.stop.tell(Stop::Drain);
        self.task.await.unwrap();
    }
}

fn cron(policy: &str) -> Value {
    json!({ "cron": "* * * * *", "concurrencyPolicy": policy })
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
        account.missed(Cause::Overlap) >= 18.0
            && account.missed(Cause::Replaced) == 0.0
            && account.finished >= 39.0,
        "{account:?}"
    );
    bench.end().await;
    let bench = Bench::start(cron("Allow"), 90);
    let account = bench.pass(3600).await;
    assert!(
        account.running >= 1.0 && account.missed(Cause::Overlap) == 0.0 && account.finished >= 58.0,
        "{account:?}"
    );
    bench.end().await;
    let bench = Bench::start(cron("Replace"), 90);
    let account = bench.pass(3600).await;
    assert!(
        account.finished == 0.0 && account.missed(Cause::Replaced) >= 59.0 && account.running == 1.0,
        "{account:?}"
    );
    bench.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_slot_past_its_deadline_is_missed_and_said_to_be() {
    // The run before ends half a minute into the next slot, whose deadline is ten seconds.
    let schedule = json!({ "cron": "* * * * *", "startingDeadlineSeconds": 10 });
    let bench = Bench::start(schedule, 90);
    let account = bench.pass(3600).await;
    assert!(
        account.missed(Cause::Late) >= 25.0 && account.finished >= 25.0,
        "{account:?}"
    );
    bench.end().await;
}

#[tokio::test(start_paused = true)]
async fn clocks_that_are_set_neither_storm_nor_starve() {
    for schedule in [cron("Forbid"), json!({ "intervalSeconds": 60 })] {
        for jump in [90, -90, 3600, -3600, 86_400 * 3] {
            let bench = Bench::start(schedule.clone(), 1);
            let before = bench.pass(300).await;
            SET.set(jump);
            let account = bench.pass(600).await;
            let ran = account.finished - before.finished;
            // Ten minutes, ten runs: one more or less where the jump fell.
            assert!((9.0..=12.0).contains(&ran), "{jump}: {ran} runs, {account:?}");
            let expected = if jump > 0 { (jump / 60) as f64 } else { 0.0 };
            assert!(
                account.missed(Cause::Late) >= expected.min(9_000.0) - 2.0,
                "{jump}: {account:?}"
            );
            bench.end().await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_slept_runs_once_and_says_what_it_missed() {
    let bench = Bench::start(json!({ "cron": "0 * * * *" }), 1);
    bench.pass(10).await;
    // Virtual time stands still; the wall clock goes on for ten hours.
    SET.set(36_000);
    let account = bench.pass(60).await;
    assert_eq!(
        (account.expected, account.finished, account.missed(Cause::Late)),
        (11.0, 2.0, 9.0),
        "{account:?}"
    );
    bench.end().await;
}

/// The CronJob controller's own table (`TestControllerV2SyncCronJob`): an hourly schedule, what ran before, and a look at
/// one instant. Its deadlines: short ten seconds, medium an hour and two minutes, long many days.
#[tokio::test(start_paused = true)]
async fn the_tables_of_the_cron_job_controller() {
    let at = |text: &str| text.parse::<Timestamp>().unwrap().as_second();
    let (not_time, is_time) = (at("2016-05-19T09:59:00Z"), at("2016-05-19T10:01:00Z"));
    let (past, week) = (at("2016-05-19T10:12:00Z"), at("2016-05-26T10:00:00Z"));
    #[derive(Clone, Copy, PartialEq, Debug)]
    enum Before {
        Never,
        Done,
        Active,
    }
    use Before::*;
    let (none, short, medium, long) = (i32::MAX as i64 / 2, 10, 2 * 3600 - 10, 1_000_000);
    // What ran before, deadline, now; whether Allow, Forbid and Replace run.
    let table = [
        (Never, none, not_time, [false, false, false]),
        (Never, none, is_time, [true, true, true]),
        (Never, short, past, [false, false, false]),
        (Never, long, is_time, [true, true, true]),
        (Done, none, not_time, [false, false, false]),
        (Done, none, is_time, [true, true, true]),
        (Done, short, past, [false, false, false]),
        (Done, long, is_time, [true, true, true]),
        (Active, none, not_time, [false, false, false]),
        (Active, none, is_time, [true, false, true]),
        (Active, short, past, [false, false, false]),
        (Active, long, is_time, [true, false, true]),
        (Done, long, week, [true, true, true]),
        (Done, none, week, [true, true, true]),
        (Done, medium, week, [true, true, true]),
        (Done, short, week, [true, true, true]),
    ];
    // `@every` counts from when the probe was made: here on the hour.
    let schedules = [
        ("0 * * * ?", None),
        ("0 * * * ?", Some("America/New_York")),
        ("@every 1h", None),
    ];
    for (cron, zone) in schedules {
        for (before, deadline, now, expected) in table {
            for (policy, expected) in ["Allow", "Forbid", "Replace"].into_iter().zip(expected) {
                let mut schedule =
                    json!({ "cron": cron, "concurrencyPolicy": policy, "startingDeadlineSeconds": deadline });
                if let Some(zone) = zone {
                    schedule["timeZone"] = json!(zone);
                }
                // New after the prior hour, or a minute before it.
                let from = at("2016-05-19T09:01:00Z") - if before == Never { 0 } else { 120 };
                let took = if before == Active { 100_000 } else { 1 };
                let bench = Bench::from(from, schedule, (took, ANSWERED), None, tenant("t"));
                let first = bench.pass(90).await;
                assert_eq!(first.started, f64::from(u8::from(before != Never)), "{before:?}");
                SET.set(now - from - 90);
                let account = bench.pass(6).await;
                let ran = account.started - first.started;
                let cell =
                    format!("{before:?} deadline {deadline} at {now} {policy} {cron} {zone:?}: {account:?}");
                assert_eq!(ran, f64::from(u8::from(expected)), "{cell}");
                let replaced = expected && before == Active && policy == "Replace";
                assert_eq!(
                    account.missed(Cause::Replaced),
                    f64::from(u8::from(replaced)),
                    "{cell}"
                );
                bench.task.abort();
            }
        }
    }
    // "this ran but done, time drifted back": the slot that has run is not run again.
    let from = at("2016-05-19T09:59:50Z");
    let bench = Bench::from(
        from,
        json!({ "cron": "0 * * * ?" }),
        (1, ANSWERED),
        None,
        tenant("t"),
    );
    assert_eq!(bench.pass(15).await.started, 1.0);
    SET.set(-6);
    assert_eq!(bench.pass(3).await.started, 1.0);
    bench.end().await;
}

#[tokio::test(start_paused = true)]
async fn what_nobody_had_is_said_to_be_missed_and_the_current_slot_runs() {
    // The last owner was seen alive five minutes before.
    let seconds = NOON + 20;
    let bench = Bench::from(
        seconds,
        json!({ "intervalSeconds": 60 }),
        (1, ANSWERED),
        Some(seconds - 300),
        tenant("t"),
    );
    let account = bench.pass(1).await;
    assert_eq!(
        (account.expected, account.missed(Cause::NoOwner), account.running),
        (5.0, 4.0, 1.0),
        "{account:?}"
    );
    bench.end().await;
    // An hourly one, half an hour late, with a minute's grace: as gone as it would be for a CronJob.
    let half_past = NOON + 1800;
    for (deadline, runs) in [(60, 0.0), (3000, 1.0)] {
        let schedule = json!({ "cron": "0 * * * *", "startingDeadlineSeconds": deadline });
        let bench = Bench::from(
            half_past,
            schedule,
            (1, ANSWERED),
            Some(half_past - 7200),
            tenant("t"),
        );
        let account = bench.pass(3).await;
        assert_eq!(
            (account.expected, account.finished, account.missed(Cause::NoOwner)),
            (2.0, runs, 2.0 - runs),
            "{account:?}"
        );
        bench.end().await;
    }
}

#[tokio::test(start_paused = true)]
async fn who_comes_in_the_last_second_of_a_slot_leaves_it_and_runs_the_next() {
    let mut left = 0;
    for offset in 0..60 {
        let seconds = NOON + offset;
        let bench = Bench::from(
            seconds,
            json!({ "intervalSeconds": 60 }),
            (1, ANSWERED),
            Some(seconds - 300),
            tenant("t"),
        );
        let account = bench.pass(2).await;
        match account.missed(Cause::NoOwner) {
            4.0 => assert_eq!(account.started, account.expected - 4.0, "{account:?}"),
            _ => {
                left += 1;
                assert_eq!(
                    (account.expected, account.missed(Cause::NoOwner), account.started),
                    (6.0, 5.0, 1.0),
                    "{account:?}"
                );
            }
        }
        bench.end().await;
    }
    assert_eq!(left, 1);
}

#[tokio::test(start_paused = true)]
async fn a_slot_that_the_budget_does_not_allow_is_missed_for_it() {
    let mut poor = tenant("t");
    poor["spec"]["budget"] = json!({ "requestsPerMinute": 1 });
    let bench = Bench::from(
        NOON + 20,
        json!({ "intervalSeconds": 30 }),
        (1, ANSWERED),
        None,
        poor,
    );
    // The stub's door does not pay for redirects; two slots a minute, one request a minute.
    let account = bench.pass(600).await;
    assert!(
        account.missed(Cause::Budget) >= 9.0 && account.finished >= 9.0,
        "{account:?}"
    );
    bench.end().await;
}

#[tokio::test(start_paused = true)]
async fn who_floods_makes_no_neighbour_wait() {
    BEGAN.set(None);
    SET.set(0);
    FROM.set(NOON + 20);
    let shared = Arc::new(shared(8));
    let (_stop, stopped) = crate::stop::stop();
    // Twenty probes of one tenant, whose server answers nobody, and one of a neighbour on another host.
    let stuck: Vec<Slots> = (0..20)
        .map(|n| {
            let plan = plan(
                &format!("stuck{n}"),
                tenant("flood"),
                &json!({ "intervalSeconds": 60 }),
                50,
            );
            slots(&shared, plan, (45, ANSWERED), stopped.clone())
        })
        .collect();
    let mut fine = plan("fine", tenant("fine"), &json!({ "intervalSeconds": 60 }), 50);
    fine.steps[0].http.as_mut().unwrap().url = "http://neighbour.example/".into();
    let fine = slots(&shared, fine, (1, ANSWERED), stopped.clone());
    let owners: Vec<Owner> = stuck.iter().map(|s| s.owner.clone()).collect();
    let (metrics, neighbour) = (shared.sink.metrics.clone(), fine.owner.clone());
    stuck
        .into_iter()
        .chain([fine])
        .for_each(|s| drop(tokio::spawn(s.forever())));
    sleep(Duration::from_secs(600)).await;
    let of = |owner: &Owner, metric| metrics.value(metric, owner, &[]).unwrap_or(0.0);
    let by = |owner: &Owner, cause: Cause| {
        metrics
            .value(&SLOTS_MISSED, owner, &[cause.label()])
            .unwrap_or(0.0)
    };
    assert!(of(&neighbour, &SLOTS_FINISHED) >= 10.0);
    for cause in Cause::ALL {
        assert_eq!(by(&neighbour, cause), 0.0, "{cause:?}");
    }
    // A quarter of eight places is two: the flood gets two runs in 45 s, and what it misses is told.
    let finished: f64 = owners.iter().map(|o| of(o, &SLOTS_FINISHED)).sum();
    let missed = |o: &Owner| -> f64 { Cause::ALL.into_iter().map(|c| by(o, c)).sum() };
    let missed: f64 = owners.iter().map(missed).sum();
    let expected: f64 = owners.iter().map(|o| of(o, &SLOTS_EXPECTED)).sum();
    assert!(
        (22.0..=30.0).contains(&finished) && missed > 150.0,
        "{finished} {missed}"
    );
    let open = metrics
        .value(&RUNNER_IN_FLIGHT, &Owner::program(), &[])
        .unwrap_or(0.0);
    assert_eq!(expected, finished + missed + open);
}

#[tokio::test(start_paused = true)]
async fn what_never_ends_is_seen_and_accounted_for_at_the_end() {
    let minutely = json!({ "intervalSeconds": 60 });
    let bench = Bench::from(NOON + 20, minutely, (1_000_000, NEVER), None, tenant("t"));
    bench.pass(70).await;
    assert_eq!(bench.load.wedged(), None);
    bench.pass(20).await;
    assert!(
        bench.load.wedged().is_some(),
        "the run should have ended after 50 s"
    );
    bench.task.abort();

    BEGAN.set(None);
    let (sink, _) = Sink::new(Metrics::default(), None, false);
    let metrics = sink.metrics.clone();
    let engine = Arc::new(Engine::new(Resolver::system().unwrap(), wall));
    let mut scheduler = Scheduler::new(engine, sink, 10);
    let plan = plan("p", tenant("t"), &json!({ "intervalSeconds": 60 }), 50);
    let owner = Owner::probe(&plan.id, &plan.region);
    scheduler.upsert(plan, Secrets::default(), 1, None);
    tokio::task::yield_now().await;
    tokio::task::yield_now().await;
    scheduler.shut_down(Duration::ZERO).await;
    let account = account(&metrics, &owner);
    let ended = account.finished + account.missed.values().sum::<f64>();
    assert_eq!(account.expected, ended, "{account:?}");
}

#[tokio::test(start_paused = true)]
async fn what_is_drained_can_go_on_and_no_slot_is_lost_on_the_way() {
    for waited in [0, 3, 4, 5, 11, 60, 3600] {
        BEGAN.set(None);
        SET.set(0);
        FROM.set(NOON + 20);
        let shared = shared(8);
        let metrics = shared.sink.metrics.clone();
        let mut scheduler = Scheduler::with(shared);
        let mut plan = plan("p", tenant("t"), &json!({ "intervalSeconds": 5 }), 4);
        // Nobody listens there.
        plan.steps[0].http.as_mut().unwrap().url = "http://127.0.0.1:9/".into();
        let owner = Owner::probe(&plan.id, &plan.region);
        let (uids, began) = ([plan.uid.clone()], wall());
        scheduler.upsert(plan, Secrets::default(), 1, None);
        sleep(Duration::from_secs(62)).await;
        let since = wall();
        scheduler.drain(&uids).await;
        account(&metrics, &owner).holds();
        let before = account(&metrics, &owner);
        sleep(Duration::from_secs(waited)).await;
        // Nothing begins meanwhile.
        assert_eq!(account(&metrics, &owner), before);
        scheduler.go_on(&uids, since);
        sleep(Duration::from_secs(60)).await;
        let after = account(&metrics, &owner);
        after.holds();
        // One slot each five seconds: the one that was due before it began, one that is run again, and a part of one.
        let slots = (wall().duration_since(began).as_secs() / 5) as f64;
        assert!(
            (slots..=slots + 3.0).contains(&after.expected),
            "{waited}: {slots} {after:?}"
        );
        let gone = (waited / 5).saturating_sub(1) as f64;
        assert!(
            (gone..=gone + 2.0).contains(&after.missed(Cause::NoOwner)),
            "{waited}: {after:?}"
        );
        scheduler.remove(&uids[0], false);
        assert_eq!(metrics.value(&SLOTS_EXPECTED, &owner, &[]), None);
    }
}

#[tokio::test]
async fn a_suspended_plan_has_no_slots() {
    let (sink, _) = Sink::new(Metrics::default(), None, false);
    let engine = Arc::new(Engine::new(Resolver::system().unwrap(), wall));
    let mut scheduler = Scheduler::new(engine, sink, 10);
    let plan = plan(
        "p",
        tenant("t"),
        &json!({ "intervalSeconds": 60, "suspend": true }),
        50,
    );
    scheduler.upsert(plan, Secrets::default(), 1, None);
    assert!(scheduler.uids().is_empty());
}

/// So many slots of a minute whose requests are answered by a pattern: the account, runs that passed and failed, and
/// second attempts by what they found.
async fn attempts(
    schedule: Value,
    runs: (u64, &'static [bool]),
    seconds: u64,
) -> (Account, [f64; 2], [f64; 2]) {
    let bench = Bench::from(NOON + 20, schedule, runs, None, tenant("t"));
    let account = bench.pass(seconds).await;
    let of = |metric, label| bench.metrics.value(metric, &bench.owner, &[label]).unwrap_or(0.0);
    let both = |metric| [of(metric, "pass"), of(metric, "fail")];
    let found = (account, both(&PROBE_RUNS), both(&PROBE_CONFIRMATIONS));
    bench.end().await;
    found
}

#[tokio::test(start_paused = true)]
async fn a_blip_does_not_count_and_is_counted_as_one() {
    let minutely = json!({ "intervalSeconds": 60 });
    // Each first attempt fails, each second one passes.
    let (account, runs, found) = attempts(minutely.clone(), (1, &[false, true]), 600).await;
    assert_eq!((runs, found), ([account.finished, 0.0], [account.finished, 0.0]));
    assert!(account.finished >= 10.0);
    // An outage: its first failure is confirmed, and those after it need not be.
    let (account, runs, found) = attempts(minutely.clone(), (1, &[false]), 600).await;
    assert_eq!((runs, found), ([0.0, account.finished], [0.0, 1.0]));
    // It ends, and the next failure is confirmed again: of three slots two fail, and the first of them twice.
    let (_, [passed, failed], found) = attempts(minutely, (1, &[true, false, false, false]), 3600).await;
    assert!(
        (passed - found[1]).abs() <= 1.0 && (failed - 2.0 * passed).abs() <= 2.0,
        "{passed} {failed} {found:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_second_attempt_never_costs_the_next_slot() {
    // Interval, how long a request takes, which are answered, and how many of 600 s' slots pass. The first slot began before
    // the runner, so it may have no time left.
    const SECOND: &[bool] = &[false, true];
    let table = [
        (20, 5, SECOND, 28.0..=31.0),
        (15, 4, SECOND, 38.0..=41.0),
        // The second attempt has 17 s and needs 18: it is cut short, and what the first found counts.
        (40, 18, &[false, true, true], 7.0..=9.0),
    ];
    for (interval, took, answered, passes) in table {
        let schedule = json!({ "intervalSeconds": interval });
        let (account, [passed, failed], _) = attempts(schedule, (took, answered), 600).await;
        assert!(
            passes.contains(&passed),
            "{interval}: {passed} passed, {account:?}"
        );
        assert_eq!(account.finished, passed + failed, "{interval}");
        assert!(
            account.missed(Cause::Overlap) == 0.0 && account.missed(Cause::Late) == 0.0,
            "{account:?}"
        );
    }
}

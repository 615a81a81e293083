//! What is asked of the API server, and how often. A real one is asked in `e2e/cases/12-results`.

use super::*;
use http::{Request, Response};
use kube::client::Body;
use serde_json::{Value, json};
use std::{convert::Infallible, sync::Arc};
use tower::service_fn;

const RIGHT: Right = Right {
    group: "drmwatch.io",
    resource: "monitoredtenants",
    subresource: "results",
    verb: "get",
};

/// Every request that was made: the last part of its path, and its body.
type Asked = Arc<Mutex<Vec<(String, Value)>>>;

/// What the observer was told.
type Observed = Arc<Mutex<Vec<Result<Decision, Silent>>>>;

/// An API server that answers as `answer` says, None with status 500.
fn cluster(audiences: &[&str], answer: fn(&str, &Value) -> Option<Value>) -> (Cluster, Asked, Observed) {
    let asked = Asked::default();
    let seen = asked.clone();
    let service = service_fn(move |request: Request<Body>| {
        let seen = seen.clone();
        async move {
            let kind = request
                .uri()
                .path()
                .rsplit('/')
                .next()
                .unwrap_or_default()
                .to_owned();
            let body = request.into_body().collect_bytes().await.unwrap();
            let body: Value = serde_json::from_slice(&body).unwrap();
            let status = answer(&kind, &body);
            seen.lock().unwrap().push((kind, body.clone()));
            let mut reviewed = body;
            let code = match status {
                Some(status) => {
                    reviewed["status"] = status;
                    201
                }
                None => {
                    reviewed = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 500, "message": "no"});
                    500
                }
            };
            let body = Body::from(serde_json::to_vec(&reviewed).unwrap());
            Ok::<_, Infallible>(Response::builder().status(code).body(body).unwrap())
        }
    });
    let observed = Observed::default();
    let told = observed.clone();
    let audiences = audiences.iter().map(|a| (*a).to_owned()).collect();
    let observer: Observer = Box::new(move |decision| told.lock().unwrap().push(decision));
    (
        Cluster::new(Client::new(service, "default"), RIGHT, audiences, observer),
        asked,
        observed,
    )
}

fn ada(kind: &str, body: &Value) -> Option<Value> {
    match kind {
        "tokenreviews" => Some(match body["spec"]["token"].as_str() {
            Some("adas") => {
                json!({"authenticated": true, "user": {"username": "ada", "uid": "1", "groups": ["ops"]}})
            }
            Some("elsewhere") => json!({"authenticated": true, "user": {"username": "ada"}, "audiences": []}),
            _ => json!({"authenticated": false}),
        }),
        _ => Some(json!({"allowed": body["spec"]["resourceAttributes"]["name"] == "acme"})),
    }
}

#[tokio::test]
async fn the_review_names_the_user_and_the_right() {
    let (cluster, asked, observed) = cluster(&[], ada);
    let acme = TenantKey::new("tv", "acme");
    assert_eq!(cluster.decide("adas", &acme).await, Ok(Decision::Allowed));
    assert_eq!(
        cluster.decide("adas", &TenantKey::new("tv", "other")).await,
        Ok(Decision::Denied)
    );
    assert_eq!(cluster.decide("nobodys", &acme).await, Ok(Decision::Unknown));
    let asked = asked.lock().unwrap();
    let kinds: Vec<&str> = asked.iter().map(|(kind, _)| kind.as_str()).collect();
    let (token, access) = ("tokenreviews", "subjectaccessreviews");
    assert_eq!(kinds, [token, access, token, access, token]);
    assert_eq!(
        asked[1].1["spec"],
        json!({
            "user": "ada", "uid": "1", "groups": ["ops"],
            "resourceAttributes": {"group": "drmwatch.io", "resource": "monitoredtenants", "subresource": "results",
                "verb": "get", "namespace": "tv", "name": "acme"},
        })
    );
    assert_eq!(
        *observed.lock().unwrap(),
        [Ok(Decision::Allowed), Ok(Decision::Denied), Ok(Decision::Unknown)]
    );
}

#[tokio::test]
async fn a_token_for_another_audience_is_nobodys() {
    let (cluster, asked, _) = cluster(&["drmwatch"], ada);
    assert_eq!(
        cluster.decide("elsewhere", &TenantKey::new("tv", "acme")).await,
        Ok(Decision::Unknown)
    );
    assert_eq!(
        asked.lock().unwrap()[0].1["spec"]["audiences"],
        json!(["drmwatch"])
    );
}

#[tokio::test(start_paused = true)]
async fn a_decision_holds_for_half_a_minute_and_a_failure_does_not() {
    let (known, asked, observed) = cluster(&[], ada);
    let acme = TenantKey::new("tv", "acme");
    for _ in 0..3 {
        assert_eq!(known.decide("adas", &acme).await, Ok(Decision::Allowed));
    }
    assert_eq!(
        (asked.lock().unwrap().len(), observed.lock().unwrap().len()),
        (2, 1)
    );
    tokio::time::advance(HOLDS).await;
    assert_eq!(known.decide("adas", &acme).await, Ok(Decision::Allowed));
    assert_eq!(asked.lock().unwrap().len(), 4);

    let (away, asked, observed) = cluster(&[], |_, _| None);
    for _ in 0..2 {
        assert_eq!(away.decide("adas", &acme).await, Err(Silent));
    }
    assert_eq!(asked.lock().unwrap().len(), 2);
    assert_eq!(*observed.lock().unwrap(), [Err(Silent), Err(Silent)]);
}

/// A denial is remembered under the whole question: another tenant's name must not be mistaken for it.
#[test]
fn questions_differ_by_each_part() {
    let of = |token: &str, namespace: &str, name: &str| question(token, &TenantKey::new(namespace, name));
    let all = [
        of("t", "a", "bc"),
        of("t", "ab", "c"),
        of("ta", "b", "c"),
        of("t", "a", "b"),
    ];
    for (at, one) in all.iter().enumerate() {
        assert!(!all[at + 1..].contains(one));
    }
}

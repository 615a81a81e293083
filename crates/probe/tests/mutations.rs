//! The verdict table of stream checks: a good stream of the test world, and one mutation of what it answers
//! on the way to the engine. Exactly the expected checks must fail, whatever their severity; the same stream
//! without the mutation must fail none (`verdicts.rs`).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use drmwatch_api::{DrmProbe, EgressPolicy, MonitoredTenant};
use drmwatch_plan::{CheckStatus, Hop, Secrets, compile};
use drmwatch_probe::{
    Engine, Prepared, ProbeState, clock,
    net::{Client, Door, Failure, Guard, Request, Resolver, Response, TlsSetup},
};
use drmwatch_testkit::{Ports, World};
use futures::future::BoxFuture;
use std::net::IpAddr;
use tokio::time::Instant;
use url::Url;

type Mutation = fn(&str, &mut Response);

/// The real door, with something done to what comes through it.
struct Mutating {
    inner: Client,
    mutation: Mutation,
}

impl Door for Mutating {
    fn send<'a>(
        &'a self,
        request: &'a Request,
        deadline: Instant,
        hops: &'a mut Vec<Hop>,
    ) -> BoxFuture<'a, Result<Response, Failure>> {
        Box::pin(async move {
            let mut response = self.inner.send(request, deadline, hops).await?;
            let file = response
                .url
                .path()
                .rsplit('/')
                .next()
                .unwrap_or_default()
                .to_owned();
            (self.mutation)(&file, &mut response);
            Ok(response)
        })
    }

    fn addresses<'a>(
        &'a self,
        url: &'a Url,
        deadline: Instant,
    ) -> BoxFuture<'a, Result<Vec<IpAddr>, Failure>> {
        self.inner.addresses(url, deadline)
    }
}

struct Case {
    stream: &'static str,
    options: &'static str,
    /// Look once without the mutation before.
    remembered: bool,
    mutation: Mutation,
    expected: &'static [&'static str],
}

fn case(stream: &'static str, expected: &'static [&'static str], mutation: Mutation) -> Case {
    Case {
        stream,
        options: "",
        remembered: false,
        mutation,
        expected,
    }
}

/// Replaces in a text; the text must be there.
fn swap(response: &mut Response, from: &str, to: &str) {
    let text = String::from_utf8(response.body.to_vec()).unwrap();
    assert!(text.contains(from), "{from} is not in\n{text}");
    response.body = text.replace(from, to).into();
}

fn header(response: &mut Response, name: &'static str, value: &str) {
    response.headers.insert(name, value.parse().unwrap());
}

fn is_media(file: &str) -> bool {
    file.ends_with(".m3u8") && file != "master.m3u8"
}

const HLS: &str = "cenc/master.m3u8";
const DASH: &str = "cenc/manifest.mpd";
const LAST: fn(&str) -> usize = |text| text.rfind("#EXTINF").unwrap();

fn table() -> Vec<Case> {
    vec![
        case(HLS, &["M01"], |file, r| {
            if file == "low.m3u8" {
                r.body = Default::default();
            }
        }),
        case(HLS, &["M02"], |file, r| {
            if file == "audio.m3u8" {
                r.body = "<html>sorry</html>".into();
            }
        }),
        case(HLS, &["M03"], |file, r| {
            if file == "low.m3u8" {
                swap(r, "#EXTINF:2.000", "#EXTINF:two");
            }
        }),
        case(HLS, &["M05"], |file, r| {
            if file == "master.m3u8" {
                swap(r, ",AUDIO=\"a\"", ",AUDIO=\"b\"");
            }
        }),
        case(HLS, &["M09"], |file, r| {
            if file == "master.m3u8" {
                swap(r, "\"audio.m3u8\"", "\"ftp://x/audio.m3u8\"");
            }
        }),
        case(HLS, &["L08"], |file, r| {
            if is_media(file) {
                swap(r, "#EXT-X-PROGRAM-DATE-TIME:20", "#EXT-X-PROGRAM-DATE-TIME:19");
            }
        }),
        Case {
            remembered: true,
            ..case(HLS, &["L03"], |file, r| {
                if file == "low.m3u8" {
                    swap(r, "#EXTINF:2.000", "#EXTINF:1.900");
                }
            })
        },
        Case {
            remembered: true,
            ..case(HLS, &["L04"], |file, r| {
                if is_media(file) {
                    swap(r, "TARGETDURATION:2", "TARGETDURATION:3");
                }
            })
        },
        Case {
            remembered: true,
            ..case(HLS, &["S09"], |file, r| {
                if file == "init.mp4" {
                    r.body = [&r.body[..], &[0, 0, 0, 8, b'f', b'r', b'e', b'e']]
                        .concat()
                        .into();
                }
            })
        },
        case(HLS, &["S10"], |file, r| {
            if file == "low.m3u8" {
                swap(r, "#EXT-X-MAP", "#EXT-X-GAP\n#EXT-X-MAP");
            }
        }),
        case(HLS, &["D02"], |file, r| {
            if is_media(file) {
                swap(r, "SAMPLE-AES-CTR", "SAMPLE-AES");
            }
        }),
        case(HLS, &["D08"], |file, r| {
            if is_media(file) {
                let key = "#EXT-X-KEY:METHOD=SAMPLE-AES-CTR,URI=\"https://k\",KEYFORMAT=\"com.apple.streamingkeydelivery\"\n#EXT-X-MAP";
                swap(r, "#EXT-X-MAP", key);
            }
        }),
        case(HLS, &["D05"], |file, r| {
            if file == "init.mp4" {
                let mut bytes = r.body.to_vec();
                let at = bytes.windows(4).position(|w| w == b"pssh").unwrap();
                // Kind, version and flags, system id, count: then the key id.
                bytes[at + 4 + 4 + 16 + 4] ^= 1;
                r.body = bytes.into();
            }
        }),
        Case {
            options: "expected: {encryption: Required}",
            ..case("clear/master.m3u8", &["D01"], |_, _| {})
        },
        Case {
            options: "expected: {drmSystems: [Widevine]}",
            ..case(HLS, &["D04"], |_, _| {})
        },
        Case {
            options: "expected: {minRungs: 5}",
            ..case(HLS, &["A01"], |_, _| {})
        },
        Case {
            options: "expected: {audioLanguages: [fr]}",
            ..case(HLS, &["R01"], |_, _| {})
        },
        case(HLS, &["C02"], |file, r| {
            if is_media(file) {
                header(r, "cache-control", "max-age=86400");
            }
        }),
        case(HLS, &["C03"], |file, r| {
            if is_media(file) {
                header(r, "age", "60");
            }
        }),
        case(HLS, &["C06"], |file, r| {
            if file == "master.m3u8" {
                r.headers.remove("access-control-allow-origin");
            }
        }),
        case(HLS, &["R02"], |file, r| {
            if file == "master.m3u8" {
                let media = "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"tone\",URI=\"audio.m3u8\"\n#EXT-X-STREAM-INF:BANDWIDTH=80000";
                swap(r, "#EXT-X-STREAM-INF:BANDWIDTH=80000", media);
            }
        }),
        case(HLS, &["X01"], |file, r| {
            if file == "low.m3u8" {
                let mut text = String::from_utf8(r.body.to_vec()).unwrap();
                text.insert_str(LAST(&text), "#EXT-OATCLS-SCTE35:AAAA\n");
                r.body = text.into();
            }
        }),
        case(HLS, &["X04"], |file, r| {
            if file == "low.m3u8" {
                let range = "#EXT-X-DATERANGE:ID=\"a\",START-DATE=\"2026-01-02T00:00:00Z\",END-DATE=\"2026-01-01T00:00:00Z\"\n#EXT-X-MAP";
                swap(r, "#EXT-X-MAP", range);
            }
        }),
        case(HLS, &["R03"], |file, r| {
            // Audio dated a minute later than video, which is not in the future of a long window.
            if file == "audio.m3u8" {
                let text = String::from_utf8(r.body.to_vec()).unwrap();
                let lines = text
                    .lines()
                    .map(|line| match line.strip_prefix("#EXT-X-PROGRAM-DATE-TIME:") {
                        Some(date) => {
                            let at: jiff::Timestamp = date.parse().unwrap();
                            format!(
                                "#EXT-X-PROGRAM-DATE-TIME:{}\n",
                                at - jiff::SignedDuration::from_secs(8)
                            )
                        }
                        None => format!("{line}\n"),
                    });
                r.body = lines.collect::<String>().into();
            }
        }),
        case(DASH, &["M06"], |file, r| {
            if file.ends_with(".mpd") {
                swap(r, "publishTime", "x");
            }
        }),
        case(DASH, &["L16"], |file, r| {
            if file.ends_with(".mpd") {
                let clock = "<UTCTiming schemeIdUri=\"urn:mpeg:dash:utc:direct:2014\" value=\"2020-01-01T00:00:00Z\"/><Period";
                swap(r, "<Period", clock);
            }
        }),
        case(DASH, &["L17"], |file, r| {
            if file.ends_with(".mpd") {
                swap(r, "availabilityStartTime=\"20", "availabilityStartTime=\"30");
            }
        }),
        case(DASH, &["L21"], |file, r| {
            if file.ends_with(".mpd") {
                swap(
                    r,
                    "suggestedPresentationDelay=\"PT6S\"",
                    "suggestedPresentationDelay=\"PT60S\"",
                );
            }
        }),
        case(DASH, &["S04"], |file, r| {
            if file.ends_with(".m4s") {
                let mut bytes = r.body.to_vec();
                if let Some(at) = bytes.windows(4).position(|w| w == b"tfdt") {
                    bytes[at + 8 + 1] ^= 0x40;
                }
                r.body = bytes.into();
            }
        }),
        case(DASH, &["X06"], |file, r| {
            if file.ends_with(".mpd") {
                swap(r, "<Period id=\"1\"", "<Period");
            }
        }),
        case(DASH, &["A02", "A05"], |file, r| {
            if file.ends_with(".mpd") {
                swap(r, "bandwidth=\"44000\"", "bandwidth=\"4400\"");
            }
        }),
        case(DASH, &["C05"], |file, r| {
            if file.ends_with(".mpd") {
                header(r, "content-type", "text/plain");
            }
        }),
    ]
}

#[tokio::test]
async fn each_mutation_fails_its_own_check_and_no_other() {
    let world = World::start([127, 0, 0, 1].into(), Ports::default())
        .await
        .unwrap();
    let engine = Engine::new(Resolver::system().unwrap(), clock::system);
    let mut wrong = Vec::new();
    for case in table() {
        let tenant = "apiVersion: drmwatch.io/v1alpha1\nkind: MonitoredTenant\nmetadata: {name: t, namespace: n}\nspec: {displayName: T}";
        let options = if case.options.is_empty() {
            String::new()
        } else {
            format!(", {}", case.options)
        };
        let probe = format!(
            "apiVersion: drmwatch.io/v1alpha1\nkind: DrmProbe\nmetadata: {{name: p, namespace: n}}\nspec:\n  tenantRef: {{name: t}}\n  schedule: {{intervalSeconds: 60}}\n  timeoutSeconds: 50\n  steps:\n  - name: s\n    stream: {{url: \"http://{}/live/{}\"{options}}}",
            world.http, case.stream
        );
        let tenant: MonitoredTenant = serde_saphyr::from_str(tenant).unwrap();
        let probe: DrmProbe = serde_saphyr::from_str(&probe).unwrap_or_else(|e| panic!("{e}\n{probe}"));
        let egress = EgressPolicy {
            allow_cidrs: vec!["127.0.0.0/8".into()],
        };
        let prepare = |mutation: Mutation| {
            let plan = compile(&tenant, &probe, "test", &egress).unwrap_or_else(|e| panic!("{e:?}"));
            let tls = TlsSetup::new(&plan.tls, &Secrets::default()).unwrap();
            let inner = Client::new(engine.resolver().clone(), Guard::new(&plan.egress), tls);
            Prepared::behind(plan, Secrets::default(), Box::new(Mutating { inner, mutation })).unwrap()
        };
        let mut state = ProbeState::default();
        if case.remembered {
            engine.run(&prepare(|_, _| {}), &mut state).await;
        }
        let outcome = engine.run(&prepare(case.mutation), &mut state).await;
        let facts = outcome.steps[0].facts.stream.as_ref().unwrap();
        let failed: Vec<_> = facts
            .checks
            .iter()
            .filter(|c| c.status == CheckStatus::Fail)
            .collect();
        let ids: Vec<&str> = failed.iter().map(|c| c.check.as_str()).collect();
        if ids != case.expected {
            let said: Vec<String> = failed
                .iter()
                .map(|c| format!("{}: {}", c.check, c.detail))
                .collect();
            wrong.push(format!("{:?} gave {said:#?}", case.expected));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

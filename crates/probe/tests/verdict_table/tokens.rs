//! C12 to C14: tokens.

use super::{
    edit::lines,
    table::{Level, Row},
    virtual_world::{Asked, CDN_SECRET, Told},
};
use drmwatch_tokens::{AkamaiEdgeAuth, Grant, NginxSecureLink, Proof, Scheme};
use jiff::{SignedDuration, Timestamp};

const HLS: &str = "clear/master.m3u8";
const NGINX: &str = "token: {nginxSecureLink: {secretCredential: cdn}, deny: {everySeconds: 60}}";
const AKAMAI: &str =
    "token: {akamaiEdgeAuth: {keyCredential: cdn, acl: [/clear/*]}, deny: {everySeconds: 60}}";
const MANIFEST_ONLY: &str = "token: {nginxSecureLink: {secretCredential: cdn}, apply: ManifestOnly}";

fn nginx(path: &str, expires: Timestamp) -> Proof {
    let scheme = Scheme::NginxSecureLink(NginxSecureLink {
        expression: "$secure_link_expires$uri $secret".into(),
        secret: CDN_SECRET.into(),
        md5_parameter: "md5".into(),
        expires_parameter: "expires".into(),
    });
    scheme.sign(&grant(path, expires)).unwrap()
}

fn grant(path: &str, expires: Timestamp) -> Grant {
    Grant {
        url: format!("https://origin/{path}").parse().unwrap(),
        not_before: None,
        expires,
        address: None,
    }
}

fn parameter(query: &str, name: &str) -> Option<String> {
    let found = query
        .split('&')
        .filter_map(|p| p.split_once('='))
        .find(|(n, _)| *n == name);
    found.map(|(_, v)| v.to_owned())
}

/// What nginx does: 403 for a wrong value, 410 for one whose time is over.
fn guard(asked: &Asked, told: &mut Told, clock: SignedDuration) {
    let expires = parameter(&asked.query, "expires").and_then(|e| e.parse().ok());
    let expires = expires.and_then(|e| Timestamp::from_second(e).ok());
    let right = expires.is_some_and(|e| {
        let proof = nginx(&asked.path, e);
        parameter(&asked.query, "md5").as_deref() == Some(&proof.query[0].1)
    });
    if !right {
        refuse(told, 403);
    } else if expires.is_some_and(|e| e < asked.now + clock) {
        refuse(told, 410);
    }
}

fn refuse(told: &mut Told, status: u16) {
    (told.status, told.body) = (status, b"no".to_vec());
}

/// What an Akamai edge does with `hdnts`.
fn edge(asked: &Asked, told: &mut Told, heeds: impl Fn(&str) -> bool) {
    let Some(token) = parameter(&asked.query, "hdnts") else {
        return refuse(told, 403);
    };
    let field = |name: &str| {
        let found = token.split('~').filter_map(|f| f.split_once('='));
        found
            .filter(|(n, _)| *n == name)
            .map(|(_, v)| v.to_owned())
            .next()
    };
    let time = |name: &str| Timestamp::from_second(field(name)?.parse().ok()?).ok();
    let acl = field("acl").unwrap_or_default();
    let scheme = Scheme::AkamaiEdgeAuth(AkamaiEdgeAuth {
        name: "hdnts".into(),
        key: CDN_SECRET.into(),
        acl: vec![acl.clone()],
        salt: None,
        cookie: false,
    });
    let expires = time("exp").unwrap_or(Timestamp::UNIX_EPOCH);
    let wanted = Grant {
        not_before: time("st"),
        address: field("ip").and_then(|a| a.parse().ok()),
        ..grant(&asked.path, expires)
    };
    let genuine = scheme.sign(&wanted).unwrap().query[0].1 == token;
    let path = format!("/{}", asked.path);
    let bad = (heeds("hmac") && !genuine)
        || (heeds("exp") && expires < asked.now)
        || (heeds("st") && time("st").is_some_and(|t| t > asked.now))
        || (heeds("acl") && !path.starts_with(acl.trim_end_matches('*')))
        || (heeds("ip") && field("ip").is_some_and(|a| a != "198.51.100.7"));
    if bad {
        refuse(told, 403);
    }
}

/// Gives every URI of a playlist a token of its own.
fn pass_on(asked: &Asked, text: String) -> String {
    let folder = asked.path.rsplit_once('/').map_or("", |(f, _)| f);
    let signed = |uri: &str| {
        let proof = nginx(
            &format!("{folder}/{uri}"),
            asked.now + SignedDuration::from_secs(600),
        );
        let url = proof.url(&"https://x/".parse().unwrap());
        format!("{uri}?{}", url.query().unwrap())
    };
    lines(text, |line| match line.split_once("URI=\"") {
        Some((before, rest)) => {
            let (uri, after) = rest.split_once('"').unwrap();
            format!("{before}URI=\"{}\"{after}", signed(uri))
        }
        None if line.starts_with('#') || line.is_empty() => line.to_owned(),
        None => signed(line),
    })
}

/// An edge that does not look at one field of the token.
macro_rules! unheeded {
    ($field:literal, $says:literal) => {
        Row::new(
            "C13",
            HLS,
            ["all of it is heeded", "all of it is heeded, with 401", $says],
        )
        .options([AKAMAI; 3])
        .always()
        .behind(|asked, told, level| {
            edge(asked, told, |field| field != $field || level != Level::Severe);
            if level == Level::Borderline && told.status == 403 {
                told.status = 401;
            }
        })
    };
}

pub fn rows() -> Vec<Row> {
    vec![
        Row::new(
            "C12",
            HLS,
            [
                "the server's clock as ours",
                "the server's clock 200 s ahead of 300 s",
                "the server's clock an hour ahead",
            ],
        )
        .options([NGINX; 3])
        .always()
        .behind(|asked, told, level| {
            guard(asked, told, SignedDuration::from_secs(level.of([0, 200, 3600])));
        }),
        Row::new(
            "C12",
            HLS,
            [
                "every edge knows the key",
                "the clock of the edges of segments is 200 s ahead",
                "the edges of segments have another key",
            ],
        )
        .options([NGINX; 3])
        .always()
        .behind(|asked, told, level| {
            let ahead = level == Level::Borderline && asked.number().is_some();
            guard(
                asked,
                told,
                SignedDuration::from_secs(if ahead { 200 } else { 0 }),
            );
            if level == Level::Severe && asked.number().is_some() {
                refuse(told, 403);
            }
        }),
        Row::new(
            "C13",
            HLS,
            ["403 and 410", "404 for what is refused", "no token is needed"],
        )
        .options([NGINX; 3])
        .always()
        .behind(|asked, told, level| {
            if level != Level::Severe {
                guard(asked, told, SignedDuration::ZERO);
            }
            if level == Level::Borderline && told.status >= 400 {
                told.status = 404;
            }
        }),
        unheeded!("exp", "the time of expiry is not heeded"),
        unheeded!("hmac", "the signature is not heeded"),
        unheeded!("st", "the time from which it is valid is not heeded"),
        unheeded!("acl", "the path is not heeded"),
        unheeded!("ip", "the address is not heeded"),
        Row::new(
            "C13",
            HLS,
            [
                "all of it is heeded",
                "the manifest alone is free, and not looked at",
                "segments alone are free",
            ],
        )
        .options([
            NGINX,
            "token: {nginxSecureLink: {secretCredential: cdn}, deny: {targets: [Playlist, Init, Segment]}}",
            NGINX,
        ])
        .always()
        .behind(|asked, told, level| {
            let free = match level {
                Level::Benign => false,
                Level::Borderline => asked.file() == "master.m3u8",
                Level::Severe => asked.number().is_some(),
            };
            if !free {
                guard(asked, told, SignedDuration::ZERO);
            }
        }),
        Row::new(
            "C14",
            HLS,
            [
                "every URI carries a token",
                "what is listed needs none",
                "what is listed needs one and has none",
            ],
        )
        .options([MANIFEST_ONLY; 3])
        .always()
        .behind(|asked, told, level| {
            if level != Level::Borderline || asked.file() == "master.m3u8" {
                guard(asked, told, SignedDuration::ZERO);
            }
            if level == Level::Benign && told.status == 200 && asked.path.ends_with(".m3u8") {
                told.edit(|text| pass_on(asked, text));
            }
        }),
    ]
}

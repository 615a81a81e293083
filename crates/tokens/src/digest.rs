//! HTTP Digest authentication (RFC 7616), with MD5 or SHA-256 and `qop=auth`.

use super::hexadecimal;
use md5::Md5;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;

/// The parameters of a `WWW-Authenticate: Digest …`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DigestChallenge(BTreeMap<String, String>);

/// A request that is to be authenticated.
#[derive(Debug, Clone, Copy)]
pub struct DigestRequest<'a> {
    /// Method.
    pub method: &'a str,
    /// Path and query, as they are sent.
    pub target: &'a str,
    /// The client's own nonce.
    pub cnonce: &'a str,
}

impl DigestChallenge {
    /// Reads a header's value; `None` where it is of another scheme.
    pub fn parse(header: &str) -> Option<DigestChallenge> {
        let (scheme, mut rest) = header.trim().split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("digest") {
            return None;
        }
        let mut found = BTreeMap::new();
        while let Some((name, after)) = rest.split_once('=') {
            let name = name.trim_matches([' ', ',']).to_ascii_lowercase();
            let after = after.trim_start();
            let (value, next) = match after.strip_prefix('"') {
                Some(quoted) => quoted.split_once('"')?,
                None => after.split_once(',').unwrap_or((after, "")),
            };
            found.insert(name, value.trim().to_owned());
            rest = next;
        }
        found.contains_key("nonce").then_some(DigestChallenge(found))
    }

    /// The value of `Authorization`; `None` where the challenge demands what is not known here.
    pub fn answer(&self, user: &str, password: &str, request: DigestRequest<'_>) -> Option<String> {
        let get = |name: &str| self.0.get(name).map(String::as_str);
        let algorithm = get("algorithm").unwrap_or("MD5");
        let hash: fn(String) -> String = match algorithm.to_ascii_uppercase().as_str() {
            "MD5" => |text| hexadecimal(&Md5::digest(text)),
            "SHA-256" => |text| hexadecimal(&Sha256::digest(text)),
            _ => return None,
        };
        let (realm, nonce) = (get("realm").unwrap_or_default(), get("nonce")?);
        let DigestRequest {
            method,
            target,
            cnonce,
        } = request;
        let one = hash(format!("{user}:{realm}:{password}"));
        let two = hash(format!("{method}:{target}"));
        let auth = get("qop").map(|q| q.split(',').any(|q| q.trim() == "auth"));
        let (response, qop) = match auth {
            Some(true) => (
                hash(format!("{one}:{nonce}:00000001:{cnonce}:auth:{two}")),
                format!(", qop=auth, nc=00000001, cnonce=\"{cnonce}\""),
            ),
            Some(false) => return None,
            None => (hash(format!("{one}:{nonce}:{two}")), String::new()),
        };
        let opaque = get("opaque")
            .map(|o| format!(", opaque=\"{o}\""))
            .unwrap_or_default();
        Some(format!(
            "Digest username=\"{user}\", realm=\"{realm}\", nonce=\"{nonce}\", uri=\"{target}\", algorithm={algorithm}, response=\"{response}\"{qop}{opaque}"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7616 section 3.9.1.
    #[test]
    fn the_rfcs_examples_come_out() {
        let ask = DigestRequest {
            method: "GET",
            target: "/dir/index.html",
            cnonce: "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
        };
        for (algorithm, response) in [
            ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
            (
                "SHA-256",
                "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1",
            ),
        ] {
            let header = format!(
                "Digest realm=\"http-auth@example.org\", qop=\"auth, auth-int\", algorithm={algorithm}, nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\""
            );
            let challenge = DigestChallenge::parse(&header).unwrap();
            let answer = challenge.answer("Mufasa", "Circle of Life", ask).unwrap();
            assert!(answer.contains(&format!("response=\"{response}\"")), "{answer}");
        }
        assert_eq!(DigestChallenge::parse("Basic realm=\"x\""), None);
        assert_eq!(DigestChallenge::parse("Digest realm="), None);
    }
}

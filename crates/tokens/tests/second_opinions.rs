//! Signers against implementations that are not ours.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use common_access_token::{Token, VerificationOptions};
use drmwatch_tokens::{
    AkamaiEdgeAuth, AzureSas, COMMON_ACCESS_TOKEN, Carrier, CloudFront, CommonAccessToken, Flaw, Grant,
    JwtAlgorithm, JwtSigner, NginxSecureLink, Proof, Scheme, SigV4, SignError, WowzaHash, WowzaSecureToken,
};
use jiff::Timestamp;
use serde_json::Value;
use url::Url;

fn vectors() -> Value {
    serde_json::from_str(include_str!("vectors/vectors.json")).unwrap()
}

fn grant(url: &str, case: &Value) -> Grant {
    let time = |v: &Value| Some(Timestamp::from_second(v.as_i64()?).unwrap());
    let address = case["ip"]
        .as_str()
        .map(|a| a.split('/').next().unwrap().parse().unwrap());
    Grant {
        url: url.parse().unwrap(),
        not_before: time(&case["start"]),
        expires: time(&vectors()["times"]["end"]).unwrap(),
        address,
    }
}

#[test]
fn akamai_edge_auth_agrees_with_akamai() {
    for case in vectors()["akamai"].as_array().unwrap() {
        let scheme = AkamaiEdgeAuth {
            name: "hdnts".into(),
            key: "52a152a152a152a152a152a152a152a1".into(),
            acl: case["acl"]
                .as_array()
                .unwrap()
                .iter()
                .map(|a| a.as_str().unwrap().into())
                .collect(),
            salt: case["salt"].as_str().map(Into::into),
            cookie: false,
        };
        let grant = grant("https://cdn.example/live/a/master.m3u8", case);
        let proof = Scheme::AkamaiEdgeAuth(scheme).sign(&grant).unwrap();
        assert_eq!(
            proof.query,
            [("hdnts".to_owned(), case["token"].as_str().unwrap().to_owned())]
        );
    }
}

#[test]
fn cloud_front_agrees_with_botocore() {
    let key = include_str!("vectors/cloudfront.pem");
    for case in vectors()["cloudfront"].as_array().unwrap() {
        let url = "https://d111111abcdef8.cloudfront.net/live/a/master.m3u8";
        let resource = case["resource"].as_str().filter(|r| *r != url).map(Into::into);
        let scheme = CloudFront::new("K2JCJMDEHXQW5F".into(), key, resource, false).unwrap();
        let grant = grant(url, case);
        let proof = Scheme::CloudFront(Box::new(scheme)).sign(&grant).unwrap();
        assert_eq!(
            proof.url(&grant.url).as_str(),
            case["url"].as_str().unwrap(),
            "{}",
            case["case"]
        );
    }
    // The cookies carry the same three values (CloudFront Developer Guide, "Set signed cookies").
    let case = &vectors()["cloudfront"][1];
    let grant = grant("https://d111111abcdef8.cloudfront.net/live/a/master.m3u8", case);
    let made = |cookies| {
        let resource = case["resource"].as_str().map(Into::into);
        let scheme = CloudFront::new("K2JCJMDEHXQW5F".into(), key, resource, cookies).unwrap();
        Scheme::CloudFront(Box::new(scheme)).sign(&grant).unwrap()
    };
    let named: Vec<_> = made(false)
        .query
        .into_iter()
        .map(|(n, v)| (format!("CloudFront-{n}"), v))
        .collect();
    assert_eq!(made(true).cookies, named);
    assert!(CloudFront::new("K".into(), "no key", None, true).is_err());
}

#[test]
fn azure_sas_agrees_with_microsofts_sdk() {
    for case in vectors()["azure"].as_array().unwrap() {
        let scheme = AzureSas {
            account: "account".into(),
            key: case["key"].as_str().unwrap().into(),
        };
        let grant = grant("https://account.blob.core.windows.net/live/a/master.m3u8", case);
        let proof = Scheme::AzureSas(scheme).sign(&grant).unwrap();
        let expected = case["query"].as_object().unwrap();
        assert_eq!(proof.query.len(), expected.len());
        for (name, value) in &proof.query {
            assert_eq!(
                Some(value.as_str()),
                expected[name].as_str(),
                "{name} of {}",
                case["case"]
            );
        }
    }
}

/// The worked example of Wowza's documentation ("Protect streaming using SecureToken").
#[test]
fn wowza_agrees_with_its_documentation() {
    let scheme = WowzaSecureToken {
        prefix: "myTokenPrefix".into(),
        secret: "mySharedSecret".into(),
        hash: WowzaHash::Sha256,
        parameters: vec![("CustomParameter".into(), "abcdef".into())],
    };
    let grant = Grant {
        url: "https://wowza.example/vod/sample.mp4/playlist.m3u8"
            .parse()
            .unwrap(),
        not_before: Some(Timestamp::from_second(1_395_230_400).unwrap()),
        expires: Timestamp::from_second(1_500_000_000).unwrap(),
        address: Some("192.168.1.2".parse().unwrap()),
    };
    let proof = Scheme::WowzaSecureToken(scheme).sign(&grant).unwrap();
    let hash = proof
        .query
        .iter()
        .find(|(n, _)| n == "myTokenPrefixhash")
        .unwrap();
    assert_eq!(hash.1, "TgJft5hsjKyC5Rem_EoUNP7xZvxbqVPhhd0GxIcA2oo=");
}

/// The worked example of nginx's documentation (ngx_http_secure_link_module), which `openssl md5` gives as
/// well; `probe/tests/nginx.rs` asks the real server.
#[test]
fn nginx_agrees_with_its_documentation() {
    let scheme = NginxSecureLink {
        expression: "$secure_link_expires$uri$remote_addr $secret".into(),
        secret: "secret".into(),
        md5_parameter: "md5".into(),
        expires_parameter: "expires".into(),
    };
    let grant = Grant {
        url: "http://x/s/link".parse().unwrap(),
        not_before: None,
        expires: Timestamp::from_second(2_147_483_647).unwrap(),
        address: Some("127.0.0.1".parse().unwrap()),
    };
    let proof = Scheme::NginxSecureLink(scheme.clone()).sign(&grant).unwrap();
    assert_eq!(
        proof.query[0],
        ("md5".to_owned(), "_e4Nc3iduzkWRm01TBBNYw".to_owned())
    );
    let free = Grant {
        address: None,
        ..grant.clone()
    };
    let refused = Scheme::NginxSecureLink(scheme).sign(&free);
    assert!(
        matches!(refused, Err(SignError::Unsupported { .. })),
        "{refused:?}"
    );
}

fn cat() -> CommonAccessToken {
    CommonAccessToken {
        key: b"a key of at least thirty-two bytes".to_vec(),
        key_id: Some("key-1".into()),
        issuer: Some("drmwatch".into()),
        path_prefix: None,
        name: COMMON_ACCESS_TOKEN.into(),
        carrier: Carrier::Query,
    }
}

fn verify(proof: &Proof, key: &[u8]) -> Result<Token, common_access_token::Error> {
    let bytes = URL_SAFE_NO_PAD.decode(&proof.query[0].1).unwrap();
    let token = Token::from_bytes(&bytes)?;
    token.verify(key)?;
    let options = VerificationOptions::new()
        .verify_exp(true)
        .require_exp(true)
        .expected_issuer("drmwatch")
        .verify_catu(true)
        .uri("https://cdn.example/live/a/segment-1.m4s");
    token.verify_claims(&options)?;
    Ok(token)
}

#[test]
#[allow(clippy::disallowed_methods)]
fn fastlys_verifier_accepts_our_common_access_token_and_refuses_its_flaws() {
    let url: Url = "https://cdn.example/live/a/master.m3u8".parse().unwrap();
    // Their verifier reads the system's clock.
    let now = Timestamp::now();
    let good = Grant {
        url,
        not_before: None,
        expires: now + jiff::SignedDuration::from_secs(300),
        address: None,
    };
    let scheme = Scheme::CommonAccessToken(cat());
    let proof = scheme.sign(&good).unwrap();
    let token = verify(&proof, &cat().key).unwrap();
    assert_eq!(token.claims.registered.iss.as_deref(), Some("drmwatch"));
    assert!(verify(&proof, b"another key of at least thirty-two").is_err());
    for flaw in [Flaw::Expired, Flaw::NotYetValid, Flaw::Tampered, Flaw::OtherPath] {
        let proof = flaw.of(&scheme, &good, now).unwrap().unwrap();
        assert!(verify(&proof, &cat().key).is_err(), "{flaw:?} was accepted");
    }
}

#[test]
fn no_debug_output_holds_a_key() {
    let schemes = [
        format!("{:?}", cat()),
        format!(
            "{:?}",
            AzureSas {
                account: "a".into(),
                key: "c2VjcmV0LWtleQ==".into()
            }
        ),
        format!(
            "{:?}",
            CloudFront::new("K".into(), include_str!("vectors/cloudfront.pem"), None, false).unwrap()
        ),
    ];
    for text in schemes {
        assert!(
            !text.contains("key of") && !text.contains("c2Vj") && !text.contains("97, 32"),
            "{text}"
        );
    }
}

#[test]
fn signature_version_4_agrees_with_botocore() {
    for case in vectors()["sigv4"].as_array().unwrap() {
        let text = |name: &str| case[name].as_str().map(str::to_owned);
        let signer = SigV4 {
            access_key: "AKIDEXAMPLE".into(),
            secret_key: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".into(),
            session_token: text("session"),
            region: "eu-west-1".into(),
            service: "execute-api".into(),
        };
        let url: Url = text("url").unwrap().parse().unwrap();
        let headers = signer.headers(
            &text("method").unwrap(),
            &url,
            text("body").unwrap().as_bytes(),
            "2026-01-02T03:04:05Z".parse().unwrap(),
        );
        let find = |name: &str| headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.clone());
        assert_eq!(find("x-amz-date"), text("date"));
        assert_eq!(find("authorization"), text("authorization"), "{}", case["case"]);
    }
}

#[test]
fn json_web_tokens_agree_with_pyjwt() {
    for case in vectors()["jwt"].as_array().unwrap() {
        let algorithm = match case["algorithm"].as_str().unwrap() {
            "HS256" => JwtAlgorithm::Hs256,
            _ => JwtAlgorithm::Rs256,
        };
        let signer = JwtSigner::new(algorithm, case["key"].as_str().unwrap(), Some("k".into())).unwrap();
        // What is signed differs in the order of its fields: the same claims under the same key must verify alike.
        let theirs = case["token"].as_str().unwrap();
        let claims = theirs.split('.').nth(1).unwrap();
        let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap();
        let ours = signer.mint(claims.as_object().unwrap()).unwrap();
        assert_eq!(
            jsonwebtoken_fields(&ours),
            jsonwebtoken_fields(theirs),
            "{}",
            case["algorithm"]
        );
    }
}

/// Header and claims, and the length of the signature.
fn jsonwebtoken_fields(token: &str) -> (Value, Value, usize) {
    let parts: Vec<Vec<u8>> = token
        .split('.')
        .map(|p| URL_SAFE_NO_PAD.decode(p).unwrap())
        .collect();
    let json = |n: usize| serde_json::from_slice(&parts[n]).unwrap();
    (json(0), json(1), parts[2].len())
}

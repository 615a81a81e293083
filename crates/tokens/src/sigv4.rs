//! AWS Signature Version 4 ("Create a signed AWS API request"): what API gateways in front of key servers demand.

use super::hexadecimal;
use hmac::{Hmac, KeyInit, Mac};
use jiff::{Timestamp, tz::TimeZone};
use sha2::{Digest, Sha256};
use url::Url;

/// Credentials and scope.
#[derive(Clone)]
pub struct SigV4 {
    /// Access key id.
    pub access_key: String,
    /// Secret access key.
    pub secret_key: String,
    /// Of temporary credentials.
    pub session_token: Option<String>,
    /// Such as `eu-west-1`.
    pub region: String,
    /// Such as `execute-api`.
    pub service: String,
}

impl std::fmt::Debug for SigV4 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SigV4")
            .field("region", &self.region)
            .field("service", &self.service)
            .finish_non_exhaustive()
    }
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    // HMAC takes keys of any length.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else {
        return Vec::new();
    };
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

/// Percent-encoding of everything but the unreserved characters (RFC 3986), of a text that may be encoded already.
fn encode(text: &str, keep: &[u8]) -> String {
    text.bytes()
        .map(|b| match b {
            b if b.is_ascii_alphanumeric() || b"-_.~".contains(&b) || keep.contains(&b) => {
                (b as char).to_string()
            }
            b => format!("%{b:02X}"),
        })
        .collect()
}

impl SigV4 {
    /// Headers that sign a request: `x-amz-date`, `x-amz-security-token` where there is one, and `authorization`.
    pub fn headers(&self, method: &str, url: &Url, body: &[u8], now: Timestamp) -> Vec<(String, String)> {
        let at = now.to_zoned(TimeZone::UTC);
        let (time, day) = (
            at.strftime("%Y%m%dT%H%M%SZ").to_string(),
            at.strftime("%Y%m%d").to_string(),
        );
        let host = &url[url::Position::BeforeHost..url::Position::AfterPort];
        let mut signed = vec![
            ("host".to_owned(), host.to_owned()),
            ("x-amz-date".to_owned(), time.clone()),
        ];
        if let Some(token) = &self.session_token {
            signed.push(("x-amz-security-token".to_owned(), token.clone()));
        }
        let mut query: Vec<(String, String)> = url
            .query_pairs()
            .map(|(n, v)| (encode(&n, b""), encode(&v, b"")))
            .collect();
        query.sort();
        let query: Vec<String> = query.iter().map(|(n, v)| format!("{n}={v}")).collect();
        let names: Vec<&str> = signed.iter().map(|(n, _)| n.as_str()).collect();
        let names = names.join(";");
        let lines: String = signed
            .iter()
            .map(|(n, v)| format!("{n}:{}\n", v.trim()))
            .collect();
        let canonical = format!(
            "{method}\n{}\n{}\n{lines}\n{names}\n{}",
            // Services other than S3 encode the path, as it is sent, once more.
            encode(url.path(), b"/"),
            query.join("&"),
            hexadecimal(&Sha256::digest(body))
        );
        let scope = format!("{day}/{}/{}/aws4_request", self.region, self.service);
        let text = format!(
            "AWS4-HMAC-SHA256\n{time}\n{scope}\n{}",
            hexadecimal(&Sha256::digest(canonical))
        );
        let key = [day.as_str(), &self.region, &self.service, "aws4_request"]
            .iter()
            .fold(format!("AWS4{}", self.secret_key).into_bytes(), |key, part| {
                mac(&key, part)
            });
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={names}, Signature={}",
            self.access_key,
            hexadecimal(&mac(&key, &text))
        );
        signed.remove(0);
        signed.push(("authorization".to_owned(), authorization));
        signed
    }
}

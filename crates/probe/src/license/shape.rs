//! What kind of document an answer is, whatever it was to be: pages are told apart, because each is another's fault.

use super::model::Shape;
use crate::net::Response;

/// How much of a page is looked at.
const LOOK: usize = 64 << 10;

/// Looks at an answer of a request that went to `asked`.
pub(super) fn shape(response: &Response, asked: &str) -> Shape {
    let body = response.body.trim_ascii();
    if response.status.as_u16() == 511 {
        // RFC 6585 section 6: Network Authentication Required.
        return Shape::CaptivePortal;
    }
    let Some(first) = body.first() else {
        return Shape::Empty;
    };
    let head = String::from_utf8_lossy(&body[..body.len().min(LOOK)]).to_ascii_lowercase();
    let html = head.starts_with("<!doctype html") || head.starts_with("<html") || head.starts_with("<head");
    if html {
        return page(response, &head, asked);
    }
    match first {
        b'{' | b'[' if serde_json::from_slice::<serde::de::IgnoredAny>(body).is_ok() => Shape::Json,
        b'<' => Shape::Xml,
        _ if std::str::from_utf8(body)
            .is_ok_and(|t| !t.chars().any(|c| c.is_control() && !c.is_whitespace())) =>
        {
            Shape::Text
        }
        _ => Shape::Binary,
    }
}

fn page(response: &Response, head: &str, asked: &str) -> Shape {
    let header = |name: &str| response.headers.get(name).and_then(|v| v.to_str().ok());
    let elsewhere = url::Url::parse(asked).is_ok_and(|url| url.host_str() != response.url.host_str());
    let password = head.contains("type=\"password\"") || head.contains("type='password'");
    let sign_in = ["sign in", "log in", "login", "saml", "single sign-on"];
    let login = password || (head.contains("<form") && sign_in.iter().any(|w| head.contains(w)));
    // Firewalls' own words, and the headers that only they set.
    let block = [
        "attention required! | cloudflare",
        "the requested url was rejected. please consult with your administrator",
        "incapsula incident id",
        "request unsuccessful. incapsula",
        "<title>access denied</title>",
        "you don't have permission to access",
        "request blocked",
        "web application firewall",
        "mod_security",
    ];
    let marked = header("x-amzn-waf-action").is_some() || header("cf-mitigated").is_some();
    // A portal sends to a host of its own, in the clear.
    let portal = elsewhere
        && response.url.scheme() == "http"
        && (login || head.contains("portal") || head.contains("wi-fi"));
    if portal {
        Shape::CaptivePortal
    } else if marked || block.iter().any(|w| head.contains(w)) {
        Shape::BlockPage
    } else if login {
        Shape::LoginPage
    } else {
        Shape::Html
    }
}

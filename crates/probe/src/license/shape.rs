//! What kind of document an answer is, whatever it was to be: pages are told apart, because each is another's fault.

use super::model::Shape;
use drmwatch_net::Response;

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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use hyper::{HeaderMap, StatusCode, body::Bytes};

    fn of(
        status: u16,
        from: &str,
        header: Option<(&'static str, &'static str)>,
        body: &'static str,
    ) -> Shape {
        let mut headers = HeaderMap::new();
        headers.extend(header.map(|(n, v)| {
            (
                n.parse::<hyper::header::HeaderName>().unwrap(),
                v.parse().unwrap(),
            )
        }));
        let response = Response {
            status: StatusCode::from_u16(status).unwrap(),
            headers,
            body: Bytes::from_static(body.as_bytes()),
            url: from.parse().unwrap(),
        };
        shape(&response, "https://drm.example.com/license")
    }

    #[test]
    fn pages_are_told_apart() {
        let own = "https://drm.example.com/license";
        let cases = [
            (200, own, "<!DOCTYPE html><h1>It works!</h1>", Shape::Html),
            (
                200,
                own,
                "<html><form action=login>Log in</form></html>",
                Shape::LoginPage,
            ),
            (
                200,
                "https://sso.example.com/",
                "<html><form>SAML</form></html>",
                Shape::LoginPage,
            ),
            (
                200,
                "http://portal.hotel.example/",
                "<html>Welcome to our Wi-Fi</html>",
                Shape::CaptivePortal,
            ),
            (511, own, "anything", Shape::CaptivePortal),
            (
                403,
                own,
                "<!DOCTYPE html><title>Attention Required! | Cloudflare</title>",
                Shape::BlockPage,
            ),
            (
                200,
                own,
                "<html>The requested URL was rejected. Please consult with your administrator.</html>",
                Shape::BlockPage,
            ),
            (200, own, " \n", Shape::Empty),
            (200, own, "{\"a\":1}", Shape::Json),
            (200, own, "{not json", Shape::Text),
            (200, own, "<soap:Envelope/>", Shape::Xml),
            (200, own, "CAES", Shape::Text),
            (200, own, "\u{8}\u{5}", Shape::Binary),
        ];
        for (status, from, body, expected) in cases {
            assert_eq!(of(status, from, None, body), expected, "{body}");
        }
        let waf = Some(("x-amzn-waf-action", "captcha"));
        assert_eq!(
            of(405, own, waf, "<html>confirm that you are human</html>"),
            Shape::BlockPage
        );
        // A page that a server of another name serves is not yet a portal.
        let cdn = of(200, "https://other.example.com/", None, "<html>hello</html>");
        assert_eq!(cdn, Shape::Html);
    }
}

//! SOAP faults. PlayReady answers every error with status 500: the code in the fault is what counts.

use super::{document, find, text};

/// A fault of a licence server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// HRESULT, where the fault has one.
    pub code: Option<u32>,
    /// faultstring, or the reason of SOAP 1.2.
    pub text: String,
    /// What the service adds (CustomData); may hold what must be redacted.
    pub custom: Option<String>,
}

impl Fault {
    /// Reads a fault out of a SOAP envelope; `None` where there is none.
    pub fn parse(body: &str) -> Option<Fault> {
        let document = document(body).ok()?;
        let fault = find(document.root_element(), "Fault")?;
        let code = find(fault, "Exception")
            .and_then(|e| text(e, "StatusCode"))
            .or_else(|| text(fault, "StatusCode"));
        let said = text(fault, "faultstring").or_else(|| find(fault, "Reason").and_then(|r| text(r, "Text")));
        let short = |text: &str| text.chars().take(200).collect::<String>();
        Some(Fault {
            code: code.and_then(hresult).or_else(|| said.and_then(hresult_in)),
            text: short(said.unwrap_or_default()),
            custom: text(fault, "CustomData").filter(|t| !t.is_empty()).map(short),
        })
    }
}

/// `0x8004C065`, in whatever case, or the signed decimal that some servers write.
fn hresult(text: &str) -> Option<u32> {
    let lower = text.trim().to_ascii_lowercase();
    match lower.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None => lower.parse::<i64>().ok().and_then(|n| {
            u32::try_from(n)
                .ok()
                .or_else(|| i32::try_from(n).ok().map(|n| n as u32))
        }),
    }
    .filter(|code| *code >= 0x8000_0000)
}

/// The first `0x8…` of a text.
fn hresult_in(text: &str) -> Option<u32> {
    let lower = text.to_ascii_lowercase();
    let digits = lower.get(lower.find("0x8")? + 2..)?;
    let end = digits
        .find(|c: char| !c.is_ascii_hexdigit())
        .unwrap_or(digits.len());
    u32::from_str_radix(&digits[..end], 16).ok()
}

/// What a code means (PlayReady documentation, "Error codes").
pub fn meaning(code: u32) -> Option<&'static str> {
    Some(match code {
        0x8004_C053 | 0x8004_C065 => "the device's certificate is revoked",
        0x8004_C035 => "the device's certificate is invalid",
        0x8004_C81C | 0x8004_120A | 0x8004_9006 => "a certificate has expired",
        0x8004_C600 => "internal error of the licence server",
        0x8004_C601 => "the message is invalid",
        0x8004_C602 => "too many devices",
        0x8004_C608 => "too many computers",
        0x8004_C603 => "the client must be individualized",
        0x8004_C604 => "an error of the service's own, usually the entitlement",
        0x8004_C605 => "a domain is required",
        0x8004_C606 => "the domain must be renewed",
        0x8004_C60A => "the device is not a member of the domain",
        0x8004_C60C => "the account is not known",
        0x8004_C60B => "the protocol versions do not fit",
        0x8004_C60D => "the server sends the client elsewhere",
        0x8004_C01C => "the client's time is out of tolerance",
        0x8004_A004 => "the client's security level is too low",
        _ => return None,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn faults_of_both_soap_versions_are_read() {
        let eleven = r#"<?xml version="1.0" encoding="utf-8"?><soap:Envelope xmlns:soap="http://schemas.xmlsoap.org/soap/envelope/"><soap:Body><soap:Fault><faultcode>soap:Server</faultcode><faultstring>System.Web.Services.Protocols.SoapException: Device Certificate Revoked</faultstring><faultactor>http://x/rightsmanager.asmx</faultactor><detail><Exception xmlns="http://schemas.microsoft.com/DRM/2007/03/protocols"><StatusCode>0x8004c065</StatusCode><CustomData>why</CustomData></Exception></detail></soap:Fault></soap:Body></soap:Envelope>"#;
        let fault = Fault::parse(eleven).unwrap();
        assert_eq!(
            (fault.code, fault.custom.as_deref()),
            (Some(0x8004_C065), Some("why"))
        );
        assert_eq!(meaning(0x8004_C065), Some("the device's certificate is revoked"));
        let twelve = r#"<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"><s:Body><s:Fault><s:Code><s:Value>s:Receiver</s:Value></s:Code><s:Reason><s:Text xml:lang="en">0X8004C604 denied</s:Text></s:Reason></s:Fault></s:Body></s:Envelope>"#;
        assert_eq!(Fault::parse(twelve).unwrap().code, Some(0x8004_C604));
        assert_eq!(hresult("-2147170299"), Some(0x8004_C805));
        assert_eq!(Fault::parse("<html><body>no</body></html>"), None);
        assert_eq!(Fault::parse("no"), None);
    }
}

//! Delivery tokens: signing what is asked for, and asking with what must be refused.

use super::{
    Gathered,
    fetch::{Ask, Fetcher},
};
use crate::scope::Scope;
use drmwatch_api::{
    StreamToken, TokenApply, TokenCarrier, TokenFlaw, TokenTarget, WowzaHash as ApiWowzaHash,
};
use drmwatch_checks::model::TokenTrial;
use drmwatch_net::Failure;
use drmwatch_outcome::Reason;
use drmwatch_tokens::{
    AkamaiEdgeAuth, AzureSas, Carrier, CloudFront, CommonAccessToken, Flaw, Grant, NginxSecureLink, Proof,
    Scheme, WowzaHash, WowzaSecureToken,
};
use jiff::{SignedDuration, Timestamp};
use std::net::IpAddr;
use url::Url;

/// Signs the requests of one step.
pub(super) struct Signer {
    scheme: Scheme,
    ttl: SignedDuration,
    address: Option<IpAddr>,
    apply: TokenApply,
    /// Name and value of a token that was revoked.
    revoked: Option<Vec<(String, String)>>,
    cookies: bool,
}

impl Signer {
    pub fn new(spec: &StreamToken, scope: &Scope<'_>) -> Result<Signer, Failure> {
        let unusable = |e: String| Failure::inconclusive(Reason::ConfigurationInvalid, e);
        let secret = |name: &String| scope.credential(name);
        let mut cookies = false;
        let scheme = if let Some(s) = &spec.nginx_secure_link {
            Scheme::NginxSecureLink(NginxSecureLink {
                expression: s.expression.clone(),
                secret: secret(&s.secret_credential)?,
                md5_parameter: s.md5_parameter.clone(),
                expires_parameter: s.expires_parameter.clone(),
            })
        } else if let Some(s) = &spec.akamai_edge_auth {
            cookies = s.cookie;
            Scheme::AkamaiEdgeAuth(AkamaiEdgeAuth {
                name: s.name.clone(),
                key: secret(&s.key_credential)?,
                acl: s.acl.clone(),
                salt: s.salt_credential.as_ref().map(secret).transpose()?,
                cookie: s.cookie,
            })
        } else if let Some(s) = &spec.cloud_front {
            cookies = s.cookies;
            let key = secret(&s.private_key_credential)?;
            let made = CloudFront::new(s.key_pair_id.clone(), &key, s.resource.clone(), s.cookies);
            Scheme::CloudFront(Box::new(made.map_err(|e| unusable(e.to_string()))?))
        } else if let Some(s) = &spec.wowza_secure_token {
            Scheme::WowzaSecureToken(WowzaSecureToken {
                prefix: s.prefix.clone(),
                secret: secret(&s.secret_credential)?,
                hash: match s.hash {
                    ApiWowzaHash::Sha256 => WowzaHash::Sha256,
                    ApiWowzaHash::Sha384 => WowzaHash::Sha384,
                    ApiWowzaHash::Sha512 => WowzaHash::Sha512,
                },
                parameters: Vec::new(),
            })
        } else if let Some(s) = &spec.azure_sas {
            Scheme::AzureSas(AzureSas {
                account: s.account.clone(),
                key: secret(&s.key_credential)?,
            })
        } else if let Some(s) = &spec.common_access_token {
            cookies = s.carrier == TokenCarrier::Cookie;
            Scheme::CommonAccessToken(CommonAccessToken {
                key: secret(&s.key_credential)?.into_bytes(),
                key_id: s.key_id.clone(),
                issuer: s.issuer.clone(),
                path_prefix: s.path_prefix.clone(),
                name: s.name.clone(),
                carrier: match s.carrier {
                    TokenCarrier::Query => Carrier::Query,
                    TokenCarrier::Cookie => Carrier::Cookie,
                    TokenCarrier::Header => Carrier::Header,
                },
            })
        } else {
            return Err(Failure::inconclusive(
                Reason::ConfigurationInvalid,
                "a token has no scheme",
            ));
        };
        let revoked = spec.deny.as_ref().and_then(|d| d.revoked_credential.as_ref());
        let revoked = revoked.map(secret).transpose()?.map(|text| {
            let pairs = text.trim().split('&').filter_map(|p| p.split_once('='));
            pairs.map(|(n, v)| (n.to_owned(), v.to_owned())).collect()
        });
        Ok(Signer {
            scheme,
            ttl: SignedDuration::from_secs(i64::from(spec.ttl_seconds)),
            address: spec.address.as_ref().and_then(|a| a.parse().ok()),
            apply: spec.apply,
            revoked,
            cookies,
        })
    }

    fn grant(&self, url: &Url, now: Timestamp) -> Grant {
        Grant {
            url: url.clone(),
            not_before: None,
            expires: now + self.ttl,
            address: self.address,
        }
    }

    /// What a good request for this URL carries: nothing, where the manifest must carry the token on.
    pub fn prove(&self, url: &Url, entry: bool, now: Timestamp) -> Result<Proof, Failure> {
        if !entry && self.apply == TokenApply::ManifestOnly {
            return Ok(Proof::default());
        }
        let signed = self.scheme.sign(&self.grant(url, now));
        signed.map_err(|e| Failure::inconclusive(Reason::ConfigurationInvalid, e.to_string()))
    }

    /// The failure that a refusal means.
    pub fn refusal(&self, entry: bool, host: &str, status: u16) -> Failure {
        match !entry && self.apply == TokenApply::ManifestOnly {
            true => Failure::fail(
                Reason::TokenNotPropagated,
                format!(
                    "{host} answered {status} to what the manifest lists, which does not carry its token on"
                ),
            ),
            false => Failure::fail(
                Reason::TokenRefused,
                format!("{host} answered {status} to a fresh token"),
            ),
        }
    }

    /// A request with a flaw: URL and proof. `None` where the scheme or the configuration has no such flaw.
    fn flawed(
        &self,
        flaw: Flaw,
        url: &Url,
        entry: bool,
        now: Timestamp,
    ) -> Result<Option<(Url, Proof)>, Failure> {
        if flaw == Flaw::Revoked {
            return Ok(self.revoked.clone().map(|pairs| {
                let proof = match self.cookies {
                    true => Proof {
                        cookies: pairs,
                        ..Proof::default()
                    },
                    false => Proof {
                        query: pairs,
                        ..Proof::default()
                    },
                };
                (url.clone(), proof)
            }));
        }
        if !entry && self.apply == TokenApply::ManifestOnly {
            // The server made this token: it can be left out, or altered.
            let mut bare = url.clone();
            bare.set_query(None);
            return Ok(match (flaw, url.query()) {
                (Flaw::Absent, Some(_)) => Some((bare, Proof::default())),
                (Flaw::Tampered, Some(query)) => {
                    bare.set_query(Some(&altered(query)));
                    Some((bare, Proof::default()))
                }
                _ => None,
            });
        }
        let made = flaw.of(&self.scheme, &self.grant(url, now), now);
        let made = made.map_err(|e| Failure::inconclusive(Reason::ConfigurationInvalid, e.to_string()))?;
        Ok(made.map(|proof| (url.clone(), proof)))
    }
}

/// Another character near the end of the longest value.
fn altered(query: &str) -> String {
    let mut pairs: Vec<String> = query.split('&').map(str::to_owned).collect();
    if let Some(longest) = pairs.iter_mut().max_by_key(|p| p.len()) {
        let at = longest.len().saturating_sub(4);
        if let Some(old) = longest.get(at..at + 1) {
            let new = if old == "0" { "1" } else { "0" };
            longest.replace_range(at..at + 1, new);
        }
    }
    pairs.join("&")
}

/// The must-deny matrix: each flaw on each target, and a good token on each, since a server that refuses
/// everything proves nothing.
pub(super) async fn trials(
    fetcher: &Fetcher<'_>,
    signer: &Signer,
    spec: &StreamToken,
    gathered: &mut Gathered,
) -> Result<(), Failure> {
    let Some(deny) = &spec.deny else { return Ok(()) };
    let playlist = gathered.renditions.iter().find_map(|r| gathered.urls.get(&r.key));
    let playlist = playlist.filter(|u| *u != &fetcher.entry).cloned();
    let targets = [
        (TokenTarget::Manifest, "manifest", Some(fetcher.entry.clone())),
        (TokenTarget::Playlist, "playlist", playlist),
        (TokenTarget::Init, "init segment", gathered.init_url.clone()),
        (
            TokenTarget::Segment,
            "newest segment",
            gathered.segment_url.clone(),
        ),
        (TokenTarget::Key, "key", gathered.key_url.clone()),
    ];
    let wanted = |target: TokenTarget| deny.targets.is_empty() || deny.targets.contains(&target);
    for (target, name, url) in targets {
        let Some(url) = url.filter(|_| wanted(target)) else {
            continue;
        };
        let entry = target == TokenTarget::Manifest;
        let now = (fetcher.clock)();
        let good = signer.prove(&url, entry, now)?;
        let mut requests = vec![(None, Some((url.clone(), good)))];
        for flaw in Flaw::ALL {
            if deny.flaws.is_empty() || deny.flaws.iter().any(|f| same(*f, flaw)) {
                requests.push((Some(flaw), signer.flawed(flaw, &url, entry, now)?));
            }
        }
        for (flaw, request) in requests {
            let Some((url, proof)) = request else { continue };
            if !fetcher.has_time() {
                return Ok(());
            }
            let status = match fetcher.with(&url, &Ask::head(0, 1), &proof).await {
                Ok(fetched) => Ok(fetched.response.status.as_u16()),
                Err(failure) => match super::segments::lost::<()>(failure)? {
                    drmwatch_checks::model::Loaded::Failed(reason, _) => Err(reason.to_string()),
                    _ => Err("it can't be had".into()),
                },
            };
            gathered.active.tokens.push(TokenTrial {
                case: flaw.map(Flaw::words),
                target: name,
                status,
            });
        }
    }
    Ok(())
}

fn same(wanted: TokenFlaw, flaw: Flaw) -> bool {
    matches!(
        (wanted, flaw),
        (TokenFlaw::Absent, Flaw::Absent)
            | (TokenFlaw::Expired, Flaw::Expired)
            | (TokenFlaw::NotYetValid, Flaw::NotYetValid)
            | (TokenFlaw::Tampered, Flaw::Tampered)
            | (TokenFlaw::OtherPath, Flaw::OtherPath)
            | (TokenFlaw::OtherAddress, Flaw::OtherAddress)
            | (TokenFlaw::Revoked, Flaw::Revoked)
    )
}

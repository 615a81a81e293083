//! Whose something is.

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// Identity of a probe, and of every series about it.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[serde(rename_all = "camelCase")]
pub struct ProbeId {
    /// Namespace of tenant and probe.
    pub namespace: String,
    /// Name of the tenant.
    pub tenant: String,
    /// Name of the probe.
    pub probe: String,
}

impl ProbeId {
    /// The tenant of the probe.
    pub fn tenant_key(&self) -> TenantKey {
        TenantKey::new(&self.namespace, &self.tenant)
    }
}

impl fmt::Display for ProbeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.probe)
    }
}

/// Identity of a tenant: the namespace and the name of its `MonitoredTenant`. Two tenants of the same name in two
/// namespaces are two tenants.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[serde(rename_all = "camelCase")]
pub struct TenantKey {
    /// Namespace of the tenant.
    pub namespace: String,
    /// Name of the tenant.
    pub name: String,
}

impl TenantKey {
    /// The key of a tenant.
    pub fn new(namespace: impl Into<String>, name: impl Into<String>) -> TenantKey {
        TenantKey {
            namespace: namespace.into(),
            name: name.into(),
        }
    }
}

/// `namespace/name`, as kubectl and arguments write it.
impl fmt::Display for TenantKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// Reads `namespace/name`. Neither part may be empty, and there is one slash.
impl FromStr for TenantKey {
    type Err = String;

    fn from_str(text: &str) -> Result<TenantKey, String> {
        match text.split_once('/') {
            Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() && !name.contains('/') => {
                Ok(TenantKey::new(namespace, name))
            }
            _ => Err("a tenant is NAMESPACE/NAME, such as media/acme".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenant_key_is_read_as_it_is_written() {
        let key = TenantKey::new("media", "acme");
        assert_eq!(key.to_string().parse(), Ok(key));
        for wrong in ["", "acme", "/acme", "media/", "media/acme/x"] {
            assert!(wrong.parse::<TenantKey>().is_err(), "{wrong}");
        }
    }
}

//! Secret values, which travel beside a plan, and the redaction of what leaves a run.

use litemap::LiteMap;
use secrecy::{ExposeSecret, SecretString};
use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    sync::{Arc, LazyLock, Mutex, PoisonError, Weak},
};

/// Values that are in use, each once: thousands of probes of one tenant have the same.
static VALUES: LazyLock<Mutex<Values>> = LazyLock::new(Default::default);

#[derive(Default)]
struct Values {
    /// By their hash, whose key is this process's own; of two with the same hash only one is shared.
    known: HashMap<u64, Weak<SecretString>>,
    hasher: RandomState,
    /// With so many, those that are gone are taken out.
    most: usize,
}

/// Credential values by name. Can't be printed.
#[derive(Clone, Default)]
pub struct Secrets(LiteMap<Box<str>, Arc<SecretString>>);

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Secrets {
    /// Adds or replaces one.
    pub fn insert(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.0.insert(name.into().into(), shared(value.into()));
    }

    /// Gives back what was allocated ahead: there may be ten thousand of them.
    pub fn shrink(&mut self) {
        let mut entries = std::mem::take(&mut self.0).into_tuple_vec();
        entries.shrink_to_fit();
        self.0 = LiteMap::from_sorted_store_unchecked(entries);
    }

    /// The value of one.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|s| s.expose_secret())
    }

    /// Every name with its value.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, s)| (&**name, s.expose_secret()))
    }

    /// Every value.
    pub fn values(&self) -> impl Iterator<Item = &str> {
        self.0.values().map(|s| s.expose_secret())
    }
}

/// The value, shared with whoever has the same.
fn shared(value: String) -> Arc<SecretString> {
    let mut values = VALUES.lock().unwrap_or_else(PoisonError::into_inner);
    let hash = values.hasher.hash_one(&value);
    let known = values.known.get(&hash).and_then(Weak::upgrade);
    if let Some(known) = known.filter(|known| known.expose_secret() == value) {
        return known;
    }
    if values.known.len() >= values.most {
        values.known.retain(|_, value| value.strong_count() > 0);
        values.most = 2 * values.known.len() + 64;
    }
    let new = Arc::new(SecretString::from(value));
    values.known.insert(hash, Arc::downgrade(&new));
    new
}

/// Takes secret values out of texts that leave a run. What a step takes from an answer (tokens) counts
/// as secret too.
#[derive(Default, Clone)]
pub struct Redactor(Vec<SecretString>);

impl Redactor {
    /// Shorter values are not replaced: they would shred every message, and they protect nothing.
    const SHORTEST: usize = 4;
    /// What stands in a secret's place.
    pub const MARK: &'static str = "***";

    /// Adds one value, and each line of it where it has several (PEM).
    pub fn add(&mut self, value: &str) {
        for part in std::iter::once(value).chain(value.lines()).map(str::trim) {
            if part.len() >= Self::SHORTEST {
                self.0.push(SecretString::from(part.to_owned()));
            }
        }
        // The longest first, so that no part of a longer secret is left behind.
        self.0.sort_by_key(|s| std::cmp::Reverse(s.expose_secret().len()));
        self.0.dedup_by(|a, b| a.expose_secret() == b.expose_secret());
    }

    /// The text without any of the values, and without control characters.
    pub fn redact(&self, text: &str) -> String {
        let mut text: String = text
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect::<String>()
            .trim()
            .to_owned();
        for secret in &self.0 {
            if text.contains(secret.expose_secret()) {
                text = text.replace(secret.expose_secret(), Self::MARK);
            }
        }
        text
    }

    /// A document without any of the values.
    pub fn redact_value(&self, value: &mut serde_json::Value) {
        match value {
            serde_json::Value::String(text) => *text = self.redact(text),
            serde_json::Value::Array(list) => list.iter_mut().for_each(|v| self.redact_value(v)),
            serde_json::Value::Object(map) => map.values_mut().for_each(|v| self.redact_value(v)),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_part_of_a_secret_survives_redaction() {
        let mut redactor = Redactor::default();
        redactor.add("abcd");
        redactor.add("abcdefgh");
        redactor.add("-----BEGIN KEY-----\nMIIBsecretline\n-----END KEY-----");
        assert_eq!(redactor.redact("x abcdefgh y abcd z\n"), "x *** y *** z");
        assert_eq!(redactor.redact("at MIIBsecretline"), "at ***");
    }

    #[test]
    fn a_value_is_kept_once_and_only_while_someone_has_it() {
        let of = |value: &str| {
            let mut secrets = Secrets::default();
            secrets.insert("a", value);
            secrets
        };
        let (one, two, other) = (
            of("a value of one tenant"),
            of("a value of one tenant"),
            of("another"),
        );
        let at = |secrets: &Secrets| secrets.get("a").unwrap().as_ptr();
        assert_eq!(at(&one), at(&two));
        assert_eq!(
            (one.get("a"), other.get("a")),
            (Some("a value of one tenant"), Some("another"))
        );
        let weak = Arc::downgrade(one.0.get("a").unwrap());
        drop((one, two));
        assert!(weak.upgrade().is_none());
    }

    #[test]
    fn secrets_print_their_names_only() {
        let mut secrets = Secrets::default();
        secrets.insert("api-key", "hunter22");
        assert_eq!(format!("{secrets:?}"), r#"{"api-key"}"#);
    }
}

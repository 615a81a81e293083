//! Variables, keys and init segments: what applies to all that stands behind it.

use super::*;

impl Parser<'_> {
    pub(super) fn define(&mut self, line: usize, value: &str) {
        let (imports, query) = (self.surroundings.imports, self.surroundings.query);
        let mut list = self.attributes("EXT-X-DEFINE", line, value);
        let names = [list.text("NAME"), list.text("IMPORT"), list.text("QUERYPARAM")];
        let given = list.text("VALUE");
        let found = match &names {
            [Some(name), None, None] => match given {
                Some(value) => Some((name, value)),
                None => {
                    list.wrong("must have VALUE with NAME");
                    None
                }
            },
            [None, Some(name), None] => match imports.and_then(|known| known.get(name)) {
                Some(value) => Some((name, value.clone())),
                None => {
                    list.wrong(format!(
                        "imports {}, which the multivariant playlist does not define",
                        quoted(name)
                    ));
                    None
                }
            },
            [None, None, Some(name)] => match query.and_then(|query| parameter(query, name)) {
                Some(value) => Some((name, value)),
                None => {
                    list.wrong(format!(
                        "takes {} from the query of its URI, which does not have it",
                        quoted(name)
                    ));
                    None
                }
            },
            _ => {
                list.wrong("must have exactly one of NAME, IMPORT, QUERYPARAM");
                None
            }
        };
        if let Some((name, value)) = found {
            if self.variables.len() >= MAX_VARIABLES || self.variables.contains_key(name) {
                let message = format!(
                    "must not define {} twice, nor more than {MAX_VARIABLES}",
                    quoted(name)
                );
                return self.wrong(line, "EXT-X-DEFINE", message);
            }
            self.variables.insert(name.clone(), value);
        }
    }

    pub(super) fn read_key(&mut self, tag: &'static str, line: usize, value: &str) -> Option<Key> {
        let mut list = self.attributes(tag, line, value);
        let method = list.required("METHOD")?;
        if method == "NONE" {
            return None;
        }
        let uri = list.text("URI");
        if uri.is_none() {
            list.wrong(format!("must have a URI with METHOD={method}"));
        }
        let iv = list.hex("IV").and_then(|iv| {
            let found = <[u8; 16]>::try_from(iv.as_slice()).ok();
            if found.is_none() {
                list.wrong("must have 16 bytes as IV");
            }
            found
        });
        let kid = list.text("KEYID").and_then(|text| {
            Kid::parse(&text)
                .map_err(|e| list.wrong(format!("has a bad KEYID: {e}")))
                .ok()
        });
        Some(Key {
            format: list.text("KEYFORMAT").unwrap_or_else(|| "identity".into()),
            uri: uri.unwrap_or_default(),
            method,
            kid,
            iv,
            line,
        })
    }

    /// A key applies until the next with the same KEYFORMAT; NONE ends them all (section 4.4.4.4).
    pub(super) fn key(&mut self, line: usize, value: &str) {
        let Some(key) = self.read_key("EXT-X-KEY", line, value) else {
            self.keys = Arc::new([]);
            return;
        };
        let mut keys: Vec<Key> = self
            .keys
            .iter()
            .filter(|k| k.format != key.format)
            .cloned()
            .collect();
        if keys.len() >= MAX_KEYS {
            return self.wrong(
                line,
                "EXT-X-KEY",
                format!("must not stand in more than {MAX_KEYS} formats"),
            );
        }
        keys.push(key);
        self.keys = keys.into();
    }

    pub(super) fn map(&mut self, line: usize, value: &str) {
        let mut list = self.attributes("EXT-X-MAP", line, value);
        let (uri, range) = (list.required("URI"), list.byte_range("BYTERANGE"));
        if let Some(uri) = uri {
            let byte_range = range.map(|(offset, length)| located(&uri, offset, length, &mut self.map_end));
            self.map = Some(Arc::new(Map {
                uri,
                byte_range,
                line,
            }));
        }
    }
}

/// Value of a query parameter, percent-decoded.
fn parameter(query: &str, name: &str) -> Option<String> {
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let value = pairs.filter(|(n, _)| *n == name).map(|(_, v)| v).next()?;
    let mut out = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let Some((byte, tail)) = rest.split_first() {
        let decoded = (*byte == b'%').then(|| tail.get(..2)).flatten();
        let decoded = decoded.and_then(|d| u8::from_str_radix(std::str::from_utf8(d).ok()?, 16).ok());
        match decoded {
            Some(decoded) => {
                out.push(decoded);
                rest = &tail[2..];
            }
            None => {
                out.push(*byte);
                rest = tail;
            }
        }
    }
    String::from_utf8(out).ok()
}

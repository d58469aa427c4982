//! An entry as the server sent it: bytes by attribute, and typed looks at them.

use std::collections::HashMap;

use ldap3::{ResultEntry, SearchEntry};
use uuid::Uuid;

use super::escape::ExtendedDn;

/// Values by attribute name (lower case, options like `;range=0-1499` apart).
#[derive(Debug, Clone, Default)]
pub struct Entry {
    pub dn: String,
    guid: Option<Uuid>,
    values: HashMap<String, Vec<Vec<u8>>>,
    /// (attribute, option, values) where the server sent an option.
    pub optioned: Vec<(String, String, Vec<Vec<u8>>)>,
}

impl Entry {
    pub fn new(raw: ResultEntry) -> Self {
        let raw = SearchEntry::construct(raw);
        // A value lands in `attrs` or `bin_attrs` depending on its bytes: read both.
        let text = raw.attrs.into_iter().map(|(k, v)| (k, v.into_iter().map(String::into_bytes).collect()));
        let all: Vec<(String, Vec<Vec<u8>>)> = text.chain(raw.bin_attrs).collect();
        let name = ExtendedDn::parse(&raw.dn);
        let mut entry = Self { dn: name.dn, guid: name.guid, ..Self::default() };
        for (key, values) in all {
            match key.split_once(';') {
                Some((name, option)) => {
                    entry.optioned.push((name.to_ascii_lowercase(), option.to_ascii_lowercase(), values));
                }
                None => entry.values.entry(key.to_ascii_lowercase()).or_default().extend(values),
            }
        }
        entry
    }

    /// The raw values; empty when there are none.
    pub fn raw(&self, attribute: &str) -> &[Vec<u8>] {
        self.values.get(&attribute.to_ascii_lowercase()).map_or(&[], Vec::as_slice)
    }

    pub fn bytes(&self, attribute: &str) -> Option<&[u8]> {
        self.raw(attribute).first().map(Vec::as_slice)
    }

    pub fn text(&self, attribute: &str) -> Option<String> {
        self.bytes(attribute).map(|bytes| String::from_utf8_lossy(bytes).into_owned())
    }

    pub fn texts(&self, attribute: &str) -> impl Iterator<Item = String> {
        self.raw(attribute).iter().map(|bytes| String::from_utf8_lossy(bytes).into_owned())
    }

    pub fn number(&self, attribute: &str) -> Option<i64> {
        self.text(attribute)?.trim().parse().ok()
    }

    pub fn has_class(&self, class: &str) -> bool {
        self.texts("objectClass").any(|name| name.eq_ignore_ascii_case(class))
    }

    /// Takes one attribute from another reading of the same object.
    pub fn take(&mut self, attribute: &str, from: &Self) {
        self.values.insert(attribute.to_ascii_lowercase(), from.raw(attribute).to_vec());
    }

    /// The immutable id.
    pub fn guid(&self) -> Option<Uuid> {
        let bytes = self.bytes("objectGUID").and_then(|bytes| bytes.try_into().ok());
        bytes.map(Uuid::from_bytes_le).or(self.guid)
    }

    /// The ids of a DN-valued attribute that came with the extended-DN control.
    pub fn ids(&self, attribute: &str) -> Vec<Uuid> {
        self.texts(attribute).filter_map(|text| ExtendedDn::parse(&text).guid).collect()
    }
}

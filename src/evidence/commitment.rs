//! How a personal value stands in a record: `HMAC-SHA256(key, value)`, the value as canonical JSON text, the key random and
//! its own. Without the key nobody can tell which value it was, not even by trying all of them.

use hmac::{Hmac, KeyInit, Mac};
use serde_json::Value as Json;
use sha2::Sha256;

/// The commitment to a value's canonical JSON under its key.
pub fn commitment(key: &[u8], value: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(value);
    mac.finalize().into_bytes().into()
}

/// Whether the record has this commitment at that JSON pointer.
pub fn fits(record: &Json, path: &str, key: &[u8], value: &[u8]) -> bool {
    let stands = record.pointer(path).and_then(|place| place.get("hmac")).and_then(Json::as_str);
    stands == Some(&hex::encode(commitment(key, value)))
}

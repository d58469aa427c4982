//! Places in long lists, handed to browsers and programs: opaque, and signed with the session's or token's own secret, so
//! that nobody composes one.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::Sha256;
use subtle::ConstantTimeEq;

use crate::access::session::Live;

fn mac(key: &[u8], list: &str, bytes: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(b"cursor");
    mac.update(&(list.len() as u64).to_be_bytes());
    mac.update(list.as_bytes());
    mac.update(bytes);
    mac.finalize().into_bytes().into()
}

/// A place as a query's value.
pub fn seal(live: &Live, place: &impl Serialize) -> String {
    seal_with(&live.csrf, "", place)
}

/// The place again; None where it is not one of ours, which leads to the start of the list.
pub fn open<T: DeserializeOwned>(live: &Live, sealed: &str) -> Option<T> {
    open_with(&live.csrf, "", sealed)
}

/// A place in one list, signed with that key: it opens for the same list alone.
pub fn seal_with(key: &[u8], list: &str, place: &impl Serialize) -> String {
    // Places are tuples of numbers, times and texts, which always serialise; an empty one would only lead to the start.
    let bytes = serde_json::to_vec(place).unwrap_or_default();
    let mut sealed = mac(key, list, &bytes)[..16].to_vec();
    sealed.extend(bytes);
    URL_SAFE_NO_PAD.encode(sealed)
}

/// The place again; None where it is not one of ours, or of another list.
pub fn open_with<T: DeserializeOwned>(key: &[u8], list: &str, sealed: &str) -> Option<T> {
    let sealed = URL_SAFE_NO_PAD.decode(sealed).ok()?;
    let (tag, bytes) = sealed.split_at_checked(16)?;
    let same: bool = tag.ct_eq(&mac(key, list, bytes)[..16]).into();
    if same { serde_json::from_slice(bytes).ok() } else { None }
}

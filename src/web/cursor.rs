//! Places in long lists, handed to browsers: opaque, and signed with the session's own secret, so that nobody composes one.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::Sha256;
use subtle::ConstantTimeEq;

use crate::access::session::Live;

fn mac(live: &Live, bytes: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(&live.csrf).expect("HMAC takes keys of any length");
    mac.update(b"cursor");
    mac.update(bytes);
    mac.finalize().into_bytes().into()
}

/// A place as a query's value.
pub fn seal(live: &Live, place: &impl Serialize) -> String {
    // Places are tuples of numbers, times and texts, which always serialise; an empty one would only lead to the start.
    let bytes = serde_json::to_vec(place).unwrap_or_default();
    let mut sealed = mac(live, &bytes)[..16].to_vec();
    sealed.extend(bytes);
    URL_SAFE_NO_PAD.encode(sealed)
}

/// The place again; None where it is not one of ours, which leads to the start of the list.
pub fn open<T: DeserializeOwned>(live: &Live, sealed: &str) -> Option<T> {
    let sealed = URL_SAFE_NO_PAD.decode(sealed).ok()?;
    let (tag, bytes) = sealed.split_at_checked(16)?;
    let same: bool = tag.ct_eq(&mac(live, bytes)[..16]).into();
    if same { serde_json::from_slice(bytes).ok() } else { None }
}

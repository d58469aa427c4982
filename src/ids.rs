//! Typed ids: a person's id is not an item's id, and the compiler knows.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! typed_id {
    ($($(#[$doc:meta])* $name:ident)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, sqlx::Type)]
        #[serde(transparent)]
        #[sqlx(transparent)]
        pub struct $name(pub Uuid);

        impl $name {
            /// A new id; version 7, so that rows made one after another lie beside each other.
            #[expect(clippy::new_without_default, reason = "two calls are never equal, which Default suggests")]
            pub fn new() -> Self {
                Self(Uuid::now_v7())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Uuid::parse_str(text).map(Self)
            }
        }
    )*};
}

typed_id! {
    /// A human known to the company.
    PersonId
    /// A request's row; people and the API use its [`RequestNumber`].
    RequestId
    /// One thing asked for in a request.
    ItemId
    /// One difference on one object.
    StepId
    /// Something that can be held.
    EntitlementId
}

/// A request's number, without gaps; shown as `REQ-000482`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, sqlx::Type)]
#[serde(transparent)]
#[sqlx(transparent)]
pub struct RequestNumber(pub i64);

impl fmt::Display for RequestNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "REQ-{:06}", self.0)
    }
}

/// Not a request number: neither digits nor `REQ-` and digits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("“{0}” is not a request number such as REQ-000123")]
pub struct NotANumber(String);

impl FromStr for RequestNumber {
    type Err = NotANumber;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = text.strip_prefix("REQ-").or_else(|| text.strip_prefix("req-")).unwrap_or(text);
        digits.parse().ok().filter(|number| *number > 0).map(Self).ok_or_else(|| NotANumber(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_numbers_are_read_as_they_are_shown() {
        assert_eq!(RequestNumber(482).to_string(), "REQ-000482");
        assert_eq!("REQ-000482".parse(), Ok(RequestNumber(482)));
        assert_eq!("482".parse(), Ok(RequestNumber(482)));
        for wrong in ["", "REQ-", "0", "-1", "REQ-x", "99999999999999999999"] {
            assert!(wrong.parse::<RequestNumber>().is_err(), "{wrong}");
        }
    }
}

//! Proxy addresses and identities.

use serde_json::Value;
use uuid::Uuid;

use super::{ValueError, guid_text, list, unwrapped};

/// A proxy address: `SMTP:amelie@example.com`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proxy {
    /// In capitals: `SMTP`, `X500`, `SIP`.
    pub kind: String,
    /// As the server spells it.
    pub address: String,
    /// The one of its kind that others see: its prefix stands in capitals.
    pub primary: bool,
}

impl Proxy {
    /// `SMTP:…` where primary, else `smtp:…`.
    pub fn prefixed(&self) -> String {
        let kind = if self.primary { self.kind.clone() } else { self.kind.to_lowercase() };
        format!("{kind}:{}", self.address)
    }

    /// The same address whatever its case and whether primary or not.
    pub fn folded(&self) -> String {
        format!("{}:{}", self.kind.to_lowercase(), self.address.to_lowercase())
    }
}

impl std::str::FromStr for Proxy {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let wrong =
            || ValueError::new("an address with its kind, as SMTP:name@domain", &Value::String(text.to_owned()));
        let (prefix, address) = text.split_once(':').ok_or_else(wrong)?;
        let named = !prefix.is_empty() && prefix.len() <= 16 && prefix.bytes().all(|b| b.is_ascii_alphanumeric());
        let smtp_shape = !prefix.eq_ignore_ascii_case("smtp") || address.contains('@');
        if !named || address.is_empty() || !smtp_shape {
            return Err(wrong());
        }
        let primary = !prefix.bytes().any(|b| b.is_ascii_lowercase());
        Ok(Self { kind: prefix.to_ascii_uppercase(), address: address.to_owned(), primary })
    }
}

/// All proxy addresses of a recipient.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Addresses(pub Vec<Proxy>);

impl Addresses {
    /// The primary SMTP address.
    pub fn primary(&self) -> Option<&str> {
        self.smtp(true).next()
    }

    /// SMTP addresses besides the primary.
    pub fn aliases(&self) -> impl Iterator<Item = &str> {
        self.smtp(false)
    }

    /// Whether it is an SMTP address of the recipient, primary or not; case does not matter.
    pub fn has(&self, address: &str) -> bool {
        let wanted = address.to_lowercase();
        self.0.iter().any(|proxy| proxy.kind == "SMTP" && proxy.address.to_lowercase() == wanted)
    }

    fn smtp(&self, primary: bool) -> impl Iterator<Item = &str> {
        self.0
            .iter()
            .filter(move |proxy| proxy.kind == "SMTP" && proxy.primary == primary)
            .map(|proxy| proxy.address.as_str())
    }
}

/// A list of proxy addresses.
///
/// # Errors
/// An element without a kind, or two primary SMTP addresses.
pub fn addresses(value: &Value) -> Result<Addresses, ValueError> {
    let found = Addresses(list(value)?.iter().map(|text| text.parse()).collect::<Result<_, _>>()?);
    if found.smtp(true).count() > 1 {
        return Err(ValueError::new("a list with one primary SMTP address", value));
    }
    Ok(found)
}

/// How a server names a recipient or a trustee.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    Guid(Uuid),
    Smtp(String),
    /// `CN=Amelie,OU=Users,DC=example,DC=com`, also Exchange's `/o=…/cn=…`.
    DistinguishedName(String),
    /// `example.com/Users/Amelie`.
    CanonicalName(String),
    /// `S-1-5-21-…`
    Sid(String),
    /// `EXAMPLE\amelie`, `NT AUTHORITY\SELF`.
    Account(String),
    /// An alias or display name: says little, and nothing about who it is.
    Name(String),
}

impl Identity {
    /// As a parameter takes it.
    pub fn as_text(&self) -> String {
        match self {
            Self::Guid(guid) => guid.to_string(),
            Self::Smtp(text)
            | Self::DistinguishedName(text)
            | Self::CanonicalName(text)
            | Self::Sid(text)
            | Self::Account(text)
            | Self::Name(text) => text.clone(),
        }
    }

    /// Both spelled alike but for case. Different spellings of one recipient are not the same here.
    pub fn same(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
            && self.as_text().to_lowercase() == other.as_text().to_lowercase()
    }
}

impl From<&str> for Identity {
    fn from(text: &str) -> Self {
        let text = text.trim();
        let lower = text.to_lowercase();
        let owned = text.to_owned();
        if let Some(guid) = guid_text(text) {
            Self::Guid(guid)
        } else if lower.starts_with("s-1-") && lower[4..].bytes().all(|b| b.is_ascii_digit() || b == b'-') {
            Self::Sid(owned)
        } else if lower.starts_with("cn=") || lower.starts_with("ou=") || lower.starts_with("/o=") {
            Self::DistinguishedName(owned)
        } else if text.contains('\\') {
            Self::Account(owned)
        } else if text.contains('@') && !text.contains(['/', ' ']) {
            Self::Smtp(lower.strip_prefix("smtp:").map_or_else(|| owned.clone(), |_| text[5..].to_owned()))
        } else if text.split_once('/').is_some_and(|(domain, _)| domain.contains('.') && !domain.contains(' ')) {
            Self::CanonicalName(owned)
        } else {
            Self::Name(owned)
        }
    }
}

/// An identity as text, or the most telling field of an identity given as an object.
///
/// # Errors
/// Empty text, and objects without any such field.
pub fn identity(value: &Value) -> Result<Identity, ValueError> {
    const FIELDS: [&str; 6] = ["ObjectGuid", "Guid", "DistinguishedName", "PrimarySmtpAddress", "RawIdentity", "Name"];
    let value = unwrapped(value);
    let text = match value {
        Value::String(text) => Some(text.as_str()),
        Value::Object(fields) => {
            FIELDS.iter().filter_map(|name| fields.get(*name)?.as_str()).find(|text| !text.trim().is_empty())
        }
        _ => None,
    };
    let text = text.filter(|text| !text.trim().is_empty());
    text.map(Identity::from).ok_or_else(|| ValueError::new("an identity", value))
}

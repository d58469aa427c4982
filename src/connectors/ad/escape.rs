//! Names on the wire: RFC 4514 for distinguished names, RFC 4515 for filters, `<GUID=…>` for everything that exists.
//!
//! Every value that reaches a DN or a filter passes through here; there is no second way.

use std::fmt::Write as _;

use uuid::Uuid;

/// Escapes a value for a relative distinguished name (RFC 4514 section 2.4).
pub fn rdn_value(value: &str) -> String {
    let mut out = String::with_capacity(value.len() + 8);
    let last = value.chars().count().saturating_sub(1);
    for (index, c) in value.chars().enumerate() {
        match c {
            '"' | '+' | ',' | ';' | '<' | '>' | '\\' | '=' => {
                out.push('\\');
                out.push(c);
            }
            ' ' | '#' if index == 0 => {
                out.push('\\');
                out.push(c);
            }
            ' ' if index == last => out.push_str("\\ "),
            // Legal in the RFC, but a control character in a name breaks whatever shows it next.
            c if c.is_control() => {
                let mut bytes = [0; 4];
                for byte in c.encode_utf8(&mut bytes).bytes() {
                    let _ = write!(out, "\\{byte:02X}");
                }
            }
            c => out.push(c),
        }
    }
    out
}

/// Escapes a value for a search filter (RFC 4515 section 3).
pub fn filter_value(value: &str) -> String {
    ldap3::ldap_escape(value).into_owned()
}

/// Bytes for a search filter, every one escaped (objectGUID, objectSid).
pub fn filter_bytes(value: &[u8]) -> String {
    let mut out = String::with_capacity(value.len() * 3);
    for byte in value {
        let _ = write!(out, "\\{byte:02x}");
    }
    out
}

/// The DN form that survives renames and moves (MS-ADTS 3.1.1.3.1.2.4).
pub fn guid_dn(id: Uuid) -> String {
    format!("<GUID={id}>")
}

/// A distinguished name in parts: the first RDN's type and value (unescaped), and everything above it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    pub rdn_type: String,
    pub rdn_value: String,
    pub parent: String,
}

/// Splits a DN after its first RDN; `None` when it is not a DN.
pub fn split(dn: &str) -> Option<Name> {
    let mut parts = rdns(dn)?.into_iter();
    let (rdn_type, rdn_value) = parts.next()?;
    Some(Name { rdn_type, rdn_value, parent: join(parts) })
}

/// Whether it can name an object: at least one part, each `type=value` (RFC 4514).
pub fn is_name(dn: &str) -> bool {
    rdns(dn).is_some_and(|parts| !parts.is_empty() && parts.iter().all(|(_, value)| !value.is_empty()))
}

/// One spelling for equal names: types in capitals, no spaces around commas, our escapes. The case of values stays.
/// What is no DN comes back as it was.
pub fn canonical(dn: &str) -> String {
    rdns(dn).map_or_else(|| dn.to_owned(), |parts| join(parts.into_iter()))
}

/// Whether `dn` is `base` or lies below it. Directory names do not distinguish case.
pub fn is_within(dn: &str, base: &str) -> bool {
    let (dn, base) = (canonical(dn).to_lowercase(), canonical(base).to_lowercase());
    dn == base || dn.strip_suffix(&base).is_some_and(|rest| rest.ends_with(','))
}

fn join(parts: impl Iterator<Item = (String, String)>) -> String {
    parts.map(|(kind, value)| format!("{}={}", kind.to_uppercase(), rdn_value(&value))).collect::<Vec<_>>().join(",")
}

/// All RDNs with their values unescaped. An empty DN has none.
fn rdns(dn: &str) -> Option<Vec<(String, String)>> {
    if dn.is_empty() {
        return Some(Vec::new());
    }
    unescaped_split(dn)
        .into_iter()
        .map(|part| {
            let (kind, value) = part.split_once('=')?;
            let kind = kind.trim();
            let plain = !kind.is_empty() && kind.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.'));
            plain.then_some(())?;
            Some((kind.to_owned(), unescape(value)?))
        })
        .collect()
}

/// Splits at commas that are not escaped.
fn unescaped_split(dn: &str) -> Vec<&str> {
    let (mut parts, mut start, mut escaped) = (Vec::new(), 0, false);
    for (index, c) in dn.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            ',' | ';' => {
                parts.push(&dn[start..index]);
                start = index + 1;
            }
            _ => {}
        }
    }
    parts.push(&dn[start..]);
    parts
}

/// Undoes RFC 4514 escapes and drops unescaped spaces at both ends.
fn unescape(value: &str) -> Option<String> {
    let bytes = value.as_bytes();
    let (mut out, mut index, mut kept) = (Vec::with_capacity(bytes.len()), 0, 0);
    while index < bytes.len() {
        if bytes[index] == b'\\' {
            let pair = bytes.get(index + 1..index + 3).and_then(|pair| std::str::from_utf8(pair).ok());
            if let Some(byte) =
                pair.filter(|p| p.bytes().all(|b| b.is_ascii_hexdigit())).and_then(|p| u8::from_str_radix(p, 16).ok())
            {
                out.push(byte);
                index += 3;
            } else {
                out.push(*bytes.get(index + 1)?);
                index += 2;
            }
            kept = out.len();
        } else {
            if bytes[index] != b' ' {
                out.push(bytes[index]);
                kept = out.len();
            } else if !out.is_empty() {
                out.push(b' ');
            }
            index += 1;
        }
    }
    out.truncate(kept);
    String::from_utf8(out).ok()
}

/// A DN as the extended-DN control returns it (1.2.840.113556.1.4.529, string form): `<GUID=…>;<SID=…>;CN=…`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtendedDn {
    pub guid: Option<Uuid>,
    pub dn: String,
}

impl ExtendedDn {
    /// Reads the extended form, or a plain DN.
    pub fn parse(text: &str) -> Self {
        let (mut rest, mut guid) = (text, None);
        while let Some(inner) = rest.strip_prefix('<') {
            let Some((component, after)) = inner.split_once('>') else { break };
            if let Some(value) = component.strip_prefix("GUID=") {
                guid = Uuid::parse_str(value).ok();
            }
            rest = after.strip_prefix(';').unwrap_or(after);
        }
        Self { guid, dn: canonical(rest) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn hostile_names_are_escaped() {
        let cases = [
            ("O'Brien", "O'Brien"),
            ("Smith, Jr.", "Smith\\, Jr."),
            ("#lead", "\\#lead"),
            ("ends ", "ends\\ "),
            (" ", "\\ "),
            ("a#b", "a#b"),
            ("Nguyễn Thị", "Nguyễn Thị"),
            ("李小龙 🙂", "李小龙 🙂"),
            ("a\0b", "a\\00b"),
        ];
        for (value, escaped) in cases {
            assert_eq!(rdn_value(value), escaped);
        }
        assert_eq!(filter_value("*)(uid=*"), "\\2a\\29\\28uid=\\2a");
    }

    #[test]
    fn names_are_split_and_spelt_one_way() {
        let name = split("cn=Smith\\2C Jr.\\20, ou=Hamburg,DC=corp").expect("a DN");
        assert_eq!((name.rdn_type.as_str(), name.rdn_value.as_str()), ("cn", "Smith, Jr. "));
        assert_eq!(name.parent, "OU=Hamburg,DC=corp");
        assert_eq!(canonical("nonsense"), "nonsense");
        assert!(is_within("CN=a,OU=Staff,DC=corp", "ou=staff,dc=CORP"));
        assert!(!is_within("CN=a,OU=AStaff,DC=corp", "OU=Staff,DC=corp"));
    }

    #[test]
    fn extended_names_are_read() {
        let text = "<GUID=60404435-1bcf-46a6-bf3d-129fdcdda104>;<SID=S-1-5-21-1>;CN=Test One,OU=Staff";
        let name = ExtendedDn::parse(text);
        assert_eq!(name.guid, Uuid::parse_str("60404435-1bcf-46a6-bf3d-129fdcdda104").ok());
        assert_eq!(name.dn, "CN=Test One,OU=Staff");
        assert_eq!(ExtendedDn::parse("CN=a,DC=b"), ExtendedDn { guid: None, dn: "CN=a,DC=b".into() });
    }

    proptest! {
        #[test]
        fn any_value_survives_a_dn(value in "\\PC{1,40}", above in "[a-z ,]{1,10}") {
            let dn = format!("CN={},OU={},DC=x", rdn_value(&value), rdn_value(&above));
            let name = split(&dn).expect("escaped, so a DN");
            prop_assert_eq!(&name.rdn_value, &value);
            prop_assert_eq!(canonical(&dn), canonical(&canonical(&dn)));
        }

        #[test]
        fn any_value_is_one_filter_assertion(value in any::<String>()) {
            let filter = format!("(cn={})", filter_value(&value));
            prop_assert!(ldap3::parse_filter(filter).is_ok());
        }

        #[test]
        fn no_text_breaks_the_readers(text in any::<String>()) {
            let _ = split(&text);
            let _ = ExtendedDn::parse(&text);
        }
    }
}

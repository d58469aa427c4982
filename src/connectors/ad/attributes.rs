//! The table of attributes: our name, the directory's, its id in the version accounting, how it is written, and the
//! readings between: FILETIME, the bits of `userAccountControl`, SIDs, times.
//!
//! Lengths are the schema's `rangeUpper` (MS-ADA1..3) in UTF-16 units; Samba does not check all of them, so we do.

use chrono::{DateTime, NaiveDateTime, SecondsFormat, Utc};

use super::entry::Entry;
use super::escape;
use crate::target::{State, Value};

/// How an attribute of an account is read and written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// The container: written by a move.
    Parent,
    /// The naming attribute: written by a rename.
    Rdn,
    Text,
    /// A DN in the directory, the objectGUID as text with us.
    Object,
    /// Bit 2 of `userAccountControl`, reversed.
    Enabled,
    /// `lockoutTime`; only unlocking can be written.
    Locked,
    /// FILETIME, where 0 and 2^63-1 are never.
    Expiry,
    /// `unicodePwd`, never read.
    Password,
    /// `pwdLastSet` = 0.
    MustChange,
}

/// One line of the table.
#[derive(Debug, Clone, Copy)]
pub struct Attribute {
    /// Our name.
    pub name: &'static str,
    /// The directory's.
    pub ldap: &'static str,
    /// ATTRTYP in `replPropertyMetaData`, from the OID by the default prefix table (MS-DRSR 5.16.4).
    pub attid: u32,
    pub form: Form,
    /// Most UTF-16 units; 0: not limited here.
    pub longest: usize,
}

const fn line(name: &'static str, ldap: &'static str, attid: u32, form: Form, longest: usize) -> Attribute {
    Attribute { name, ldap, attid, form, longest }
}

/// What an account has that we write.
pub const USER: &[Attribute] = &[
    line("parent", "distinguishedName", 0x9_0001, Form::Parent, 0),
    line("cn", "cn", 0x3, Form::Rdn, 64),
    line("sAMAccountName", "sAMAccountName", 0x9_00dd, Form::Text, 20),
    line("userPrincipalName", "userPrincipalName", 0x9_0290, Form::Text, 1024),
    line("givenName", "givenName", 0x2a, Form::Text, 64),
    line("sn", "sn", 0x4, Form::Text, 64),
    line("displayName", "displayName", 0x2_000d, Form::Text, 256),
    line("mail", "mail", 0x15_0003, Form::Text, 256),
    line("employeeID", "employeeID", 0x9_0023, Form::Text, 16),
    line("department", "department", 0x2_008d, Form::Text, 64),
    line("title", "title", 0xc, Form::Text, 128),
    line("company", "company", 0x2_0092, Form::Text, 64),
    line("physicalDeliveryOfficeName", "physicalDeliveryOfficeName", 0x13, Form::Text, 128),
    line("telephoneNumber", "telephoneNumber", 0x14, Form::Text, 64),
    line("description", "description", 0xd, Form::Text, 1024),
    line("manager", "manager", 0x15_000a, Form::Object, 0),
    line("enabled", "userAccountControl", 0x9_0008, Form::Enabled, 0),
    line("locked", "lockoutTime", 0x9_0296, Form::Locked, 0),
    line("accountExpires", "accountExpires", 0x9_009f, Form::Expiry, 0),
    line("password", "unicodePwd", 0x9_005a, Form::Password, 0),
    line("mustChangePassword", "pwdLastSet", 0x9_0060, Form::MustChange, 0),
];

/// The line of one of our names.
pub fn of(name: &str) -> Option<&'static Attribute> {
    USER.iter().find(|attribute| attribute.name == name)
}

/// What is asked of the server for an account, apart from the table.
pub const USER_EXTRAS: &[&str] = &[
    "objectGUID",
    "objectSid",
    "objectClass",
    "sAMAccountType",
    "lastLogonTimestamp",
    "whenCreated",
    "adminCount",
    "primaryGroupID",
    "uSNChanged",
];

/// Whether an account is locked at this moment, among other things. Computed by the server at each reading.
pub const COMPUTED: &str = "msDS-User-Account-Control-Computed";

/// What is asked of the server for a group.
pub const GROUP: &[&str] = &[
    "objectGUID",
    "objectSid",
    "objectClass",
    "name",
    "sAMAccountName",
    "description",
    "groupType",
    "mail",
    "managedBy",
    "whenCreated",
    "adminCount",
    "uSNChanged",
];

pub const ACCOUNT_DISABLED: i64 = 0x2;
pub const LOCKED_OUT: i64 = 0x10;
pub const PASSWORD_NOT_REQUIRED: i64 = 0x20;
pub const NORMAL_ACCOUNT: i64 = 0x200;

/// `userAccountControl` for an enabled or disabled account: only the bits in question change, an ordinary enabled account
/// is exactly 512, and PASSWD_NOTREQD never stays behind.
pub fn account_control(current: i64, enabled: bool) -> i64 {
    let kept = (current | NORMAL_ACCOUNT) & !PASSWORD_NOT_REQUIRED & !LOCKED_OUT;
    if enabled { kept & !ACCOUNT_DISABLED } else { kept | ACCOUNT_DISABLED }
}

/// Seconds from 1601-01-01 to 1970-01-01.
const EPOCH: i64 = 11_644_473_600;
pub const NEVER: i64 = i64::MAX;

/// A FILETIME (100 ns since 1601, UTC) as a moment; 0 and 2^63-1 are none.
pub fn from_filetime(ticks: i64) -> Option<DateTime<Utc>> {
    if ticks <= 0 || ticks == NEVER {
        return None;
    }
    let nanoseconds = u32::try_from(ticks % 10_000_000).ok()? * 100;
    DateTime::from_timestamp(ticks / 10_000_000 - EPOCH, nanoseconds)
}

/// A moment as FILETIME; `None` before 1601 or beyond what it holds.
pub fn to_filetime(at: DateTime<Utc>) -> Option<i64> {
    let ticks = i64::from(at.timestamp_subsec_nanos() / 100);
    at.timestamp().checked_add(EPOCH)?.checked_mul(10_000_000)?.checked_add(ticks).filter(|ticks| *ticks > 0)
}

/// RFC 3339 in UTC, without needless zeros: `2026-11-30T22:59:59Z`.
pub fn moment(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::AutoSi, true)
}

/// GeneralizedTime as AD writes it, `20261123083351.0Z`.
pub fn from_generalized(text: &str) -> Option<DateTime<Utc>> {
    let digits = text.split(['.', 'Z']).next()?;
    NaiveDateTime::parse_from_str(digits, "%Y%m%d%H%M%S").ok().map(|at| at.and_utc())
}

/// A SID's text, `S-1-5-21-…-1104` (MS-DTYP 2.4.2).
pub fn sid_text(bytes: &[u8]) -> Option<String> {
    let (head, parts) = bytes.split_at_checked(8)?;
    if head[0] != 1 || parts.len() != usize::from(head[1]) * 4 {
        return None;
    }
    let authority = head[2..8].iter().fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte));
    let parts = parts.chunks_exact(4).map(|part| u32::from_le_bytes([part[0], part[1], part[2], part[3]]));
    Some(parts.fold(format!("S-1-{authority}"), |text, part| format!("{text}-{part}")))
}

/// The last part of a SID: the relative id within its domain.
pub fn rid(sid: &[u8]) -> Option<u32> {
    let tail: [u8; 4] = sid.get(sid.len().checked_sub(4)?..)?.try_into().ok()?;
    Some(u32::from_le_bytes(tail))
}

fn text(entry: &Entry, attribute: &str) -> Value {
    entry.text(attribute).filter(|text| !text.is_empty()).map_or(Value::Null, Value::Text)
}

fn time(entry: &Entry, attribute: &str) -> Value {
    let at = entry.number(attribute).and_then(from_filetime);
    at.map_or(Value::Null, |at| Value::Text(moment(at)))
}

fn number(entry: &Entry, attribute: &str) -> Value {
    entry.number(attribute).map_or(Value::Null, Value::Number)
}

fn object(entry: &Entry, attribute: &str) -> Value {
    entry.ids(attribute).first().map_or(Value::Null, |id| Value::Text(id.to_string()))
}

fn sid(entry: &Entry) -> Value {
    entry.bytes("objectSid").and_then(sid_text).map_or(Value::Null, Value::Text)
}

fn created(entry: &Entry) -> Value {
    let at = entry.text("whenCreated").and_then(|text| from_generalized(&text));
    at.map_or(Value::Null, |at| Value::Text(moment(at)))
}

/// One attribute of the table as we show it. A password shows nothing.
fn read(entry: &Entry, attribute: &Attribute) -> Value {
    match attribute.form {
        Form::Parent => escape::split(&entry.dn).map_or(Value::Null, |name| Value::Text(name.parent)),
        Form::Rdn | Form::Text => text(entry, attribute.ldap),
        Form::Object => object(entry, attribute.ldap),
        Form::Enabled => {
            Value::Bool(entry.number("userAccountControl").is_some_and(|bits| bits & ACCOUNT_DISABLED == 0))
        }
        Form::Locked => {
            let computed = entry.number(COMPUTED).unwrap_or_default();
            Value::Bool(computed & LOCKED_OUT != 0)
        }
        Form::Expiry => time(entry, attribute.ldap),
        Form::Password => Value::Null,
        Form::MustChange => Value::Bool(entry.number("pwdLastSet").unwrap_or_default() == 0),
    }
}

/// An account's entry as a state: the table, and what the mirror wants besides.
pub fn user_state(entry: &Entry, correlation: &str, protected: bool) -> State {
    let table = USER.iter().map(|attribute| (attribute.name, read(entry, attribute)));
    let extras = [
        ("dn", Value::Text(entry.dn.clone())),
        ("objectSid", sid(entry)),
        ("sAMAccountType", number(entry, "sAMAccountType")),
        ("userAccountControl", number(entry, "userAccountControl")),
        ("primaryGroupID", number(entry, "primaryGroupID")),
        ("adminCount", number(entry, "adminCount")),
        ("protected", Value::Bool(protected)),
        ("passwordLastSet", time(entry, "pwdLastSet")),
        ("lockoutTime", time(entry, "lockoutTime")),
        ("lastLogonTimestamp", time(entry, "lastLogonTimestamp")),
        ("whenCreated", created(entry)),
        ("correlation", text(entry, correlation)),
    ];
    let all = table.chain(extras).filter(|(_, value)| *value != Value::Null);
    State(all.map(|(name, value)| (name.to_owned(), value)).collect())
}

/// A group's entry as a state.
pub fn group_state(entry: &Entry) -> State {
    let all = [
        ("dn", Value::Text(entry.dn.clone())),
        ("name", text(entry, "name")),
        ("sAMAccountName", text(entry, "sAMAccountName")),
        ("description", text(entry, "description")),
        ("groupType", number(entry, "groupType")),
        ("objectSid", sid(entry)),
        ("mail", text(entry, "mail")),
        ("managedBy", object(entry, "managedBy")),
        ("adminCount", number(entry, "adminCount")),
        ("whenCreated", created(entry)),
    ];
    let all = all.into_iter().filter(|(_, value)| *value != Value::Null);
    State(all.map(|(name, value)| (name.to_owned(), value)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn enabling_leaves_exactly_what_belongs() {
        assert_eq!(account_control(514, true), 512);
        assert_eq!(account_control(546, true), 512);
        assert_eq!(account_control(512, false), 514);
        // Password never expires (0x10000) and smart card required (0x40000) are somebody's decisions.
        assert_eq!(account_control(0x10202, true), 0x10200);
        assert_eq!(account_control(0x40200, false), 0x40202);
    }

    #[test]
    fn times_are_read() {
        assert_eq!(from_filetime(0), None);
        assert_eq!(from_filetime(NEVER), None);
        let at = from_filetime(133_000_000_000_000_000).expect("a time");
        assert_eq!(moment(at), "2022-06-18T04:26:40Z");
        assert_eq!(from_generalized("20261123083351.0Z").map(moment).as_deref(), Some("2026-11-23T08:33:51Z"));
    }

    #[test]
    fn sids_are_read() {
        let bytes = [1, 2, 0, 0, 0, 0, 0, 5, 32, 0, 0, 0, 0x20, 2, 0, 0];
        assert_eq!(sid_text(&bytes).as_deref(), Some("S-1-5-32-544"));
        assert_eq!(rid(&bytes), Some(544));
        assert_eq!(sid_text(&bytes[..15]), None);
    }

    proptest! {
        #[test]
        fn filetime_goes_there_and_back(ticks in 1..i64::MAX / 4) {
            let at = from_filetime(ticks).expect("in range");
            prop_assert_eq!(to_filetime(at), Some(ticks));
        }

        #[test]
        fn account_control_settles(bits in 0_i64..0x1_0000_0000, enabled: bool) {
            let once = account_control(bits, enabled);
            prop_assert_eq!(account_control(once, enabled), once);
            prop_assert_eq!(once & ACCOUNT_DISABLED == 0, enabled);
            prop_assert_eq!(once & PASSWORD_NOT_REQUIRED, 0);
        }
    }
}

//! The LDAP controls of Active Directory that we send, in BER by hand: each is a dozen bytes.

use ldap3::controls::{Control, ControlType, PagedResults, RawControl};

const NO_REFERRALS: &str = "1.2.840.113556.1.4.1339";
const EXTENDED_DN: &str = "1.2.840.113556.1.4.529";
const SHOW_DELETED: &str = "1.2.840.113556.1.4.417";
const SD_FLAGS: &str = "1.2.840.113556.1.4.801";
const DIRSYNC: &str = "1.2.840.113556.1.4.841";

/// LDAP_SERVER_DOMAIN_SCOPE: no referrals to other domains.
pub fn no_referrals() -> RawControl {
    RawControl { ctype: NO_REFERRALS.to_owned(), crit: false, val: None }
}

/// Every DN comes with its GUID in front, readable (flag 1): `<GUID=…>;<SID=…>;CN=…`.
pub fn extended_dn() -> RawControl {
    RawControl { ctype: EXTENDED_DN.to_owned(), crit: true, val: Some(vec![0x30, 3, 2, 1, 1]) }
}

/// Deleted objects are found, too.
pub fn show_deleted() -> RawControl {
    RawControl { ctype: SHOW_DELETED.to_owned(), crit: true, val: None }
}

/// `nTSecurityDescriptor` comes with its access list alone (DACL_SECURITY_INFORMATION), which RC allows to be read: not the
/// list of what is audited.
pub fn access_list() -> RawControl {
    RawControl { ctype: SD_FLAGS.to_owned(), crit: true, val: Some(vec![0x30, 3, 2, 1, 4]) }
}

/// One page of a result.
pub fn page(size: i32, cookie: Vec<u8>) -> RawControl {
    let mut control = RawControl::from(PagedResults { size, cookie });
    control.crit = true;
    control
}

/// The cookie for the next page; empty after the last.
pub fn next_page(answer: &[Control]) -> Vec<u8> {
    answer
        .iter()
        .find(|control| matches!(control.0, Some(ControlType::PagedResults)) && control.1.val.is_some())
        .map_or_else(Vec::new, |control| control.1.parse::<PagedResults>().cookie)
}

/// LDAP_SERVER_DIRSYNC with OBJECT_SECURITY (1: sees what we may see, needs no replication right) and
/// INCREMENTAL_VALUES (2^31: single members, not whole lists). MS-ADTS 3.1.1.3.4.1.3.
pub fn dirsync(cookie: &[u8]) -> RawControl {
    const FLAGS: [u8; 6] = [2, 4, 0x80, 0, 0, 1];
    const MOST_BYTES: [u8; 5] = [2, 3, 0x10, 0, 0];
    let mut inside = [FLAGS.as_slice(), &MOST_BYTES, &[4]].concat();
    inside.extend(length(cookie.len()));
    inside.extend(cookie);
    let mut value = vec![0x30];
    value.extend(length(inside.len()));
    value.extend(inside);
    RawControl { ctype: DIRSYNC.to_owned(), crit: true, val: Some(value) }
}

/// The answer to [`dirsync`]: whether more is waiting, and the cookie to go on with.
pub fn dirsync_answer(answer: &[Control]) -> Option<(bool, Vec<u8>)> {
    let value = answer.iter().find(|control| control.1.ctype == DIRSYNC)?.1.val.as_deref()?;
    let (_, sequence, _) = element(value)?;
    let (_, more, rest) = element(sequence)?;
    let (_, _, rest) = element(rest)?;
    let (_, cookie, _) = element(rest)?;
    Some((more.iter().any(|byte| *byte != 0), cookie.to_vec()))
}

fn length(length: usize) -> Vec<u8> {
    let bytes = length.to_be_bytes();
    let bytes: Vec<u8> = bytes.iter().copied().skip_while(|byte| *byte == 0).collect();
    match length {
        0..=127 => vec![u8::try_from(length).unwrap_or_default()],
        _ => [&[0x80 | u8::try_from(bytes.len()).unwrap_or_default()], bytes.as_slice()].concat(),
    }
}

/// One BER element: tag, content, what follows.
fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = bytes.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = if first & 0x80 == 0 {
        (usize::from(first), rest)
    } else {
        let count = usize::from(first & 0x7f);
        if count > 4 {
            return None;
        }
        let (digits, rest) = rest.split_at_checked(count)?;
        (digits.iter().fold(0, |sum, digit| sum << 8 | usize::from(*digit)), rest)
    };
    let (content, after) = rest.split_at_checked(length)?;
    Some((tag, content, after))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_cookie_of_any_length_goes_there_and_back(cookie in proptest::collection::vec(any::<u8>(), 0..70_000)) {
            // The request has the shape of the answer: two integers and the cookie.
            let sent = dirsync(&cookie);
            let read = dirsync_answer(&[Control(None, sent)]);
            prop_assert_eq!(read, Some((true, cookie)));
        }

        #[test]
        fn no_bytes_break_the_reader(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            let control = RawControl { ctype: DIRSYNC.to_owned(), crit: false, val: Some(bytes) };
            let _ = dirsync_answer(&[Control(None, control)]);
        }
    }
}

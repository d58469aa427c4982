//! Passwords that the directory will take: its policy, a generator, and how a password is sent.
//!
//! Groups of two letters and a digit, `Kt7-mQ4-pX9-hR2-vN6`: easily read aloud and typed, without look-alikes (no `0`,
//! `O`, `1`, `l`, `I`, `o`, `i`). Never three letters in a row, so no part of a name of three letters or more can be in
//! it, which the complexity rule forbids (MS-SAMR 3.1.1.7.2). Five groups are 70 bits.

use ldap3::Scope;
use rand::RngExt as _;
use zeroize::Zeroizing;

use super::session::{Failure, Session};

const LETTERS: &[u8] = b"ABCDEFGHJKLMNPQRSTUVWXYZabcdefghjkmnpqrstuvwxyz";
const DIGITS: &[u8] = b"23456789";
const FEWEST_GROUPS: usize = 5;

/// What a new password must satisfy. Complexity is always satisfied, asked for or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    pub min_length: usize,
}

/// Reads the domain's policy and every fine-grained one that we may see, and takes the longest minimum: what is
/// generated then suits whoever gets it. Fine-grained policies are hidden from a plain account by default; where one
/// asks for more than this, the directory refuses the password and says so.
pub async fn policy(session: &mut Session, domain: &str) -> Result<Policy, Failure> {
    let mut lengths = Vec::new();
    if let Some(head) = session.read(domain, &["minPwdLength"]).await? {
        lengths.extend(head.number("minPwdLength"));
    }
    let container = format!("CN=Password Settings Container,CN=System,{domain}");
    let attribute = "msDS-MinimumPasswordLength";
    match session.search(&container, Scope::Subtree, "(objectClass=msDS-PasswordSettings)", &[attribute]).await {
        Ok(entries) => lengths.extend(entries.iter().filter_map(|entry| entry.number(attribute))),
        Err(Failure::Said { rc: 32 | 50, .. }) => {}
        Err(failure) => return Err(failure),
    }
    Ok(Policy { min_length: lengths.into_iter().filter_map(|length| usize::try_from(length).ok()).max().unwrap_or(0) })
}

/// A fresh random password for `policy`.
pub fn generate(policy: Policy) -> Zeroizing<String> {
    // n groups of three and n - 1 dashes: 4n - 1 characters.
    let groups = FEWEST_GROUPS.max((policy.min_length + 1).div_ceil(4));
    let mut rng = rand::rng();
    loop {
        let mut password = Zeroizing::new(String::with_capacity(groups * 4));
        for group in 0..groups {
            if group > 0 {
                password.push('-');
            }
            for set in [LETTERS, LETTERS, DIGITS] {
                password.push(char::from(set[rng.random_range(0..set.len())]));
            }
        }
        // One capital and one small letter, with digits and dashes: four of the five character classes.
        if password.chars().any(|c| c.is_ascii_uppercase()) && password.chars().any(|c| c.is_ascii_lowercase()) {
            return password;
        }
    }
}

/// Whether the complexity rule would find a name in the password: the logon name, or a word of the display name, of
/// three characters or more.
pub fn contains_name(password: &str, logon_name: &str, display_name: &str) -> bool {
    let password = password.to_lowercase();
    let words = display_name.split(|c: char| c.is_whitespace() || ",.-_#".contains(c));
    words
        .chain([logon_name])
        .filter(|word| word.chars().count() >= 3)
        .any(|word| password.contains(&word.to_lowercase()))
}

/// `unicodePwd` as the directory wants it: in quotes, UTF-16 little-endian (MS-ADTS 3.1.1.3.1.5).
pub fn encode(password: &str) -> Zeroizing<Vec<u8>> {
    let mut out = Zeroizing::new(Vec::with_capacity(password.len() * 2 + 4));
    for unit in std::iter::once(u16::from(b'"')).chain(password.encode_utf16()).chain([u16::from(b'"')]) {
        out.extend(unit.to_le_bytes());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn it_is_sent_in_quotes_as_utf16() {
        assert_eq!(encode("aé").as_slice(), b"\"\0a\0\xe9\0\"\0");
    }

    #[test]
    fn names_are_recognised() {
        assert!(contains_name("xxLAN9", "tlnguyen", "Nguyễn Thị Lan"));
        assert!(!contains_name("Kt7-mQ4-pX9", "tlnguyen", "Nguyễn Thị Lan"));
        assert!(!contains_name("Kt7-jo4", "jo", "Jo Ng"));
    }

    proptest! {
        #[test]
        fn what_is_generated_satisfies_the_policy(min_length in 0_usize..128, word in "[a-zA-Z]{3,20}") {
            let password = generate(Policy { min_length });
            prop_assert!(password.len() >= min_length.max(19));
            prop_assert!(password.chars().any(|c| c.is_ascii_uppercase()));
            prop_assert!(password.chars().any(|c| c.is_ascii_lowercase()));
            prop_assert!(password.chars().any(|c| c.is_ascii_digit()));
            prop_assert!(!password.chars().any(|c| "0O1lIoi".contains(c)));
            prop_assert!(!contains_name(&password, &word, &word));
        }
    }

    #[test]
    fn no_two_are_alike() {
        let many: std::collections::HashSet<String> =
            (0..1000).map(|_| generate(Policy { min_length: 0 }).to_string()).collect();
        assert_eq!(many.len(), 1000);
    }
}

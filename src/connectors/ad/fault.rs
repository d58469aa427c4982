//! What a failure means for a step: try again, refused for good, a person's turn, or nobody knows.

use std::time::Duration;

use super::attributes;
use super::session::Failure;
use crate::target::Fault;

/// A failed look: nothing was changed, whatever it was.
pub fn reading(failure: &Failure, doing: &str) -> Fault {
    match failure {
        Failure::NotSent(why) | Failure::Broken(why) => {
            Fault::Retry { after: None, why: format!("The directory did not answer during {doing} ({why}).") }
        }
        Failure::Said { rc, text } => said(*rc, text, doing),
    }
}

/// A failed write: when the connection broke after sending, nobody knows whether it was done.
pub fn writing(failure: &Failure, doing: &str) -> Fault {
    match failure {
        Failure::Broken(why) => Fault::Unknown {
            why: format!("The connection broke during {doing}; whether it was done will be looked up ({why})."),
        },
        other => reading(other, doing),
    }
}

/// Refused for good, in plain words.
pub fn refused(attribute: &str, why: impl Into<String>) -> Fault {
    Fault::Refused { why: why.into(), attribute: Some(attribute.to_owned()) }
}

/// By result code (RFC 4511 appendix A, and what domain controllers make of it).
fn said(rc: u32, text: &str, doing: &str) -> Fault {
    let told = if text.is_empty() { format!("code {rc}") } else { format!("code {rc}: {text}") };
    match rc {
        3 | 11 | 51 | 52 => Fault::Retry {
            after: Some(Duration::from_secs(5)),
            why: format!("The directory is busy or unavailable; {doing} is tried again ({told})."),
        },
        // A session that lost its sign-in; the next one is new.
        1 if text.contains("000004DC") => {
            Fault::Retry { after: None, why: format!("The directory wants a new sign-in for {doing} ({told}).") }
        }
        50 => Fault::NeedsPerson {
            why: format!("The connector's account may not do this: {doing}. Delegate the right, then retry ({told})."),
        },
        8 | 13 => Fault::NeedsPerson {
            why: format!("The directory demands a stronger connection for {doing}: use ldaps:// ({told})."),
        },
        49 => Fault::Retry {
            after: Some(Duration::from_mins(1)),
            why: format!("The directory refuses the connector's own sign-in during {doing} ({told})."),
        },
        _ => Fault::Refused { why: format!("{}: {doing} ({told}).", plain(rc, text)), attribute: named_in(text) },
    }
}

fn plain(rc: u32, text: &str) -> &'static str {
    if is_password_policy(text) {
        return "The password does not satisfy the directory's policy";
    }
    match rc {
        16 | 20 => "The value is no longer what was approved",
        17 => "The directory does not know an attribute",
        19 => "A value breaks one of the directory's rules",
        21 => "A value has the wrong form",
        32 => "The object or its place is not there",
        34 => "A name is not a directory name",
        53 => "The directory is unwilling",
        64 => "An object of this sort cannot be in that place",
        65 => "Something the object must have is missing",
        66 => "There are objects below it",
        68 => "Another object has that name already",
        10 => "Another server is responsible for that part",
        _ => "The directory refused",
    }
}

/// ERROR_PASSWORD_RESTRICTION (0x52D), by which both Samba and Windows name the policy.
fn is_password_policy(text: &str) -> bool {
    text.to_ascii_uppercase().contains("0000052D")
}

/// The attribute a message speaks of: Windows writes `Att 90290 (userPrincipalName)`, Samba `attribute 'title'`.
fn named_in(text: &str) -> Option<String> {
    if is_password_policy(text) {
        return Some("password".to_owned());
    }
    let bounded = |name: &str| {
        text.match_indices(name).any(|(at, _)| {
            let before = text[..at].chars().next_back();
            let after = text[at + name.len()..].chars().next();
            matches!(before, Some('(' | '\'' | '"')) && matches!(after, Some(')' | '\'' | '"'))
                || text[..at].ends_with("attribute ")
        })
    };
    attributes::USER.iter().find(|attribute| bounded(attribute.ldap)).map(|attribute| attribute.name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(rc: u32, text: &str) -> Fault {
        writing(&Failure::Said { rc, text: text.to_owned() }, "changing an account")
    }

    #[test]
    fn every_code_has_its_consequence() {
        assert!(matches!(of(51, ""), Fault::Retry { .. }));
        assert!(matches!(of(50, "00002098"), Fault::NeedsPerson { .. }));
        assert!(matches!(writing(&Failure::Broken("x".into()), "y"), Fault::Unknown { .. }));
        assert!(matches!(writing(&Failure::NotSent("x".into()), "y"), Fault::Retry { .. }));
        assert!(matches!(reading(&Failure::Broken("x".into()), "y"), Fault::Retry { .. }));
    }

    #[test]
    fn a_refusal_names_the_attribute() {
        let windows = "00002082: AtrErr: DSID-03151923, #1:\n\t0: 00002082: problem 1005 (CONSTRAINT_ATT_TYPE), \
                       data 0, Att 90290 (userPrincipalName):len 40";
        for (text, attribute) in [
            (windows, "userPrincipalName"),
            ("0000052D: Constraint violation - check_password_restrictions", "password"),
            ("attribute 'title': no matching attribute value", "title"),
            ("SINGLE-VALUE attribute department on CN=x specified more than once", "department"),
        ] {
            let Fault::Refused { attribute: found, .. } = of(19, text) else { panic!("refused") };
            assert_eq!(found.as_deref(), Some(attribute));
        }
    }
}

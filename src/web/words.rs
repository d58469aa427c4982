//! Words that pages use for what the domain names briefly: kinds, attributes, systems, roles.

pub use crate::numbers::count;

/// A kind of request: "Joiner".
pub fn kind(kind: &str) -> &'static str {
    match kind {
        "joiner" => "Joiner",
        "leaver" => "Leaver",
        "access" => "Access",
        "password_reset" => "Password reset",
        "unlock" => "Unlock",
        "expiry" => "End of access",
        "shared_mailbox" => "New mailbox",
        "mailbox_access" => "Mailbox access",
        "mailbox_change" => "Mailbox change",
        "mailing_list" => "New list",
        "list_change" => "List change",
        _ => "Request",
    }
}

/// What people call an attribute of a directory object; its own name where there is no better one.
pub fn attribute(name: &str) -> &str {
    match name {
        "parent" => "place",
        "cn" => "name in the directory",
        "sAMAccountName" => "user name",
        "userPrincipalName" => "sign-in name",
        "givenName" => "given name",
        "sn" => "family name",
        "displayName" => "name as shown",
        "physicalDeliveryOfficeName" => "office",
        "employeeID" => "employee number",
        "accountExpires" => "account expires",
        "mustChangePassword" => "must set a password",
        "alias" => "alias",
        "primaryAddress" => "address",
        "addresses" => "further addresses",
        "hidden" => "hidden from address lists",
        "litigationHold" => "legal hold",
        "litigationHoldDays" => "days of the hold",
        "forwardTo" | "forwardToAddress" => "forwarded to",
        "deliverAndForward" => "a copy stays",
        "warningQuota" => "warned at",
        "sendQuota" => "nothing sent from",
        "sendReceiveQuota" => "nothing received from",
        "automapping" => "opened by Outlook itself",
        "internalOnly" => "from outside refused",
        "acceptOnlyFrom" => "only these may send",
        "processing" => "invitations",
        "bookingWindowDays" => "days ahead",
        "audience" => "answered to",
        other => other,
    }
}

/// A step's kind: "user", "membership".
pub fn step_kind(kind: &str) -> &str {
    match kind {
        "user" => "account",
        "auto_reply" => "answer while away",
        "booking" => "booking rules",
        "list_membership" => "list membership",
        "mailbox_permission" => "right",
        "folder_permission" => "right on a folder",
        other => other,
    }
}

/// A target system: "Active Directory · corp.example.com".
pub fn system(key: &str) -> String {
    let (family, instance) = key.split_once(':').unwrap_or((key, ""));
    let family = match family {
        "ad" => "Active Directory",
        "exchange" => "Exchange",
        other => other,
    };
    if instance.is_empty() { family.to_owned() } else { format!("{family} · {instance}") }
}

/// What a recipient is.
pub fn recipient(kind: &str) -> &'static str {
    match kind {
        "shared" | "remote_shared" => "shared mailbox",
        "room" => "room",
        "equipment" => "equipment",
        "distribution" => "distribution list",
        "security" => "mail-enabled security group",
        "dynamic" => "dynamic list",
        _ => "mailbox",
    }
}

/// Of a digest, as much as people compare: "9f2c…e1a7".
pub fn short(digest: &str) -> String {
    match (digest.get(..4), digest.len().checked_sub(4).and_then(|at| digest.get(at..))) {
        (Some(first), Some(last)) if digest.len() > 8 => format!("{first}…{last}"),
        _ => digest.to_owned(),
    }
}

/// A stage's role as what somebody decides: "as owner".
pub fn decides_as(role: &str) -> &'static str {
    match role {
        "manager" => "as manager",
        "owner" => "as owner",
        "security" => "for security",
        _ => "for the service desk",
    }
}

/// A length of working time: "12 min", "3 h 20 min", "26 h". A working day is not as long as a day, so there are no days.
pub fn hours(time: chrono::TimeDelta) -> String {
    let minutes = time.num_minutes().abs();
    match (minutes / 60, minutes % 60) {
        (0, minutes) => format!("{minutes} min"),
        (hours, 0) => format!("{hours} h"),
        (hours, minutes) => format!("{hours} h {minutes} min"),
    }
}

/// A length of time in all: "12 min", "3 h 20 min", "1 day 2 h", "9 days".
pub fn span(time: chrono::TimeDelta) -> String {
    let (days, hours) = (time.num_days().abs(), time.num_hours().abs() % 24);
    match (usize::try_from(days).unwrap_or(usize::MAX), hours) {
        (0, _) => self::hours(time),
        (days, hours) if hours > 0 && days < 7 => format!("{} {hours} h", count(days, "day", "days")),
        (days, _) => count(days, "day", "days"),
    }
}

/// A text as one segment of a path.
pub fn segment(text: &str) -> String {
    const PLAIN: &percent_encoding::AsciiSet =
        &percent_encoding::NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b':');
    percent_encoding::utf8_percent_encode(text, PLAIN).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_shortened_and_systems_named() {
        assert_eq!(short("9f2c00000000e1a7"), "9f2c…e1a7");
        assert_eq!(short("abc"), "abc");
        let minutes = chrono::TimeDelta::minutes;
        assert_eq!([12, 60, 200, 1560].map(|n| hours(minutes(n))), ["12 min", "1 h", "3 h 20 min", "26 h"]);
        assert_eq!(
            [200, 1560, 2880, 20_000].map(|n| span(minutes(n))),
            ["3 h 20 min", "1 day 2 h", "2 days", "13 days"]
        );
        assert_eq!(system("ad:corp.example.com"), "Active Directory · corp.example.com");
    }
}

//! Faults by number and subcode. The text is in the server's language and is for people, with one exception: how long to wait stands
//! nowhere else.

use std::fmt;
use std::time::Duration;

use super::tree::Element;

/// `ERROR_WSMAN_OPERATION_TIMEDOUT`: a long poll came to its end with nothing to say.
const TIMED_OUT: u32 = 2_150_858_793;
/// No shell of this id (any more): `ERROR_WSMAN_UNEXPECTED_SELECTORS`, `…_INVALID_SELECTORS`. The shell was left:
/// `ERROR_WINRS_SHELL_DISCONNECTED`. "Illegal operation on a registry key marked for deletion": its profile was unloaded.
const SHELL_LOST: [u32; 4] = [2_150_858_843, 2_150_858_813, 2_150_859_204, 2_147_943_418];
/// `ERROR_ACCESS_DENIED` and its HRESULT.
const DENIED: [u32; 2] = [5, 2_147_942_405];
/// `ERROR_WSMAN_INVALID_RESOURCE_URI` and `ERROR_WINRS_SHELL_URI_INVALID`: the address serves no such configuration.
const NO_SUCH_RESOURCE: [u32; 2] = [2_150_858_811, 2_150_859_099];
/// `ERROR_OPERATION_ABORTED`: a Receive whose shell or pipeline was closed under it.
const ABORTED: [u32; 2] = [995, 2_147_943_395];

/// The quotas of wsmerror.h: `ERROR_WSMAN_QUOTA_LIMIT`, `…_QUOTA_MAX_SHELLS` to `…_QUOTA_SYSTEM`, `…_QUOTA_MAX_SHELLUSERS`,
/// `…_QUOTA_MAX_SHELLS_PPQ` to `…_QUOTA_MIN_REQUIREMENT_NOT_AVAILABLE_PPQ`.
fn is_quota(code: u32) -> bool {
    matches!(code, 2_150_858_815 | 2_150_859_173..=2_150_859_176 | 2_150_859_179 | 2_150_859_236..=2_150_859_242)
}

/// What a fault means to the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    /// Nothing yet: ask again.
    TimedOut,
    /// The shell is gone; what ran in it may or may not have been done.
    ShellLost,
    /// Too much at once. The server said how long, where it did.
    Throttled {
        after: Option<Duration>,
    },
    /// The account may not.
    Denied,
    /// The address has no such resource URI.
    NoSuchResource,
    Other,
}

/// A SOAP fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// From `WSManFault`, outermost first.
    pub codes: Vec<u32>,
    /// `InvalidSelectors`, `AccessDenied`, `QuotaLimit`, … without the prefix.
    pub subcode: String,
    /// For people.
    pub reason: String,
}

impl Fault {
    pub(super) fn read(fault: &Element) -> Self {
        let mut codes = Vec::new();
        let mut message = String::new();
        if let Some(detail) = fault.child("Detail") {
            detail.walk(&mut |element| {
                if element.name == "WSManFault" {
                    codes.extend(element.attribute("Code").and_then(|code| code.parse::<u32>().ok()));
                }
            });
            message = detail.all("WSManFault").next().map(Element::flat).unwrap_or_default();
        }
        let subcode = fault.child("Code").and_then(|code| code.child("Subcode")).and_then(|sub| sub.child("Value"));
        let subcode = subcode.map_or("", |value| value.text.trim());
        let reason = fault.child("Reason").map(Element::flat).unwrap_or_default();
        codes.truncate(8);
        Self {
            codes,
            subcode: subcode.rsplit(':').next().unwrap_or_default().chars().take(80).collect(),
            reason: brief(if reason.is_empty() || message.contains(&reason) { &message } else { &reason }),
        }
    }

    #[must_use]
    pub fn meaning(&self) -> Meaning {
        let has = |known: &[u32]| self.codes.iter().any(|code| known.contains(code));
        if has(&[TIMED_OUT]) || (self.codes.is_empty() && self.subcode == "TimedOut") {
            Meaning::TimedOut
        } else if self.codes.iter().copied().any(is_quota) || self.subcode == "QuotaLimit" {
            Meaning::Throttled { after: stated_wait(&self.reason) }
        } else if has(&SHELL_LOST)
            || has(&ABORTED)
            || self.subcode == "InvalidSelectors"
            // An identifier of PowerShell's, the same in every language.
            || self.reason.contains("InvalidShellID")
        {
            Meaning::ShellLost
        } else if has(&DENIED) || self.subcode == "AccessDenied" {
            Meaning::Denied
        } else if has(&NO_SUCH_RESOURCE) {
            Meaning::NoSuchResource
        } else if let Some(after) = stated_wait(&self.reason) {
            // Exchange's own budgets answer with codes of their own.
            Meaning::Throttled { after: Some(after) }
        } else {
            Meaning::Other
        }
    }
}

/// For people: the server's text and the number that one can look up.
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = if self.reason.is_empty() { "the server gave no reason" } else { self.reason.as_str() };
        f.write_str(text)?;
        match (self.codes.first(), self.subcode.is_empty()) {
            (Some(code), _) => write!(f, " (WSMan fault {code})"),
            (None, false) => write!(f, " (WSMan fault {})", self.subcode),
            (None, true) => Ok(()),
        }
    }
}

/// "…will not be approved for at least 12345 milliseconds": the number before the word that begins so in the languages that Exchange
/// speaks with Latin letters. At most a day.
#[must_use]
pub fn stated_wait(text: &str) -> Option<Duration> {
    const DAY: u64 = 24 * 3600 * 1000;
    let words: Vec<&str> = text.split_whitespace().collect();
    words.windows(2).find_map(|pair| {
        let unit = pair[1].to_lowercase();
        if !(unit.starts_with("milli") || unit.starts_with("milis")) {
            return None;
        }
        let digits: String = pair[0].chars().filter(char::is_ascii_digit).collect();
        let is_number =
            pair[0].chars().all(|letter| letter.is_ascii_digit() || matches!(letter, ',' | '.' | '\'' | '\u{a0}'));
        let millis = digits.parse::<u64>().ok().filter(|_| is_number)?;
        Some(Duration::from_millis(millis.min(DAY)))
    })
}

/// What somebody else's program says, in one line and short enough for a message.
pub(super) fn brief(text: &str) -> String {
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    words.chars().filter(|letter| !letter.is_control()).take(600).collect()
}

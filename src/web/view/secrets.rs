//! Handing over a start password: once, to one person, by a button.

use askama::Template;

use super::parts::Link;
use super::shell::Shell;

/// Where the handing over stands.
#[derive(Clone, Debug)]
pub enum SecretState {
    /// It may be revealed: the button.
    Ready,
    /// The worker is sealing it for this page; the page loads itself again.
    Preparing,
    /// Here it is. It is in this answer only, which must not be cached.
    Shown {
        /// The password itself.
        secret: String,
    },
    /// It may not be revealed yet: "from Monday 30 November, 00:00 Hamburg".
    NotBefore {
        /// From when, in words.
        from: String,
    },
    /// It was revealed before: by whom and when, in words.
    Used {
        /// "Maria Keller looked at it on Monday at 08:12".
        words: String,
    },
    /// It is too late, or was thrown away: why, in words.
    Gone {
        /// Why.
        words: String,
    },
}

/// `GET/POST /secrets/{id}`. The button posts here; the answer to the post is `Shown`, or `Preparing` (then the page
/// asks again by GET with a refresh, and the next post reveals).
#[derive(Template)]
#[template(path = "secrets/secret.html")]
pub struct SecretPage {
    /// Surroundings.
    pub shell: Shell,
    /// `/secrets/{id}`.
    pub action: String,
    /// "Start password of Nguyễn Thị Lan".
    pub title: String,
    /// "tlnguyen".
    pub user_name: String,
    /// Back to the request.
    pub request: Link,
    /// Where it stands.
    pub state: SecretState,
}

impl SecretPage {
    fn preparing(&self) -> bool {
        matches!(self.state, SecretState::Preparing)
    }
}

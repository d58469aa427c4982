//! Whether a password is right, by binding with it; and what a refused bind says.

use ldap3::Ldap;

use super::AdConnector;
use super::session::connect;
use crate::target::{Fault, Server};

/// The outcome of a bind. What a person may be told of it is the caller's affair: an attacker is told nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BindResult {
    Right,
    /// 52e, or 525 where a server says that the account does not exist (Samba says 52e for both).
    Wrong,
    /// 773: right, but it must be changed first.
    MustChange,
    /// 532: right, but expired.
    PasswordExpired,
    /// 533
    Disabled,
    /// 701
    AccountExpired,
    /// 775
    Locked,
    /// 530, 531: not at this hour, or not from here.
    NotNow,
    Refused {
        code: String,
    },
}

impl BindResult {
    fn from_answer(rc: u32, text: &str) -> Self {
        if rc == 0 {
            return Self::Right;
        }
        // "80090308: LdapErr: DSID-0C0903A9, comment: AcceptSecurityContext error, data 52e, v1db1"
        let data = text.split("data ").nth(1).unwrap_or_default();
        let code: String = data.chars().take_while(char::is_ascii_alphanumeric).collect::<String>().to_lowercase();
        match code.as_str() {
            "52e" | "525" => Self::Wrong,
            "773" => Self::MustChange,
            "532" => Self::PasswordExpired,
            "533" => Self::Disabled,
            "701" => Self::AccountExpired,
            "775" => Self::Locked,
            "530" | "531" => Self::NotNow,
            _ => Self::Refused { code: if code.is_empty() { format!("result code {rc}") } else { code } },
        }
    }
}

impl AdConnector {
    /// Binds as `name` (a DN or a user principal name) on a connection of its own, which is closed again.
    ///
    /// # Errors
    /// [`Fault::Retry`] when the server does not answer. An empty name or password is [`BindResult::Wrong`] without
    /// asking: the server would take it for an anonymous bind and say yes (RFC 4513 section 5.1.2).
    pub async fn verify_password(&self, at: &Server, name: &str, password: &str) -> Result<BindResult, Fault> {
        if name.is_empty() || password.is_empty() {
            return Ok(BindResult::Wrong);
        }
        let mut ldap: Ldap = connect(&self.settings, &at.url).await?;
        let answer = ldap.with_timeout(self.settings.call_timeout).simple_bind(name, password).await;
        let answer = answer.map_err(|error| Fault::Retry {
            after: None,
            why: format!("The directory server {} does not answer ({error}).", at.name),
        })?;
        let _ = ldap.unbind().await;
        Ok(BindResult::from_answer(answer.rc, &answer.text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_codes_are_read() {
        let of = |code: &str| {
            let text =
                format!("80090308: LdapErr: DSID-0C0903A9, comment: AcceptSecurityContext error, data {code}, v1");
            BindResult::from_answer(49, &text)
        };
        assert_eq!(of("52e"), BindResult::Wrong);
        assert_eq!(of("773"), BindResult::MustChange);
        assert_eq!(of("775"), BindResult::Locked);
        assert_eq!(of("999"), BindResult::Refused { code: "999".into() });
        assert_eq!(BindResult::from_answer(0, ""), BindResult::Right);
        assert_eq!(BindResult::from_answer(8, "x"), BindResult::Refused { code: "result code 8".into() });
    }
}

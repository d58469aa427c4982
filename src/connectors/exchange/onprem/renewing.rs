//! A way to an organisation whose password may change while we work: it is read again before each cmdlet, and a new one
//! opens a new session. What is under way goes on with the old session, which is given back when its last cmdlet has ended.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::Mutex;
use zeroize::Zeroizing;

use super::super::cmdlet::{Cmdlet, Outcome, Transport, TransportError};
use super::{OnPremises, Settings};

/// Reads the password as it is now; in words why it cannot.
pub type ReadPassword = Box<dyn Fn() -> Result<Zeroizing<String>, String> + Send + Sync>;

/// The way with the newest password.
pub struct Renewing {
    /// As set up, the password at the start in it.
    settings: Settings,
    read: ReadPassword,
    host: String,
    now: Mutex<Now>,
}

struct Now {
    password: Zeroizing<String>,
    way: Arc<OnPremises>,
    /// Those with an older password whose cmdlets may not have ended.
    former: Vec<Arc<OnPremises>>,
}

impl Renewing {
    /// Nothing is sent yet.
    ///
    /// # Errors
    /// As [`OnPremises::new`].
    pub fn new(settings: Settings, read: ReadPassword) -> Result<Self, TransportError> {
        let way = OnPremises::new(&settings)?;
        let now = Now { password: settings.password.clone(), way: Arc::new(way), former: Vec::new() };
        Ok(Self { host: now.way.endpoint(), now: Mutex::new(now), settings, read })
    }

    async fn way(&self) -> Result<Arc<OnPremises>, TransportError> {
        let mut now = self.now.lock().await;
        match (self.read)() {
            Ok(password) if password != now.password => {
                let settings = Settings { password: password.clone(), ..self.settings.clone() };
                let before = std::mem::replace(&mut now.way, Arc::new(OnPremises::new(&settings)?));
                now.former.push(before);
                now.password = password;
                tracing::info!(endpoint = self.host, "a new password is used from now on");
            }
            Ok(_) => {}
            Err(why) => tracing::warn!(endpoint = self.host, why, "the password cannot be read; the last one is used"),
        }
        let (idle, busy) = now.former.drain(..).partition(|way| Arc::strong_count(way) == 1);
        now.former = busy;
        let idle: Vec<Arc<OnPremises>> = idle;
        for way in idle {
            tokio::spawn(async move { way.close().await });
        }
        Ok(now.way.clone())
    }
}

#[async_trait]
impl Transport for Renewing {
    async fn invoke(&self, cmdlet: &Cmdlet) -> Result<Outcome, TransportError> {
        let way = self.way().await?;
        way.invoke(cmdlet).await
    }

    fn endpoint(&self) -> String {
        self.host.clone()
    }

    async fn close(&self) {
        let (way, former) = {
            let mut now = self.now.lock().await;
            (now.way.clone(), std::mem::take(&mut now.former))
        };
        for way in former.iter().chain([&way]) {
            way.close().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex as Shared;

    use super::*;

    #[tokio::test]
    async fn a_new_password_opens_a_new_way_and_an_unreadable_one_keeps_the_last() {
        let password = |text: &str| Zeroizing::new(text.to_owned());
        let said = Arc::new(Shared::new(Ok(password("first"))));
        let read = said.clone();
        let settings = Settings {
            auth: super::super::Auth::Basic,
            ..Settings::new("https://exchange.example.com/PowerShell/", "svc", password("first"))
        };
        let renewing = Renewing::new(settings, Box::new(move || read.lock().unwrap().clone())).unwrap();
        let first = renewing.way().await.unwrap();
        assert!(Arc::ptr_eq(&first, &renewing.way().await.unwrap()));
        *said.lock().unwrap() = Ok(password("second"));
        let second = renewing.way().await.unwrap();
        assert!(!Arc::ptr_eq(&first, &second));
        *said.lock().unwrap() = Err("gone".to_owned());
        assert!(Arc::ptr_eq(&second, &renewing.way().await.unwrap()));
        assert_eq!(renewing.now.lock().await.former.len(), 1, "its cmdlet may not have ended");
        drop(first);
        renewing.way().await.unwrap();
        assert!(renewing.now.lock().await.former.is_empty());
    }
}

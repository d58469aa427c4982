//! Exchange connectors and transports as configured.

use std::sync::Arc;

use anyhow::Context as _;

use crate::catalog::{JoinerMailbox, SystemFacts};
use crate::config::{
    ExchangeOnPremisesConfig, ExchangeOnlineConfig, JoinerMailboxConfig, TargetConfig, read_secret,
};
use crate::connectors::exchange::cmdlet::{Cmdlet, Transport};
use crate::connectors::exchange::flavour::Flavour;
use crate::connectors::exchange::onprem::Auth;
use crate::connectors::exchange::value::Properties;
use crate::connectors::exchange::{Exchange, Places, Settings, online, onprem};
use crate::target::SystemKey;

/// The connector of an Exchange organisation.
///
/// # Errors
/// Where its password, certificate or authorities cannot be read, or the target is no Exchange.
pub fn connector(target: &TargetConfig) -> anyhow::Result<Exchange> {
    let transport = transport(target)?;
    let (flavour, places) = match target {
        TargetConfig::ExchangeOnPremises(exchange) => (
            Flavour::OnPremises,
            Places {
                organizational_unit: exchange.organizational_unit.clone(),
                database: exchange.database.clone(),
                remote_routing_domain: exchange.remote_routing_domain.clone(),
            },
        ),
        _ => (Flavour::Online, Places::default()),
    };
    let settings = Settings {
        places,
        observe_only: target.observe_only(),
        ..Settings::new(SystemKey(target.key().to_owned()), flavour)
    };
    Ok(Exchange::new(settings, transport))
}

/// What carries cmdlets to an organisation.
///
/// # Errors
/// As [`connector`].
pub fn transport(target: &TargetConfig) -> anyhow::Result<Arc<dyn Transport>> {
    match target {
        TargetConfig::ExchangeOnPremises(exchange) => {
            Ok(Arc::new(onprem::OnPremises::new(&on_premises(exchange)?).with_context(|| exchange.key.clone())?))
        }
        TargetConfig::ExchangeOnline(exchange) => {
            Ok(Arc::new(online::Online::new(online_settings(exchange)).with_context(|| exchange.key.clone())?))
        }
        TargetConfig::Ad(ad) => anyhow::bail!("{} is a directory, not an Exchange organisation", ad.key),
    }
}

fn on_premises(exchange: &ExchangeOnPremisesConfig) -> anyhow::Result<onprem::Settings> {
    let password = read_secret(&exchange.password_file).with_context(|| exchange.key.clone())?;
    let auth = match exchange.auth.as_str() {
        "basic" => Auth::Basic,
        "kerberos" => Auth::Kerberos,
        "negotiate" => Auth::Negotiate,
        other => anyhow::bail!("{}: auth is “{other}”: basic, kerberos or negotiate", exchange.key),
    };
    Ok(onprem::Settings {
        resource_uri: exchange.resource_uri.clone(),
        auth,
        kdc: exchange.kdc.clone(),
        ca_file: exchange.ca_file.clone(),
        max_runspaces: i32::from(exchange.runspaces.clamp(1, 3)),
        ..onprem::Settings::new(exchange.url.clone(), exchange.user.clone(), password)
    })
}

fn online_settings(exchange: &ExchangeOnlineConfig) -> online::Settings {
    online::Settings {
        base: exchange.base.clone(),
        authority: exchange.authority.clone(),
        scope: exchange.scope.clone(),
        ca_file: exchange.ca_file.clone(),
        ..online::Settings::new(
            exchange.tenant.clone(),
            exchange.client_id.clone(),
            exchange.certificate_file.clone(),
            exchange.key_file.clone(),
        )
    }
}

/// Looks whether the organisation answers, whether it has our domain, and whether our role has the cmdlets: (well, words).
pub async fn check(target: &TargetConfig) -> Vec<(bool, String)> {
    let transport = match transport(target) {
        Ok(transport) => transport,
        Err(error) => return vec![(false, format!("{error:#}"))],
    };
    let ask = async |name: &str| match transport.invoke(&Cmdlet::read(name)).await {
        Ok(outcome) => match outcome.errors.first() {
            None => Ok(outcome.objects),
            Some(error) => Err(format!("{name}: {}", error.message)),
        },
        Err(error) => Err(format!("{name}: {error}")),
    };
    let mut found = Vec::new();
    match ask("Get-OrganizationConfig").await {
        Ok(_) => found.push((true, format!("{} answers and lets us in", transport.endpoint()))),
        Err(why) => return vec![(false, why)],
    }
    let domains = match ask("Get-AcceptedDomain").await {
        Ok(domains) => domains,
        Err(why) => return [found, vec![(false, why)]].concat(),
    };
    let domains: Vec<String> =
        domains.iter().filter_map(|domain| Properties(domain).text("DomainName").ok().flatten()).collect();
    match facts(target).mail_domain {
        None => found.push((false, "mail_domain is not set: new addresses need one".to_owned())),
        Some(domain) if domains.iter().any(|accepted| accepted.eq_ignore_ascii_case(&domain)) => {
            found.push((true, format!("{domain} is an accepted domain")));
        }
        Some(domain) => {
            found.push((false, format!("{domain} is not an accepted domain; these are: {}", domains.join(", "))));
        }
    }
    if target.observe_only() {
        found.push((true, "set to observe only: nothing is written".to_owned()));
    }
    found
}

/// What plans need to know of a target system.
pub fn facts(target: &TargetConfig) -> SystemFacts {
    let made = |flavour: Flavour, directory: &Option<String>, domain: &Option<String>| SystemFacts {
        flavour: Some(flavour.as_str().to_owned()),
        directory: directory.clone().map(SystemKey),
        mail_domain: domain.as_deref().map(str::to_lowercase),
        ..SystemFacts::default()
    };
    let how = |config: JoinerMailboxConfig| match config {
        JoinerMailboxConfig::None => JoinerMailbox::None,
        JoinerMailboxConfig::Mailbox => JoinerMailbox::Mailbox,
        JoinerMailboxConfig::Remote => JoinerMailbox::Remote,
        JoinerMailboxConfig::Licence => JoinerMailbox::Licence,
    };
    match target {
        TargetConfig::Ad(_) => SystemFacts::default(),
        TargetConfig::ExchangeOnPremises(exchange) => SystemFacts {
            joiner_mailbox: how(exchange.joiner_mailbox),
            licence_group: exchange.licence_group.clone(),
            ..made(Flavour::OnPremises, &exchange.directory, &exchange.mail_domain)
        },
        TargetConfig::ExchangeOnline(exchange) => SystemFacts {
            joiner_mailbox: how(exchange.joiner_mailbox),
            licence_group: exchange.licence_group.clone(),
            ..made(Flavour::Online, &exchange.directory, &exchange.mail_domain)
        },
    }
}

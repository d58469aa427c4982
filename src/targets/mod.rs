//! From the configuration to connectors: what is reached, how, and what plans need to know of it.

pub mod check;

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::Context as _;
use chrono::{DateTime, Utc};
use sqlx::PgPool;

use crate::catalog::{self, JoinerMailbox, SystemFacts};
use crate::config::{
    AdTargetConfig, Config, ExchangeOnPremisesConfig, ExchangeOnlineConfig, JoinerMailboxConfig, TargetConfig,
    read_secret,
};
use crate::connectors::ad::{AdConnector, AdSettings, BindPassword};
use crate::connectors::exchange::cmdlet::{Cmdlet, Transport};
use crate::connectors::exchange::flavour::Flavour;
use crate::connectors::exchange::onprem::Auth;
use crate::connectors::exchange::value::Properties;
use crate::connectors::exchange::{Exchange, Places, Settings, online, onprem};
use crate::connectors::{ad, exchange};
use crate::evidence::{By, EvidenceError};
use crate::target::{Capability, Connector, SystemKey};

/// The connectors as configured, by system.
///
/// # Errors
/// A connector whose credentials or authorities cannot be read.
pub fn connectors(config: &Config) -> anyhow::Result<BTreeMap<String, Arc<dyn Connector>>> {
    config
        .target
        .iter()
        .map(|target| match target {
            TargetConfig::Ad(ad) => {
                let connector: Arc<dyn Connector> = Arc::new(AdConnector::new(ad_settings(ad)));
                Ok((ad.key.clone(), connector))
            }
            exchange => {
                let connector: Arc<dyn Connector> = Arc::new(exchange_connector(exchange)?);
                Ok((exchange.key().to_owned(), connector))
            }
        })
        .collect()
}

/// Each target system as it is set up: key, name, observe only, facts.
pub fn all(config: &Config) -> Vec<(SystemKey, String, bool, SystemFacts)> {
    let one = |target: &TargetConfig| {
        (SystemKey(target.key().to_owned()), target.name().to_owned(), target.observe_only(), facts(target))
    };
    config.target.iter().map(one).collect()
}

/// Makes target systems known to everybody who plans, as they are set up. What is so already leaves no trace.
///
/// # Errors
/// Where the database refuses.
pub async fn make_known(
    pool: &PgPool,
    now: DateTime<Utc>,
    targets: &[(SystemKey, String, bool, SystemFacts)],
) -> Result<(), EvidenceError> {
    let by = By::routine("worker");
    for (key, name, observe_only, facts) in targets {
        let mut tx = pool.begin().await?;
        catalog::target_system(&mut tx, now, &by, key, (name, *observe_only), facts).await?;
        tx.commit().await?;
    }
    Ok(())
}

/// One directory's settings as its connector takes them.
pub fn ad_settings(ad: &AdTargetConfig) -> AdSettings {
    AdSettings {
        urls: ad.urls.clone(),
        bind_dn: ad.bind_dn.clone(),
        password: BindPassword::File(ad.password_file.clone()),
        ca_file: ad.ca_file.clone(),
        correlation_attribute: ad.correlation_attribute.clone(),
        observe_only: ad.observe_only,
        ..AdSettings::new(SystemKey(ad.key.clone()), String::new(), ad.base_dn.clone())
    }
}

/// Where an organisation puts what is new.
fn places(target: &TargetConfig) -> Places {
    match target {
        TargetConfig::ExchangeOnPremises(exchange) => Places {
            organizational_unit: exchange.organizational_unit.clone(),
            database: exchange.database.clone(),
            remote_routing_domain: exchange.remote_routing_domain.clone(),
        },
        _ => Places::default(),
    }
}

/// The connector of an Exchange organisation.
///
/// # Errors
/// Where its password, certificate or authorities cannot be read, or the target is no Exchange.
pub fn exchange_connector(target: &TargetConfig) -> anyhow::Result<Exchange> {
    let transport = transport(target)?;
    let flavour = match target {
        TargetConfig::ExchangeOnPremises(_) => Flavour::OnPremises,
        _ => Flavour::Online,
    };
    let settings = Settings {
        places: places(target),
        observe_only: target.observe_only(),
        ..Settings::new(SystemKey(target.key().to_owned()), flavour)
    };
    Ok(Exchange::new(settings, transport))
}

/// What carries cmdlets to an organisation.
///
/// # Errors
/// As [`exchange_connector`].
pub fn transport(target: &TargetConfig) -> anyhow::Result<Arc<dyn Transport>> {
    match target {
        TargetConfig::ExchangeOnPremises(exchange) => {
            let file = exchange.password_file.clone();
            let read = Box::new(move || read_secret(&file).map_err(|error| error.to_string()));
            let way = onprem::renewing::Renewing::new(on_premises(exchange)?, read);
            Ok(Arc::new(way.with_context(|| exchange.key.clone())?))
        }
        TargetConfig::ExchangeOnline(exchange) => {
            Ok(Arc::new(online::Online::new(online_settings(exchange)?).with_context(|| exchange.key.clone())?))
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
        service: exchange.service.clone(),
        ca_file: exchange.ca_file.clone(),
        max_runspaces: i32::from(exchange.runspaces.clamp(1, 3)),
        ..onprem::Settings::new(exchange.url.clone(), exchange.user.clone(), password)
    })
}

fn online_settings(exchange: &ExchangeOnlineConfig) -> anyhow::Result<online::Settings> {
    let key = &exchange.key;
    let api =
        online::Api::parse(&exchange.api).with_context(|| format!("{key}: api is “{}”: beta or v2.0", exchange.api))?;
    let signing = online::Signing::parse(&exchange.signing)
        .with_context(|| format!("{key}: signing is “{}”: PS256 or RS256", exchange.signing))?;
    Ok(online::Settings {
        api,
        signing,
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
    })
}

/// Looks whether the organisation answers, whether it has our domain, and whether our role has the cmdlets: (well, words).
async fn check_exchange(target: &TargetConfig) -> Vec<(bool, String)> {
    let transport = match transport(target) {
        Ok(transport) => transport,
        Err(error) => return vec![(false, format!("{error:#}"))],
    };
    let found = look(target, transport.as_ref()).await;
    transport.close().await;
    found
}

async fn look(target: &TargetConfig, transport: &dyn Transport) -> Vec<(bool, String)> {
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

/// Where an organisation is reached.
fn address(target: &TargetConfig) -> String {
    match target {
        TargetConfig::Ad(ad) => ad.urls.join(" "),
        TargetConfig::ExchangeOnPremises(exchange) => exchange.url.clone(),
        TargetConfig::ExchangeOnline(exchange) => exchange.base.clone(),
    }
}

/// Whom we sign in as there.
fn account(target: &TargetConfig) -> Option<String> {
    Some(match target {
        TargetConfig::Ad(ad) => ad.bind_dn.clone(),
        TargetConfig::ExchangeOnPremises(exchange) => exchange.user.clone(),
        TargetConfig::ExchangeOnline(exchange) => format!("{} in {}", exchange.client_id, exchange.tenant),
    })
}

/// What can be planned for the systems of a family.
pub fn capabilities(system: &SystemKey) -> &'static [Capability] {
    match system.family() {
        "ad" => ad::CAPABILITIES,
        "exchange" => exchange::CAPABILITIES,
        _ => &[],
    }
}

/// What plans and pages need to know of a target system.
pub fn facts(target: &TargetConfig) -> SystemFacts {
    let made = |flavour: Flavour, directory: &Option<String>, domain: &Option<String>| SystemFacts {
        flavour: Some(flavour.as_str().to_owned()),
        directory: directory.clone().map(SystemKey),
        mail_domain: domain.as_deref().map(str::to_lowercase),
        addresses: vec![address(target)],
        account: account(target),
        ..SystemFacts::default()
    };
    let how = |config: JoinerMailboxConfig| match config {
        JoinerMailboxConfig::None => JoinerMailbox::None,
        JoinerMailboxConfig::Mailbox => JoinerMailbox::Mailbox,
        JoinerMailboxConfig::Remote => JoinerMailbox::Remote,
        JoinerMailboxConfig::Licence => JoinerMailbox::Licence,
    };
    match target {
        TargetConfig::Ad(ad) => SystemFacts {
            addresses: ad.urls.clone(),
            account: Some(ad.bind_dn.clone()),
            base: Some(ad.base_dn.clone()),
            ..SystemFacts::default()
        },
        TargetConfig::ExchangeOnPremises(exchange) => SystemFacts {
            joiner_mailbox: how(exchange.joiner_mailbox),
            licence_group: exchange.licence_group.clone(),
            places: places(target),
            ..made(Flavour::OnPremises, &exchange.directory, &exchange.mail_domain)
        },
        TargetConfig::ExchangeOnline(exchange) => SystemFacts {
            joiner_mailbox: how(exchange.joiner_mailbox),
            licence_group: exchange.licence_group.clone(),
            ..made(Flavour::Online, &exchange.directory, &exchange.mail_domain)
        },
    }
}

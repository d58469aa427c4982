//! `tenure exchange …`: reading cmdlets by hand, to see what a server answers. Changes go through requests.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use tenure::config::{Config, TargetConfig};
use tenure::connectors::exchange::cmdlet::{Cmdlet, Object, Outcome, Param, Transport, TransportError};
use tenure::connectors::exchange::onprem;
use zeroize::Zeroizing;

#[derive(Subcommand)]
pub enum ExchangeCommand {
    /// Runs one reading cmdlet (Get-…, Test-…) and prints its objects, warnings and errors.
    Invoke(Invoke),
}

#[derive(Args)]
pub struct Invoke {
    /// Get-Mailbox
    cmdlet: String,
    /// Name=Value for text, Name:=JSON for true, 5, null or ["a","b"], Name alone for a switch.
    #[arg(long = "param", value_name = "NAME=VALUE")]
    params: Vec<String>,
    /// For machines.
    #[arg(long)]
    json: bool,
    /// A configured Exchange target, by its key.
    #[arg(long, required_unless_present = "url")]
    connector: Option<String>,
    #[command(flatten)]
    endpoint: Endpoint,
}

/// A PowerShell endpoint that is not configured, to try it.
#[derive(Args)]
struct Endpoint {
    /// https://mail.example.com/PowerShell/
    #[arg(long, conflicts_with = "connector", requires = "user")]
    url: Option<String>,
    /// What is asked for there.
    #[arg(long, requires = "url", conflicts_with = "configuration_name")]
    resource_uri: Option<String>,
    /// The same by its short name: Microsoft.Exchange.
    #[arg(long, requires = "url")]
    configuration_name: Option<String>,
    /// user@REALM, or DOMAIN\user.
    #[arg(long, requires = "url")]
    user: Option<String>,
    /// The user's password on one line.
    #[arg(long, requires = "url")]
    password_file: Option<PathBuf>,
    /// How to sign in; kerberos where nothing is said.
    #[arg(long, requires = "url", value_parser = ["basic", "kerberos", "negotiate"])]
    auth: Option<String>,
    /// Kerberos: host or host:port of a KDC, where krb5.conf does not say it.
    #[arg(long, requires = "url")]
    kdc: Option<String>,
    /// Kerberos: the service's principal, where it is not HTTP/ with the URL's host.
    #[arg(long, requires = "url")]
    service: Option<String>,
    /// PEM, instead of the machine's trusted roots.
    #[arg(long, requires = "url")]
    ca_file: Option<PathBuf>,
}

impl ExchangeCommand {
    /// Whether no configuration is needed.
    pub fn stands_alone(&self) -> bool {
        let Self::Invoke(invoke) = self;
        invoke.endpoint.url.is_some()
    }
}

/// Runs the command.
///
/// # Errors
/// What cannot be run, what does not answer, and a cmdlet that ended with errors (which are printed first).
pub async fn run(config: Option<&Config>, command: ExchangeCommand) -> anyhow::Result<()> {
    let ExchangeCommand::Invoke(invoke) = command;
    let cmdlet = reading(&invoke.cmdlet, &invoke.params)?;
    let transport = transport(config, &invoke)?;
    let outcome = transport.invoke(&cmdlet).await;
    transport.close().await;
    let outcome = outcome.map_err(|error| anyhow::anyhow!("{}: {}", kind(&error), shown(&error.to_string())))?;
    if invoke.json {
        println!("{}", serde_json::to_string_pretty(&as_json(&outcome))?);
    } else {
        print!("{}", as_list(&outcome));
    }
    match outcome.errors.len() {
        0 => Ok(()),
        1 => bail!("{} ended with an error", cmdlet.name),
        count => bail!("{} ended with {count} errors", cmdlet.name),
    }
}

/// The way to the configured target, or to the endpoint that was named.
fn transport(config: Option<&Config>, invoke: &Invoke) -> anyhow::Result<Arc<dyn Transport>> {
    let endpoint = &invoke.endpoint;
    let Some(url) = &endpoint.url else {
        let key = invoke.connector.as_deref().context("--connector or --url says where to")?;
        return configured(config.context("a connector is named by the configuration")?, key);
    };
    let user = endpoint.user.as_deref().context("--user says who signs in")?;
    let password = match &endpoint.password_file {
        Some(file) => std::fs::read_to_string(file).with_context(|| format!("--password-file {}", file.display()))?,
        None => bail!("--password-file names the file with the password of {user}"),
    };
    let password = Zeroizing::new(password);
    let password = Zeroizing::new(password.trim_end_matches(['\r', '\n']).to_owned());
    let mut settings = onprem::Settings::new(url, user, password);
    settings.auth = match endpoint.auth.as_deref() {
        Some("basic") => onprem::Auth::Basic,
        Some("negotiate") => onprem::Auth::Negotiate,
        _ => onprem::Auth::Kerberos,
    };
    settings.kdc.clone_from(&endpoint.kdc);
    settings.service.clone_from(&endpoint.service);
    if let Some(name) = &endpoint.configuration_name {
        settings.resource_uri = onprem::resource_uri(name);
    }
    if let Some(uri) = &endpoint.resource_uri {
        settings.resource_uri.clone_from(uri);
    }
    settings.ca_file.clone_from(&endpoint.ca_file);
    // Who writes http:// and this machine's own address means it; any other machine is refused without TLS.
    settings.plain_loopback = true;
    Ok(Arc::new(onprem::OnPremises::new(&settings)?))
}

fn configured(config: &Config, key: &str) -> anyhow::Result<Arc<dyn Transport>> {
    let Some(target) = config.target.iter().find(|target| target.key() == key) else {
        let keys = config.target.iter().filter(|target| !matches!(target, TargetConfig::Ad(_)));
        let keys = keys.map(TargetConfig::key).collect::<Vec<_>>();
        let known = if keys.is_empty() { "none is configured".to_owned() } else { keys.join(", ") };
        bail!("--connector {key}: no Exchange organisation has this key ({known})");
    };
    tenure::targets::transport(target)
}

fn kind(error: &TransportError) -> &'static str {
    match error {
        TransportError::NotSent { .. } => "the server was not reached",
        TransportError::Unknown { .. } => "the answer was lost",
        TransportError::Refused { .. } => "refused",
    }
}

/// A cmdlet from the command line: one that reads, with parameters that are values.
fn reading(name: &str, params: &[String]) -> anyhow::Result<Cmdlet> {
    let verb = name.split_once('-').map(|(verb, _)| verb).unwrap_or_default();
    if !["get", "test"].contains(&verb.to_lowercase().as_str()) {
        bail!(
            "{name} is not run here: only Get-… and Test-… are. Changes go through requests in the portal, where somebody decides and they are kept in evidence"
        );
    }
    params.iter().try_fold(Cmdlet::read(name), |cmdlet, text| {
        let (name, value) = param(text)?;
        Ok(cmdlet.with(name, value))
    })
}

fn param(text: &str) -> anyhow::Result<(&str, Param)> {
    let Some((name, value)) = text.split_once('=') else { return Ok((named(text)?, Param::Switch)) };
    let Some(name) = name.strip_suffix(':') else { return Ok((named(name)?, Param::Text(value.to_owned()))) };
    let read: Value = serde_json::from_str(value).with_context(|| format!("--param {name}: {value} is not JSON"))?;
    let text = |value: &Value| value.as_str().map(ToOwned::to_owned);
    let value = match &read {
        Value::Null => Some(Param::Null),
        Value::Bool(flag) => Some(Param::Bool(*flag)),
        Value::Number(number) => number.as_i64().map(Param::Number),
        Value::String(text) => Some(Param::Text(text.clone())),
        Value::Array(items) => items.iter().map(text).collect::<Option<_>>().map(Param::List),
        Value::Object(_) => None,
    };
    let value = value.with_context(|| {
        format!("--param {name}: {read} is none of true, a whole number, null, text, a list of texts")
    })?;
    Ok((named(name)?, value))
}

fn named(name: &str) -> anyhow::Result<&str> {
    if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric()) {
        bail!(
            "--param “{name}”: a parameter's name is letters and digits, without the dash, as in Identity=amelie@example.com"
        );
    }
    Ok(name)
}

/// As PowerShell's Format-List.
fn as_list(outcome: &Outcome) -> String {
    let mut text = String::new();
    for object in &outcome.objects {
        let width = object.keys().map(|name| name.chars().count()).max().unwrap_or(0);
        for (name, value) in object {
            let _ = writeln!(text, "{:width$} : {}", shown(name), shown(&plain(value)));
        }
        text.push('\n');
    }
    for warning in &outcome.warnings {
        let _ = writeln!(text, "warning: {}", shown(warning));
    }
    for error in &outcome.errors {
        let _ = writeln!(text, "error: {} ({}, {:?})", shown(&error.message), shown(&error.type_name), error.class);
    }
    let count = outcome.objects.len();
    let _ = write!(text, "{count} object{}", if count == 1 { "" } else { "s" });
    if let Some(trace) = &outcome.trace {
        let _ = write!(text, ", trace {}", shown(trace));
    }
    text.push('\n');
    text
}

fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(items) => format!("{{{}}}", items.iter().map(plain).collect::<Vec<_>>().join(", ")),
        other => other.to_string(),
    }
}

/// What a terminal would obey is spelled out: these values were written by others.
fn shown(text: &str) -> String {
    let spelled = |c: char| c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.chars().fold(String::new(), |mut shown, c| {
        if spelled(c) {
            shown.extend(c.escape_default())
        } else {
            shown.push(c)
        }
        shown
    })
}

fn as_json(outcome: &Outcome) -> Value {
    let errors = outcome.errors.iter().map(|error| {
        json!({
            "type_name": error.type_name,
            "reason": error.reason,
            "fully_qualified_id": error.fully_qualified_id,
            "class": format!("{:?}", error.class),
            "message": error.message,
        })
    });
    json!({
        "objects": outcome.objects.iter().map(|object: &Object| Value::Object(object.clone())).collect::<Vec<_>>(),
        "warnings": outcome.warnings,
        "errors": errors.collect::<Vec<_>>(),
        "trace": outcome.trace,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(params: &[&str]) -> anyhow::Result<Cmdlet> {
        reading("Get-Mailbox", &params.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn parameters_are_values() {
        let read =
            all(&["Identity=a=b:=c", "Archive", "ResultSize:=5", "X:=null", "Y:=[\"a\",\"b\"]", "Z:=true", "E="])
                .unwrap();
        let wanted = [
            ("Identity", Param::Text("a=b:=c".to_owned())),
            ("Archive", Param::Switch),
            ("ResultSize", Param::Number(5)),
            ("X", Param::Null),
            ("Y", Param::List(vec!["a".to_owned(), "b".to_owned()])),
            ("Z", Param::Bool(true)),
            ("E", Param::Text(String::new())),
        ];
        assert_eq!(read.params, wanted.map(|(name, value)| (name.to_owned(), value)));
        for wrong in ["-Identity=a", "=a", "", "X:=nonsense", "X:={\"a\":1}", "X:=1.5", "X:=[1]"] {
            assert!(all(&[wrong]).is_err(), "{wrong}");
        }
    }

    #[test]
    fn only_reading_cmdlets() {
        for name in ["Set-Mailbox", "Remove-Mailbox", "Get", "", "Getaway-Mailbox", "New-Mailbox"] {
            let refused = reading(name, &[]).unwrap_err().to_string();
            assert!(refused.contains("Changes go through requests"), "{refused}");
        }
        assert!(reading("test-TenureEcho", &[]).is_ok());
    }

    #[test]
    fn a_terminal_obeys_nothing() {
        let object = json!({"Name": "\u{1b}[2Jamelie\r\n", "Addresses": ["a", "b"], "Nothing": null});
        let outcome = Outcome { objects: vec![object.as_object().unwrap().clone()], ..Outcome::default() };
        let text = as_list(&outcome);
        assert!(text.contains("Name      : \\u{1b}[2Jamelie\\r\\n\n") && text.contains(": {a, b}\n"), "{text}");
        assert!(text.ends_with("\n1 object\n"), "{text}");
    }
}

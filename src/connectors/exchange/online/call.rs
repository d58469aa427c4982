//! One logical call: its pages, and the tries of each.

use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Response, StatusCode, Url};
use serde_json::Value;
use uuid::Uuid;

use super::super::cmdlet::{Anchor, Class, Cmdlet, CmdletError, Effect, Outcome, TransportError};
use super::wait::Tries;
use super::{Api, Online, causes, wait, wire};

/// The mailbox that stands for the organisation where a cmdlet is about no mailbox of its own.
const ORGANISATION: &str = "SystemMailbox{bb558c35-97f1-4cb9-8ff7-d53741dc928c}";
/// What the front end says before a cmdlet began.
const NOT_BEGUN: [&str; 2] = ["CmdletProxyNotAvailableFailure", "ServerBusyException"];
/// What is worth another try, but may have begun.
const PASSING: [&str; 2] = ["TransientException", "BackendCommunicationException"];

/// What one try came to.
enum Tried {
    Page(wire::Page),
    /// The cmdlet ran and failed, or was refused as a cmdlet.
    Failed {
        errors: Vec<CmdletError>,
        warnings: Vec<String>,
    },
    /// Another try may help.
    Again {
        after: Option<std::time::Duration>,
        begun: Begun,
        why: String,
    },
    /// The token is no longer taken.
    Unauthorised(String),
    Refused(String),
}

/// Whether a try may have had an effect.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Begun {
    No,
    Perhaps,
}

/// What stays the same over all requests of a call.
struct Call<'a> {
    cmdlet: &'a Cmdlet,
    /// `client-request-id`.
    id: Uuid,
    body: Value,
    trace: Option<String>,
}

impl Online {
    /// Runs the cmdlet to its end.
    pub(super) async fn call(&self, cmdlet: &Cmdlet) -> Result<Outcome, TransportError> {
        wire::check(cmdlet).map_err(|why| TransportError::Refused { why })?;
        let first = self.address(cmdlet)?;
        let mut call =
            Call { cmdlet, id: Uuid::new_v4(), body: wire::body(cmdlet, self.settings.api == Api::Beta), trace: None };
        let mut outcome = Outcome::default();
        let (mut address, mut seen) = (first.clone(), vec![first.clone()]);
        loop {
            match self.page(&mut call, &address).await? {
                Ok(page) => {
                    outcome.objects.extend(page.objects);
                    outcome.warnings.extend(page.warnings);
                    outcome.errors.extend(page.errors);
                    let Some(link) = page.next else { break };
                    address =
                        next(&first, &link, &seen, self.settings.most_pages).map_err(|why| refused(cmdlet, why))?;
                    seen.push(address.clone());
                }
                Err((errors, warnings)) => {
                    outcome.errors.extend(errors);
                    outcome.warnings.extend(warnings);
                    break;
                }
            }
        }
        outcome.trace = call.trace;
        Ok(outcome)
    }

    /// One page, tried for as long as is allowed; or what the cmdlet failed with.
    async fn page(
        &self,
        call: &mut Call<'_>,
        address: &Url,
    ) -> Result<Result<wire::Page, (Vec<CmdletError>, Vec<String>)>, TransportError> {
        let read = call.cmdlet.effect == Effect::Read;
        let settings = &self.settings;
        let mut tries = Tries::new(settings.tries, settings.patience, settings.first_wait);
        let mut stale: Option<HeaderValue> = None;
        loop {
            let bearer = match self.tokens.bearer(&self.http, settings, stale.as_ref()).await {
                Ok(bearer) => bearer,
                Err(TransportError::NotSent { after, why }) => {
                    if tries.another(after).await {
                        continue;
                    }
                    return Err(TransportError::NotSent { after, why });
                }
                Err(error) => return Err(error),
            };
            match self.attempt(call, address, &bearer).await {
                Tried::Page(page) => return Ok(Ok(page)),
                Tried::Failed { errors, warnings } => return Ok(Err((errors, warnings))),
                Tried::Refused(why) => return Err(TransportError::Refused { why }),
                // Nothing was done: a token may end, or be taken back, between two requests. A fresh one settles it.
                Tried::Unauthorised(_) if stale.is_none() => stale = Some(bearer),
                Tried::Unauthorised(why) => return Err(TransportError::Refused { why }),
                Tried::Again { begun: Begun::Perhaps, why, .. } if !read => {
                    return Err(TransportError::Unknown { why });
                }
                Tried::Again { after, why, .. } => {
                    tracing::debug!(cmdlet = call.cmdlet.name, call = %call.id, why, "a cmdlet is sent again");
                    if !tries.another(after).await {
                        return Err(TransportError::NotSent { after, why });
                    }
                }
            }
        }
    }

    async fn attempt(&self, call: &mut Call<'_>, address: &Url, bearer: &HeaderValue) -> Tried {
        let host = self.base.host_str().unwrap_or_default();
        let sent = self
            .http
            .post(address.clone())
            .headers(self.headers(call))
            .header(AUTHORIZATION, bearer.clone())
            .json(&call.body)
            .send()
            .await;
        let mut response = match sent {
            Ok(response) => response,
            Err(error) => {
                let begun = if error.is_connect() { Begun::No } else { Begun::Perhaps };
                let why = format!("{host} does not answer {} ({}).", call.cmdlet.name, causes(&error));
                return Tried::Again { after: None, begun, why };
            }
        };
        let status = response.status();
        let after = wait::asked(response.headers());
        let trace = response.headers().get("request-id").and_then(|id| id.to_str().ok()).map(ToOwned::to_owned);
        call.trace = trace.or(call.trace.take());
        match bounded(&mut response, self.settings.longest_page).await {
            Ok(body) if status.is_success() => good(call.cmdlet, host, &body),
            Ok(body) => judge(call.cmdlet, host, (status, after), &body),
            // Declared as packed, but it is not: what an unknown cmdlet is answered with.
            Err(Lost::Unreadable) if status == StatusCode::FORBIDDEN => unknown_cmdlet(call.cmdlet),
            Err(lost) => {
                let why = format!("{host} answered {} (HTTP {}), but {lost}.", call.cmdlet.name, status.as_u16());
                match lost {
                    Lost::Broken(_) | Lost::Unreadable => Tried::Again { after, begun: Begun::Perhaps, why },
                    // Asking again gives the same; a write was done.
                    Lost::TooLong if call.cmdlet.effect == Effect::Read => Tried::Refused(why),
                    Lost::TooLong => Tried::Again { after: None, begun: Begun::Perhaps, why },
                }
            }
        }
    }

    fn headers(&self, call: &Call<'_>) -> HeaderMap {
        let tenant = &self.settings.tenant;
        let own = match &call.cmdlet.anchor {
            Some(Anchor::Smtp(address)) => Some(format!("SMTP:{address}")),
            Some(Anchor::Mailbox(guid)) => Some(format!("MBX:{guid}@{tenant}")),
            None => None,
        };
        // Only a hint for routing: an address that no header can hold goes the long way.
        let own = own.filter(|text| text.is_ascii()).and_then(|text| HeaderValue::from_str(&text).ok());
        let mut headers = HeaderMap::new();
        let mut put = |name: &'static str, value: HeaderValue| {
            headers.insert(HeaderName::from_static(name), value);
        };
        let text = |text: String| HeaderValue::from_str(&text).expect("GUIDs, numbers and checked domains are ASCII");
        put("accept", HeaderValue::from_static("application/json"));
        put("prefer", text(format!("odata.maxpagesize={}", self.settings.page_size)));
        put("x-responseformat", HeaderValue::from_static("json"));
        put("client-request-id", text(call.id.to_string()));
        put("connection-id", text(self.connection.to_string()));
        if own.is_some() {
            put("parameter-based-routing", HeaderValue::from_static("true"));
        }
        put("x-anchormailbox", own.unwrap_or_else(|| text(format!("APP:{ORGANISATION}@{tenant}"))));
        headers
    }
}

fn refused(cmdlet: &Cmdlet, why: String) -> TransportError {
    // A write's first page came back: it was done, whatever is wrong with the rest.
    match cmdlet.effect {
        Effect::Read => TransportError::Refused { why },
        Effect::Write | Effect::Destructive => TransportError::Unknown { why },
    }
}

/// The next page's address. The token goes with it, so it goes nowhere but where the first request went.
fn next(first: &Url, link: &str, seen: &[Url], most: usize) -> Result<Url, String> {
    let address = first
        .join(link)
        .map_err(|error| format!("The next page's address “{}” is none ({error}).", wire::brief(link)))?;
    let service = |url: &Url| url.path().split('/').nth(1).map(str::to_ascii_lowercase);
    if address.origin() != first.origin() || service(&address) != service(first) || !address.username().is_empty() {
        let host = address.host_str().unwrap_or_default();
        return Err(format!(
            "The next page is said to be elsewhere ({host}): it was not asked for, because the token would go along."
        ));
    }
    if seen.contains(&address) {
        return Err("The next page is one that was read before: the listing would never end.".to_owned());
    }
    if seen.len() >= most {
        return Err(format!("The answer has more than {most} pages: ask for less at once."));
    }
    Ok(address)
}

fn good(cmdlet: &Cmdlet, host: &str, body: &[u8]) -> Tried {
    match wire::page(body) {
        Ok(page) => Tried::Page(page),
        Err(why) => {
            let why = format!("{host} answered {}, but not as the admin API does: {why}.", cmdlet.name);
            match cmdlet.effect {
                Effect::Read => Tried::Refused(why),
                Effect::Write | Effect::Destructive => Tried::Again { after: None, begun: Begun::Perhaps, why },
            }
        }
    }
}

/// An answer that is no success. Its status says little: the same error comes with several. The type decides where there is one.
fn judge(
    cmdlet: &Cmdlet,
    host: &str,
    (status, after): (StatusCode, Option<std::time::Duration>),
    body: &[u8],
) -> Tried {
    if status == StatusCode::FORBIDDEN && body.iter().all(|byte| *byte == 0) {
        return unknown_cmdlet(cmdlet);
    }
    let read = wire::refusal(body);
    let said = read.errors.first().map_or(&read.text, |error| &error.message);
    let code = status.as_u16();
    let why = format!("{host} answered {} with HTTP {code}: {said}", cmdlet.name);
    let throttled = read.errors.iter().any(|error| matches!(error.class, Class::Throttled { .. }));
    let named =
        |names: &[&str]| read.names.iter().any(|name| names.iter().any(|wanted| name.eq_ignore_ascii_case(wanted)));
    if code == 429 || throttled || named(&NOT_BEGUN) {
        return Tried::Again { after, begun: Begun::No, why };
    }
    if named(&PASSING) || read.errors.iter().any(|error| error.class == Class::Transient) {
        return Tried::Again { after, begun: Begun::Perhaps, why };
    }
    if read.errors.iter().any(|error| !error.type_name.is_empty()) {
        return Tried::Failed { errors: read.errors, warnings: read.warnings };
    }
    match code {
        401 => Tried::Unauthorised(format!(
            "{why} (the token is not taken: does the application have Exchange.ManageAsApp?)"
        )),
        403 => Tried::Refused(format!("{why} (is the application in a role of Exchange that has this cmdlet?)")),
        503 => Tried::Again { after, begun: Begun::No, why },
        500.. => Tried::Again { after, begun: Begun::Perhaps, why },
        400..=499 if !read.errors.is_empty() => Tried::Failed { errors: read.errors, warnings: read.warnings },
        _ => Tried::Refused(why),
    }
}

/// As on premises: a cmdlet that no role gives is one that is not there.
fn unknown_cmdlet(cmdlet: &Cmdlet) -> Tried {
    let error = CmdletError {
        type_name: "CommandNotFoundException".to_owned(),
        reason: "System.Management.Automation.CommandNotFoundException".to_owned(),
        fully_qualified_id: "CommandNotFoundException".to_owned(),
        message: format!("There is no cmdlet {}, or no role of the application has it.", cmdlet.name),
        class: Class::Denied,
    };
    Tried::Failed { errors: vec![error], warnings: Vec::new() }
}

/// Why a body could not be read.
#[derive(Debug, thiserror::Error)]
enum Lost {
    #[error("the connection was lost while reading it ({0})")]
    Broken(String),
    #[error("it is not packed as it says")]
    Unreadable,
    #[error("it is longer than is read")]
    TooLong,
}

async fn bounded(response: &mut Response, longest: usize) -> Result<Vec<u8>, Lost> {
    let mut body = Vec::new();
    loop {
        match response.chunk().await {
            Ok(None) => return Ok(body),
            Ok(Some(chunk)) if body.len() + chunk.len() > longest => return Err(Lost::TooLong),
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Err(error) if error.is_decode() => return Err(Lost::Unreadable),
            Err(error) => return Err(Lost::Broken(causes(&error))),
        }
    }
}

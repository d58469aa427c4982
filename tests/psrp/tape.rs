//! Real Windows hosts' recorded answers, served again. The folder comes from `TENURE_PSRP_RECORDINGS`.
//!
//! The recordings' pipelines carry scripts, which this client never sends: requests are compared by action, resource, options,
//! selectors and the types of the messages inside, and the server's side is played as it was.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tenure::connectors::exchange::psrp::auth::{Credentials, Scheme};
use tenure::connectors::exchange::psrp::wsman::WireSettings;
use tenure::connectors::exchange::psrp::{Client, ClientSettings};
use uuid::Uuid;
use zeroize::Zeroizing;

/// A request and what was answered.
#[derive(Debug, Clone, Default)]
pub struct Exchange {
    pub request: String,
    pub response: String,
    pub status: u16,
}

/// The few forms of YAML that the recordings have: plain scalars, folded over several lines.
fn read(text: &str) -> Vec<Exchange> {
    let mut exchanges: Vec<Exchange> = Vec::new();
    let mut key = "";
    for line in text.lines() {
        let (new, rest) = match line {
            _ if line.starts_with("- request:") => ("request", &line[10..]),
            _ if line.starts_with("  response:") => ("response", &line[11..]),
            _ if line.starts_with("    code:") => ("code", &line[9..]),
            _ if line.starts_with("  transport_error:") || line.starts_with("    protocol:") || line == "messages:" => {
                key = "";
                continue;
            }
            _ => (key, line),
        };
        key = new;
        if line.starts_with("- request:") {
            exchanges.push(Exchange { status: 200, ..Exchange::default() });
        }
        let last = exchanges.last_mut().expect("a recording begins with a request");
        let part = match key {
            "request" => &mut last.request,
            "response" => &mut last.response,
            "code" => {
                last.status = rest.trim().parse().unwrap();
                continue;
            }
            _ => continue,
        };
        if !part.is_empty() {
            part.push(' ');
        }
        part.push_str(rest.trim());
    }
    exchanges
}

fn between<'a>(text: &'a str, start: &str, end: &str) -> Option<&'a str> {
    let from = text.find(start)? + start.len();
    Some(&text[from..from + text[from..].find(end)?])
}

fn action(text: &str) -> String {
    let named = text.split("Action").nth(1).and_then(|rest| between(rest, ">", "<")).unwrap_or_default();
    named.rsplit('/').next().unwrap_or_default().to_owned()
}

fn element<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let rest = &text[text.find(&format!("{name} s:mustUnderstand"))?..];
    between(rest, ">", "<")
}

fn options(text: &str) -> BTreeMap<String, String> {
    let pieces = text.split(":Option ").skip(1);
    pieces
        .filter_map(|piece| Some((between(piece, "Name=\"", "\"")?.to_owned(), between(piece, ">", "<")?.to_owned())))
        .collect()
}

/// The octets in an envelope: `creationXml`, `Arguments`, `Stream`.
fn blobs(text: &str) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    for mark in ["<creationXml", "Arguments>", "Stream "] {
        for piece in text.split(mark).skip(1) {
            let inner = if mark.ends_with('>') { piece } else { piece.split_once('>').map_or("", |(_, rest)| rest) };
            let packed = inner.split('<').next().unwrap_or_default();
            if let Ok(bytes) = STANDARD.decode(packed.trim()).map_err(drop)
                && !bytes.is_empty()
            {
                found.push(bytes);
            }
        }
    }
    found
}

/// The types of the messages that begin in these fragments.
fn message_types(blobs: &[Vec<u8>]) -> Vec<u32> {
    let mut types = Vec::new();
    for blob in blobs {
        let mut rest = blob.as_slice();
        while rest.len() >= 21 {
            let length = u32::from_be_bytes(rest[17..21].try_into().unwrap()) as usize;
            if rest[16] & 1 != 0 {
                types.push(u32::from_le_bytes(rest[25..29].try_into().unwrap()));
            }
            rest = &rest[21 + length..];
        }
    }
    types
}

/// Recorded ids and what they are in this conversation.
#[derive(Default)]
pub struct Tape {
    pub exchanges: Vec<Exchange>,
    pub next: usize,
    ids: BTreeMap<Uuid, Uuid>,
    /// Whether what was asked differed from what was recorded.
    pub wrong: Vec<String>,
    pub seen: Vec<String>,
    /// What this host says instead, once each: for which action, HTTP status, body.
    pub instead: Vec<(&'static str, u16, String)>,
}

impl Tape {
    fn answer(&mut self, request: &str) -> (StatusCode, String) {
        let asked = action(request);
        self.seen.push(asked.clone());
        if let Some(at) = self.instead.iter().position(|(action, ..)| *action == asked) {
            let (_, status, body) = self.instead.remove(at);
            return (StatusCode::from_u16(status).unwrap(), answered(request, &body));
        }
        if asked == "Create" {
            self.next = 0;
        }
        let recorded =
            |tape: &Self| tape.exchanges.get(tape.next).map(|exchange| action(&exchange.request)).unwrap_or_default();
        // Input for scripts, which a cmdlet does not get.
        while recorded(self) == "Send" && asked != "Send" {
            self.next += 1;
        }
        if asked == "Signal" && recorded(self) != "Signal" {
            return (StatusCode::OK, answered(request, "<rsp:SignalResponse/>"));
        }
        if recorded(self) == "Get" && asked == "Command" {
            // The shell is gone by then: the recorded fault says so.
            let fault = self.exchanges.last().unwrap().clone();
            return (StatusCode::from_u16(fault.status).unwrap(), self.translate(&fault.response, request));
        }
        let Some(exchange) = self.exchanges.get(self.next).cloned() else {
            self.wrong.push(format!("{asked} after the recording's end"));
            return (StatusCode::NOT_FOUND, String::new());
        };
        self.next += 1;
        self.compare(&exchange.request, request);
        (StatusCode::from_u16(exchange.status).unwrap(), self.translate(&exchange.response, request))
    }

    fn compare(&mut self, recorded: &str, asked: &str) {
        for (old, new) in [("ShellId=\"", "ShellId=\""), ("CommandId=\"", "CommandId=\"")] {
            let ids = between(recorded, old, "\"").zip(between(asked, new, "\""));
            if let Some((old, new)) = ids {
                self.ids.insert(old.parse().unwrap(), new.parse().unwrap());
            }
        }
        let mut differ = |what: &str, one: String, other: String| {
            if one != other {
                self.wrong.push(format!("{}: {what}: {other}, recorded {one}", action(asked)));
            }
        };
        differ("action", action(recorded), action(asked));
        differ(
            "resource",
            format!("{:?}", element(recorded, "ResourceURI")),
            format!("{:?}", element(asked, "ResourceURI")),
        );
        differ("options", format!("{:?}", options(recorded)), format!("{:?}", options(asked)));
        differ(
            "selects",
            recorded.contains("Selector Name=\"ShellId\"").to_string(),
            asked.contains("Selector Name=\"ShellId\"").to_string(),
        );
        let types = |text: &str| format!("{:x?}", message_types(&blobs(text)));
        differ("messages", types(recorded), types(asked));
    }

    /// Puts this conversation's ids in the place of the recorded ones, in the text and in the messages.
    fn translate(&self, response: &str, request: &str) -> String {
        let mut text = response.to_owned();
        for blob in blobs(response) {
            let mut bytes = blob.clone();
            for (old, new) in &self.ids {
                // Most recorded clients wrote their ids big-endian, and the host gave them back as they came.
                let (old, new) = ([old.to_bytes_le(), *old.as_bytes()], new.to_bytes_le());
                for at in 0..bytes.len().saturating_sub(15) {
                    if old.iter().any(|old| bytes[at..at + 16] == *old) {
                        bytes[at..at + 16].copy_from_slice(&new);
                    }
                }
            }
            text = text.replace(&STANDARD.encode(&blob), &STANDARD.encode(&bytes));
        }
        for (old, new) in &self.ids {
            text = text.replace(&old.to_string().to_uppercase(), &new.to_string().to_uppercase());
        }
        let ours = between(request, "MessageID>", "<").unwrap_or_default();
        match between(&text, "RelatesTo>", "<").map(str::to_owned) {
            Some(theirs) if !theirs.is_empty() => text.replace(&theirs, ours),
            _ => text,
        }
    }
}

fn answered(request: &str, body: &str) -> String {
    format!(
        "<s:Envelope xmlns:s=\"http://www.w3.org/2003/05/soap-envelope\" xmlns:a=\"http://schemas.xmlsoap.org/ws/2004/08/addressing\" \
         xmlns:rsp=\"http://schemas.microsoft.com/wbem/wsman/1/windows/shell\"><s:Header><a:RelatesTo>{}</a:RelatesTo></s:Header>\
         <s:Body>{body}</s:Body></s:Envelope>",
        between(request, "MessageID>", "<").unwrap_or_default()
    )
}

async fn play(State(tape): State<Arc<Mutex<Tape>>>, request: String) -> Response {
    let (status, body) = tape.lock().unwrap().answer(&request);
    (status, [(header::CONTENT_TYPE, "application/soap+xml;charset=UTF-8")], body).into_response()
}

/// A client of a host that answers from this recording; `None` where there are no recordings.
pub async fn host(name: &str) -> Option<(Client, Arc<Mutex<Tape>>)> {
    let Some(folder) = std::env::var_os("TENURE_PSRP_RECORDINGS").map(PathBuf::from) else {
        eprintln!("skipped: TENURE_PSRP_RECORDINGS names no folder with recordings");
        return None;
    };
    let text = std::fs::read_to_string(folder.join(format!("{name}.yml"))).unwrap();
    let tape = Arc::new(Mutex::new(Tape { exchanges: read(&text), ..Tape::default() }));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/wsman", listener.local_addr().unwrap());
    let router = Router::new().fallback(play).with_state(tape.clone());
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    let wire = WireSettings {
        url,
        credentials: Credentials {
            scheme: Scheme::Basic,
            user: "vagrant".to_owned(),
            password: Zeroizing::new("vagrant".to_owned()),
            kdc: None,
            service: None,
            channel_binding: false,
        },
        authorities: None,
        plain_loopback: true,
        longest_answer: 1 << 20,
    };
    let settings = ClientSettings {
        deadline: Duration::from_secs(30),
        max_runspaces: 1,
        ..ClientSettings::new(wire, "http://schemas.microsoft.com/powershell/Microsoft.PowerShell")
    };
    Some((Client::new(settings).unwrap(), tape))
}

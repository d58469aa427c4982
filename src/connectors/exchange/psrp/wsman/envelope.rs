//! Requests, as text. Every value from outside is escaped; ids are ours.

use std::fmt::Write as _;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use quick_xml::escape::escape;
use uuid::Uuid;

/// The version of PowerShell's remoting protocol that the shell is asked for; older servers answer with their own.
pub const PROTOCOL: &str = "2.3";

const SHELL: &str = "http://schemas.microsoft.com/wbem/wsman/1/windows/shell";
const TRANSFER: &str = "http://schemas.xmlsoap.org/ws/2004/09/transfer";

/// Above an empty Send or Command there is room for the envelope itself. The longest parts are the address and the resource, counted
/// apart.
const FRAME: usize = 3_072;

/// What a Signal asks of a pipeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// Stop what is running (`Ctrl+C`).
    Stop,
    /// The client is done with it: the server may forget it.
    Terminate,
}

/// What stands the same in every request of one client.
#[derive(Debug, Clone)]
pub struct Envelopes {
    /// The endpoint's URL, path and query included.
    pub to: String,
    pub resource_uri: String,
    /// In octets, ours and the server's.
    pub max_envelope: usize,
    /// How long the server may hold a Receive before it says that there is nothing yet.
    pub operation_timeout: Duration,
    /// Tells this client's requests from others' in the server's logs.
    pub session: Uuid,
}

/// Octets of PowerShell fragments that fit in one envelope, base64 being four for three.
#[must_use]
pub fn max_fragment(max_envelope: usize, to: &str, resource_uri: &str) -> usize {
    let frame = FRAME + escape(to).len() + escape(resource_uri).len();
    (max_envelope.saturating_sub(frame) / 4 * 3).max(256)
}

impl Envelopes {
    /// Opens a shell. `creation` are the fragments of the session's first messages.
    #[must_use]
    pub fn create(&self, message: Uuid, shell: Uuid, creation: &[u8]) -> String {
        let options = format!(
            "<w:OptionSet s:mustUnderstand=\"true\"><w:Option Name=\"protocolversion\" MustComply=\"true\">{PROTOCOL}</w:Option></w:OptionSet>"
        );
        let body = format!(
            "<rsp:Shell ShellId=\"{}\"><rsp:InputStreams>stdin pr</rsp:InputStreams><rsp:OutputStreams>stdout</rsp:OutputStreams>\
             <creationXml xmlns=\"http://schemas.microsoft.com/powershell\">{}</creationXml></rsp:Shell>",
            id(shell),
            STANDARD.encode(creation)
        );
        self.envelope(&format!("{TRANSFER}/Create"), message, &options, &body)
    }

    /// Starts a pipeline: `arguments` is the first fragment of its CREATE_PIPELINE message.
    #[must_use]
    pub fn command(&self, message: Uuid, shell: &str, command: Uuid, arguments: &[u8]) -> String {
        let options = "<w:OptionSet s:mustUnderstand=\"true\"><w:Option Name=\"WINRS_SKIP_CMD_SHELL\">False</w:Option></w:OptionSet>";
        let body = format!(
            "<rsp:CommandLine CommandId=\"{}\"><rsp:Command/><rsp:Arguments>{}</rsp:Arguments></rsp:CommandLine>",
            id(command),
            STANDARD.encode(arguments)
        );
        self.envelope(&format!("{SHELL}/Command"), message, &(options.to_owned() + &selector(shell)), &body)
    }

    /// More fragments, to a pipeline or to the pool itself.
    #[must_use]
    pub fn send(&self, message: Uuid, shell: &str, command: Option<Uuid>, bytes: &[u8]) -> String {
        let body = format!(
            "<rsp:Send><rsp:Stream Name=\"stdin\"{}>{}</rsp:Stream></rsp:Send>",
            command_attribute(command),
            STANDARD.encode(bytes)
        );
        self.envelope(&format!("{SHELL}/Send"), message, &selector(shell), &body)
    }

    /// Asks for what a pipeline, or the pool, has to say; the server holds it until there is something.
    #[must_use]
    pub fn receive(&self, message: Uuid, shell: &str, command: Option<Uuid>) -> String {
        let options = "<w:OptionSet s:mustUnderstand=\"true\"><w:Option Name=\"WSMAN_CMDSHELL_OPTION_KEEPALIVE\">True</w:Option></w:OptionSet>";
        let body = format!(
            "<rsp:Receive><rsp:DesiredStream{}>stdout</rsp:DesiredStream></rsp:Receive>",
            command_attribute(command)
        );
        self.envelope(&format!("{SHELL}/Receive"), message, &(options.to_owned() + &selector(shell)), &body)
    }

    #[must_use]
    pub fn signal(&self, message: Uuid, shell: &str, command: Uuid, signal: Signal) -> String {
        let code = match signal {
            Signal::Stop => "powershell/signal/crtl_c".to_owned(),
            Signal::Terminate => format!("{SHELL}/signal/Terminate"),
        };
        let body = format!("<rsp:Signal CommandId=\"{}\"><rsp:Code>{code}</rsp:Code></rsp:Signal>", id(command));
        self.envelope(&format!("{SHELL}/Signal"), message, &selector(shell), &body)
    }

    /// Closes the shell.
    #[must_use]
    pub fn delete(&self, message: Uuid, shell: &str) -> String {
        self.envelope(&format!("{TRANSFER}/Delete"), message, &selector(shell), "")
    }

    /// `rest` is the header's end: options and selectors, in the order that servers' own client has them.
    fn envelope(&self, action: &str, message: Uuid, rest: &str, body: &str) -> String {
        let mut text = String::with_capacity(body.len() + FRAME);
        text.push_str(
            "<s:Envelope xmlns:s=\"http://www.w3.org/2003/05/soap-envelope\" xmlns:a=\"http://schemas.xmlsoap.org/ws/2004/08/addressing\" \
             xmlns:w=\"http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd\" xmlns:p=\"http://schemas.microsoft.com/wbem/wsman/1/wsman.xsd\" \
             xmlns:rsp=\"http://schemas.microsoft.com/wbem/wsman/1/windows/shell\"><s:Header>",
        );
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            "<a:Action s:mustUnderstand=\"true\">{action}</a:Action>\
             <p:DataLocale s:mustUnderstand=\"false\" xml:lang=\"en-US\"/><w:Locale s:mustUnderstand=\"false\" xml:lang=\"en-US\"/>\
             <w:MaxEnvelopeSize s:mustUnderstand=\"true\">{}</w:MaxEnvelopeSize><a:MessageID>uuid:{}</a:MessageID>\
             <w:OperationTimeout>PT{}S</w:OperationTimeout>\
             <a:ReplyTo><a:Address s:mustUnderstand=\"true\">http://schemas.xmlsoap.org/ws/2004/08/addressing/role/anonymous</a:Address></a:ReplyTo>\
             <w:ResourceURI s:mustUnderstand=\"true\">{}</w:ResourceURI><p:SessionId s:mustUnderstand=\"false\">uuid:{}</p:SessionId>\
             <a:To>{}</a:To>{rest}</s:Header><s:Body>{body}</s:Body></s:Envelope>",
            self.max_envelope,
            id(message),
            seconds(self.operation_timeout),
            escape(self.resource_uri.as_str()),
            id(self.session),
            escape(self.to.as_str()),
        );
        text
    }
}

/// Windows writes GUIDs in capitals here, and compares some of them letter by letter.
fn id(id: Uuid) -> String {
    id.hyphenated().to_string().to_uppercase()
}

fn seconds(timeout: Duration) -> String {
    let millis = timeout.as_millis();
    if millis.is_multiple_of(1000) {
        (millis / 1000).to_string()
    } else {
        format!("{}.{:03}", millis / 1000, millis % 1000)
    }
}

fn selector(shell: &str) -> String {
    format!("<w:SelectorSet><w:Selector Name=\"ShellId\">{}</w:Selector></w:SelectorSet>", escape(shell))
}

fn command_attribute(command: Option<Uuid>) -> String {
    command.map_or_else(String::new, |command| format!(" CommandId=\"{}\"", id(command)))
}

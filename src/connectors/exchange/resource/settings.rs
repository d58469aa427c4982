//! Settings of a mailbox that are objects of their own: the answer while away, and how a room answers invitations.

use crate::connectors::exchange::attributes::{self, param, put};
use crate::connectors::exchange::calls::{Calls, at};
use crate::connectors::exchange::cmdlet::{Anchor, Cmdlet, Param};
use crate::connectors::exchange::value::Properties;
use crate::target::{Address, Change, Difference, Fault, Seen, State, Value};

use super::left;

const REPLY_STATES: [(&str, &str); 3] = [("disabled", "Disabled"), ("enabled", "Enabled"), ("scheduled", "Scheduled")];
const AUDIENCES: [(&str, &str); 3] = [("none", "None"), ("known", "Known"), ("all", "All")];
const PROCESSING: [(&str, &str); 3] = [("none", "None"), ("auto_update", "AutoUpdate"), ("auto_accept", "AutoAccept")];

fn ours(words: &[(&'static str, &str)], theirs: &str) -> Option<Value> {
    words.iter().find(|(_, word)| word.eq_ignore_ascii_case(theirs)).map(|(word, _)| Value::from(*word))
}

fn theirs(words: &[(&str, &'static str)], ours: &Value) -> Param {
    let word = words.iter().find(|(word, _)| Some(*word) == ours.as_text()).map(|(_, word)| *word);
    word.map_or(Param::Null, |word| Param::Text(word.to_owned()))
}

fn mailbox(address: &Address) -> Result<String, Fault> {
    match address {
        Address::Native(id) => Ok(id.to_string()),
        _ => Err(super::super::odd_address()),
    }
}

/// Looks at the answer while away.
pub async fn observe_reply(calls: &mut Calls<'_>, address: &Address) -> Result<Option<Seen>, Fault> {
    let id = mailbox(address)?;
    let look = at(Cmdlet::read("Get-MailboxAutoReplyConfiguration"), &id).anchored(Anchor::Mailbox(id.clone()));
    let Some(object) = calls.one(look).await? else { return Ok(None) };
    let from = Properties(&object);
    let mut state = State::default();
    let word = |name: &str| from.text(name).ok().flatten().unwrap_or_default();
    put(&mut state, "state", ours(&REPLY_STATES, &word("AutoReplyState")));
    put(&mut state, "audience", ours(&AUDIENCES, &word("ExternalAudience")));
    put(&mut state, "internal", plain_text(&word("InternalMessage")));
    put(&mut state, "external", plain_text(&word("ExternalMessage")));
    if word("AutoReplyState").eq_ignore_ascii_case("Scheduled") {
        for (attribute, property) in [("from", "StartTime"), ("until", "EndTime")] {
            put(&mut state, attribute, moment(&word(property)).map(Value::Text));
        }
    }
    let id = match address {
        Address::Native(id) => Some(*id),
        _ => None,
    };
    Ok(Some(Seen { id, state, native: calls.native() }))
}

/// The server keeps messages as HTML around what was written.
fn plain_text(html: &str) -> Option<Value> {
    let body = html
        .split_once("<body")
        .and_then(|(_, rest)| rest.split_once('>'))
        .map_or(html, |(_, rest)| rest.rsplit_once("</body>").map_or(rest, |(body, _)| body));
    let mut text = String::new();
    let mut inside = false;
    let lines = body.replace("<br>", "\n").replace("<br/>", "\n").replace("<br />", "\n").replace("</p>", "\n");
    for letter in lines.chars() {
        match letter {
            '<' if body.contains('>') => inside = true,
            '>' if inside => inside = false,
            _ if !inside => text.push(letter),
            _ => {}
        }
    }
    let text = text
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&quot;", "\"")
        .replace("&#39;", "'")
        .replace("&amp;", "&");
    let text = text.replace("\r\n", "\n");
    let text = text.trim();
    (!text.is_empty()).then(|| Value::from(text))
}

/// What was written, as HTML that shows exactly that.
fn html(text: &str) -> String {
    let escaped = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;");
    format!("<html><body>{}</body></html>", escaped.replace('\n', "<br>"))
}

/// A time as RFC 3339 in UTC; Exchange gives it without a zone, or with one.
fn moment(text: &str) -> Option<String> {
    let at = chrono::DateTime::parse_from_rfc3339(text).map(|at| at.to_utc()).ok().or_else(|| {
        let plain = text.trim_end_matches('Z');
        let formats = ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S", "%m/%d/%Y %H:%M:%S", "%m/%d/%Y %I:%M:%S %p"];
        formats
            .iter()
            .find_map(|format| chrono::NaiveDateTime::parse_from_str(plain, format).ok())
            .map(|at| at.and_utc())
    })?;
    Some(at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true))
}

/// Changes the answer while away.
pub async fn ensure_reply(
    calls: &mut Calls<'_>,
    address: &Address,
    step: &Difference,
    seen: Option<&Seen>,
) -> Result<(), Fault> {
    let id = mailbox(address)?;
    for cmdlet in reply_changes(&id, &left(step, seen.map(|seen| &seen.state))) {
        calls.write(cmdlet, &[]).await?;
    }
    Ok(())
}

/// The cmdlet for that.
pub fn reply_changes(id: &str, changes: &[Change]) -> Vec<Cmdlet> {
    let mut cmdlet =
        at(Cmdlet::write("Set-MailboxAutoReplyConfiguration"), id).anchored(Anchor::Mailbox(id.to_owned()));
    for change in changes {
        let message = || change.to.as_text().map_or(Param::Null, |text| Param::Text(html(text)));
        let (parameter, value) = match change.attribute.as_str() {
            "state" => ("AutoReplyState", theirs(&REPLY_STATES, &change.to)),
            "audience" => ("ExternalAudience", theirs(&AUDIENCES, &change.to)),
            "internal" => ("InternalMessage", message()),
            "external" => ("ExternalMessage", message()),
            "from" => ("StartTime", param(&change.to)),
            "until" => ("EndTime", param(&change.to)),
            _ => continue,
        };
        cmdlet = cmdlet.with(parameter, value);
    }
    if cmdlet.params.len() > 1 { vec![cmdlet] } else { Vec::new() }
}

/// Looks at how a room answers invitations.
pub async fn observe_booking(calls: &mut Calls<'_>, address: &Address) -> Result<Option<Seen>, Fault> {
    let id = mailbox(address)?;
    let look = at(Cmdlet::read("Get-CalendarProcessing"), &id).anchored(Anchor::Mailbox(id.clone()));
    let Some(object) = calls.one(look).await? else { return Ok(None) };
    let from = Properties(&object);
    let mut state = State::default();
    let word = from.text("AutomateProcessing").ok().flatten().unwrap_or_default();
    put(&mut state, "processing", ours(&PROCESSING, &word));
    for (attribute, property) in
        [("allowConflicts", "AllowConflicts"), ("allBookIn", "AllBookInPolicy"), ("allRequestIn", "AllRequestInPolicy")]
    {
        put(&mut state, attribute, attributes::flag(from, property)?);
    }
    put(&mut state, "bookingWindowDays", attributes::number(from, "BookingWindowInDays")?);
    put(&mut state, "maximumDurationMinutes", attributes::number(from, "MaximumDurationInMinutes")?);
    let delegates = attributes::recipients(calls, from, "ResourceDelegates").await?;
    put(&mut state, "delegates", delegates);
    let id = match address {
        Address::Native(id) => Some(*id),
        _ => None,
    };
    Ok(Some(Seen { id, state, native: calls.native() }))
}

/// Changes how a room answers invitations.
pub async fn ensure_booking(
    calls: &mut Calls<'_>,
    address: &Address,
    step: &Difference,
    seen: Option<&Seen>,
) -> Result<(), Fault> {
    let id = mailbox(address)?;
    for cmdlet in booking_changes(&id, &left(step, seen.map(|seen| &seen.state))) {
        calls.write(cmdlet, &[]).await?;
    }
    Ok(())
}

/// The cmdlet for that.
pub fn booking_changes(id: &str, changes: &[Change]) -> Vec<Cmdlet> {
    let mut cmdlet = at(Cmdlet::write("Set-CalendarProcessing"), id).anchored(Anchor::Mailbox(id.to_owned()));
    for change in changes {
        let (parameter, value) = match change.attribute.as_str() {
            "processing" => ("AutomateProcessing", theirs(&PROCESSING, &change.to)),
            "allowConflicts" => ("AllowConflicts", param(&change.to)),
            "allBookIn" => ("AllBookInPolicy", param(&change.to)),
            "allRequestIn" => ("AllRequestInPolicy", param(&change.to)),
            "bookingWindowDays" => ("BookingWindowInDays", param(&change.to)),
            "maximumDurationMinutes" => ("MaximumDurationInMinutes", param(&change.to)),
            "delegates" => ("ResourceDelegates", param(&change.to)),
            _ => continue,
        };
        cmdlet = cmdlet.with(parameter, value);
    }
    if cmdlet.params.len() > 1 { vec![cmdlet] } else { Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_comes_back_as_it_was() {
        for text in ["I have left.", "a < b & \"c\" > d\nsecond line", "$(x); 'y'"] {
            assert_eq!(plain_text(&html(text)), Some(Value::from(text)), "{text}");
        }
        assert_eq!(plain_text("<html>\r\n<body>\r\nGone\r\n</body>\r\n</html>\r\n"), Some(Value::from("Gone")));
        assert_eq!(plain_text(""), None);
    }

    #[test]
    fn times_are_utc() {
        for text in ["2026-12-01T08:00:00Z", "2026-12-01T09:00:00+01:00", "12/01/2026 08:00:00", "2026-12-01T08:00:00"]
        {
            assert_eq!(moment(text).as_deref(), Some("2026-12-01T08:00:00Z"), "{text}");
        }
    }
}

//! Mailboxes: a person's, shared, rooms, equipment; and the stubs on premises of those that are Online.

use crate::connectors::exchange::attributes::{self, delta, param, put};
use crate::connectors::exchange::calls::{Calls, at};
use crate::connectors::exchange::cmdlet::{Anchor, Class, Cmdlet, Object, Param};
use crate::connectors::exchange::flavour::Flavour;
use crate::connectors::exchange::value::Properties;
use crate::target::{Address, Change, Difference, Fault, Presence, Seen, State, Value};

use super::{Way, by_correlation, first_name, left, mark, wanted};

/// Looks at a mailbox; a directory user without one is absent.
pub async fn observe(calls: &mut Calls<'_>, address: &Address) -> Result<Option<Seen>, Fault> {
    let found = match address {
        Address::Native(id) => {
            let anchored = |cmdlet: Cmdlet| at(cmdlet, &id.to_string()).anchored(Anchor::Mailbox(id.to_string()));
            match calls.one(anchored(Cmdlet::read("Get-Mailbox"))).await? {
                None if calls.flavour() == Flavour::OnPremises => {
                    calls.one(anchored(Cmdlet::read("Get-RemoteMailbox"))).await?
                }
                found => found,
            }
        }
        Address::New { correlation } => calls.ours(by_correlation("Get-Mailbox", *correlation), *correlation).await?,
        _ => return Err(super::super::odd_address()),
    };
    match found {
        Some(object) => Ok(Some(seen(calls, &object).await?)),
        None => Ok(None),
    }
}

/// A mailbox as Exchange gives it, as a sighting.
pub async fn seen(calls: &mut Calls<'_>, object: &Object) -> Result<Seen, Fault> {
    let from = Properties(object);
    let id = attributes::id_of(from)?;
    let mut state = State::default();
    put(&mut state, "type", kind(from).map(Value::from));
    for (attribute, property) in [
        ("displayName", "DisplayName"),
        ("alias", "Alias"),
        ("userPrincipalName", "UserPrincipalName"),
        ("database", "Database"),
    ] {
        put(&mut state, attribute, attributes::text(from, property)?);
    }
    attributes::addresses(&mut state, from)?;
    for (attribute, property) in [
        ("hidden", "HiddenFromAddressListsEnabled"),
        ("litigationHold", "LitigationHoldEnabled"),
        ("deliverAndForward", "DeliverToMailboxAndForward"),
    ] {
        put(&mut state, attribute, attributes::flag(from, property)?);
    }
    put(&mut state, "archive", Value::Bool(attributes::guid(from, "ArchiveGuid")?.is_some()));
    put(&mut state, "exchangeGuid", attributes::guid(from, "ExchangeGuid")?.map(|id| Value::Text(id.to_string())));
    put(&mut state, "litigationHoldDays", attributes::days(from, "LitigationHoldDuration")?);
    put(&mut state, "capacity", attributes::number(from, "ResourceCapacity")?);
    if let Some(to) = from.text("ForwardingAddress").map_err(|error| super::super::fault::of_value(&error))? {
        put(&mut state, "forwardTo", calls.id(&to).await?.map(|id| Value::Text(id.to_string())));
    }
    if let Some(Value::Text(to)) = attributes::text(from, "ForwardingSmtpAddress")? {
        let plain = to.get(..5).filter(|head| head.eq_ignore_ascii_case("smtp:")).map_or(to.as_str(), |_| &to[5..]);
        put(&mut state, "forwardToAddress", Value::Text(plain.to_lowercase()));
    }
    let defaults = attributes::flag(from, "UseDatabaseQuotaDefaults")? == Some(Value::Bool(true));
    for (attribute, property) in QUOTAS.into_iter().filter(|_| !defaults) {
        put(&mut state, attribute, attributes::quota(from, property)?);
    }
    put(&mut state, "directoryId", directory(calls.flavour(), from)?.map(Value::Text));
    Ok(Seen { id: Some(id), state, native: calls.native() })
}

const QUOTAS: [(&str, &str); 3] = [
    ("warningQuota", "IssueWarningQuota"),
    ("sendQuota", "ProhibitSendQuota"),
    ("sendReceiveQuota", "ProhibitSendReceiveQuota"),
];

fn kind(from: Properties<'_>) -> Option<&'static str> {
    let details = from.text("RecipientTypeDetails").ok()??;
    Some(match details.as_str() {
        "UserMailbox" | "LinkedMailbox" => "user",
        "SharedMailbox" => "shared",
        "RoomMailbox" => "room",
        "EquipmentMailbox" => "equipment",
        "RemoteSharedMailbox" => "remote_shared",
        "RemoteUserMailbox" | "RemoteRoomMailbox" | "RemoteEquipmentMailbox" => "remote",
        _ => return None,
    })
}

/// The account that it belongs to: on premises the same object; Online what directory synchronisation kept of it.
fn directory(flavour: Flavour, from: Properties<'_>) -> Result<Option<String>, Fault> {
    if flavour == Flavour::OnPremises {
        return Ok(attributes::guid(from, "Guid")?.map(|id| id.to_string()));
    }
    let anchor = from.text("ImmutableId").map_err(|error| super::super::fault::of_value(&error))?;
    let source = anchor.and_then(|anchor| {
        use base64::Engine as _;
        let bytes = base64::engine::general_purpose::STANDARD.decode(anchor).ok()?;
        Some(uuid::Uuid::from_slice_le(&bytes).ok()?.to_string())
    });
    match source {
        Some(source) => Ok(Some(source)),
        None => attributes::text(from, "ExternalDirectoryObjectId")
            .map(|id| id.and_then(|id| id.as_text().map(str::to_owned))),
    }
}

/// Changes it from what was just seen to what the step says.
pub async fn ensure(
    calls: &mut Calls<'_>,
    way: Way<'_>,
    address: &Address,
    step: &Difference,
    seen: Option<&Seen>,
) -> Result<(), Fault> {
    let state = seen.map(|seen| &seen.state);
    let id = seen.and_then(|seen| seen.id).or(match address {
        Address::Native(id) => Some(*id),
        _ => None,
    });
    if let (Some((_, Presence::Absent)), Some(id)) = (step.presence, id) {
        // Whatever was approved: what is on hold is not taken away.
        if state.is_some_and(|state| state.get("litigationHold").as_bool() == Some(true)) {
            return Err(Fault::Drifted { found: Box::new(state.cloned()) });
        }
        for cmdlet in removal(&id.to_string(), step, state) {
            calls.write(cmdlet, &[Class::NotFound]).await?;
        }
        return Ok(());
    }
    let mut id = id.map(|id| id.to_string());
    let mut state = state.cloned();
    if state.is_none() {
        if way.flavour == Flavour::Online && matches!(address, Address::Native(_)) {
            let why = "It waits for the directory synchronisation and the licence, which make the mailbox Online.";
            return Err(Fault::Retry { after: Some(std::time::Duration::from_secs(30)), why: why.to_owned() });
        }
        for cmdlet in creation(way, address, id.as_deref().unwrap_or_default(), step) {
            calls.write(cmdlet, &[]).await?;
        }
        let made = observe(calls, address).await?.ok_or_else(|| Fault::Unknown {
            why: "Exchange accepted the mailbox, but does not show it yet.".to_owned(),
        })?;
        id = made.id.map(|id| id.to_string());
        state = Some(made.state);
    }
    let id = id.unwrap_or_default();
    if let Address::New { correlation } = address {
        let alias = state.as_ref().and_then(|state| state.get("alias").as_text());
        calls.write(naming(&id, *correlation, alias), &[]).await?;
    }
    for cmdlet in changes(way, &id, is_stub(state.as_ref()), &left(step, state.as_ref())) {
        calls.write(cmdlet, &[]).await?;
    }
    Ok(())
}

/// Whether it is the stub of a mailbox that is Online.
pub fn is_stub(state: Option<&State>) -> bool {
    state.is_some_and(|state| state.get("type").as_text().is_some_and(|word| word.starts_with("remote")))
}

/// The cmdlet that makes it.
pub fn creation(way: Way<'_>, address: &Address, id: &str, step: &Difference) -> Vec<Cmdlet> {
    let changes = &step.changes;
    let text = |attribute: &str| wanted(changes, attribute).and_then(Value::as_text);
    let kind = text("type").unwrap_or("user");
    let named = |mut cmdlet: Cmdlet| {
        for (parameter, attribute) in [("Alias", "alias"), ("PrimarySmtpAddress", "primaryAddress")] {
            if let Some(value) = text(attribute) {
                cmdlet = cmdlet.text(parameter, value);
            }
        }
        match kind {
            "shared" | "remote_shared" => cmdlet.switch("Shared"),
            "room" => cmdlet.switch("Room"),
            "equipment" => cmdlet.switch("Equipment"),
            _ => cmdlet,
        }
    };
    let in_database = |cmdlet: Cmdlet| match &way.places.database {
        Some(database) if way.flavour == Flavour::OnPremises => cmdlet.text("Database", database),
        _ => cmdlet,
    };
    if let Some(mailbox) = text("reconnect") {
        let cmdlet = at(Cmdlet::write("Connect-Mailbox"), mailbox).text("User", id);
        let cmdlet = way.places.database.iter().fold(cmdlet, |cmdlet, database| cmdlet.text("Database", database));
        return vec![text("alias").into_iter().fold(cmdlet, |cmdlet, alias| cmdlet.text("Alias", alias))];
    }
    if let Address::New { correlation } = address {
        let mut cmdlet = Cmdlet::write("New-Mailbox").text("Name", first_name(*correlation));
        cmdlet = text("displayName").into_iter().fold(cmdlet, |cmdlet, name| cmdlet.text("DisplayName", name));
        if way.flavour == Flavour::OnPremises
            && let Some(unit) = &way.places.organizational_unit
        {
            cmdlet = cmdlet.text("OrganizationalUnit", unit);
        }
        return vec![in_database(named(cmdlet))];
    }
    if kind.starts_with("remote") {
        let mut cmdlet = named(at(Cmdlet::write("Enable-RemoteMailbox"), id));
        if let (Some(alias), Some(domain)) = (text("alias"), &way.places.remote_routing_domain) {
            cmdlet = cmdlet.text("RemoteRoutingAddress", format!("{alias}@{domain}"));
        }
        return vec![cmdlet];
    }
    vec![in_database(named(at(Cmdlet::write("Enable-Mailbox"), id)))]
}

/// The cmdlet that gives a new one its mark and its lasting name.
pub fn naming(id: &str, correlation: uuid::Uuid, alias: Option<&str>) -> Cmdlet {
    let named = at(Cmdlet::write("Set-Mailbox"), id).text("CustomAttribute15", mark(correlation));
    alias.into_iter().fold(named, |named, alias| named.text("Name", alias))
}

/// The cmdlet that takes it away. A person's account stays; what was made as a mailbox goes with its account.
pub fn removal(id: &str, step: &Difference, seen: Option<&State>) -> Vec<Cmdlet> {
    let whole = wanted(&step.changes, "removal").and_then(Value::as_text) == Some("remove");
    let name = match (is_stub(seen), whole) {
        (false, false) => "Disable-Mailbox",
        (false, true) => "Remove-Mailbox",
        (true, false) => "Disable-RemoteMailbox",
        (true, true) => "Remove-RemoteMailbox",
    };
    vec![at(Cmdlet::destructive(name), id)]
}

/// The cmdlets that change one that is there.
pub fn changes(way: Way<'_>, id: &str, stub: bool, changes: &[Change]) -> Vec<Cmdlet> {
    let set = if stub { "Set-RemoteMailbox" } else { "Set-Mailbox" };
    let start = || at(Cmdlet::write(set), id).anchored(Anchor::Mailbox(id.to_owned()));
    let mut cmdlets = Vec::new();
    if let Some(kind) = wanted(changes, "type").and_then(Value::as_text) {
        let word = match kind {
            "shared" | "remote_shared" => "Shared",
            "room" => "Room",
            "equipment" => "Equipment",
            _ => "Regular",
        };
        cmdlets.push(start().text("Type", word));
    }
    cmdlets.extend(address_cmdlets(way, changes, &start));
    if let Some(archive) = wanted(changes, "archive").and_then(Value::as_bool) {
        let name = match (stub, archive) {
            (false, true) => "Enable-Mailbox",
            (false, false) => "Disable-Mailbox",
            (true, true) => "Enable-RemoteMailbox",
            (true, false) => "Disable-RemoteMailbox",
        };
        cmdlets.push(at(Cmdlet::write(name), id).switch("Archive"));
    }
    let mut plain = start();
    for change in changes {
        let parameter = match change.attribute.as_str() {
            "displayName" => "DisplayName",
            "alias" => "Alias",
            "hidden" => "HiddenFromAddressListsEnabled",
            "litigationHold" => "LitigationHoldEnabled",
            "forwardTo" => "ForwardingAddress",
            "forwardToAddress" => "ForwardingSmtpAddress",
            "deliverAndForward" => "DeliverToMailboxAndForward",
            "capacity" => "ResourceCapacity",
            "litigationHoldDays" => {
                plain = plain.with("LitigationHoldDuration", attributes::days_param(&change.to));
                continue;
            }
            _ => continue,
        };
        plain = plain.with(parameter, param(&change.to));
    }
    plain = with_quotas(way, plain, changes);
    if plain.params.len() > 1 {
        cmdlets.push(plain);
    }
    cmdlets
}

/// Primary address and further ones: never in one cmdlet, and on premises only once no policy writes them.
fn address_cmdlets(way: Way<'_>, changes: &[Change], start: &dyn Fn() -> Cmdlet) -> Vec<Cmdlet> {
    let primary = wanted(changes, "primaryAddress").and_then(Value::as_text);
    let others = changes.iter().find(|change| change.attribute == "addresses");
    let mut cmdlets = Vec::new();
    if way.flavour == Flavour::OnPremises && (primary.is_some() || others.is_some()) {
        cmdlets.push(start().flag("EmailAddressPolicyEnabled", false));
    }
    match (primary, way.flavour) {
        (Some(primary), Flavour::OnPremises) => cmdlets.push(start().text("PrimarySmtpAddress", primary)),
        (Some(primary), Flavour::Online) => {
            let add = vec![format!("SMTP:{primary}")];
            cmdlets.push(start().with("EmailAddresses", Param::Delta { add, remove: Vec::new() }));
        }
        (None, _) => {}
    }
    if let Some(Param::Delta { mut add, mut remove }) = others.and_then(|change| delta(change, "smtp:")) {
        // A new primary address leaves the old one among the others by itself, and takes itself away from them.
        if let Some(was) = changes.iter().find(|change| change.attribute == "primaryAddress") {
            let prefixed = |value: &Value| value.as_text().map(|text| format!("smtp:{text}"));
            let (old, new) = (prefixed(&was.from), prefixed(&was.to));
            let kept = others.is_some_and(|change| {
                attributes::texts(&change.to).iter().any(|one| Some(format!("smtp:{one}")) == old)
            });
            add.retain(|one| Some(one) != old.as_ref());
            remove.retain(|one| Some(one) != new.as_ref());
            remove.extend(old.filter(|_| !kept));
        }
        if !add.is_empty() || !remove.is_empty() {
            cmdlets.push(start().with("EmailAddresses", Param::Delta { add, remove }));
        }
    }
    cmdlets
}

/// Quotas: any of them takes the place of the database's; none of them gives that back.
fn with_quotas(way: Way<'_>, mut cmdlet: Cmdlet, changes: &[Change]) -> Cmdlet {
    let given: Vec<(&str, &Value)> = QUOTAS
        .into_iter()
        .filter_map(|(attribute, parameter)| Some((parameter, wanted(changes, attribute)?)))
        .collect();
    if given.is_empty() {
        return cmdlet;
    }
    let defaults = given.iter().all(|(_, value)| **value == Value::Null);
    if way.flavour == Flavour::OnPremises {
        cmdlet = cmdlet.flag("UseDatabaseQuotaDefaults", defaults);
    }
    if !defaults || way.flavour == Flavour::Online {
        for (parameter, value) in given {
            cmdlet = cmdlet.with(parameter, attributes::quota_param(value));
        }
    }
    cmdlet
}

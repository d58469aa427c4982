//! What the connector's own account may do, and which right is missing: read from the objects' security descriptors.
//!
//! Reading only: nothing is tried by writing. A right is missing where no entry of the access list gives it to the account or to
//! one of its groups, or an earlier entry refuses it. Where a descriptor cannot be read, that right (RC) is the one named.

mod delegation;
mod descriptor;
mod elsewhere;

use std::collections::BTreeMap;

use ldap3::Scope;
use uuid::Uuid;

pub(super) use self::delegation::CHANGES;
use self::delegation::{FEATURES, Feature, On, READ_ACCOUNTS, RESET_PASSWORD, Right, USER_CLASS};
use self::descriptor::{Descriptor, READ, Wanted};
use super::check::{Finding, bad, doubtful, good};
use super::escape::filter_value;
use super::session::{Failure, Session};
use super::{AdConnector, attributes, controls, fault};

/// Units below one that is in use, looked at for blocked inheritance.
const MOST_UNITS: i32 = 1000;
/// Names told before the rest is counted.
const MOST_NAMES: usize = 5;

/// Who we are in the directory.
struct Own {
    /// Our SID and those of our groups, as the server sees them.
    sids: Vec<Vec<u8>>,
    /// `S-1-5-21-…`
    sid: String,
    /// `CORP\svc-tenure`
    name: String,
}

/// A right that is missing.
struct Lack<'a> {
    right: Right,
    attribute: &'a str,
    /// The class, attribute or extended right that the entry speaks of.
    id: Uuid,
}

impl Lack<'_> {
    /// The entry in SDDL.
    fn entry(&self, own: &Own) -> String {
        let ((_, letters, _), id, sid) = (self.right.bit(), self.id, &own.sid);
        match self.right.on() {
            On::Unit => format!("(OA;CI;{letters};{id};;{sid})"),
            On::Accounts => format!("(OA;CIIO;{letters};{id};{USER_CLASS};{sid})"),
        }
    }

    /// The entry as an argument of `dsacls … /G`.
    fn argument(&self, own: &Own) -> String {
        let (_, _, letters) = self.right.bit();
        match self.right {
            Right::Create | Right::TakeOut => format!("\"{}:{letters};user\"", own.name),
            Right::ResetPassword => format!("\"{}:{letters};Reset Password;user\"", own.name),
            _ => format!("\"{}:{letters};{};user\"", own.name, self.attribute),
        }
    }
}

/// Ids of attributes, with those of their property sets; by lower-case name.
type Schema = BTreeMap<String, Vec<Uuid>>;

/// A unit and its access list; none where it may not be read.
struct Place {
    dn: String,
    descriptor: Option<Descriptor>,
}

impl AdConnector {
    /// Each feature in the units that are in use: well, or which right is missing where.
    pub(super) async fn rights(&self, session: &mut Session, containers: &[String]) -> Vec<Finding> {
        match self.look_at_rights(session, containers).await {
            Ok(findings) => findings,
            Err(failure) => vec![bad(fault::reading(&failure, "reading the account's rights").to_string())],
        }
    }

    async fn look_at_rights(&self, session: &mut Session, containers: &[String]) -> Result<Vec<Finding>, Failure> {
        let own = own(session).await?;
        let schema = self.schema(session).await?;
        let mut findings = Vec::new();
        let mut places = Vec::new();
        for container in containers {
            match self.places(session, container).await? {
                None => findings.push(bad(format!("{container} is not there: create it, or change the naming rules."))),
                Some(found) => places.extend(found),
            }
        }
        if !places.is_empty() {
            findings.push(self.reading(session, &own, &schema, &places).await?);
            if !self.settings.observe_only {
                findings.extend(unreadable(&places));
                findings.extend(FEATURES.iter().flat_map(|feature| self.feature(feature, &own, &schema, &places)));
            }
        }
        findings.push(self.deletions(session, &own).await?);
        if !self.settings.observe_only {
            findings.push(self.policies(session, &own).await?);
        }
        Ok(findings)
    }

    /// The ids of every attribute that is written or read.
    async fn schema(&self, session: &mut Session) -> Result<Schema, Failure> {
        let root = session.read("", &["schemaNamingContext"]).await?.unwrap_or_default();
        let head = root.text("schemaNamingContext").unwrap_or_default();
        let names = attributes::USER.iter().map(|line| line.ldap);
        let names: Vec<&str> = names.chain(["name", "member", self.settings.correlation_attribute.as_str()]).collect();
        let each: String = names.iter().map(|name| format!("(lDAPDisplayName={})", filter_value(name))).collect();
        let wanted = ["lDAPDisplayName", "schemaIDGUID", "attributeSecurityGUID"];
        let found = session.search(&head, Scope::OneLevel, &format!("(|{each})"), &wanted).await?;
        let id = |bytes: &[u8]| bytes.try_into().ok().map(Uuid::from_bytes_le);
        let line = |entry: &super::entry::Entry| {
            let ids = ["schemaIDGUID", "attributeSecurityGUID"].map(|name| entry.bytes(name).and_then(id));
            Some((entry.text("lDAPDisplayName")?.to_lowercase(), ids.into_iter().flatten().collect()))
        };
        Ok(found.iter().filter_map(line).collect())
    }

    /// A unit, and those below it where inheritance is blocked; `None` where it is not there.
    async fn places(&self, session: &mut Session, container: &str) -> Result<Option<Vec<Place>>, Failure> {
        let Some(own) = place(session, container).await? else { return Ok(None) };
        let controls = vec![controls::no_referrals(), controls::access_list(), controls::page(MOST_UNITS, Vec::new())];
        let filter = "(objectClass=organizationalUnit)";
        let below =
            session.search_with(container, Scope::Subtree, filter, &["nTSecurityDescriptor"], controls).await?.0;
        let mut places = vec![own];
        for entry in below {
            let descriptor = entry.bytes("nTSecurityDescriptor").and_then(Descriptor::parse);
            if entry.dn != places[0].dn && descriptor.as_ref().is_some_and(|list| list.protected) {
                places.push(Place { dn: entry.dn, descriptor });
            }
        }
        Ok(Some(places))
    }

    /// One feature: well, or one finding for each set of units in which the same rights are missing.
    fn feature(&self, feature: &Feature, own: &Own, schema: &Schema, places: &[Place]) -> Vec<Finding> {
        let mut missing: BTreeMap<Vec<&str>, Vec<Lack>> = BTreeMap::new();
        for right in feature.rights {
            let Some(objects) = self.objects(*right, schema) else { continue };
            let wanted = Wanted { bit: right.bit().0, objects };
            let lacks = |place: &&Place| match (&place.descriptor, right.on()) {
                (None, _) => false,
                (Some(list), On::Unit) => !list.allows(&own.sids, &wanted),
                (Some(list), On::Accounts) => !list.allows_on_heirs(&own.sids, &wanted, USER_CLASS),
            };
            let units: Vec<&str> = places.iter().filter(lacks).map(|place| place.dn.as_str()).collect();
            if !units.is_empty() {
                let id = wanted.objects.first().copied().unwrap_or_default();
                missing.entry(units).or_default().push(Lack { right: *right, attribute: self.written(*right), id });
            }
        }
        if missing.is_empty() {
            return vec![good(format!("{}: allowed in {}.", feature.name, few(places.len(), "unit")))];
        }
        let told = |(units, lacks): (Vec<&str>, Vec<Lack>)| told(feature, &lacks, own, &units);
        missing.into_iter().map(told).collect()
    }

    /// The attribute that a right is about; empty for the others.
    fn written(&self, right: Right) -> &str {
        match right {
            Right::Write(name) => name,
            Right::WriteMark => &self.settings.correlation_attribute,
            _ => "",
        }
    }

    /// What an entry must speak of to give the right; `None` where the schema does not have the attribute.
    fn objects(&self, right: Right, schema: &Schema) -> Option<Vec<Uuid>> {
        match right {
            Right::Create | Right::TakeOut => Some(vec![USER_CLASS]),
            Right::ResetPassword => Some(vec![RESET_PASSWORD]),
            Right::Write(name) => schema.get(&name.to_lowercase()).cloned(),
            Right::WriteMark => schema.get(&self.settings.correlation_attribute.to_lowercase()).cloned(),
        }
    }

    /// Whether accounts can be read, judged by one in the units: what is hidden is not told from what is empty.
    async fn reading(
        &self,
        session: &mut Session,
        own: &Own,
        schema: &Schema,
        places: &[Place],
    ) -> Result<Finding, Failure> {
        let filter = "(&(objectCategory=person)(objectClass=user)(!(adminCount=1)))";
        for place in places {
            let controls = vec![controls::no_referrals(), controls::access_list(), controls::page(1, Vec::new())];
            let found = session.search_with(&place.dn, Scope::OneLevel, filter, &["nTSecurityDescriptor"], controls);
            let found = found.await?.0;
            let Some(account) = found.first() else { continue };
            let Some(descriptor) = account.bytes("nTSecurityDescriptor").and_then(Descriptor::parse) else { continue };
            let table = attributes::USER.iter().filter(|line| line.name != "parent" && line.name != "password");
            let hidden: Vec<&str> = table
                .map(|line| line.ldap)
                .filter(|name| {
                    let objects = schema.get(&name.to_lowercase()).cloned().unwrap_or_default();
                    !descriptor.allows(&own.sids, &Wanted { bit: READ, objects })
                })
                .collect();
            if hidden.is_empty() {
                return Ok(good(format!("{READ_ACCOUNTS}: judged by {}.", account.dn)));
            }
            let found =
                bad(format!("{READ_ACCOUNTS}: the account may not read {} of {}.", hidden.join(", "), account.dn));
            let entry = format!("(A;CI;RPLCLORC;;;{})", own.sid);
            return Ok(found.mend(commands(&place.dn, &[format!("/I:T /G \"{}:GR\"", own.name)], &entry)));
        }
        Ok(doubtful(format!("{READ_ACCOUNTS}: no account is seen in the units; whether none is there cannot be told.")))
    }
}

/// The commands that give rights on one object: those of `dsacls` with these arguments, and Samba's with the entries.
fn commands(dn: &str, arguments: &[String], entries: &str) -> Vec<String> {
    let windows = arguments.iter().map(|arguments| format!("dsacls \"{dn}\" {arguments}"));
    windows.chain([format!("samba-tool dsacl set --objectdn=\"{dn}\" --sddl=\"{entries}\"")]).collect()
}

/// What is missing, in words and as commands for the first units of several.
fn told(feature: &Feature, lacks: &[Lack], own: &Own, units: &[&str]) -> Finding {
    let attributes: Vec<&str> = lacks.iter().map(|lack| lack.attribute).filter(|name| !name.is_empty()).collect();
    let writes = (!attributes.is_empty()).then(|| format!("write {} of users", attributes.join(", ")));
    let others = lacks.iter().filter_map(|lack| match lack.right {
        Right::Create => Some("create users".to_owned()),
        Right::TakeOut => Some("take users out".to_owned()),
        Right::ResetPassword => Some("reset passwords of users".to_owned()),
        _ => None,
    });
    let what: Vec<String> = others.chain(writes).collect();
    let entries: String = lacks.iter().map(|lack| lack.entry(own)).collect();
    let arguments = [(On::Unit, "/I:T"), (On::Accounts, "/I:S")].into_iter().filter_map(|(on, option)| {
        let each: Vec<String> =
            lacks.iter().filter(|lack| lack.right.on() == on).map(|lack| lack.argument(own)).collect();
        (!each.is_empty()).then(|| format!("{option} /G {}", each.join(" ")))
    });
    let arguments: Vec<String> = arguments.collect();
    let text = format!("{}: the account may not {} in {}.", feature.name, what.join(", nor "), list(units));
    bad(text).mend(units.iter().take(MOST_NAMES).flat_map(|unit| commands(unit, &arguments, &entries)))
}

/// The account's SIDs as this server sees them, and its name for commands.
async fn own(session: &mut Session) -> Result<Own, Failure> {
    let root = session.read("", &["tokenGroups"]).await?.unwrap_or_default();
    let sids = root.raw("tokenGroups").to_vec();
    let sid = sids.first().and_then(|sid| attributes::sid_text(sid)).unwrap_or_default();
    let entry = session.read(&format!("<SID={sid}>"), &["msDS-PrincipalName", "sAMAccountName"]).await?;
    let entry = entry.unwrap_or_default();
    let name = entry.text("msDS-PrincipalName").or_else(|| entry.text("sAMAccountName"));
    Ok(Own { sids, name: name.unwrap_or_else(|| sid.clone()), sid })
}

async fn place(session: &mut Session, dn: &str) -> Result<Option<Place>, Failure> {
    let controls = vec![controls::no_referrals(), controls::access_list()];
    let attributes = ["nTSecurityDescriptor"];
    match session.search_with(dn, Scope::Base, "(objectClass=*)", &attributes, controls).await {
        Ok((entries, _)) => Ok(entries.into_iter().next().map(|entry| Place {
            descriptor: entry.bytes("nTSecurityDescriptor").and_then(Descriptor::parse),
            dn: entry.dn,
        })),
        Err(Failure::Said { rc: 32, .. }) => Ok(None),
        Err(failure) => Err(failure),
    }
}

/// Units whose permissions are hidden: nothing else can be said of them.
fn unreadable(places: &[Place]) -> Option<Finding> {
    let hidden: Vec<&str> =
        places.iter().filter(|place| place.descriptor.is_none()).map(|place| place.dn.as_str()).collect();
    (!hidden.is_empty())
        .then(|| bad(format!("The account may not read the permissions of {}: allow it to (RC) there.", list(&hidden))))
}

/// The first few names, and how many more.
fn list(names: &[&str]) -> String {
    let shown = names.iter().take(MOST_NAMES).copied().collect::<Vec<_>>().join("; ");
    match names.len().saturating_sub(MOST_NAMES) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

fn few(count: usize, what: &str) -> String {
    if count == 1 { format!("one {what}") } else { format!("{count} {what}s") }
}

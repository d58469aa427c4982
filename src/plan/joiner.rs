//! Somebody joins: an account made disabled with a sealed start password, enabled on the first day, in the groups that
//! department, site and type bring with them, with a mailbox where Exchange is; each group asked for beyond these is an item of its own.

use std::collections::BTreeSet;

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

use super::field::{FieldError, Raw, Reader};
use super::personal_mailbox::{self, LICENCE, MAILBOX};
use super::{
    FIRST_DAY_AT, GrantEffect, Known, Plan, PlannedItem, PlannedStep, Sight, end_of_day, local_instant, mail, set,
    slug, today, unique_name,
};
use crate::catalog::{BirthrightInput, Entitlement, Held, JoinerMailbox, NameInput, Names, TargetSystem};
use crate::grants::Reason;
use crate::ids::{EntitlementId, PersonId};
use crate::people::{EmploymentType, Site};
use crate::target::{Change, Difference, Key, Kind, Presence, Reference, Value};

/// The step that makes the account; later steps refer to it.
pub const ACCOUNT: &str = "account";

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Answers {
    pub given_name: String,
    pub family_name: String,
    /// Where the usual order of names is not the person's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub employee_number: Option<String>,
    #[serde(rename = "type")]
    pub employment_type: EmploymentType,
    pub department: String,
    pub title: String,
    /// The site's code.
    pub site: String,
    pub manager: PersonId,
    /// First day, local to the site.
    pub start_on: NaiveDate,
    /// Last day, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_on: Option<NaiveDate>,
    #[serde(default)]
    pub groups: Vec<EntitlementId>,
    /// The last day of the groups asked for; None: until taken away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub groups_until: Option<NaiveDate>,
    /// Why, in the requester's own words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl Answers {
    pub fn full_name(&self) -> String {
        self.display_name.clone().unwrap_or_else(|| format!("{} {}", self.given_name, self.family_name))
    }
}

/// What may be asked.
///
/// # Errors
/// Every field that cannot be taken, at once.
pub fn parse(raw: &Raw, known: &Known) -> Result<Answers, Vec<FieldError>> {
    let mut reader = Reader::new(raw);
    let given_name = reader.required("given_name", "Given name", "Enter the given name", 64);
    let family_name = reader.required("family_name", "Family name", "Enter the family name", 64);
    let display_name = reader.text("display_name", "Name as shown", 128);
    let employee_number = employee_number(&mut reader, known);
    let employment_type = EmploymentType::parse(raw.first("type"));
    if employment_type.is_none() {
        reader.fail("type", "Choose employee, contractor or intern");
    }
    let department = reader.required("department", "Department", "Choose a department", 100);
    if !department.is_empty() && !known.departments.contains(&department) {
        reader.fail(
            "department",
            format!("“{department}” is not a department here; known: {}", known.departments.join(", ")),
        );
    }
    let title = reader.required("title", "Job title", "Enter the job title", 100);
    let site = known.sites.iter().find(|site| site.code == raw.first("site"));
    if site.is_none() {
        let codes: Vec<&str> = known.sites.iter().map(|site| site.code.as_str()).collect();
        reader.fail("site", format!("Choose a site; known: {}", codes.join(", ")));
    }
    let manager = manager(&mut reader, known);
    let (start_on, end_on) = days(&mut reader, known, site);
    if end_on.is_none() && employment_type == Some(EmploymentType::Contractor) && raw.day("end_on").is_empty() {
        reader.fail("end_on", "Enter the last day of the contract");
    }
    let groups = groups(&mut reader, known);
    let groups_until = reader.day("groups_until", "Until");
    if let (Some(until), Some(start)) = (groups_until, start_on)
        && until < start
    {
        reader.fail("groups_until", "Access cannot end before the first day");
    }
    let reason = reader.reason();
    match (reader.errors.is_empty(), employment_type, site, manager, start_on) {
        (true, Some(employment_type), Some(site), Some(manager), Some(start_on)) => Ok(Answers {
            given_name,
            family_name,
            display_name,
            employee_number,
            employment_type,
            department,
            title,
            site: site.code.clone(),
            manager,
            start_on,
            end_on,
            groups,
            groups_until,
            reason,
        }),
        _ => Err(reader.errors),
    }
}

fn employee_number(reader: &mut Reader<'_>, known: &Known) -> Option<String> {
    let number = reader.text("employee_number", "Employee number", 32)?;
    if !number.chars().all(|letter| letter.is_ascii_alphanumeric() || "-._/".contains(letter)) {
        reader.fail("employee_number", "An employee number has only letters, digits, dashes, dots and slashes");
    }
    if let Some((_, name)) = &known.number_taken_by {
        reader.fail(
            "employee_number",
            format!("{number} is {name}’s employee number; for somebody who comes back ask the service desk"),
        );
    }
    Some(number)
}

fn manager(reader: &mut Reader<'_>, known: &Known) -> Option<PersonId> {
    let typed = reader.raw.first("manager").to_owned();
    if typed.is_empty() {
        reader.fail("manager", "Choose the manager");
        return None;
    }
    match known.people.get(&typed) {
        Some(person) if person.state == "active" => Some(person.id),
        Some(person) => {
            reader.fail("manager", format!("{} does not work here now; choose somebody who does", person.display_name));
            None
        }
        None => {
            reader.fail("manager", format!("Nobody is found as “{typed}”; use a user name or an employee number"));
            None
        }
    }
}

fn days(reader: &mut Reader<'_>, known: &Known, site: Option<&Site>) -> (Option<NaiveDate>, Option<NaiveDate>) {
    let before = reader.errors.len();
    let start = reader.day("start_on", "First day");
    if start.is_none() && reader.errors.len() == before {
        reader.fail("start_on", "Enter the first day");
    }
    let end = reader.day("end_on", "Last day");
    if let (Some(start), Some(site)) = (start, site)
        && start < today(site, known.now)
    {
        reader.fail("start_on", "Enter a start date that is today or later");
    }
    if let (Some(start), Some(end)) = (start, end)
        && end < start
    {
        reader.fail("end_on", "The last day cannot be before the first");
    }
    (start, end)
}

/// Entitlements that can be asked for, each once.
pub(super) fn groups(reader: &mut Reader<'_>, known: &Known) -> Vec<EntitlementId> {
    let mut groups = Vec::new();
    for typed in reader.raw.all("groups") {
        match known.entitlements.get(typed) {
            Some(entitlement) if !entitlement.requestable => {
                reader.fail("groups", format!("{} comes by rule and cannot be asked for", entitlement.name));
            }
            Some(entitlement) if !groups.contains(&entitlement.id) => groups.push(entitlement.id),
            Some(_) => {}
            None => reader.fail("groups", format!("“{typed}” is not in the catalogue")),
        }
    }
    groups
}

/// What it amounts to.
///
/// # Errors
/// A field error where no name can be made, or the site or manager is missing from the sight.
pub fn plan(answers: &Answers, sight: &Sight<'_>) -> Result<Plan, Vec<FieldError>> {
    let site = sight.site.as_ref().ok_or_else(|| vec![FieldError::new("site", "Choose a site")])?;
    let input = NameInput {
        given_name: answers.given_name.clone(),
        family_name: answers.family_name.clone(),
        display_name: answers.display_name.clone(),
        kind: answers.employment_type,
        site: site.code.clone(),
        department: answers.department.clone(),
        employee_number: answers.employee_number.clone(),
    };
    let taken = |namespace: &str, value: &str| sight.taken.contains(&(namespace.to_owned(), value.to_owned()));
    let names = sight
        .rules
        .naming
        .body
        .propose(&input, &taken)
        .map_err(|error| vec![FieldError::new(&error.field, error.message)])?;

    let mut used: BTreeSet<String> = [ACCOUNT, "enable", MAILBOX, LICENCE].map(str::to_owned).into();
    let mail = organisation(sight);
    let first_moment =
        (answers.start_on > today(site, sight.now)).then(|| local_instant(site, answers.start_on, FIRST_DAY_AT));
    let mut steps = vec![
        account_step(answers, sight, (site, mail), &names, first_moment.is_some()),
        PlannedStep {
            name: "enable".to_owned(),
            system: sight.directory.clone(),
            kind: Kind::User,
            key: Key::Step { step: ACCOUNT.to_owned() },
            difference: Difference {
                presence: None,
                changes: vec![Change { attribute: "enabled".into(), from: Value::Bool(false), to: Value::Bool(true) }],
            },
            after: vec![ACCOUNT.to_owned()],
            not_before: first_moment,
            grant: None,
            secret: None,
            label: names.display_name.clone(),
            why: "first day".to_owned(),
        },
    ];
    let account = Reference::Step { step: ACCOUNT.to_owned() };
    let of = (names.mail.as_str(), names.display_name.as_str(), "joiner");
    if let Some(organisation) = mail {
        steps.extend(personal_mailbox::steps(sight, organisation, &account, of)?);
    }
    let birthright = sight.rules.birthright.body.for_person(&BirthrightInput {
        department: answers.department.clone(),
        site: site.code.clone(),
        kind: answers.employment_type,
    });
    let mut given = BTreeSet::new();
    for (entitlement, rule) in birthright {
        if let Some(group) = sight.entitlements.get(&entitlement)
            && given.insert(entitlement)
            && let Some(holder) = holder(group, mail)
        {
            steps.push(holding((group, holder), &mut used, (Reason::Rule, rule), None));
        }
    }
    let mut items = vec![mail::item("Account and basic access".to_owned(), None, steps)];
    let until = answers.groups_until.map(|day| (day, end_of_day(site, day)));
    for entitlement in &answers.groups {
        if let Some(group) = sight.entitlements.get(entitlement)
            && given.insert(*entitlement)
        {
            let Some(holder) = holder(group, mail) else {
                let message = format!("{} needs a mailbox there, and this joiner gets none", group.name);
                return Err(vec![FieldError::new("groups", message)]);
            };
            let step = holding((group, holder), &mut used, (Reason::Request, String::new()), until);
            items.push(PlannedItem {
                label: group.name.clone(),
                entitlement: Some(*entitlement),
                sox: group.sox,
                steps: vec![step],
                ..PlannedItem::default()
            });
        }
    }
    Ok(Plan { items, names: names.reservations() })
}

/// The Exchange organisation that joiners of this directory get their mailbox from.
fn organisation<'a>(sight: &'a Sight<'_>) -> Option<&'a TargetSystem> {
    sight.exchange.iter().find(|system| {
        system.facts.joiner_mailbox != JoinerMailbox::None && system.facts.directory.as_ref() == Some(&sight.directory)
    })
}

/// Whether Exchange itself makes the mailbox and writes the mail attributes.
fn writes_mail(organisation: &TargetSystem) -> bool {
    matches!(organisation.facts.joiner_mailbox, JoinerMailbox::Mailbox | JoinerMailbox::Remote)
}

/// What of the joiner will hold it; None where that is a mailbox which they do not get.
fn holder(entitlement: &Entitlement, mail: Option<&TargetSystem>) -> Option<Reference> {
    let step = |step: &str| Some(Reference::Step { step: step.to_owned() });
    match entitlement.held {
        Held::GroupMembership => step(ACCOUNT),
        _ if mail.is_some_and(|mail| mail.key == entitlement.system && writes_mail(mail)) => step(MAILBOX),
        _ => None,
    }
}

fn holding(
    (entitlement, holder): (&Entitlement, Reference),
    used: &mut BTreeSet<String>,
    (reason, rule): (Reason, String),
    until: Option<(NaiveDate, chrono::DateTime<chrono::Utc>)>,
) -> PlannedStep {
    let name = unique_name(&slug(&entitlement.name), used);
    let why = if reason == Reason::Rule { format!("rule “{rule}”") } else { String::new() };
    let grant = GrantEffect::Give {
        entitlement: entitlement.id,
        reason,
        reason_text: rule,
        until_on: until.map(|(day, _)| day),
        until_at: until.map(|(_, at)| at),
    };
    PlannedStep { grant: Some(grant), why, ..PlannedStep::give(name, entitlement, holder) }
}

fn account_step(
    answers: &Answers,
    sight: &Sight<'_>,
    (site, organisation): (&Site, Option<&TargetSystem>),
    names: &Names,
    starts_later: bool,
) -> PlannedStep {
    let mut changes = vec![
        set("parent", names.parent.clone()),
        set("cn", names.cn.clone()),
        set("sAMAccountName", names.user_name.clone()),
        set("userPrincipalName", names.upn.clone()),
        set("givenName", answers.given_name.clone()),
        set("sn", answers.family_name.clone()),
        set("displayName", names.display_name.clone()),
        set("department", answers.department.clone()),
        set("title", answers.title.clone()),
        set("physicalDeliveryOfficeName", site.name.clone()),
    ];
    if !organisation.is_some_and(writes_mail) {
        changes.push(set("mail", names.mail.clone()));
    }
    if let Some(number) = &answers.employee_number {
        changes.push(set("employeeID", number.clone()));
    }
    if let Some(manager) = sight.manager_account {
        changes.push(set("manager", manager.to_string()));
    }
    if let Some(day) = answers.end_on {
        changes.push(set("accountExpires", end_of_day(site, day).to_rfc3339_opts(chrono::SecondsFormat::Secs, true)));
    }
    changes.push(set("enabled", false));
    changes.push(set("mustChangePassword", true));
    changes.push(Change { attribute: "password".into(), from: Value::Null, to: Value::SEALED });
    let readable_from =
        if starts_later { local_instant(site, answers.start_on, chrono::NaiveTime::MIN) } else { sight.now };
    PlannedStep {
        name: ACCOUNT.to_owned(),
        system: sight.directory.clone(),
        kind: Kind::User,
        key: Key::New { new: true },
        difference: Difference { presence: Some((Presence::Absent, Presence::Present)), changes },
        after: Vec::new(),
        not_before: None,
        grant: None,
        secret: Some((answers.manager, readable_from)),
        label: names.display_name.clone(),
        why: "joiner".to_owned(),
    }
}

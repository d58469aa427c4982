//! Whose is this account? Rules for accounts that were there before Tenure, in order of trust:
//!
//! 1. the employee number is the person's;
//! 2. the mail address is the person's, and no employee number says otherwise;
//! 3. the name is the person's, nobody else has it, neither among the persons nor among the accounts, and neither number
//!    nor address says otherwise.
//!
//! A person has one everyday account per system; a second one that looks administrative (`adm-…`, protected) is linked by
//! number or address as `admin`. Two everyday candidates for one person are left to a person. Built-in accounts are set
//! aside, service accounts known by their names (`svc-…`) as such. What somebody unlinked by hand stays so.
//!
//! Each rule links by itself, or is only tried ([`super::trial`]) and applied by somebody.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use deunicode::deunicode;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::linking::{self, Link};
use super::{Linked, RefreshError};
use crate::evidence::By;
use crate::ids::PersonId;
use crate::target::SystemKey;

/// What the rules look at in an account that is nobody's yet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Candidate {
    pub id: Uuid,
    pub user_name: String,
    pub display_name: String,
    pub mail: Option<String>,
    pub employee_number: Option<String>,
    pub enabled: bool,
    pub protected: bool,
    /// The relative id at the end of the SID: below 1000 the system made it.
    pub rid: Option<u32>,
}

/// What the rules look at in a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Somebody {
    pub id: PersonId,
    pub employee_number: Option<String>,
    pub mail: Option<String>,
    pub display_name: String,
    pub given_name: String,
    pub family_name: String,
    /// Has an everyday account in this system already.
    pub has_account: bool,
}

/// What an account is, as far as its own looks tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    Everyday,
    Admin,
    Service,
    BuiltIn,
}

/// By which rule an account was linked; the words are those in `account.linked_by_rule`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    EmployeeNumber,
    Mail,
    Name,
    /// Only where none of those before finds anybody, and never by itself as Tenure comes ([`super::trial`]).
    UserName,
    Request,
    Hand,
}

impl Rule {
    /// Those that look at accounts, the most trusted first.
    pub const TRIED: [Rule; 4] = [Rule::EmployeeNumber, Rule::Mail, Rule::Name, Rule::UserName];

    /// The rule of that word, among those that are tried.
    pub fn parse(word: &str) -> Option<Self> {
        Self::TRIED.into_iter().find(|rule| rule.as_str() == word)
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Rule::EmployeeNumber => "employee_number",
            Rule::Mail => "mail",
            Rule::Name => "name",
            Rule::UserName => "user_name",
            Rule::Request => "request",
            Rule::Hand => "hand",
        }
    }
}

/// One link that the rules found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Match {
    pub account: Uuid,
    pub person: PersonId,
    pub rule: Rule,
    pub admin: bool,
}

/// What an account looks like by itself.
pub fn look(account: &Candidate) -> Look {
    let name = account.user_name.to_lowercase();
    let begins = |words: &[&str]| {
        words.iter().any(|word| {
            name.strip_prefix(word).is_some_and(|rest| rest.starts_with(['-', '_', '.']))
                || name.strip_suffix(word).is_some_and(|rest| rest.ends_with(['-', '_', '.']))
        })
    };
    if account.rid.is_some_and(|rid| rid < 1000) {
        Look::BuiltIn
    } else if begins(&["svc", "sa", "service", "app", "task"]) {
        Look::Service
    } else if account.protected || begins(&["adm", "admin", "a", "priv", "t0", "t1", "t2"]) {
        Look::Admin
    } else {
        Look::Everyday
    }
}

/// Lower case, without accents, in letters and digits and single spaces.
pub(super) fn folded(text: &str) -> String {
    let plain = deunicode(text).to_lowercase();
    plain.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

/// Persons by one of their properties; `None` where two share it.
type Index = HashMap<String, Option<usize>>;

fn index<'a>(people: &'a [Somebody], keys: impl Fn(&'a Somebody) -> Vec<String>) -> Index {
    let mut index = Index::new();
    for (at, person) in people.iter().enumerate() {
        let mut keys = keys(person);
        keys.sort();
        keys.dedup();
        for key in keys.into_iter().filter(|key| !key.is_empty()) {
            index.entry(key).and_modify(|known| *known = None).or_insert(Some(at));
        }
    }
    index
}

/// The links that follow from the rules. Pure: the same accounts and persons give the same links, in any order.
pub fn matches(accounts: &[Candidate], people: &[Somebody]) -> Vec<Match> {
    let numbers = index(people, |person| person.employee_number.iter().map(|n| n.trim().to_lowercase()).collect());
    let mails = index(people, |person| person.mail.iter().map(|mail| mail.trim().to_lowercase()).collect());
    let names = index(people, |person| {
        let (given, family) = (&person.given_name, &person.family_name);
        let spellings = [person.display_name.clone(), format!("{given} {family}"), format!("{family} {given}")];
        spellings.iter().map(|name| folded(name)).collect()
    });
    let mut alike: HashMap<String, usize> = HashMap::new();
    for account in accounts {
        *alike.entry(folded(&account.display_name)).or_default() += 1;
    }
    let mut found: HashMap<usize, Vec<(&Candidate, Rule)>> = HashMap::new();
    for account in accounts {
        if matches!(look(account), Look::Service | Look::BuiltIn) {
            continue;
        }
        if let Some((person, rule)) = whose(account, people, (&numbers, &mails, &names), &alike) {
            found.entry(person).or_default().push((account, rule));
        }
    }
    let mut links: Vec<Match> = found.iter().flat_map(|(at, accounts)| settle(&people[*at], accounts)).collect();
    links.sort_by_key(|link| link.account);
    links
}

fn whose(
    account: &Candidate,
    people: &[Somebody],
    (numbers, mails, names): (&Index, &Index, &Index),
    alike: &HashMap<String, usize>,
) -> Option<(usize, Rule)> {
    let set = |text: &Option<String>| text.as_ref().map(|text| text.trim().to_lowercase()).filter(|t| !t.is_empty());
    let (number, mail, name) = (set(&account.employee_number), set(&account.mail), folded(&account.display_name));
    if let Some(person) = number.as_ref().and_then(|number| *numbers.get(number)?) {
        return Some((person, Rule::EmployeeNumber));
    }
    // A number that is nobody's: of somebody who is not here, whatever the address or the name say.
    let contradicts = |person: &Somebody| number.is_some() && set(&person.employee_number).is_some();
    if let Some(person) = mail.as_ref().and_then(|mail| *mails.get(mail)?) {
        return (!contradicts(&people[person])).then_some((person, Rule::Mail));
    }
    let person = (*names.get(&name)?)?;
    let somebody = &people[person];
    let other_mail = matches!((&mail, set(&somebody.mail)), (Some(mine), Some(theirs)) if *mine != theirs);
    let sure = alike.get(&name) == Some(&1) && !other_mail && !contradicts(somebody);
    (sure && look(account) == Look::Everyday).then_some((person, Rule::Name))
}

/// Which of the accounts found for one person are linked, and as what.
fn settle(person: &Somebody, accounts: &[(&Candidate, Rule)]) -> Vec<Match> {
    let link = |(account, rule): &(&Candidate, Rule), admin| Match {
        account: account.id,
        person: person.id,
        rule: *rule,
        admin,
    };
    let (everyday, admin): (Vec<_>, Vec<_>) =
        accounts.iter().copied().partition(|(account, _)| look(account) == Look::Everyday);
    let mut links: Vec<Match> = Vec::new();
    if !person.has_account {
        let enabled: Vec<_> = everyday.iter().filter(|(account, _)| account.enabled).collect();
        match (everyday.as_slice(), enabled.as_slice()) {
            ([only], _) => links.push(link(only, false)),
            (_, [only]) => links.push(link(only, false)),
            // The only account somebody has is the one they work with, whatever it looks like.
            ([], _) if admin.len() == 1 => return vec![link(&admin[0], false)],
            _ => {}
        }
    }
    links.extend(admin.iter().map(|found| link(found, true)));
    links
}

/// Links what the rules find among the accounts that are nobody's, sets built-in and service accounts aside, and records
/// each link.
///
/// # Errors
/// Where the database refuses.
pub async fn adopt(pool: &PgPool, system: &SystemKey, now: DateTime<Utc>) -> Result<Vec<Linked>, RefreshError> {
    let mut tx = pool.begin().await?;
    // One at a time per system; the others have nothing left to do.
    let mine = sqlx::query_scalar!("select 1 from mirror_cursor where system = $1 for update skip locked", system.0)
        .fetch_optional(&mut *tx)
        .await?;
    if mine.is_none() {
        return Ok(Vec::new());
    }
    let accounts = candidates(&mut tx, system).await?;
    let mut linked = Vec::new();
    if !accounts.is_empty() {
        let by = By::routine("adoption");
        for account in &accounts {
            let kind = match look(account) {
                Look::BuiltIn => linking::Kind::Ignored,
                Look::Service => linking::Kind::Service,
                Look::Admin | Look::Everyday => continue,
            };
            linking::classify(&mut tx, now, &by, (system, account.id), kind).await?;
        }
        let automatic = super::trial::automatic(&mut tx).await?;
        let found = super::trial::found(&accounts, &people(&mut tx, system).await?);
        for found in found.into_iter().filter(|found| automatic.contains(&found.rule)) {
            let kind = if found.admin { linking::Kind::Admin } else { linking::Kind::Person };
            let link = Link { system, account: found.account, person: found.person, kind, rule: found.rule };
            if linking::link(&mut tx, now, &by, &link).await? {
                linked.push(Linked { system: system.clone(), account: found.account, person: found.person });
            }
        }
    }
    sqlx::query!("update mirror_cursor set adopted_at = now() where system = $1", system.0).execute(&mut *tx).await?;
    tx.commit().await?;
    Ok(linked)
}

pub(super) async fn candidates(conn: &mut PgConnection, system: &SystemKey) -> Result<Vec<Candidate>, sqlx::Error> {
    // What a step of ours is making at this moment is linked by that step.
    let rows = sqlx::query!(
        r#"with making as (
               select change->>'to' as user_name
                 from step s, jsonb_array_elements(s.difference->'changes') change
                where s.system = $1 and s.kind = 'user' and s.key ? 'new' and change->>'attribute' = 'sAMAccountName'
                  and s.state in ('ready', 'running', 'retrying', 'drifted', 'blocked'))
           select native_id, user_name, display_name, mail, employee_number, enabled, protected,
                  attributes->>'objectSid' as sid
             from account
            where system = $1 and person is null and kind = 'unknown' and linked_by_rule is null and gone_at is null
              -- What lies outside the units that Tenure works in is nobody's to link by rule.
              and exists (select from target_system t where t.key = $1 and (t.scope = '{}' or in_scope(account.dn, t.scope)))
              -- Not as a join: how many names are being made can only be guessed, and each account was compared with each of them.
              and lower(account.user_name) not in (select lower(making.user_name) from making where making.user_name is not null)"#,
        system.0
    )
    .fetch_all(conn)
    .await?;
    let candidate = rows.into_iter().map(|row| Candidate {
        id: row.native_id,
        user_name: row.user_name,
        display_name: row.display_name,
        mail: row.mail,
        employee_number: row.employee_number,
        enabled: row.enabled,
        protected: row.protected,
        rid: row.sid.and_then(|sid| sid.rsplit('-').next()?.parse().ok()),
    });
    Ok(candidate.collect())
}

pub(super) async fn people(conn: &mut PgConnection, system: &SystemKey) -> Result<Vec<Somebody>, sqlx::Error> {
    sqlx::query_as!(
        Somebody,
        r#"select p.id as "id: PersonId", p.employee_number, p.mail, p.display_name, p.given_name, p.family_name,
                  exists (select from account a
                           where a.system = $1 and a.person = p.id and a.kind = 'person' and a.gone_at is null)
                      as "has_account!"
             from person p
            where p.state not in ('withdrawn', 'erased')"#,
        system.0
    )
    .fetch_all(conn)
    .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn id(number: u128) -> Uuid {
        Uuid::from_u128(number)
    }

    fn person(number: u128, given: &str, family: &str) -> Somebody {
        Somebody {
            id: PersonId(id(number)),
            employee_number: Some(format!("E{number}")),
            mail: Some(format!("{}@corp.example.com", given.to_lowercase())),
            display_name: format!("{given} {family}"),
            given_name: given.to_owned(),
            family_name: family.to_owned(),
            has_account: false,
        }
    }

    fn account(number: u128, user_name: &str, display_name: &str) -> Candidate {
        Candidate {
            id: id(number),
            user_name: user_name.to_owned(),
            display_name: display_name.to_owned(),
            enabled: true,
            rid: Some(1100),
            ..Candidate::default()
        }
    }

    fn rules(accounts: &[Candidate], people: &[Somebody]) -> Vec<(u128, u128, Rule, bool)> {
        let found = matches(accounts, people);
        found.into_iter().map(|m| (m.account.as_u128(), m.person.0.as_u128(), m.rule, m.admin)).collect()
    }

    #[test]
    fn each_rule_finds_its_own() {
        let people = [person(1, "Lan", "Nguyễn Thị"), person(2, "Ola", "Nordmann"), person(3, "Bo", "Li")];
        let by_number = Candidate { employee_number: Some(" e1 ".into()), ..account(11, "x", "Somebody Else") };
        let by_mail = Candidate { mail: Some("OLA@corp.example.com".into()), ..account(12, "y", "?") };
        let by_name = account(13, "z", "Li, Bo");
        assert_eq!(
            rules(&[by_number, by_mail, by_name], &people),
            [(11, 1, Rule::EmployeeNumber, false), (12, 2, Rule::Mail, false), (13, 3, Rule::Name, false)]
        );
        assert_eq!(rules(&[account(14, "n", "Nguyen Thi Lan")], &people), [(14, 1, Rule::Name, false)]);
    }

    #[test]
    fn doubts_are_left_to_a_person() {
        let people = [person(1, "Jo", "Ng"), person(2, "Jo", "Ng")];
        assert_eq!(rules(&[account(11, "jng", "Jo Ng")], &people), [], "two persons of the name");
        let one = [person(1, "Jo", "Ng")];
        assert_eq!(rules(&[account(11, "jng", "Jo Ng"), account(12, "jng2", "Jo Ng")], &one), [], "two accounts");
        let elsewhere = Candidate { mail: Some("other@corp.example.com".into()), ..account(11, "jng", "Jo Ng") };
        assert_eq!(rules(&[elsewhere], &one), [], "another address");
        let left = Candidate { employee_number: Some("E99".into()), ..account(11, "jng", "Jo Ng") };
        assert_eq!(rules(&[left], &one), [], "the number of somebody who is not here");
        let twice =
            ["a1", "b1"].map(|name| Candidate { employee_number: Some("E1".into()), ..account(11, name, "Jo") });
        assert_eq!(rules(&twice, &one), [], "two everyday accounts in use");
    }

    #[test]
    fn several_accounts_of_one_person_are_told_apart() {
        let one = [person(1, "Jo", "Ng")];
        let number = |account: Candidate| Candidate { employee_number: Some("E1".into()), ..account };
        let everyday = number(account(11, "jng", "Jo Ng"));
        let admin = number(account(12, "adm-jng", "Jo Ng (Admin)"));
        let old = Candidate { enabled: false, ..number(account(13, "jng-old", "Jo Ng")) };
        assert_eq!(
            rules(&[everyday, admin.clone(), old], &one),
            [(11, 1, Rule::EmployeeNumber, false), (12, 1, Rule::EmployeeNumber, true)]
        );
        assert_eq!(rules(&[admin], &one), [(12, 1, Rule::EmployeeNumber, false)], "the only one they have");
    }

    #[test]
    fn what_is_nobodys_is_known_by_its_looks() {
        assert_eq!(look(&account(1, "svc-backup", "")), Look::Service);
        assert_eq!(look(&account(1, "svcobodova", "")), Look::Everyday);
        assert_eq!(look(&account(1, "jng.adm", "")), Look::Admin);
        assert_eq!(look(&Candidate { rid: Some(500), ..account(1, "Administrator", "") }), Look::BuiltIn);
        assert_eq!(look(&Candidate { protected: true, ..account(1, "jng", "") }), Look::Admin);
    }

    proptest! {
        #[test]
        fn nobody_is_linked_twice_and_order_does_not_matter(
            seeds in proptest::collection::vec((0_u8..6, 0_u8..6, 0_u8..6, any::<bool>()), 0..12)
        ) {
            let people: Vec<_> = (0..6).map(|n| person(n, ["Jo", "Bo", "Lan"][n as usize % 3], "Ng")).collect();
            let mut accounts: Vec<_> = seeds.iter().enumerate().map(|(at, (number, mail, name, enabled))| Candidate {
                employee_number: (*number < 5).then(|| format!("E{number}")),
                mail: (*mail < 3).then(|| format!("{}@corp.example.com", ["jo", "bo", "lan"][usize::from(*mail)])),
                enabled: *enabled,
                ..account(100 + at as u128, ["a", "adm-b", "svc-c", "d", "e", "f"][usize::from(*name)], "Jo Ng")
            }).collect();
            let found = matches(&accounts, &people);
            let mut once: Vec<_> = found.iter().map(|m| m.account).collect();
            once.dedup();
            prop_assert_eq!(once.len(), found.len());
            for somebody in &people {
                prop_assert!(found.iter().filter(|m| m.person == somebody.id && !m.admin).count() <= 1);
            }
            accounts.reverse();
            prop_assert_eq!(matches(&accounts, &people), found);
        }
    }
}

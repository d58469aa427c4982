//! Rules of adoption, tried before they are applied: which accounts each would link, what is left in doubt and why; and
//! linking exactly what was looked at.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};
use sqlx::PgConnection;
use uuid::Uuid;

use super::adoption::{self, Candidate, Look, Match, Rule, Somebody, folded, look};
use super::linking::{self, Kind, Link};
use crate::access::{Permit, op};
use crate::evidence::{self, EvidenceError, Facts, Record, action};
use crate::ids::PersonId;
use crate::target::SystemKey;

/// An account that a rule would link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposal {
    pub account: Uuid,
    pub user_name: String,
    pub display_name: String,
    pub person: PersonId,
    pub person_name: String,
    /// As a second, privileged account.
    pub admin: bool,
}

/// What one rule would do now.
#[derive(Debug, Clone)]
pub struct Trial {
    pub rule: Rule,
    /// It links by itself, within seconds.
    pub automatic: bool,
    pub links: Vec<Proposal>,
    /// Of exactly these links.
    pub digest: String,
}

/// What the rules say about one system's accounts that are nobody's yet.
#[derive(Debug, Clone)]
pub struct Trials {
    pub trials: Vec<Trial>,
    /// Accounts that a rule almost finds a person for, and what is against it.
    pub doubts: HashMap<Uuid, &'static str>,
}

/// Every link that the rules find: [`adoption::matches`], then by user name whom those leave. Pure.
pub fn found(accounts: &[Candidate], people: &[Somebody]) -> Vec<Match> {
    let mut found = adoption::matches(accounts, people);
    let taken: HashSet<Uuid> = found.iter().map(|link| link.account).collect();
    let served: HashSet<PersonId> = found.iter().map(|link| link.person).collect();
    let mut spelled: HashMap<String, Vec<&Somebody>> = HashMap::new();
    for person in people.iter().filter(|person| !person.has_account && !served.contains(&person.id)) {
        for name in user_names(person) {
            spelled.entry(name).or_default().push(person);
        }
    }
    let rest = accounts.iter().filter(|account| !taken.contains(&account.id) && look(account) == Look::Everyday);
    let mut meant: HashMap<PersonId, Vec<Uuid>> = HashMap::new();
    for account in rest {
        if let Some([person]) = spelled.get(&plain(&account.user_name)).map(Vec::as_slice)
            && !contradicts(account, person)
        {
            meant.entry(person.id).or_default().push(account.id);
        }
    }
    found.extend(meant.into_iter().filter_map(|(person, accounts)| match accounts.as_slice() {
        [account] => Some(Match { account: *account, person, rule: Rule::UserName, admin: false }),
        _ => None,
    }));
    found.sort_by_key(|link| link.account);
    found
}

fn plain(text: &str) -> String {
    folded(text).replace(' ', "")
}

/// What people's user names usually are: given and family name, or one of them by its first letter, in either order.
fn user_names(person: &Somebody) -> HashSet<String> {
    let (given, family) = (plain(&person.given_name), plain(&person.family_name));
    let first = |name: &str| name.chars().take(1).collect::<String>();
    if given.is_empty() || family.is_empty() {
        return HashSet::new();
    }
    HashSet::from([
        format!("{given}{family}"),
        format!("{family}{given}"),
        format!("{}{family}", first(&given)),
        format!("{family}{}", first(&given)),
        format!("{given}{}", first(&family)),
    ])
}

fn set(text: &Option<String>) -> Option<String> {
    text.as_ref().map(|text| text.trim().to_lowercase()).filter(|text| !text.is_empty())
}

/// Whether number or address say that it is somebody else's.
fn contradicts(account: &Candidate, person: &Somebody) -> bool {
    let differ = |mine: &Option<String>, theirs: &Option<String>| matches!((set(mine), set(theirs)), (Some(mine), Some(theirs)) if mine != theirs);
    differ(&account.employee_number, &person.employee_number) || differ(&account.mail, &person.mail)
}

/// Accounts without a link for which number, address or name speak of somebody, and why that was not enough. Pure.
pub fn doubts(accounts: &[Candidate], people: &[Somebody], links: &[Match]) -> HashMap<Uuid, &'static str> {
    let linked: HashSet<Uuid> = links.iter().map(|link| link.account).collect();
    let mut index: HashMap<String, Vec<&Somebody>> = HashMap::new();
    for person in people {
        let mut keys: Vec<String> =
            [set(&person.employee_number).map(|n| format!("#{n}")), set(&person.mail)].into_iter().flatten().collect();
        let (given, family) = (&person.given_name, &person.family_name);
        let names = [person.display_name.clone(), format!("{given} {family}"), format!("{family} {given}")];
        keys.extend(names.iter().map(|name| format!("={}", folded(name))));
        keys.sort();
        keys.dedup();
        keys.into_iter().for_each(|key| index.entry(key).or_default().push(person));
    }
    let mut doubts = HashMap::new();
    for account in accounts.iter().filter(|account| !linked.contains(&account.id)) {
        if matches!(look(account), Look::Service | Look::BuiltIn) {
            continue;
        }
        let keys = [
            set(&account.employee_number).map(|number| format!("#{number}")),
            set(&account.mail),
            Some(format!("={}", folded(&account.display_name))),
        ];
        let Some(meant) = keys.into_iter().flatten().find_map(|key| index.get(&key)) else { continue };
        let why = match meant.as_slice() {
            [person] if person.has_account || links.iter().any(|link| link.person == person.id) => {
                "they have an account already"
            }
            [person] if contradicts(account, person) => "number or address say otherwise",
            [_] => "several accounts could be theirs",
            _ => "several people could be meant",
        };
        doubts.insert(account.id, why);
    }
    doubts
}

/// The rules that link by themselves.
pub(super) async fn automatic(conn: &mut PgConnection) -> Result<Vec<Rule>, sqlx::Error> {
    let rules = sqlx::query_scalar!("select rule from adoption_rule where automatic").fetch_all(conn).await?;
    Ok(rules.iter().filter_map(|word| Rule::parse(word)).collect())
}

/// What each rule would link now.
///
/// # Errors
/// Where the database does not answer.
pub async fn trials(conn: &mut PgConnection, system: &SystemKey) -> Result<Trials, sqlx::Error> {
    let by_itself = automatic(conn).await?;
    let accounts = adoption::candidates(conn, system).await?;
    let people = adoption::people(conn, system).await?;
    let links = found(&accounts, &people);
    let of: HashMap<Uuid, &Candidate> = accounts.iter().map(|account| (account.id, account)).collect();
    let names: HashMap<PersonId, &Somebody> = people.iter().map(|person| (person.id, person)).collect();
    let trial = |rule: Rule| {
        let proposal = |link: &Match| {
            let (account, person) = (of.get(&link.account)?, names.get(&link.person)?);
            Some(Proposal {
                account: link.account,
                user_name: account.user_name.clone(),
                display_name: account.display_name.clone(),
                person: link.person,
                person_name: person.display_name.clone(),
                admin: link.admin,
            })
        };
        let mut found: Vec<Proposal> = links.iter().filter(|link| link.rule == rule).filter_map(proposal).collect();
        found.sort_by(|a, b| (&a.user_name, a.account).cmp(&(&b.user_name, b.account)));
        let digest = digest(system, rule, &found);
        Trial { rule, automatic: by_itself.contains(&rule), links: found, digest }
    };
    Ok(Trials { trials: Rule::TRIED.map(trial).into(), doubts: doubts(&accounts, &people, &links) })
}

fn digest(system: &SystemKey, rule: Rule, links: &[Proposal]) -> String {
    let mut digest = Sha256::new();
    digest.update(format!("{system}\n{}\n", rule.as_str()));
    for link in links {
        digest.update(format!("{}\n{}\n{}\n{}\n", link.account, link.user_name, link.person, link.admin));
    }
    hex::encode(digest.finalize())
}

/// Links what was looked at, each with its record. `None`: it is not what was looked at any more; nothing was linked.
/// An account of the one who links is left to somebody else.
///
/// # Errors
/// Where the database refuses.
pub async fn link_all(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    permit: &Permit<op::LinkAccount>,
    (system, rule): (&SystemKey, Rule),
    seen: &str,
) -> Result<Option<usize>, EvidenceError> {
    // The routine holds the same row while it links.
    sqlx::query!("select 1 as one from mirror_cursor where system = $1 for update", system.0)
        .fetch_optional(&mut *conn)
        .await?;
    let trials = trials(conn, system).await?.trials;
    let Some(trial) = trials.into_iter().find(|trial| trial.rule == rule && trial.digest == seen) else {
        return Ok(None);
    };
    let by = permit.by();
    let mut linked = 0;
    for found in trial.links.iter().filter(|found| by.person != Some(found.person.0)) {
        let kind = if found.admin { Kind::Admin } else { Kind::Person };
        let link = Link { system, account: found.account, person: found.person, kind, rule };
        linked += usize::from(linking::link(conn, now, &by, &link).await?);
    }
    Ok(Some(linked))
}

/// Has a rule link by itself, or no longer. False: it was so already.
///
/// # Errors
/// Where the database refuses.
pub async fn switch(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    permit: &Permit<op::SwitchAdoption>,
    (rule, automatic): (Rule, bool),
) -> Result<bool, EvidenceError> {
    let done = sqlx::query!(
        "update adoption_rule set automatic = $2, changed_at = $3 where rule = $1 and automatic <> $2",
        rule.as_str(),
        automatic,
        now
    )
    .execute(&mut *conn)
    .await?;
    if done.rows_affected() == 0 {
        return Ok(false);
    }
    // The worker looks once more at what is nobody's.
    sqlx::query!("update mirror_cursor set adopted_at = null").execute(&mut *conn).await?;
    let mut record = Record::new(action::ADOPTION_CHANGED, format!("setting:adoption/{}", rule.as_str()), permit.by());
    record.before = Some(Facts::default().plain("automatic", !automatic));
    record.after = Some(Facts::default().plain("automatic", automatic));
    evidence::append(conn, now, &record).await?;
    Ok(true)
}

/// How the accounts of a system stand.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Coverage {
    pub all: i64,
    pub linked: i64,
    /// Nobody has said anything about them yet.
    pub open: i64,
    pub service: i64,
    /// Shared ones, and those that are nobody's.
    pub nobodys: i64,
    /// Outside the units that Tenure works in; in none of the other numbers.
    pub outside: i64,
}

/// How all accounts stand.
///
/// # Errors
/// Where the database does not answer.
pub async fn coverage(conn: &mut PgConnection) -> Result<Coverage, sqlx::Error> {
    sqlx::query_as!(
        Coverage,
        r#"select count(*) filter (where ours) as "all!", count(*) filter (where ours and person is not null) as "linked!",
                  count(*) filter (where ours and person is null and kind = 'unknown') as "open!",
                  count(*) filter (where ours and person is null and kind = 'service') as "service!",
                  count(*) filter (where ours and person is null and kind in ('shared', 'ignored', 'person', 'admin'))
                      as "nobodys!",
                  count(*) filter (where not ours) as "outside!"
             from (select a.person, a.kind, t.scope = '{}' or in_scope(a.dn, t.scope) as ours
                     from account a join target_system t on t.key = a.system where a.gone_at is null) accounts"#
    )
    .fetch_one(conn)
    .await
}

/// Systems that have accounts, by key.
///
/// # Errors
/// Where the database does not answer.
pub async fn systems(conn: &mut PgConnection) -> Result<Vec<SystemKey>, sqlx::Error> {
    let keys = sqlx::query_scalar!(
        "select key from target_system t where exists (select from account a where a.system = t.key) order by key"
    )
    .fetch_all(conn)
    .await?;
    Ok(keys.into_iter().map(SystemKey).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn person(number: u128, given: &str, family: &str) -> Somebody {
        Somebody {
            id: PersonId(Uuid::from_u128(number)),
            employee_number: Some(format!("E{number}")),
            mail: None,
            display_name: format!("{given} {family}"),
            given_name: given.to_owned(),
            family_name: family.to_owned(),
            has_account: false,
        }
    }

    fn account(number: u128, user_name: &str, display_name: &str) -> Candidate {
        Candidate {
            id: Uuid::from_u128(number),
            user_name: user_name.to_owned(),
            display_name: display_name.to_owned(),
            enabled: true,
            rid: Some(1100),
            ..Candidate::default()
        }
    }

    fn by_name(accounts: &[Candidate], people: &[Somebody]) -> Vec<(u128, u128)> {
        let links = found(accounts, people).into_iter().filter(|link| link.rule == Rule::UserName);
        links.map(|link| (link.account.as_u128(), link.person.0.as_u128())).collect()
    }

    #[test]
    fn user_names_speak_where_nothing_else_does() {
        let people = [person(1, "Jürgen", "Groß"), person(2, "Bo", "Li")];
        assert_eq!(
            by_name(&[account(11, "j.gross", "Desk 4"), account(12, "bo-li", "?")], &people),
            [(11, 1), (12, 2)]
        );
        let other = Candidate { employee_number: Some("E9".into()), ..account(11, "jgross", "Desk 4") };
        assert_eq!(by_name(&[other], &people), [], "another number");
        assert_eq!(
            by_name(
                &[account(11, "jgross", "a"), account(12, "juergen.gross", "b"), account(13, "grossj", "c")],
                &people
            ),
            [],
            "several"
        );
        let served = Somebody { has_account: true, ..person(1, "Jürgen", "Groß") };
        assert_eq!(by_name(&[account(11, "jgross", "x")], &[served]), []);
        assert_eq!(
            by_name(&[account(11, "jli", "x")], &[person(1, "Jo", "Li"), person(2, "Jan", "Li")]),
            [],
            "two people"
        );
    }

    #[test]
    fn doubts_say_why() {
        let people =
            [person(1, "Jo", "Ng"), person(2, "Jo", "Ng"), Somebody { has_account: true, ..person(3, "Bo", "Li") }];
        let accounts = [account(11, "x", "Jo Ng"), account(12, "y", "Bo Li"), account(13, "z", "Nobody Known")];
        let links = found(&accounts, &people);
        let doubts = doubts(&accounts, &people, &links);
        let of = |number| doubts.get(&Uuid::from_u128(number)).copied();
        assert_eq!(of(11), Some("several people could be meant"));
        assert_eq!(of(12), Some("they have an account already"));
        assert_eq!(of(13), None);
    }
}

//! What proposed rules would have done: tried on the people and requests that are there. Nothing is written.
//!
//! A trial compares the rules in force with the proposed ones over the same real inputs, so that whoever releases them sees
//! whom they would have touched.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, Utc};
use serde_json::Value as Json;
use sqlx::PgConnection;

use super::RequestError;
use crate::catalog::proposals::{self, EntryBody, Kind, Subject, read};
use crate::catalog::{
    self, About, Birthright, BirthrightInput, DeciderRole, LETTERS, MailAbout, NameInput, Naming, Retention, Risk,
    RouteInput, Routes, Separation, ServiceLevels, Wording,
};
use crate::grants::together::{Together, together};
use crate::ids::{EntitlementId, PersonId, RequestNumber};
use crate::numbers::count;
use crate::people::{self, EmploymentType};
use crate::plan::Answers;

/// People that names and birthrights are tried on, at most; the newest.
const PEOPLE: i64 = 5000;
/// Items that routes are tried on, at most; the newest.
const ITEMS: i64 = 500;
/// Rows that are told.
const ROWS: usize = 50;

/// One input that comes out differently.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Somebody's name, a request's number and item, a mail.
    pub what: String,
    pub from: Option<String>,
    pub to: Option<String>,
}

/// What came of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tried {
    /// "500 people", "120 items": what it was tried on; empty where there is nothing to try.
    pub on: String,
    /// How many came out differently.
    pub differ: usize,
    /// The first of them.
    pub rows: Vec<Row>,
    /// What follows from releasing it, and what does not.
    pub follows: &'static str,
}

impl Tried {
    pub(super) fn of(on: String, rows: Vec<Row>, follows: &'static str) -> Self {
        let differ = rows.len();
        Self { on, differ, rows: rows.into_iter().take(ROWS).collect(), follows }
    }
}

/// Tries a proposed body beside the one it would replace; None where a body is not of its kind.
///
/// # Errors
/// Where the database does not answer.
pub async fn tried(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    subject: &Subject,
    (from, to): (&Json, &Json),
) -> Result<Option<Tried>, RequestError> {
    macro_rules! both {
        ($body:ty) => {
            match (read::<$body>(from), read::<$body>(to)) {
                (Ok(from), Ok(to)) => (from, to),
                _ => return Ok(None),
            }
        };
    }
    let tried = match subject {
        Subject::Rules(Kind::Naming) => naming(conn, both!(Naming)).await?,
        Subject::Rules(Kind::Birthright) => birthright(conn, both!(Birthright)).await?,
        Subject::Rules(Kind::Separation) => separation(conn, both!(Separation)).await?,
        Subject::Rules(Kind::Routes) => routes(conn, both!(Routes)).await?,
        Subject::Rules(Kind::ServiceLevels) => levels(conn, both!(ServiceLevels)).await?,
        Subject::Rules(Kind::Retention) => retention(conn, now, both!(Retention)).await?,
        Subject::Rules(Kind::Mail) => wording(conn, both!(Wording)).await?,
        Subject::Entitlement(id) => entry(conn, *id, (read(from).ok(), read(to).ok())).await?,
        Subject::Site(code) => site(conn, code).await?,
        Subject::System(key) => super::trial_scope::system(conn, &key.0, (read(from).ok(), read(to).ok())).await?,
    };
    Ok(Some(tried))
}

/// A person as rules look at them.
struct Somebody {
    name: NameInput,
    shown: String,
}

async fn somebodies(conn: &mut PgConnection) -> Result<Vec<Somebody>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"select p.display_name, p.given_name, p.family_name, p.employee_number, e.type as kind, s.code as site,
                  d.name as department
             from person p
             join lateral (select * from employment e where e.person = p.id order by e.first_day desc, e.id desc limit 1) e on true
             join site s on s.id = e.site join department d on d.id = e.department
            where p.state in ('active', 'expected')
            order by p.created_at desc, p.id desc limit $1"#,
        PEOPLE
    )
    .fetch_all(conn)
    .await?;
    let somebody = rows.into_iter().filter_map(|row| {
        let usual = row.display_name == format!("{} {}", row.given_name, row.family_name);
        Some(Somebody {
            shown: row.display_name.clone(),
            name: NameInput {
                display_name: (!usual).then_some(row.display_name),
                given_name: row.given_name,
                family_name: row.family_name,
                kind: EmploymentType::parse(&row.kind)?,
                site: row.site,
                department: row.department,
                employee_number: row.employee_number,
            },
        })
    });
    Ok(somebody.collect())
}

async fn naming(conn: &mut PgConnection, (from, to): (Naming, Naming)) -> Result<Tried, sqlx::Error> {
    let people = somebodies(conn).await?;
    // As if nobody had a name yet: what the rules make of it by themselves.
    let names = |rules: &Naming, who: &NameInput| match rules.propose(who, &|_, _| false) {
        Ok(names) => [names.user_name, names.mail, names.upn, names.cn, names.parent].join("\n"),
        Err(error) => error.message,
    };
    let rows = people.iter().filter_map(|one| differs(&one.shown, names(&from, &one.name), names(&to, &one.name)));
    let rows = rows.collect();
    Ok(Tried::of(
        count(people.len(), "person", "people"),
        rows,
        "User name, mail, sign-in name, name in the directory and place, had they joined by these rules, as if every name were free. Accounts that exist are not renamed.",
    ))
}

/// A row where the two are not the same; lines that are, are left out.
fn differs(what: &str, from: String, to: String) -> Option<Row> {
    if from == to {
        return None;
    }
    let (before, after): (Vec<&str>, Vec<&str>) = (from.lines().collect(), to.lines().collect());
    let (mut was, mut is) = (from.clone(), to.clone());
    if before.len() == after.len() {
        let changed = || before.iter().zip(&after).filter(|(before, after)| before != after);
        was = changed().map(|(before, _)| *before).collect::<Vec<_>>().join("\n");
        is = changed().map(|(_, after)| *after).collect::<Vec<_>>().join("\n");
    }
    let text = |text: String| Some(text).filter(|text| !text.is_empty());
    Some(Row { what: what.to_owned(), from: text(was), to: text(is) })
}

async fn birthright(conn: &mut PgConnection, (from, to): (Birthright, Birthright)) -> Result<Tried, sqlx::Error> {
    let people = somebodies(conn).await?;
    let ids: Vec<EntitlementId> =
        [&from, &to].iter().flat_map(|one| &one.rules).flat_map(|rule| rule.entitlements.clone()).collect();
    let found = catalog::find_many(conn, &ids).await?;
    let names: BTreeMap<EntitlementId, String> = found.into_iter().map(|one| (one.id, one.name)).collect();
    let given = |rules: &Birthright, who: &NameInput| -> Vec<EntitlementId> {
        let input = BirthrightInput { department: who.department.clone(), site: who.site.clone(), kind: who.kind };
        rules.for_person(&input).into_iter().map(|(id, _)| id).collect()
    };
    let words = |ids: Vec<&EntitlementId>| {
        let names: Vec<&str> = ids.into_iter().filter_map(|id| names.get(id).map(String::as_str)).collect();
        Some(names.join("\n")).filter(|names| !names.is_empty())
    };
    let mut rows = Vec::new();
    for one in &people {
        let (before, after) = (given(&from, &one.name), given(&to, &one.name));
        let lost: Vec<_> = before.iter().filter(|id| !after.contains(id)).collect();
        let gained: Vec<_> = after.iter().filter(|id| !before.contains(id)).collect();
        if !lost.is_empty() || !gained.is_empty() {
            rows.push(Row { what: one.shown.clone(), from: words(lost), to: words(gained) });
        }
    }
    Ok(Tried::of(
        count(people.len(), "person", "people"),
        rows,
        "What they would get, and would not get any more, had they joined by these rules. Who is here keeps what they hold; it is asked for or taken by requests.",
    ))
}

async fn separation(conn: &mut PgConnection, (from, to): (Separation, Separation)) -> Result<Tried, RequestError> {
    let people =
        sqlx::query_scalar!(r#"select count(distinct person) as "count!" from access_grant where ended_at is null"#)
            .fetch_one(&mut *conn)
            .await?;
    let (before, after) = (together(conn, &from, None).await?, together(conn, &to, None).await?);
    let mut rows: Vec<Row> = Vec::new();
    for one in before.iter().chain(&after) {
        let words = |all: &[Together]| -> Option<String> {
            let of = all.iter().filter(|other| other.person == one.person);
            let lines: Vec<String> = of.map(Together::words).collect();
            Some(lines.join("\n")).filter(|lines| !lines.is_empty())
        };
        let (was, is) = (words(&before), words(&after));
        if was != is && !rows.iter().any(|row| row.what == one.person_name) {
            rows.push(Row { what: one.person_name.clone(), from: was, to: is });
        }
    }
    Ok(Tried::of(
        count(usize::try_from(people).unwrap_or(0), "person who holds something", "people who hold something"),
        rows,
        "Who holds together what the rules keep apart. Nothing is taken from them by it: that is asked for by requests. What is asked for from then on is refused, or security decides as well.",
    ))
}

fn stages(routes: &Routes, input: &RouteInput) -> String {
    let role = |role| match role {
        DeciderRole::Manager => "line manager",
        DeciderRole::Owner => "owner",
        DeciderRole::Desk => "service desk",
        DeciderRole::Security => "security",
    };
    let names: Vec<&str> = routes.stages(input).iter().map(|stage| role(stage.role)).collect();
    if names.is_empty() { "nobody".to_owned() } else { names.join(", then ") }
}

async fn routes(conn: &mut PgConnection, (from, to): (Routes, Routes)) -> Result<Tried, RequestError> {
    let rows = sqlx::query!(
        r#"select r.number, i.ordinal, i.label, i.sox, r.answers, r.restricted, r.asked_by as "asked_by: PersonId",
                  r.subject as "subject: PersonId", e.risk as "risk?", e.owner as "owner?: PersonId"
             from item i join request r on r.id = i.request
             left join entitlement e on e.id = i.entitlement
            where r.kind <> 'expiry' order by r.number desc, i.ordinal limit $1"#,
        ITEMS
    )
    .fetch_all(&mut *conn)
    .await?;
    let mut managers: BTreeMap<(PersonId, PersonId), bool> = BTreeMap::new();
    let mut privileged: BTreeMap<PersonId, bool> = BTreeMap::new();
    let mut found = Vec::new();
    let tried = rows.len();
    for row in rows {
        let Ok(answers) = serde_json::from_value::<Answers>(row.answers) else { continue };
        let asked_by_manager = match (row.asked_by, row.subject) {
            (Some(asker), Some(subject)) => match managers.get(&(subject, asker)) {
                Some(known) => *known,
                None => {
                    let reports = people::reports_to(conn, subject, asker).await?;
                    managers.insert((subject, asker), reports);
                    reports
                }
            },
            _ => false,
        };
        let special = match row.subject {
            Some(subject) => match privileged.get(&subject) {
                Some(known) => *known,
                None => {
                    let special = super::submit::is_privileged(conn, subject).await?;
                    privileged.insert(subject, special);
                    special
                }
            },
            None => false,
        };
        let about = match row.risk.as_deref().and_then(Risk::parse) {
            Some(risk) => About::Entitlement { risk, sox: row.sox },
            None => About::Account,
        };
        let input = RouteInput {
            kind: answers.route_kind().to_owned(),
            about,
            asked_by_manager,
            asked_by_owner: row.owner.is_some() && row.owner == row.asked_by,
            privileged: special,
        };
        let number = RequestNumber(row.number);
        let label = if row.restricted { "a restricted request" } else { row.label.as_str() };
        found.extend(differs(&format!("{number} · {label}"), stages(&from, &input), stages(&to, &input)));
    }
    Ok(Tried::of(
        count(tried, "item that was asked for", "items that were asked for"),
        found,
        "Who would have been asked, as people and catalogue are now. Requests that are open keep the deciders they have, unless they are planned again.",
    ))
}

async fn levels(conn: &mut PgConnection, (from, to): (ServiceLevels, ServiceLevels)) -> Result<Tried, RequestError> {
    let rows = sqlx::query_scalar!(
        r#"select answers from request where kind <> 'expiry' order by number desc limit $1"#,
        ITEMS
    )
    .fetch_all(conn)
    .await?;
    let tried = rows.len();
    let mut kinds: BTreeMap<&'static str, usize> = BTreeMap::new();
    for answers in rows.into_iter().filter_map(|answers| serde_json::from_value::<Answers>(answers).ok()) {
        *kinds.entry(answers.route_kind()).or_default() += 1;
    }
    let words = |levels: &ServiceLevels, kind: &str| {
        let level = levels.for_request(kind);
        format!(
            "priority {}\nrespond within {} min\ndone within {} min{}",
            level.priority,
            level.respond_minutes,
            level.resolve_minutes,
            if level.around_the_clock { ", around the clock" } else { "" }
        )
    };
    let rows = kinds.iter().filter_map(|(kind, requests)| {
        let what = format!("{}: {}", kind.replace('_', " "), count(*requests, "request", "requests"));
        differs(&what, words(&from, kind), words(&to, kind))
    });
    let rows = rows.collect();
    Ok(Tried::of(
        count(tried, "request", "requests"),
        rows,
        "By kind of request. Requests that are open keep their priority, and their clocks are counted anew by the new times; reminders and escalation follow them at once.",
    ))
}

async fn retention(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    (from, to): (Retention, Retention),
) -> Result<Tried, RequestError> {
    let rows = sqlx::query!(
        r#"select p.display_name, max(e.last_day) as last_day
             from person p join employment e on e.person = p.id
            where p.state in ('left', 'withdrawn') group by p.id having max(e.last_day) is not null
            order by max(e.last_day) limit $1"#,
        PEOPLE
    )
    .fetch_all(conn)
    .await?;
    let today = now.date_naive();
    let words = |rule: &Retention, last: NaiveDate| {
        let ends = rule.ends(last);
        if ends <= today { "may be erased now".to_owned() } else { format!("kept until {ends}") }
    };
    let tried = rows.len();
    let rows = rows.into_iter().filter_map(|row| {
        let last = row.last_day?;
        differs(&row.display_name, words(&from, last), words(&to, last))
    });
    let rows = rows.collect();
    Ok(Tried::of(
        count(tried, "person who left", "people who left"),
        rows,
        "Nothing is erased by it: that is proposed and approved for each person.",
    ))
}

async fn wording(conn: &mut PgConnection, (from, to): (Wording, Wording)) -> Result<Tried, RequestError> {
    let row = sqlx::query!(
        r#"select r.number, r.title, coalesce(p.display_name, '') as "asked_by!" from request r left join person p on p.id = r.asked_by
            where not r.restricted order by r.number desc limit 1"#
    )
    .fetch_optional(conn)
    .await?;
    let (number, title, to_whom) = row.map_or_else(
        || (RequestNumber(1), "New joiner: Zoë Groß".to_owned(), "Maria Keller".to_owned()),
        |row| (RequestNumber(row.number), row.title, row.asked_by),
    );
    let number = number.to_string();
    let about = MailAbout { number: &number, title: &title, to: &to_whom };
    let words = |wording: &Wording, letter: &str| {
        let said = wording.say(letter, &about);
        let facts = "(the facts)".to_owned();
        [said.subject, said.opening, facts, said.closing, said.footer]
            .into_iter()
            .filter(|part| !part.is_empty())
            .collect::<Vec<_>>()
            .join("\n\n")
    };
    let known = |letter: &&(&str, &str)| {
        from.letters.contains_key(letter.0) || to.letters.contains_key(letter.0) || from.footer != to.footer
    };
    let rows: Vec<Row> = LETTERS
        .iter()
        .filter(known)
        .filter_map(|(letter, words_of)| {
            let (before, after) = (words(&from, letter), words(&to, letter));
            (before != after).then(|| Row {
                what: format!("“{words_of}” about {number}"),
                from: Some(before),
                to: Some(after),
            })
        })
        .collect();
    Ok(Tried::of(count(LETTERS.len(), "kind of mail", "kinds of mail"), rows, "Mails that are written from then on."))
}

async fn entry(
    conn: &mut PgConnection,
    id: EntitlementId,
    (from, to): (Option<EntryBody>, Option<EntryBody>),
) -> Result<Tried, RequestError> {
    // A site sets up entries before there are routes: birthright rules name them.
    let in_force = proposals::current(conn, &Subject::Rules(Kind::Routes)).await.map_err(super::catalog_error)?;
    let routes: Routes = read(&in_force.body).unwrap_or_default();
    let input = |entry: &EntryBody| RouteInput {
        kind: "access".to_owned(),
        about: About::Entitlement { risk: entry.risk, sox: entry.sox },
        asked_by_manager: true,
        asked_by_owner: false,
        privileged: false,
    };
    let words = |entry: &Option<EntryBody>| {
        entry.as_ref().map_or("not in the catalogue".to_owned(), |entry| stages(&routes, &input(entry)))
    };
    let holders = sqlx::query_scalar!(
        r#"select count(distinct person) as "count!" from access_grant where entitlement = $1 and ended_at is null"#,
        id.0
    )
    .fetch_one(conn)
    .await?;
    let rows = differs("Asked for by a manager: who decides", words(&from), words(&to)).into_iter().collect();
    let holders = usize::try_from(holders).unwrap_or(0);
    Ok(Tried::of(
        count(holders, "person who holds it", "people who hold it"),
        rows,
        "Whoever holds it keeps it. Requests that are open keep the deciders they have.",
    ))
}

async fn site(conn: &mut PgConnection, code: &str) -> Result<Tried, RequestError> {
    let people = sqlx::query_scalar!(
        r#"select count(distinct e.person) as "count!" from employment e join site s on s.id = e.site
             join person p on p.id = e.person and p.state in ('active', 'expected') where s.code = $1"#,
        code
    )
    .fetch_one(conn)
    .await?;
    let people = usize::try_from(people).unwrap_or(0);
    Ok(Tried::of(
        count(people, "person who works there", "people who work there"),
        Vec::new(),
        "Days that begin or end something are counted by the new zone from then on.",
    ))
}

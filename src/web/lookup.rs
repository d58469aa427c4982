//! Reading across the tables for lists of people: what a page shows about somebody in one line. Nothing is written here.

use chrono::NaiveDate;
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Postgres, QueryBuilder, Row};
use uuid::Uuid;

use super::Error;
use super::view::forms::PickerOption;
use super::view::parts::Badge;
use crate::ids::PersonId;

/// A person in one line.
#[derive(Debug, Clone)]
pub struct Line {
    pub id: PersonId,
    pub name: String,
    /// What is typed for them: account name, user name here, or employee number.
    pub key: Option<String>,
    pub employee_number: Option<String>,
    pub state: String,
    pub mail: Option<String>,
    pub phone: Option<String>,
    pub source: String,
    pub employment: Option<Employment>,
    pub locked: bool,
    /// Somebody decides in their place today: until when.
    pub away_until: Option<NaiveDate>,
    pub accounts: i64,
    pub open: i64,
    pub held: i64,
    /// Reports directly to whoever was asked about.
    pub direct: bool,
}

/// The employment that counts today.
#[derive(Debug, Clone)]
pub struct Employment {
    pub kind: String,
    pub title: String,
    pub department: String,
    pub site: String,
    pub manager: Option<PersonId>,
    pub manager_name: Option<String>,
    pub first_day: NaiveDate,
    pub last_day: Option<NaiveDate>,
}

/// Whom to find.
#[derive(Debug, Clone, Default)]
pub struct Find {
    pub search: String,
    pub one: Option<PersonId>,
    /// Everybody who reports to them; `direct`: without those in between.
    pub team_of: Option<PersonId>,
    pub direct: bool,
    pub joining: bool,
    pub leaving: bool,
    pub left: bool,
    pub without_account: bool,
    pub locked: bool,
    /// Only those who are or will be here.
    pub here: bool,
    /// By name also while something is searched for, so that pages can follow each other.
    pub by_name: bool,
    /// The last of the page before.
    pub after: Option<(String, Uuid)>,
}

/// What is told of the people that were found (`found p`).
const TOLD: &str = "select p.id, p.display_name, p.employee_number, p.state, p.mail, p.phone, p.source,
       coalesce((select a.user_name from account a where a.person = p.id and a.gone_at is null order by a.kind <> 'person', a.user_name limit 1),
                (select s.user_name from sign_in s where s.person = p.id), p.employee_number) as key,
       exists (select from account a where a.person = p.id and a.locked and a.gone_at is null) as locked,
       (select max(g.last_day) from delegation g where g.person = p.id and g.ended_at is null
           and business_day() between g.from_day and g.last_day) as away_until,
       (select count(*) from account a where a.person = p.id and a.gone_at is null) as accounts,
       (select count(*) from request r where r.subject = p.id and r.settled_at is null and not r.restricted) as open,
       (select count(distinct g.entitlement) from access_grant g where g.person = p.id and g.ended_at is null) as held,
       e.type, e.title, d.name as department, s.name as site, e.manager, m.display_name as manager_name,
       e.first_day, e.last_day
  from found p
  left join lateral (select * from employment e where e.person = p.id";
/// The employment that counts today stands first.
const PRESENT: &str =
    " order by (e.first_day <= business_day() and (e.last_day is null or e.last_day >= business_day())) desc,
                               e.first_day desc limit 1)";
const JOINED: &str = " e on true
  left join department d on d.id = e.department
  left join site s on s.id = e.site
  left join person m on m.id = e.manager";

/// How far people are counted.
pub const COUNTED: i64 = 10_000;
/// How many are looked at by each way in which a word may be theirs, before the best are chosen.
const CANDIDATES: i64 = 100;

/// People by name, or the best match first while something is searched for.
pub async fn people(conn: &mut PgConnection, find: &Find, limit: i64) -> Result<Vec<Line>, Error> {
    let words = folded(&find.search);
    let mut query = QueryBuilder::new("with ");
    // Whoever is shown is found first: what is told of them is looked up for a page, not for a company.
    let order = if words.is_empty() || find.by_name {
        named(&mut query, find, &words, limit);
        " order by p.display_name, p.id"
    } else {
        matching(&mut query, find, &words, limit);
        " order by p.rank"
    };
    query.push(TOLD).push(PRESENT).push(JOINED).push(order);
    // Planned anew for each word: how many people have it decides the way.
    let rows = query.build().persistent(words.is_empty()).fetch_all(conn).await?;
    Ok(rows.iter().map(|row| line(row, find.team_of)).collect::<Result<_, sqlx::Error>>()?)
}

/// How many there are, without the page; counted up to one beyond [`COUNTED`].
pub async fn count(conn: &mut PgConnection, find: &Find) -> Result<i64, Error> {
    let words = folded(&find.search);
    let mut query = QueryBuilder::new("with ");
    named(&mut query, &Find { after: None, ..find.clone() }, &words, COUNTED + 1);
    query.push("select count(*) from found");
    Ok(query.build_query_scalar().persistent(words.is_empty()).fetch_one(conn).await?)
}

/// All who have the words, by name: `found`; those who are spelt much alike where nobody has them.
fn named(query: &mut QueryBuilder<Postgres>, find: &Find, words: &str, limit: i64) {
    if !words.is_empty() {
        query.push("written as materialized (");
        // On every page of the list: beyond the last who has them nobody is spelt alike.
        written(query, &Find { after: None, ..find.clone() }, words);
        query.push("), ");
    }
    query.push("found as (select * from person p where true");
    if !words.is_empty() {
        query.push(" and p.id in (select id from written union all select id from ");
        like(query, find, words);
        query.push(" where not exists (select from written))");
    }
    narrow(query, find);
    // A number in the text: a plan for any number would be one for many.
    query.push(format_args!(" order by p.display_name, p.id limit {limit}) "));
}

/// The best matches: `found`, with their rank. A word may begin a name, an account or a user name; where these are few, it
/// may stand anywhere or be spelt much alike. Each way looks at so many people and no more, so that two letters in a company
/// of a million are answered while somebody types.
fn matching(query: &mut QueryBuilder<Postgres>, find: &Find, words: &str, limit: i64) {
    query.push("begun as materialized (");
    if find.by_state() {
        query.push("select id from named_so(").push_bind(words.to_owned()).push(", ").push_bind(until(words));
        query.push(", ").push_bind(find.states()).push(", ").push_bind(CANDIDATES).push(") begins (id)");
    } else {
        written(query, find, words);
    }
    query.push(format_args!("), few as materialized (select (select count(*) from begun) < {limit} as are), "));
    query.push("near as (select id from begun union select id from ");
    like(query, find, words);
    query.push(" where (select are from few)), found as (select p.*, row_number() over (order by (p.folded like ");
    query.push_bind(format!("{words}%")).push(") desc, word_similarity(").push_bind(words.to_owned());
    query.push(", p.folded) desc, p.display_name, p.id) as rank from person p where p.id in (select id from near)");
    narrow(query, find);
    query.push(format_args!(" order by rank limit {limit}) "));
}

/// Those who have the words anywhere, or are spelt much alike. Two letters inside of words are half the company's.
fn like(query: &mut QueryBuilder<Postgres>, find: &Find, words: &str) {
    let most = if words.len() > 2 { CANDIDATES } else { 0 };
    query.push("named_like(").push_bind(words.to_owned()).push(", ").push_bind(find.states());
    query.push(format_args!(", {most}) alike (id)"));
}

/// The ids of all whose names, accounts or user names have the words.
fn written(query: &mut QueryBuilder<Postgres>, find: &Find, words: &str) {
    let between = |query: &mut QueryBuilder<Postgres>, column: &str| {
        query.push(column).push(" ~>=~ ").push_bind(words.to_owned());
        query.push(" and ").push(column).push(" ~<~ ").push_bind(until(words));
        narrow(query, find);
    };
    query.push("select p.id from person p where p.folded like ");
    query.push_bind(if words.len() > 2 { format!("%{words}%") } else { format!("{words}%") });
    narrow(query, find);
    query.push(" union select p.id from person p where p.folded like ").push_bind(format!("% {words}%"));
    narrow(query, find);
    query.push(" union select p.id from account a join person p on p.id = a.person");
    query.push(" where a.gone_at is null and a.person is not null and ");
    between(query, "lower(a.user_name)");
    query.push(" union select p.id from sign_in s join person p on p.id = s.person where ");
    between(query, "s.user_name_folded");
}

/// The end of everything that begins with the words, in the order of bytes.
fn until(words: &str) -> String {
    format!("{words}{}", char::MAX)
}

impl Find {
    /// The states that people are looked for in. Who never came, or was erased, is in no list; whoever holds the address finds
    /// what is left.
    fn states(&self) -> Vec<&'static str> {
        let mut states = vec!["expected", "active", "left"];
        states.retain(|state| {
            (!self.here || *state != "left")
                && (!self.joining || *state == "expected")
                && (!self.left || *state == "left")
                && (!(self.leaving || self.without_account) || *state == "active")
        });
        if self.one.is_some() {
            states.extend(["withdrawn", "erased"]);
        }
        states
    }

    /// Nothing but their state decides who is meant.
    fn by_state(&self) -> bool {
        self.one.is_none() && self.team_of.is_none() && !(self.leaving || self.without_account || self.locked)
    }
}

fn narrow(query: &mut QueryBuilder<Postgres>, find: &Find) {
    if let Some(one) = find.one {
        query.push(" and p.id = ").push_bind(one);
    }
    let states: Vec<String> = find.states().iter().map(|state| format!("'{state}'")).collect();
    query.push(format_args!(" and p.state in ({})", states.join(", ")));
    if let Some(lead) = find.team_of {
        if find.direct {
            query.push(" and p.id in (select e.person from employment e where e.manager = ").push_bind(lead);
            query.push(") and (select e.manager from employment e where e.person = p.id").push(PRESENT);
            query.push(" = ").push_bind(lead);
        } else {
            query.push(" and p.id in (select team_of(").push_bind(lead).push("))");
        }
    }
    if find.leaving {
        query.push(" and p.id in (select e.person from employment e where e.last_day is not null)");
        query
            .push(" and (select e.last_day from employment e where e.person = p.id")
            .push(PRESENT)
            .push(" is not null");
    }
    let conditions = [
        (find.locked, " and exists (select from account a where a.person = p.id and a.locked and a.gone_at is null)"),
        (find.without_account, " and not exists (select from account a where a.person = p.id and a.gone_at is null)"),
    ];
    for (wanted, condition) in conditions {
        if wanted {
            query.push(condition);
        }
    }
    if let Some((name, id)) = &find.after {
        query.push(" and (p.display_name, p.id) > (").push_bind(name.clone()).push(", ").push_bind(*id).push(")");
    }
}

fn line(row: &PgRow, lead: Option<PersonId>) -> Result<Line, sqlx::Error> {
    let kind: Option<String> = row.try_get("type")?;
    let manager: Option<PersonId> = row.try_get("manager")?;
    let employment = match kind {
        None => None,
        Some(kind) => Some(Employment {
            kind,
            title: row.try_get("title")?,
            department: row.try_get("department")?,
            site: row.try_get("site")?,
            manager,
            manager_name: row.try_get("manager_name")?,
            first_day: row.try_get("first_day")?,
            last_day: row.try_get("last_day")?,
        }),
    };
    Ok(Line {
        id: row.try_get("id")?,
        name: row.try_get("display_name")?,
        key: row.try_get("key")?,
        employee_number: row.try_get("employee_number")?,
        state: row.try_get("state")?,
        mail: row.try_get("mail")?,
        phone: row.try_get("phone")?,
        source: row.try_get("source")?,
        employment,
        locked: row.try_get("locked")?,
        away_until: row.try_get("away_until")?,
        accounts: row.try_get("accounts")?,
        open: row.try_get("open")?,
        held: row.try_get("held")?,
        direct: manager.is_some() && manager == lead,
    })
}

/// Lower case, without accents or wildcards.
fn folded(text: &str) -> String {
    deunicode::deunicode(text.trim()).to_lowercase().replace(['%', '_', '\\', '\0'], "").chars().take(100).collect()
}

impl Line {
    /// Their page.
    pub fn href(&self) -> String {
        format!("/people/{}", self.id)
    }

    /// "Accountant, Finance, Hamburg".
    pub fn position(&self) -> String {
        self.employment.as_ref().map_or(String::new(), |e| format!("{}, {}, {}", e.title, e.department, e.site))
    }

    /// As a picker's field holds them: "Maria Keller (mkeller)".
    pub fn typed(&self) -> String {
        let key = self.key.clone().unwrap_or_else(|| self.id.to_string());
        format!("{} ({key})", self.name)
    }

    /// What is worth knowing when somebody looks or chooses.
    pub fn badge(&self, today: NaiveDate) -> Option<Badge> {
        let employment = self.employment.as_ref();
        let short = |day: NaiveDate| super::view::parts::short_day(day, today);
        if self.locked {
            return Some(Badge::bad("locked"));
        }
        match self.state.as_str() {
            "left" => Some(Badge::quiet("has left")),
            "withdrawn" => Some(Badge::quiet("never came")),
            "erased" => Some(Badge::quiet("erased")),
            "expected" => {
                Some(Badge::info(employment.map_or("joins".to_owned(), |e| format!("joins {}", short(e.first_day)))))
            }
            // A contract that ends next year is no news.
            _ => employment
                .and_then(|e| e.last_day)
                .filter(|day| (*day - today).num_days() <= 60)
                .map(|day| Badge::warn(format!("leaves {}", short(day))))
                .or_else(|| self.away_until.map(|day| Badge::quiet(format!("away until {}", short(day))))),
        }
    }

    /// As a picker offers them.
    pub fn option(&self, today: NaiveDate) -> PickerOption {
        PickerOption {
            value: self.typed(),
            label: self.name.clone(),
            detail: self.position(),
            badge: self.badge(today),
        }
    }
}

/// One person.
pub async fn person(conn: &mut PgConnection, id: PersonId) -> Result<Option<Line>, Error> {
    Ok(people(conn, &Find { one: Some(id), ..Find::default() }, 1).await?.pop())
}

/// Everybody below that person, as a picker offers them before anything is typed.
pub async fn team_options(
    conn: &mut PgConnection,
    lead: PersonId,
    today: NaiveDate,
) -> Result<Vec<PickerOption>, Error> {
    let find = Find { team_of: Some(lead), here: true, ..Find::default() };
    Ok(people(conn, &find, 30).await?.iter().map(|line| line.option(today)).collect())
}

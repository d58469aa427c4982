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

const SELECT: &str = "select p.id, p.display_name, p.employee_number, p.state, p.mail, p.phone, p.source,
       coalesce((select a.user_name from account a where a.person = p.id and a.gone_at is null order by a.kind <> 'person', a.user_name limit 1),
                (select s.user_name from sign_in s where s.person = p.id), p.employee_number) as key,
       exists (select from account a where a.person = p.id and a.locked and a.gone_at is null) as locked,
       (select count(*) from account a where a.person = p.id and a.gone_at is null) as accounts,
       (select count(*) from request r where r.subject = p.id and r.settled_at is null and not r.restricted) as open,
       (select count(distinct g.entitlement) from access_grant g where g.person = p.id and g.ended_at is null) as held,
       e.type, e.title, d.name as department, s.name as site, e.manager, m.display_name as manager_name,
       e.first_day, e.last_day
  from person p
  left join lateral (select * from employment e where e.person = p.id
                      order by (e.first_day <= business_day() and (e.last_day is null or e.last_day >= business_day())) desc,
                               e.first_day desc limit 1) e on true
  left join department d on d.id = e.department
  left join site s on s.id = e.site
  left join person m on m.id = e.manager
 where true";

/// People by name, or the best match first while something is searched for.
pub async fn people(conn: &mut PgConnection, find: &Find, limit: i64) -> Result<Vec<Line>, Error> {
    let mut query = QueryBuilder::new(SELECT);
    let words = folded(&find.search);
    narrow(&mut query, find, &words);
    if words.is_empty() || find.by_name {
        query.push(" order by p.display_name, p.id");
    } else {
        query.push(" order by (p.folded like ").push_bind(format!("{words}%")).push(") desc, word_similarity(");
        query.push_bind(words).push(", p.folded) desc, p.display_name, p.id");
    }
    query.push(" limit ").push_bind(limit);
    let rows = query.build().fetch_all(conn).await?;
    Ok(rows.iter().map(|row| line(row, find.team_of)).collect::<Result<_, sqlx::Error>>()?)
}

/// How many there are, without the page.
pub async fn count(conn: &mut PgConnection, find: &Find) -> Result<i64, Error> {
    let mut query = QueryBuilder::new("select count(*) from (");
    query.push(SELECT);
    narrow(&mut query, &Find { after: None, ..find.clone() }, &folded(&find.search));
    query.push(") found");
    Ok(query.build_query_scalar().fetch_one(conn).await?)
}

fn narrow(query: &mut QueryBuilder<Postgres>, find: &Find, words: &str) {
    if !words.is_empty() {
        query.push(" and (p.folded like ").push_bind(format!("%{words}%"));
        query.push(" or exists (select from account a where a.person = p.id and a.gone_at is null and lower(a.user_name) like ");
        query
            .push_bind(format!("{words}%"))
            .push(") or exists (select from sign_in s where s.person = p.id and s.user_name_folded like ");
        query
            .push_bind(format!("{words}%"))
            .push(") or word_similarity(")
            .push_bind(words.to_owned())
            .push(", p.folded) > 0.5)");
    }
    // Who never came, or was erased, is in no list; whoever holds the address finds what is left.
    match find.one {
        Some(one) => query.push(" and p.id = ").push_bind(one),
        None => query.push(" and p.state not in ('withdrawn', 'erased')"),
    };
    if let Some(lead) = find.team_of {
        if find.direct {
            query.push(" and e.manager = ").push_bind(lead);
        } else {
            query.push(" and p.id in (select team_of(").push_bind(lead).push("))");
        }
    }
    let conditions = [
        (find.joining, " and p.state = 'expected'"),
        (find.leaving, " and p.state = 'active' and e.last_day is not null"),
        (find.left, " and p.state = 'left'"),
        (find.here, " and p.state in ('active', 'expected')"),
        (find.locked, " and exists (select from account a where a.person = p.id and a.locked and a.gone_at is null)"),
        (
            find.without_account,
            " and p.state = 'active' and not exists (select from account a where a.person = p.id and a.gone_at is null)",
        ),
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
                .map(|day| Badge::warn(format!("leaves {}", short(day)))),
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

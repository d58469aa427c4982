//! Lists: what waits for somebody's decision, what somebody asked for, the desk's queue. Keyset pages, one query each.

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, Postgres, QueryBuilder, Row};

use crate::access::{Viewer, scope};
use crate::ids::{PersonId, RequestNumber};

/// A line of a list.
#[derive(Debug, Clone)]
pub struct Line {
    pub number: RequestNumber,
    pub kind: String,
    pub title: String,
    pub state: String,
    pub priority: i16,
    pub restricted: bool,
    pub asked_at: DateTime<Utc>,
    pub asked_by: Option<String>,
    pub assignee: Option<String>,
    pub assignee_id: Option<PersonId>,
    pub first_response_at: Option<DateTime<Utc>>,
    pub respond_by: Option<DateTime<Utc>>,
    pub resolve_by: Option<DateTime<Utc>>,
    pub settled_at: Option<DateTime<Utc>>,
    /// What its clocks count by, and why they stand still ([`super::clocks::Board`]).
    pub level_kind: String,
    pub site: Option<uuid::Uuid>,
    pub clock_waits: Option<String>,
    pub clock_until: Option<DateTime<Utc>>,
    pub steps_done: i64,
    pub steps: i64,
    /// The open stages' names.
    pub waits_for: Vec<String>,
}

impl Line {
    /// When the clock runs out that runs out first: the response while nobody has answered, or the resolution.
    pub fn next_due(&self) -> Option<DateTime<Utc>> {
        let respond_by = self.respond_by.filter(|_| self.first_response_at.is_none());
        [respond_by, self.resolve_by].into_iter().flatten().min()
    }
}

/// How a list is sorted. Each has an index of its own and a keyset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sort {
    /// What breaches next.
    #[default]
    Clock,
    /// Newest first.
    Number,
    Priority,
}

/// What of the requests is asked for.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Only what has not ended (true) or has (false).
    pub open: Option<bool>,
    pub state: Option<String>,
    pub kind: Option<String>,
    /// A number, or words of the title.
    pub search: Option<String>,
    pub asked_by: Option<PersonId>,
    pub subject: Option<PersonId>,
    pub assignee: Option<PersonId>,
    pub unassigned: bool,
    /// A clock that runs then has used most of its time, or all ([`super::clocks::AT_RISK`]).
    pub at_risk: Option<DateTime<Utc>>,
    pub sort: Sort,
    /// The last line of the page before.
    pub after: Option<Key>,
}

impl Filter {
    /// What is searched for, if anything is.
    fn words(&self) -> Option<&str> {
        self.search.as_deref().map(str::trim).filter(|words| !words.is_empty())
    }

    /// Whether its list is planned anew each time, because how many it finds decides the way: how many titles have a word, how
    /// many are at risk.
    pub fn is_planned_anew(&self) -> bool {
        self.at_risk.is_some() || self.words().is_some()
    }
}

/// A place in a sorted list.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Key {
    pub at: Option<DateTime<Utc>>,
    pub priority: i16,
    pub number: i64,
}

impl From<&Line> for Key {
    fn from(line: &Line) -> Self {
        Self { at: line.next_due(), priority: line.priority, number: line.number.0 }
    }
}

const COLUMNS: &str = "select r.number, r.kind, r.title, r.state, r.priority, r.restricted, r.asked_at, a.display_name as asked_by,
       g.display_name as assignee, r.assignee as assignee_id, r.first_response_at, r.respond_by, r.resolve_by, r.settled_at,
       coalesce(r.level_kind, r.kind) as level_kind, r.site, r.waits_for as clock_waits, r.waits_until as clock_until,
       planned.steps_done, planned.steps,
       array(select s.name from item i join stage s on s.item = i.id and s.plan_number = i.plan_number and s.state = 'open'
              where i.request = r.id order by i.ordinal) as waits_for
  from ";
const JOINED: &str = "
  left join person a on a.id = r.asked_by
  left join person g on g.id = r.assignee
  cross join lateral (
      select count(*) filter (where s.state in ('applied', 'unchanged', 'skipped')) as steps_done,
             count(*) filter (where s.state <> 'superseded') as steps
        from step s where s.request = r.id) planned";

/// Requests that the viewer may see and the filter wants, at most `limit`.
///
/// # Errors
/// Where the database does not answer.
pub async fn list(
    conn: &mut PgConnection,
    viewer: &Viewer,
    filter: &Filter,
    limit: i64,
) -> Result<Vec<Line>, sqlx::Error> {
    // The page's rows are found first, then what is told of each.
    let mut query = QueryBuilder::new(COLUMNS);
    query.push("(select * from request r where ");
    scope::visible_requests(&mut query, viewer);
    narrow(&mut query, filter);
    if let Some(after) = &filter.after {
        match filter.sort {
            Sort::Number => query.push(" and r.number < ").push_bind(after.number),
            Sort::Clock => query
                .push(format_args!(" and ({NEXT_DUE}, r.number) > (coalesce("))
                .push_bind(after.at)
                .push("::timestamptz, 'infinity'), ")
                .push_bind(after.number)
                .push(")"),
            Sort::Priority => query
                .push(" and (r.priority, r.number) > (")
                .push_bind(after.priority)
                .push("::smallint, ")
                .push_bind(after.number)
                .push(")"),
        };
    }
    let order = match filter.sort {
        Sort::Number => " order by r.number desc".to_owned(),
        Sort::Clock => format!(" order by {NEXT_DUE}, r.number"),
        Sort::Priority => " order by r.priority, r.number".to_owned(),
    };
    query.push(&order).push(format_args!(" limit {limit}) r")).push(JOINED).push(order);
    query.build().persistent(!filter.is_planned_anew()).fetch_all(conn).await?.iter().map(line).collect()
}

/// How far requests are counted: what a page says beside a list is not worth reading a million rows.
pub const COUNTED: i64 = 1_000;

/// How many requests the viewer may see and each filter wants, in one statement; counted up to one beyond [`COUNTED`].
///
/// # Errors
/// Where the database does not answer.
pub async fn counts<const N: usize>(
    conn: &mut PgConnection,
    viewer: &Viewer,
    filters: [&Filter; N],
) -> Result<[i64; N], sqlx::Error> {
    let mut query = QueryBuilder::new("select array[");
    for (at, filter) in filters.iter().enumerate() {
        query.push(if at > 0 { ", " } else { "" }).push("(select count(*) from (select from request r where ");
        scope::visible_requests(&mut query, viewer);
        narrow(&mut query, filter);
        // A number in the text: a plan for any number would be one for many.
        query.push(format_args!(" limit {}) counted)", COUNTED + 1));
    }
    query.push("]::bigint[]");
    let searched = filters.into_iter().any(|filter| filter.words().is_some());
    let counts: Vec<i64> = query.build_query_scalar().persistent(!searched).fetch_one(conn).await?;
    Ok(std::array::from_fn(|at| counts.get(at).copied().unwrap_or(0)))
}

/// [`Line::next_due`], as the index has it; what has no clock comes last.
const NEXT_DUE: &str =
    "coalesce(least(case when r.first_response_at is null then r.respond_by end, r.resolve_by), 'infinity')";

/// From when on what is open is at risk, as the index has it: by its resolution, and by its response while nobody has
/// answered.
const AT_RISK_FROM: &str = "case when r.settled_at is null
    then least(case when r.first_response_at is null then r.respond_at_risk end, r.resolve_at_risk) end";

fn narrow(query: &mut QueryBuilder<Postgres>, filter: &Filter) {
    match filter.open {
        // At risk is what is open alone: said twice, the index of what is open would seem as good as the one that counts.
        Some(true) if filter.at_risk.is_some() => {}
        Some(true) => drop(query.push(" and r.settled_at is null")),
        Some(false) => drop(query.push(" and r.settled_at is not null")),
        None => {}
    }
    for (column, value) in [("state", &filter.state), ("kind", &filter.kind)] {
        if let Some(value) = value {
            query.push(format_args!(" and r.{column} = ")).push_bind(value.clone());
        }
    }
    for (column, person) in [("asked_by", filter.asked_by), ("subject", filter.subject), ("assignee", filter.assignee)]
    {
        if let Some(person) = person {
            query.push(format_args!(" and r.{column} = ")).push_bind(person.0);
        }
    }
    if let Some(search) = filter.words() {
        let number = search.parse::<RequestNumber>().map_or(0, |number| number.0);
        let words = format!("%{}%", search.replace(['%', '_', '\\', '\0'], ""));
        query.push(" and (r.number = ").push_bind(number).push(" or r.title ilike ").push_bind(words).push(")");
    }
    if filter.unassigned {
        query.push(" and r.assignee is null");
    }
    if let Some(now) = filter.at_risk {
        query.push(" and ").push(AT_RISK_FROM).push(" <= ").push_bind(now);
    }
}

fn line(row: &sqlx::postgres::PgRow) -> Result<Line, sqlx::Error> {
    Ok(Line {
        number: row.try_get("number")?,
        kind: row.try_get("kind")?,
        title: row.try_get("title")?,
        state: row.try_get("state")?,
        priority: row.try_get("priority")?,
        restricted: row.try_get("restricted")?,
        asked_at: row.try_get("asked_at")?,
        asked_by: row.try_get("asked_by")?,
        assignee: row.try_get("assignee")?,
        assignee_id: row.try_get("assignee_id")?,
        first_response_at: row.try_get("first_response_at")?,
        respond_by: row.try_get("respond_by")?,
        resolve_by: row.try_get("resolve_by")?,
        settled_at: row.try_get("settled_at")?,
        level_kind: row.try_get("level_kind")?,
        site: row.try_get("site")?,
        clock_waits: row.try_get("clock_waits")?,
        clock_until: row.try_get("clock_until")?,
        steps_done: row.try_get("steps_done")?,
        steps: row.try_get("steps")?,
        waits_for: row.try_get("waits_for")?,
    })
}

/// An item that waits for one person's decision.
#[derive(Debug, Clone)]
pub struct Waiting {
    pub number: RequestNumber,
    pub item: i32,
    pub title: String,
    pub label: String,
    pub stage: String,
    pub reason: String,
    pub sox: bool,
    pub changes: i64,
    pub asked_by: Option<String>,
    pub opened_at: Option<DateTime<Utc>>,
    /// Set where they decide for somebody who is away.
    pub for_whom: Option<String>,
}

/// Everything that waits for this person's decision, what waits longest first: named, by role, or for somebody who
/// delegated to them; never where they are a party.
///
/// # Errors
/// Where the database does not answer.
pub async fn waiting_for(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    person: PersonId,
    limit: i64,
) -> Result<Vec<Waiting>, sqlx::Error> {
    sqlx::query_as!(
        Waiting,
        r#"with hats as (
               select $1::uuid as person
                union
               select g.person from delegation g
                where g.delegate = $1 and g.ended_at is null and local_day(g.person, $2) between g.from_day and g.last_day
           ), asked as (
               select d.stage, d.person from stage_decider d join hats h on h.person = d.person
                 join stage s on s.id = d.stage and s.state = 'open'
                union
               -- The desk's open stages may be very many: of each role the longest open, as far as they are shown.
               select o.id, h.person from hats h
                 join role_holding r on r.person = h.person
                 join (values ('desk', 'desk'), ('desk', 'desk_lead'), ('security', 'security'), ('desk_lead', 'desk_lead'))
                      as asks (role, holder) on asks.holder = r.role
                cross join lateral (
                    select s.id from stage s
                     where s.state = 'open' and s.role = asks.role
                       and exists (select from item i
                                    where i.id = s.item and i.plan_number = s.plan_number and i.state = 'deciding'
                                      and not exists (select from request_role p
                                                       where p.request = i.request and p.role = 'party'
                                                         and p.person in (h.person, $1))
                                   offset 0)
                       and not exists (select from decision d
                                        where d.stage = s.id and (d.stands_for = h.person or d.person = $1) offset 0)
                     order by s.opened_at limit $3) o
           ), allowed as (
               select a.stage, min(a.person::text) filter (where a.person <> $1) as other,
                      bool_or(a.person = $1) as self
                 from asked a
                 join stage s on s.id = a.stage
                 join item i on i.id = s.item and i.plan_number = s.plan_number and i.state = 'deciding'
                where not exists (select from request_role p
                                   where p.request = i.request and p.role = 'party' and p.person in (a.person, $1))
                  and not exists (select from decision d where d.stage = a.stage and (d.stands_for = a.person or d.person = $1))
                group by a.stage
           )
           select r.number as "number: RequestNumber", i.ordinal as item, r.title, i.label, s.name as stage, s.reason, i.sox,
                  (select count(*) from step t where t.item = i.id and t.plan_number = i.plan_number
                      and t.state <> 'superseded') as "changes!",
                  asker.display_name as "asked_by?", s.opened_at,
                  case when not w.self then f.display_name end as for_whom
             from allowed w
             join stage s on s.id = w.stage
             join item i on i.id = s.item
             join request r on r.id = i.request
             left join person asker on asker.id = r.asked_by
             left join person f on f.id = w.other::uuid
            order by s.opened_at, r.number, i.ordinal
            limit $3"#,
        person.0,
        now,
        limit
    )
    .fetch_all(conn)
    .await
}

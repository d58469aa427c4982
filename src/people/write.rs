//! Writing persons and employments, each change with its record.

use chrono::{DateTime, NaiveDate, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{Calendar, EmploymentType, PeopleError, fold};
use crate::evidence::{self, By, Facts, Record, action, append};
use crate::ids::PersonId;
use crate::target::Value;

/// A person with one employment, about to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewPerson {
    pub employee_number: Option<String>,
    pub given_name: String,
    pub family_name: String,
    pub display_name: String,
    pub kind: EmploymentType,
    /// The site's code.
    pub site: String,
    pub department: String,
    pub title: String,
    pub manager: Option<PersonId>,
    pub first_day: NaiveDate,
    pub last_day: Option<NaiveDate>,
    pub mail: Option<String>,
}

impl NewPerson {
    /// What search looks through.
    fn folded(&self) -> String {
        let parts = [
            Some(self.display_name.as_str()),
            Some(self.given_name.as_str()),
            Some(self.family_name.as_str()),
            self.employee_number.as_deref(),
            self.mail.as_deref(),
        ];
        fold(&parts.into_iter().flatten().collect::<Vec<_>>().join(" "))
    }

    fn facts(&self) -> Facts {
        let text = |value: &Option<String>| value.clone().map_or(Value::Null, Value::Text);
        Facts::default()
            .personal("employee_number", text(&self.employee_number))
            .personal("given_name", self.given_name.clone())
            .personal("family_name", self.family_name.clone())
            .personal("display_name", self.display_name.clone())
            .personal("mail", text(&self.mail))
            .plain("type", self.kind.as_str())
            .personal("site", self.site.clone())
            .personal("department", self.department.clone())
            .personal("title", self.title.clone())
            .plain("manager", self.manager.map_or(Value::Null, |manager| manager.to_string().into()))
            .personal("first_day", self.first_day.to_string())
            .personal("last_day", self.last_day.map_or(Value::Null, |day| day.to_string().into()))
    }
}

fn field_error(error: sqlx::Error) -> PeopleError {
    let (field, message) = match crate::db::constraint(&error) {
        Some("person_employee_number_key") => {
            ("employee_number", "This employee number belongs to somebody else already")
        }
        Some("employment_days") => ("end_on", "The last day cannot be before the first"),
        Some("employment_not_own_manager") => ("manager", "Nobody is their own manager"),
        _ => return PeopleError::Database(error),
    };
    PeopleError::Field { field: field.to_owned(), message: message.to_owned() }
}

/// A place of work as it is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SiteData<'a> {
    pub code: &'a str,
    pub name: &'a str,
    /// An IANA name.
    pub zone: &'a str,
    /// Two letters.
    pub country: &'a str,
}

/// Makes a site, or brings the one of that code up to date. One that is as told already is left alone.
///
/// # Errors
/// A field error where the zone is not one.
pub async fn site(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    by: &By,
    site: &SiteData<'_>,
) -> Result<(), PeopleError> {
    let SiteData { code, name, zone, country } = *site;
    if zone.parse::<chrono_tz::Tz>().is_err() {
        return Err(PeopleError::Field {
            field: "zone".to_owned(),
            message: format!("“{zone}” is not a time zone such as Europe/Berlin"),
        });
    }
    evidence::hold(conn, &format!("site:{code}")).await?;
    let before =
        sqlx::query!("select name, zone, country from site where code = $1", code).fetch_optional(&mut *conn).await?;
    let facts = |name: &str, zone: &str, country: &str| {
        Facts::default().plain("name", name).plain("zone", zone).plain("country", country)
    };
    let before = before.map(|row| facts(&row.name, &row.zone, &row.country));
    let after = facts(name, zone, country);
    if before.as_ref() == Some(&after) {
        return Ok(());
    }
    let record =
        Record { before, after: Some(after), ..Record::new(action::SITE_CHANGED, format!("site:{code}"), by.clone()) };
    append(conn, now, &record).await.map_err(sqlx::Error::from)?;
    sqlx::query!(
        "insert into site (id, code, name, zone, country) values ($1, $2, $3, $4, $5)
         on conflict (code) do update set name = excluded.name, zone = excluded.zone, country = excluded.country",
        Uuid::now_v7(),
        code,
        name,
        zone,
        country
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// A place of work with all that is set of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WholeSite {
    pub name: String,
    pub zone: String,
    pub country: String,
    /// None: Monday to Friday, nine to five.
    pub calendar: Option<Calendar>,
}

/// All that is set of the site of that code.
///
/// # Errors
/// Where the database does not answer.
pub async fn whole_site(conn: &mut PgConnection, code: &str) -> Result<Option<WholeSite>, sqlx::Error> {
    let row = sqlx::query!(
        r#"select name, zone, country, calendar as "calendar: sqlx::types::Json<Calendar>" from site where code = $1"#,
        code
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(|row| WholeSite {
        name: row.name,
        zone: row.zone,
        country: row.country,
        calendar: row.calendar.map(|calendar| calendar.0),
    }))
}

/// Sets when a site works; the same calendar is left alone.
///
/// # Errors
/// Where the database does not answer.
pub async fn site_calendar(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    by: &By,
    code: &str,
    calendar: &Calendar,
) -> Result<(), PeopleError> {
    let before = whole_site(conn, code).await?.map(|site| site.calendar.unwrap_or_default());
    if before.as_ref() == Some(calendar) {
        return Ok(());
    }
    let text = |calendar: &Calendar| serde_json::to_string(calendar).unwrap_or_default();
    let facts = |calendar: &Calendar| Facts::default().plain("calendar", text(calendar));
    let record = Record {
        before: before.as_ref().map(facts),
        after: Some(facts(calendar)),
        ..Record::new(action::SITE_CHANGED, format!("site:{code}"), by.clone())
    };
    append(conn, now, &record).await.map_err(sqlx::Error::from)?;
    sqlx::query!("update site set calendar = $2 where code = $1", code, sqlx::types::Json(calendar) as _)
        .execute(conn)
        .await?;
    Ok(())
}

/// The department of that name, made where it is not there. One that is there is only read: a lock on it would order
/// everybody's requests.
pub(super) async fn department(conn: &mut PgConnection, name: &str) -> Result<Uuid, sqlx::Error> {
    let known =
        sqlx::query_scalar!("select id from department where name = $1", name).fetch_optional(&mut *conn).await?;
    if let Some(id) = known {
        return Ok(id);
    }
    sqlx::query_scalar!(
        "insert into department (id, name) values ($1, $2) on conflict (name) do update set name = excluded.name returning id",
        Uuid::now_v7(),
        name
    )
    .fetch_one(conn)
    .await
}

async fn site_id(conn: &mut PgConnection, code: &str) -> Result<Uuid, PeopleError> {
    sqlx::query_scalar!("select id from site where code = $1", code).fetch_optional(conn).await?.ok_or_else(|| {
        PeopleError::Field { field: "site".to_owned(), message: format!("“{code}” is not a site here") }
    })
}

/// Writes a person whose first day is ahead, as asked for. The record of it is the caller's to append, with those of the request.
///
/// # Errors
/// A field error where the employee number is taken or the site unknown.
pub async fn expect(conn: &mut PgConnection, by: &By, new: &NewPerson) -> Result<(PersonId, Record), PeopleError> {
    let id = insert(conn, new, ("expected", "request")).await?;
    let record =
        Record { after: Some(new.facts()), ..Record::new(action::PERSON_EXPECTED, format!("person:{id}"), by.clone()) };
    Ok((id, record))
}

/// A person and their employment; no record.
pub(super) async fn insert(
    conn: &mut PgConnection,
    new: &NewPerson,
    (state, source): (&str, &str),
) -> Result<PersonId, PeopleError> {
    let id = PersonId::new();
    sqlx::query!(
        "insert into person (id, employee_number, given_name, family_name, display_name, mail, state, source, folded)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        id.0,
        new.employee_number,
        new.given_name,
        new.family_name,
        new.display_name,
        new.mail,
        state,
        source,
        new.folded()
    )
    .execute(&mut *conn)
    .await
    .map_err(field_error)?;
    employment(conn, id, new, source).await?;
    Ok(id)
}

/// One more employment; no record.
pub(super) async fn employment(
    conn: &mut PgConnection,
    id: PersonId,
    new: &NewPerson,
    source: &str,
) -> Result<(), PeopleError> {
    let site = site_id(conn, &new.site).await?;
    let department = department(conn, &new.department).await?;
    sqlx::query!(
        "insert into employment (id, person, type, site, department, title, manager, first_day, last_day, source)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        Uuid::now_v7(),
        id.0,
        new.kind.as_str(),
        site,
        department,
        new.title,
        new.manager.map(|manager| manager.0),
        new.first_day,
        new.last_day,
        source
    )
    .execute(conn)
    .await
    .map_err(field_error)?;
    Ok(())
}

/// Brings a person and their latest employment up to date; no record.
pub(super) async fn update(conn: &mut PgConnection, id: PersonId, new: &NewPerson) -> Result<(), PeopleError> {
    let site = site_id(conn, &new.site).await?;
    let department = department(conn, &new.department).await?;
    sqlx::query!(
        "update person set employee_number = $2, given_name = $3, family_name = $4, display_name = $5, mail = $6, folded = $7,
                updated_at = now()
          where id = $1",
        id.0,
        new.employee_number,
        new.given_name,
        new.family_name,
        new.display_name,
        new.mail,
        new.folded()
    )
    .execute(&mut *conn)
    .await
    .map_err(field_error)?;
    sqlx::query!(
        "update employment set type = $2, site = $3, department = $4, title = $5, manager = $6, first_day = $7, last_day = $8
          where id = (select id from employment where person = $1 order by first_day desc limit 1)",
        id.0,
        new.kind.as_str(),
        site,
        department,
        new.title,
        new.manager.map(|manager| manager.0),
        new.first_day,
        new.last_day,
    )
    .execute(conn)
    .await
    .map_err(field_error)?;
    Ok(())
}

/// The answers of a joiner's request were changed before the first day.
///
/// # Errors
/// As [`expect`].
pub async fn change_expected(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    by: &By,
    person: PersonId,
    new: &NewPerson,
) -> Result<(), PeopleError> {
    changed(conn, now, by, person, new.facts()).await?;
    update(conn, person, new).await
}

async fn changed(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    by: &By,
    person: PersonId,
    after: Facts,
) -> Result<(), PeopleError> {
    let record =
        Record { after: Some(after), ..Record::new(action::PERSON_CHANGED, format!("person:{person}"), by.clone()) };
    append(conn, now, &record).await?;
    Ok(())
}

/// Somebody who was expected will not come; the employee number is free again.
///
/// # Errors
/// Where the database refuses.
pub async fn withdraw(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    by: &By,
    person: PersonId,
) -> Result<(), PeopleError> {
    let withdrawn = sqlx::query!(
        "update person set state = 'withdrawn', updated_at = now() where id = $1 and state = 'expected'",
        person.0
    )
    .execute(&mut *conn)
    .await?;
    if withdrawn.rows_affected() == 1 {
        changed(conn, now, by, person, Facts::default().plain("state", "withdrawn")).await?;
    }
    Ok(())
}

/// Somebody leaves: the last day of their employment.
///
/// # Errors
/// Where the database refuses.
pub async fn set_last_day(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    by: &By,
    person: PersonId,
    last_day: NaiveDate,
) -> Result<(), PeopleError> {
    crate::evidence::hold(conn, &format!("person:{person}")).await?;
    // Somebody who never came leaves on what would have been the first day.
    let set = sqlx::query_scalar!(
        r#"update employment set last_day = greatest($2, first_day)
            where id = (select id from employment where person = $1 order by first_day desc limit 1)
        returning last_day as "day!""#,
        person.0,
        last_day
    )
    .fetch_optional(&mut *conn)
    .await
    .map_err(field_error)?;
    match set {
        Some(day) => changed(conn, now, by, person, Facts::default().personal("last_day", day.to_string())).await,
        None => Ok(()),
    }
}

/// The mail address that an account gave somebody; nothing where they have one.
///
/// # Errors
/// Where the database refuses.
pub async fn set_mail(conn: &mut PgConnection, person: PersonId, mail: &str) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "update person set mail = $2, folded = folded || ' ' || $3, updated_at = now() where id = $1 and mail is null",
        person.0,
        mail,
        fold(mail)
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Brings states up to date with the calendar: expected people become active on their first day, active ones have left after
/// their last, by the date at their site. Returns how many changed.
///
/// # Errors
/// Where the database refuses.
pub async fn settle_states(conn: &mut PgConnection, now: DateTime<Utc>) -> Result<usize, sqlx::Error> {
    let changes = sqlx::query!(
        r#"with latest as (
               select distinct on (e.person) e.person, e.first_day, e.last_day, ($1 at time zone s.zone)::date as today
                 from employment e join site s on s.id = e.site
                order by e.person, e.first_day desc
           )
           update person p set updated_at = now(),
                  state = case when l.last_day < l.today then 'left' else 'active' end
             from latest l
            where l.person = p.id
              and ((p.state = 'expected' and l.first_day <= l.today)
                   or (p.state = 'active' and l.last_day < l.today)
                   or (p.state = 'left' and l.first_day <= l.today and (l.last_day is null or l.last_day >= l.today)))
        returning p.id as "id: PersonId", p.state"#,
        now
    )
    .fetch_all(&mut *conn)
    .await?;
    for change in &changes {
        let record = Record {
            after: Some(Facts::default().plain("state", change.state.clone())),
            ..Record::new(action::PERSON_CHANGED, format!("person:{}", change.id), By::routine("calendar"))
        };
        append(conn, now, &record).await.map_err(sqlx::Error::from)?;
    }
    Ok(changes.len())
}

/// What an import writes down about a person: values and phone, before (None for somebody new) and after.
pub(super) fn imported(
    by: &By,
    id: PersonId,
    before: Option<(&NewPerson, Option<&str>)>,
    after: (&NewPerson, Option<&str>),
) -> Record {
    written(action::PERSON_IMPORTED, by, id, before, after)
}

/// The same by any action.
pub(super) fn written(
    action: &'static str,
    by: &By,
    id: PersonId,
    before: Option<(&NewPerson, Option<&str>)>,
    after: (&NewPerson, Option<&str>),
) -> Record {
    let facts = |(person, phone): (&NewPerson, Option<&str>)| {
        person.facts().personal("phone", phone.map_or(Value::Null, |phone| phone.to_owned().into()))
    };
    Record {
        before: before.map(facts),
        after: Some(facts(after)),
        ..Record::new(action, format!("person:{id}"), by.clone())
    }
}

/// Sets somebody's phone; no record.
pub(super) async fn set_phone(conn: &mut PgConnection, id: PersonId, phone: Option<&str>) -> Result<(), sqlx::Error> {
    sqlx::query!("update person set phone = $2 where id = $1", id.0, phone).execute(conn).await?;
    Ok(())
}

/// Nobody else writes persons or employments until the transaction ends, so that what is compared is what is changed.
/// Reading goes on.
pub(super) async fn hold_everybody(conn: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::query!("lock table person, employment in share row exclusive mode").execute(conn).await?;
    Ok(())
}

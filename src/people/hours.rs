//! Whose working time counts: sites with their zones and calendars, and where somebody works.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use sqlx::PgConnection;
use uuid::Uuid;

use super::Calendar;
use crate::ids::PersonId;

/// When work is done: a site's calendar in its zone, or around the clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hours {
    /// None: nowhere is known.
    pub site: Option<Uuid>,
    /// "Hamburg".
    pub name: String,
    pub zone: Tz,
    /// None: around the clock.
    pub calendar: Option<Calendar>,
    /// Changes with zone and calendar.
    pub digest: String,
}

impl Default for Hours {
    /// Where no site is known: Monday to Friday, nine to five, UTC.
    fn default() -> Self {
        let (name, digest) = (String::new(), String::new());
        Self { site: None, name, zone: Tz::UTC, calendar: Some(Calendar::default()), digest }
    }
}

impl Hours {
    /// The same place around the clock.
    pub fn around_the_clock(&self) -> Self {
        Self { calendar: None, ..self.clone() }
    }

    /// The instant at which so much working time has passed.
    pub fn add(&self, from: DateTime<Utc>, work: TimeDelta) -> DateTime<Utc> {
        self.calendar.as_ref().map_or_else(|| from + work, |calendar| calendar.add(self.zone, from, work))
    }

    /// The working time between two instants, never less than none.
    pub fn between(&self, from: DateTime<Utc>, to: DateTime<Utc>) -> TimeDelta {
        match &self.calendar {
            Some(calendar) => calendar.between(self.zone, from, to),
            None => (to - from).max(TimeDelta::zero()),
        }
    }

    /// That instant if it is working time, else when work begins again.
    pub fn next_open(&self, at: DateTime<Utc>) -> DateTime<Utc> {
        self.calendar.as_ref().map_or(at, |calendar| calendar.next_open(self.zone, at))
    }
}

/// Every site's hours by its id.
#[derive(Debug, Clone, Default)]
pub struct AllHours {
    sites: HashMap<Uuid, Hours>,
    otherwise: Hours,
}

impl AllHours {
    /// Of that site; where none is known, of the company's first.
    pub fn of(&self, site: Option<Uuid>) -> &Hours {
        site.and_then(|site| self.sites.get(&site)).unwrap_or(&self.otherwise)
    }
}

/// When each site works.
///
/// # Errors
/// Where the database does not answer.
pub async fn hours(conn: &mut PgConnection) -> Result<AllHours, sqlx::Error> {
    let rows = sqlx::query!(
        r#"select id, name, zone, calendar as "calendar: sqlx::types::Json<Calendar>",
                  md5(zone || coalesce(calendar::text, '')) as "digest!"
             from site order by id"#
    )
    .fetch_all(conn)
    .await?;
    let sites: Vec<Hours> = rows
        .into_iter()
        .map(|row| Hours {
            site: Some(row.id),
            name: row.name,
            // Written only where it parses; a row from elsewhere must not stop every clock.
            zone: row.zone.parse().unwrap_or(Tz::UTC),
            calendar: Some(row.calendar.map(|calendar| calendar.0).unwrap_or_default()),
            digest: row.digest,
        })
        .collect();
    let otherwise = sites.first().cloned().unwrap_or_default();
    Ok(AllHours { sites: sites.into_iter().filter_map(|hours| Some((hours.site?, hours))).collect(), otherwise })
}

/// Where each of them works now, else will, else did last.
///
/// # Errors
/// Where the database does not answer.
pub async fn places_of(conn: &mut PgConnection, people: &[PersonId]) -> Result<HashMap<PersonId, Uuid>, sqlx::Error> {
    let people: Vec<Uuid> = people.iter().map(|person| person.0).collect();
    let rows = sqlx::query!(
        r#"select distinct on (person) person as "person: PersonId", site from employment where person = any ($1)
            order by person, (first_day <= business_day() and (last_day is null or last_day >= business_day())) desc,
                     first_day desc"#,
        &people
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.person, row.site)).collect())
}

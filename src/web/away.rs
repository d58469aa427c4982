//! Who is away, until when, and who decides for them: said where somebody is asked.

use std::collections::HashMap;

use chrono::NaiveDate;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{Error, SignedIn};
use crate::ids::{PersonId, RequestId};

/// One delegation in force.
struct Standing {
    /// Of the stage or of the person.
    id: Uuid,
    person: String,
    delegate: String,
    last_day: NaiveDate,
    /// The delegate is a party here, and does not decide.
    is_party: bool,
}

/// Of those who are asked by name, who is away: by the stage that asks them, or by person.
#[derive(Default)]
pub struct Away(HashMap<Uuid, Vec<Standing>>);

/// Reads it for a request's open stages.
pub async fn of_request(conn: &mut PgConnection, me: &SignedIn, request: RequestId) -> Result<Away, Error> {
    let rows = sqlx::query_as!(
        Standing,
        r#"select s.id, p.display_name as person, q.display_name as delegate, g.last_day,
                  exists (select from request_role r
                           where r.request = i.request and r.person = g.delegate and r.role = 'party') as "is_party!"
             from item i
             join stage s on s.item = i.id and s.plan_number = i.plan_number and s.state = 'open'
             join stage_decider d on d.stage = s.id
             join delegation g on g.person = d.person and g.ended_at is null
              and local_day(g.person, $2) between g.from_day and g.last_day
             join person p on p.id = g.person
             join person q on q.id = g.delegate
            where i.request = $1 order by p.display_name, g.last_day"#,
        request.0,
        me.now
    )
    .fetch_all(conn)
    .await?;
    Ok(Away::of(rows))
}

impl Away {
    fn of(rows: Vec<Standing>) -> Self {
        let mut away = Self::default();
        for row in rows {
            away.0.entry(row.id).or_default().push(row);
        }
        away
    }

    /// "Maria Keller is away until 12 December; Ada Berg decides for them."
    pub fn lines(&self, me: &SignedIn, of: Uuid) -> Vec<String> {
        self.0.get(&of).into_iter().flatten().map(|standing| said(me, standing)).collect()
    }
}

fn said(me: &SignedIn, standing: &Standing) -> String {
    let Standing { person, delegate, last_day, is_party, .. } = standing;
    let until = super::view::parts::short_day(*last_day, me.today());
    let decides = if *is_party { "gains by this and does not decide it" } else { "decides for them" };
    format!("{person} is away until {until}; {delegate} {decides}.")
}

/// The same for people who will be asked, by person; the parties decide nothing for them.
pub async fn of_people(
    conn: &mut PgConnection,
    me: &SignedIn,
    people: &[PersonId],
    parties: &[PersonId],
) -> Result<Away, Error> {
    let ids = |people: &[PersonId]| people.iter().map(|person| person.0).collect::<Vec<Uuid>>();
    let rows = sqlx::query_as!(
        Standing,
        r#"select g.person as id, p.display_name as person, q.display_name as delegate, g.last_day,
                  g.delegate = any ($3) as "is_party!"
             from delegation g join person p on p.id = g.person join person q on q.id = g.delegate
            where g.person = any ($1) and g.ended_at is null and local_day(g.person, $2) between g.from_day and g.last_day
            order by p.display_name, g.last_day"#,
        &ids(people),
        me.now,
        &ids(parties)
    )
    .fetch_all(conn)
    .await?;
    Ok(Away::of(rows))
}

/// The same for one person, by itself: until when, and who decides for them.
pub async fn of_person(conn: &mut PgConnection, me: &SignedIn, person: PersonId) -> Result<Vec<String>, Error> {
    Ok(of_people(conn, me, &[person], &[]).await?.lines(me, person.0))
}

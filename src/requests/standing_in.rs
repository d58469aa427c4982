//! Setting and ending who decides in whose place (`access::delegation`), and telling both of it.

use chrono::{DateTime, NaiveDate, Utc};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use crate::access::delegation::{self, Delegation, DelegationError, Wanted};
use crate::access::{self, Actor, Denied, Object, op};
use crate::ids::PersonId;
use crate::mail::letters::{MailFrame, StandsIn};
use crate::mail::{self, Message, Thread};

/// Lets somebody decide in a person's place: the actor's own, or as the desk's lead in the place of who cannot say so.
///
/// # Errors
/// [`DelegationError`] naming what to mend.
pub async fn make(
    pool: &PgPool,
    now: DateTime<Utc>,
    actor: &Actor,
    (person, wanted): (PersonId, &Wanted),
) -> Result<(), DelegationError> {
    let mut tx = pool.begin().await?;
    let id = if actor.person() == Some(person) {
        let permit = access::permit::<op::Delegate>(&mut tx, actor, Object::Person(person)).await?;
        delegation::make(&mut tx, now, &permit, wanted).await?
    } else {
        let permit = access::permit::<op::DelegateFor>(&mut tx, actor, Object::Person(person)).await?;
        delegation::make_for(&mut tx, now, &permit, wanted).await?
    };
    tell(&mut tx, now, actor, (id, false)).await?;
    tx.commit().await?;
    Ok(())
}

/// Ends one.
///
/// # Errors
/// [`Denied::NotFound`] where there is none of that person's, or it has ended.
pub async fn end(
    pool: &PgPool,
    now: DateTime<Utc>,
    actor: &Actor,
    (person, id): (PersonId, Uuid),
) -> Result<(), DelegationError> {
    let mut tx = pool.begin().await?;
    let ended = if actor.person() == Some(person) {
        let permit = access::permit::<op::Delegate>(&mut tx, actor, Object::Person(person)).await?;
        delegation::end(&mut tx, now, &permit, id).await?
    } else {
        let permit = access::permit::<op::DelegateFor>(&mut tx, actor, Object::Person(person)).await?;
        delegation::end_for(&mut tx, now, &permit, id).await?
    };
    if !ended {
        return Err(Denied::NotFound.into());
    }
    tell(&mut tx, now, actor, (id, true)).await?;
    tx.commit().await?;
    Ok(())
}

/// Both, but for whoever did it.
async fn tell(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    actor: &Actor,
    (id, ended): (Uuid, bool),
) -> Result<(), DelegationError> {
    let Some(delegation) = delegation::find(conn, id).await? else { return Ok(()) };
    let by_themselves = actor.person() == Some(delegation.person);
    let set_by = match actor.person() {
        Some(person) if !by_themselves && !ended => name(conn, person).await?,
        _ => String::new(),
    };
    for to in [delegation.person, delegation.delegate] {
        if actor.person() != Some(to) {
            let letter = letter(&delegation, to, (set_by.clone(), ended));
            mail::enqueue(conn, now, Thread::Person(to), Message::StandsIn(letter), to).await?;
        }
    }
    Ok(())
}

async fn name(conn: &mut PgConnection, person: PersonId) -> Result<String, sqlx::Error> {
    sqlx::query_scalar!("select display_name from person where id = $1", person.0).fetch_one(conn).await
}

fn letter(delegation: &Delegation, to: PersonId, (set_by, ended): (String, bool)) -> StandsIn {
    let to_person = to == delegation.person;
    let day = |day: NaiveDate| day.format("%A %-d %B %Y").to_string();
    StandsIn {
        frame: MailFrame {
            title: "Standing in".to_owned(),
            url: if to_person { "/me" } else { "/approvals" }.to_owned(),
            ..MailFrame::default()
        },
        person: delegation.person_name.clone(),
        delegate: delegation.delegate_name.clone(),
        from: day(delegation.from_day),
        until: day(delegation.last_day),
        set_by,
        to_person,
        ended,
    }
}

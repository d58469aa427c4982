//! Asking: from typed answers to a request with items, digests, stages, reserved names and evidence, in one transaction.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::items::{self, NewItem};
use super::stages::{self, Situation};
use super::{RequestError, clocks, notify, settle, sight};
use crate::access::{self, Actor, Ask, Object, op};
use crate::catalog::{self, Rules};
use crate::changes;
use crate::db;
use crate::evidence::{By, Facts, Record, action, append_all};
use crate::ids::{ItemId, PersonId, RequestId, RequestNumber};
use crate::people::{self, NewPerson};
use crate::plan::field::{FieldError, Raw};
use crate::plan::{
    Answers, Concerned, Known, Plan, PlannedItem, RequestKind, access as access_plan, digest, joiner, leaver,
    list_change, mailbox_access, mailbox_change, mailing_list, password_reset, personal_mailbox, plan, shared_mailbox,
    unlock,
};
use crate::target::SystemKey;

/// What is asked, as it came in.
#[derive(Debug, Clone)]
pub struct Asked {
    pub kind: RequestKind,
    pub raw: Raw,
    /// One per form shown or API call made: the same nonce again gives the same request.
    pub nonce: String,
    /// SHA-256 of what a program sent with that nonce: with something else it is refused. None where nobody compares.
    pub sent: Option<[u8; 32]>,
    /// None where nobody looked.
    pub seen: Option<Seen>,
}

/// The plan that somebody looked at before they asked: nothing else is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// The draft's. (A request's own digests have a key of its own, which does not exist yet.)
    key: Uuid,
    /// What the plan amounts to, item by item.
    pub digests: Vec<String>,
}

impl Seen {
    /// As it came back with the form.
    pub fn new(draft: Uuid, digests: Vec<String>) -> Self {
        Self { key: draft, digests }
    }

    /// Of a plan as it is shown.
    ///
    /// # Errors
    /// Where it cannot be written as JSON.
    pub fn of(draft: Uuid, plan: &Plan) -> Result<Self, RequestError> {
        let digests = plan.items.iter().map(|item| Ok(digest(draft.as_bytes(), &item.effect()?)));
        let digests = digests.collect::<Result<_, serde_json::Error>>();
        Ok(Self::new(draft, digests.map_err(|error| sqlx::Error::Encode(Box::new(error)))?))
    }
}

/// What an ask would amount to: what "check your answers" shows and submitting writes.
#[derive(Debug, Clone)]
pub struct Prepared {
    pub answers: Answers,
    pub title: String,
    pub plan: Plan,
    pub basis: serde_json::Value,
    /// Per item: who will be asked, in order.
    pub stages: Vec<Vec<Foreseen>>,
    /// Who decides nothing in it, not for somebody else either.
    pub parties: Vec<PersonId>,
}

/// A stage as it will be.
#[derive(Debug, Clone)]
pub struct Foreseen {
    pub name: String,
    pub reason: String,
    /// Asked by name; empty where a role is asked.
    pub deciders: Vec<PersonId>,
}

/// Typed answers and what they amount to.
struct Draft {
    answers: Answers,
    planned: PlannedNow,
}

/// Reads typed answers of any kind.
///
/// # Errors
/// Every field that cannot be taken.
pub fn parse(kind: RequestKind, raw: &Raw, known: &Known) -> Result<Answers, Vec<FieldError>> {
    Ok(match kind {
        RequestKind::Joiner => Answers::Joiner(joiner::parse(raw, known)?),
        RequestKind::Leaver => Answers::Leaver(leaver::parse(raw, known)?),
        RequestKind::Access => Answers::Access(access_plan::parse(raw, known)?),
        RequestKind::PasswordReset => Answers::PasswordReset(password_reset::parse(raw, known)?),
        RequestKind::Unlock => Answers::Unlock(unlock::parse(raw, known)?),
        RequestKind::SharedMailbox => Answers::SharedMailbox(shared_mailbox::parse(raw, known)?),
        RequestKind::MailboxAccess => Answers::MailboxAccess(mailbox_access::parse(raw, known)?),
        RequestKind::MailboxChange => Answers::MailboxChange(mailbox_change::parse(raw, known)?),
        RequestKind::MailingList => Answers::MailingList(mailing_list::parse(raw, known)?),
        RequestKind::ListChange => Answers::ListChange(list_change::parse(raw, known)?),
        RequestKind::Expiry => return Err(vec![FieldError::new("kind", "This cannot be asked for")]),
    })
}

/// What the ask would amount to now; writes nothing.
///
/// # Errors
/// Field errors, or whatever asking would be denied for.
pub async fn prepare(
    pool: &PgPool,
    now: DateTime<Utc>,
    actor: &Actor,
    (kind, raw): (RequestKind, &Raw),
) -> Result<Prepared, RequestError> {
    let mut tx = pool.begin_with(db::BY_KEY).await?;
    let asker = asker(actor)?;
    let (draft, _) = draft(&mut tx, now, (actor, asker), (kind, raw)).await?;
    Ok(draft.planned.prepared(&mut tx, (draft.answers, asker)).await?)
}

/// Submits. A second submit with the same nonce by the same person gives the first one's number.
///
/// # Errors
/// Field errors with nothing written; [`RequestError::Stale`] where it amounts to something else than was seen;
/// [`RequestError::Denied`]; the database's own.
pub async fn submit(
    pool: &PgPool,
    now: DateTime<Utc>,
    actor: &Actor,
    ask: &Asked,
) -> Result<RequestNumber, RequestError> {
    // A name taken meanwhile, a deadlock or a lost connection: everything is planned and written again, a few times.
    for round in 0..5 {
        match try_submit(pool, now, actor, (ask, round > 0)).await {
            Err(RequestError::Database(error)) if round < 4 && again(&error) => {
                if let Some(number) = by_nonce(&mut *pool.acquire().await?, actor, ask).await? {
                    return Ok(number);
                }
            }
            // The same was sent at the same moment, and came first: what is in the way is what it made.
            Err(error @ (RequestError::Fields(_) | RequestError::Stale)) => {
                return by_nonce(&mut *pool.acquire().await?, actor, ask).await?.ok_or(error);
            }
            other => return other,
        }
    }
    Err(RequestError::Conflict(
        "Too many people ask for the same at this moment. Nothing was lost: send it again.".to_owned(),
    ))
}

fn again(error: &sqlx::Error) -> bool {
    db::is_transient(error) || matches!(db::constraint(error), Some("reservation_pkey" | "request_nonce_key"))
}

async fn by_nonce(conn: &mut PgConnection, actor: &Actor, ask: &Asked) -> Result<Option<RequestNumber>, RequestError> {
    let asker = asker(actor)?;
    let found = sqlx::query!(
        r#"select number as "number: RequestNumber", sent_sha256 from request where nonce = $1 and asked_by = $2"#,
        ask.nonce,
        asker.0
    )
    .fetch_optional(conn)
    .await?;
    match found {
        Some(found) if ask.sent.is_some_and(|sent| found.sent_sha256.as_deref() != Some(&sent[..])) => {
            Err(super::key_used())
        }
        found => Ok(found.map(|found| found.number)),
    }
}

pub(super) fn asker(actor: &Actor) -> Result<PersonId, RequestError> {
    actor.person().ok_or_else(|| RequestError::Conflict("Only a person can ask for this.".to_owned()))
}

async fn permit(conn: &mut PgConnection, actor: &Actor, answers: &Answers) -> Result<By, RequestError> {
    let ask = match answers {
        Answers::Joiner(_) => Ask::Joiner,
        Answers::Leaver(leaver) if leaver.immediate => Ask::ImmediateLeaver,
        Answers::Leaver(_) => Ask::Leaver,
        // Mailboxes and lists are asked for as access is: for oneself and one's own people, by whom answers for them.
        Answers::Access(_)
        | Answers::SharedMailbox(_)
        | Answers::MailboxAccess(_)
        | Answers::MailboxChange(_)
        | Answers::MailingList(_)
        | Answers::ListChange(_) => Ask::Access,
        Answers::PasswordReset(_) => Ask::PasswordReset,
        Answers::Unlock(_) => Ask::Unlock,
    };
    Ok(access::permit::<op::Submit>(conn, actor, Object::Ask(ask, answers.subject())).await?.by())
}

/// What planning finds, a legal hold for instance, is told only to who may ask: permitted first, planned after.
async fn draft(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    (actor, asker): (&Actor, PersonId),
    (kind, raw): (RequestKind, &Raw),
) -> Result<(Draft, By), RequestError> {
    let known = sight::known(conn, now, (kind, raw), None).await?;
    let answers = parse(kind, raw, &known).map_err(RequestError::Fields)?;
    let by = permit(conn, actor, &answers).await?;
    let planned = plan_now(conn, now, (&answers, asker, answers.subject()), None).await?;
    Ok((Draft { answers, planned }, by))
}

/// What answers amount to now, and who would be asked.
pub(super) struct PlannedNow {
    pub plan: Plan,
    pub basis: serde_json::Value,
    pub stages: Vec<Vec<stages::Planned>>,
    pub title: String,
    pub rules: Rules,
    /// The directory whose names are reserved.
    pub directory: SystemKey,
}

impl PlannedNow {
    /// # Errors
    /// [`RequestError::Stale`] where somebody looked at a plan, and it is not this one.
    pub fn is_what_was_seen(&self, seen: Option<&Seen>) -> Result<(), RequestError> {
        match seen {
            Some(seen) if Seen::of(seen.key, &self.plan)? != *seen => Err(RequestError::Stale),
            _ => Ok(()),
        }
    }

    /// Namespaces and values of the names that it takes, of [`Self::directory`]: one book for it and for the organisations that
    /// belong to it, so that an address is taken once.
    fn names(&self) -> (Vec<&str>, Vec<&str>) {
        let names: BTreeSet<&(String, String)> = self.plan.names.iter().collect();
        names.into_iter().map(|(namespace, value)| (namespace.as_str(), value.as_str())).unzip()
    }

    /// As people look at it.
    pub async fn prepared(
        self,
        conn: &mut PgConnection,
        (answers, asked_by): (Answers, PersonId),
    ) -> Result<Prepared, sqlx::Error> {
        let gain = super::sight_mail::people_behind(conn, &concerned(&answers)).await?;
        let foreseen =
            |stage: stages::Planned| Foreseen { name: stage.name, reason: stage.reason, deciders: stage.deciders };
        Ok(Prepared {
            answers,
            title: self.title,
            plan: self.plan,
            basis: self.basis,
            stages: self.stages.into_iter().map(|stages| stages.into_iter().map(foreseen).collect()).collect(),
            parties: gain.into_iter().map(PersonId).chain([asked_by]).collect(),
        })
    }
}

/// Plans from the present rules and the present mirror. `own`: the request whose own reservations are not in its way.
///
/// # Errors
/// Field errors where what is asked cannot be planned.
pub(super) async fn plan_now(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    (answers, asked_by, subject): (&Answers, PersonId, Option<PersonId>),
    own: Option<RequestId>,
) -> Result<PlannedNow, RequestError> {
    let rules = catalog::rules(conn).await.map_err(super::catalog_error)?;
    let sight = sight::sight(conn, now, (answers, asked_by), &rules, own).await?;
    let plan = plan(answers, &sight).map_err(RequestError::Fields)?;
    super::sight_scope::within(conn, &plan, &sight.scopes).await?;
    let manager = sight.manager.as_ref().map(|manager| manager.id);
    let subject = subject.or(manager).unwrap_or(asked_by);
    let situation = Situation {
        rules: &rules,
        route_kind: answers.route_kind(),
        subject,
        manager: if matches!(answers, Answers::Joiner(_)) { manager } else { None },
        asked_by: Some(asked_by),
        subject_is_party: answers.subject_is_party(),
        privileged: is_privileged(conn, subject).await?,
    };
    let mut stages = Vec::with_capacity(plan.items.len());
    for item in &plan.items {
        let entitlement = item.entitlement.and_then(|id| sight.entitlements.get(&id));
        stages.push(stages::plan(conn, &situation, item, entitlement).await?);
    }
    let title = title(conn, answers, &plan.items).await?;
    let basis = sight::basis(&sight);
    let directory = sight.directory.clone();
    Ok(PlannedNow { plan, basis, stages, title, directory, rules })
}

/// Whether the person decides here, holds a role or a SOX entitlement.
pub(super) async fn is_privileged(conn: &mut PgConnection, person: PersonId) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"select exists (select from role_holding where person = $1)
               or exists (select from entitlement where owner = $1)
               or exists (select from access_grant g join entitlement e on e.id = g.entitlement
                           where g.person = $1 and g.ended_at is null and e.sox) as "privileged!""#,
        person.0
    )
    .fetch_one(conn)
    .await
}

/// One line for lists.
async fn title(conn: &mut PgConnection, answers: &Answers, items: &[PlannedItem]) -> Result<String, RequestError> {
    let name = match answers.subject() {
        Some(subject) => people::find(conn, subject).await?.map(|person| person.display_name).unwrap_or_default(),
        None => String::new(),
    };
    Ok(match answers {
        Answers::Joiner(joiner) => format!("New joiner: {}", joiner.full_name()),
        Answers::Leaver(leaver) if leaver.immediate => format!("Immediate leaver: {name}"),
        Answers::Leaver(_) => format!("Leaver: {name}"),
        Answers::Access(_) => {
            let labels: Vec<&str> = items.iter().map(|item| item.label.as_str()).collect();
            let more = labels.len().saturating_sub(2);
            let first = labels.iter().take(2).copied().collect::<Vec<_>>().join(", ");
            if more > 0 {
                format!("Access for {name}: {first} and {more} more")
            } else {
                format!("Access for {name}: {first}")
            }
        }
        Answers::PasswordReset(_) => format!("Password reset: {name}"),
        Answers::Unlock(_) => format!("Unlock: {name}"),
        Answers::SharedMailbox(answers) => format!("New mailbox: {}", answers.name),
        Answers::MailingList(answers) => format!("New list: {}", answers.name),
        Answers::MailboxAccess(answers) => format!("Mailbox access for {name}: {}", answers.mailbox.name),
        Answers::MailboxChange(answers) if answers.remove => format!("Take away mailbox: {}", answers.mailbox.name),
        Answers::MailboxChange(answers) => format!("Mailbox: {}", answers.mailbox.name),
        Answers::ListChange(answers) if answers.delete => format!("Delete list: {}", answers.list.name),
        Answers::ListChange(answers) => format!("List: {}", answers.list.name),
    })
}

/// One try. `alone`: after a collision the counter's lock is taken before planning instead of after, so that whoever else
/// takes a name at this moment has taken it before we look.
async fn try_submit(
    pool: &PgPool,
    now: DateTime<Utc>,
    actor: &Actor,
    (ask, alone): (&Asked, bool),
) -> Result<RequestNumber, RequestError> {
    let asker = asker(actor)?;
    let mut tx = pool.begin_with(db::BY_KEY).await?;
    if let Some(number) = by_nonce(&mut tx, actor, ask).await? {
        return Ok(number);
    }
    if alone {
        sqlx::query!("select last from request_counter for update").fetch_one(&mut *tx).await?;
    }
    let (draft, by) = draft(&mut tx, now, (actor, asker), (ask.kind, &ask.raw)).await?;
    let planned = &draft.planned;
    planned.is_what_was_seen(ask.seen.as_ref())?;
    let (subject, expected) = subject(&mut tx, &by, &draft).await?;
    let new = New { id: RequestId::new(), asker, subject, key: rand::random() };
    // Nobody else gets a number from when this one has its own until the commit. So everything that can be known is known by
    // then, and what needs no number is written: it refers to a row that comes last, which is checked at the commit.
    parties_of(&mut tx, &new, &draft.answers).await?;
    let items: Vec<_> = (1i32..)
        .zip(planned.plan.items.iter().zip(&planned.stages))
        .map(|(ordinal, (item, stages))| {
            let place = NewItem { request: new.id, id: ItemId::new(), ordinal, key: &new.key, basis: &planned.basis };
            (place, item, stages.as_slice())
        })
        .collect();
    let digests = items::write(&mut tx, now, &items).await?;
    if let Ok(draft_id) = Uuid::parse_str(&ask.nonce) {
        sqlx::query!("delete from draft where id = $1 and person = $2", draft_id, asker.0).execute(&mut *tx).await?;
    }
    let (levels, kind) = (&planned.rules.service_levels, draft.answers.route_kind());
    let clocks = clocks::begin(&mut tx, now, [Some(subject), Some(asker)], (levels, kind)).await?;
    let asked_by = (asker, actor.name().to_owned());
    let letters = notify::New::read(&mut tx, now, (planned.title.clone(), asked_by, clocks.resolve_by), &items).await?;
    let number = insert(&mut tx, now, &new, (ask, &draft, &clocks)).await?;
    let mut records: Vec<Record> = expected.into_iter().collect();
    records.push(submitted(&by, number, (&draft, subject))?);
    records.extend(items::records(&by, number, &items, &digests));
    append_all(&mut tx, now, &records).await?;
    letters.send(&mut tx, now, number).await?;
    // While every item waits for its decision there is nothing to begin with, and no state to change.
    if planned.stages.iter().any(Vec::is_empty) {
        super::settle_approved(&mut tx, now, &by, new.id).await?;
        changes::unlock(&mut tx, new.id).await?;
        settle::settle(&mut tx, now, &by, new.id).await?;
    }
    tx.commit().await?;
    metrics::counter!("tenure_requests_submitted_total", "kind" => ask.kind.as_str()).increment(1);
    Ok(number)
}

/// Whom it is about; a joiner is made here, as expected, which is to be recorded.
async fn subject(conn: &mut PgConnection, by: &By, draft: &Draft) -> Result<(PersonId, Option<Record>), RequestError> {
    match &draft.answers {
        Answers::Joiner(joiner) => {
            let person = new_person(joiner, &draft.planned.plan);
            let (person, record) = people::expect(conn, by, &person).await.map_err(super::people_error)?;
            Ok((person, Some(record)))
        }
        other => Ok((other.subject().ok_or(RequestError::Stale)?, None)),
    }
}

/// The joiner as a person: names as asked, mail as planned.
pub(super) fn new_person(joiner: &joiner::Answers, plan: &Plan) -> NewPerson {
    let mut steps = plan.items.iter().flat_map(|item| &item.steps);
    let mail = steps.find_map(|step| {
        step.difference
            .change("mail")
            .or_else(|| step.difference.change("primaryAddress").filter(|_| step.name == personal_mailbox::MAILBOX))
    });
    NewPerson {
        employee_number: joiner.employee_number.clone(),
        given_name: joiner.given_name.clone(),
        family_name: joiner.family_name.clone(),
        display_name: joiner.full_name(),
        kind: joiner.employment_type,
        site: joiner.site.clone(),
        department: joiner.department.clone(),
        title: joiner.title.clone(),
        manager: Some(joiner.manager),
        first_day: joiner.start_on,
        last_day: joiner.end_on,
        mail: mail.and_then(|change| change.to.as_text()).map(str::to_owned),
    }
}

/// A request that is about to be written.
struct New {
    id: RequestId,
    asker: PersonId,
    subject: PersonId,
    /// Of its digests.
    key: [u8; 32],
}

/// Whoever asks, whom it is about and whoever gains by it decide nothing in it; whose mailbox or list others would change has
/// a say.
async fn parties_of(conn: &mut PgConnection, new: &New, answers: &Answers) -> Result<(), sqlx::Error> {
    let mut parties = super::sight_mail::people_behind(conn, &concerned(answers)).await?;
    parties.push(new.asker.0);
    parties.extend(answers.subject_is_party().then_some(new.subject.0));
    sqlx::query!(
        "insert into request_role (request, person, role)
         select $1, p.person, 'party' from unnest($2::uuid[]) as p (person) on conflict do nothing",
        new.id.0,
        &parties,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Takes the next number and the plan's names, and writes the request. A name that is taken is a violation: somebody else just
/// took it, and everything is planned again.
async fn insert(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    new: &New,
    (ask, draft, clocks): (&Asked, &Draft, &clocks::Begun),
) -> Result<RequestNumber, RequestError> {
    let planned = &draft.planned;
    let (levels, kind) = (&planned.rules.service_levels, draft.answers.route_kind());
    let (namespaces, values) = planned.names();
    let number = sqlx::query_scalar!(
        r#"with counted as (
               update request_counter set last = last + 1 returning last
           ), asked as (
               insert into request (id, number, kind, state, title, subject, asked_by, asked_at, answers, nonce, priority,
                                    restricted, digest_key, respond_by, resolve_by, sent_sha256, site, level_kind, clock_rules,
                                    respond_at_risk, resolve_at_risk)
               select $1, last, $2, 'deciding', $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19
                 from counted
           ), taken as (
               insert into reservation (system, namespace, value, request)
               select $20, n.namespace, n.value, $1 from unnest($21::text[], $22::text[]) as n (namespace, value)
           )
           select last as "last: RequestNumber" from counted"#,
        new.id.0,
        ask.kind.as_str(),
        planned.title,
        new.subject.0,
        new.asker.0,
        now,
        serde_json::to_value(&draft.answers).map_err(|error| sqlx::Error::Encode(Box::new(error)))?,
        ask.nonce,
        levels.body.for_request(kind).priority,
        draft.answers.restricted(),
        &new.key[..],
        clocks.respond_by,
        clocks.resolve_by,
        ask.sent.as_ref().map(|sent| &sent[..]),
        clocks.site,
        kind,
        clocks.rules,
        clocks.respond_at_risk,
        clocks.resolve_at_risk,
        planned.directory.0,
        &namespaces as &[&str],
        &values as &[&str],
    )
    .fetch_one(conn)
    .await?;
    Ok(number)
}

/// Whoever gains by the answers.
fn concerned(answers: &Answers) -> Concerned {
    let mut concerned = answers.others_concerned();
    concerned.people.extend(answers.subject().filter(|_| answers.subject_is_party()));
    concerned
}

/// Whoever gains by the answers decides nothing in the request either, from now on.
pub(super) async fn parties(
    conn: &mut PgConnection,
    request: RequestId,
    answers: &Answers,
) -> Result<(), RequestError> {
    let concerned = super::sight_mail::people_behind(conn, &concerned(answers)).await?;
    let decided = sqlx::query_scalar!(
        "select p.display_name from request_role r join person p on p.id = r.person
          where r.request = $1 and r.role = 'decider' and r.person = any ($2) order by 1 limit 1",
        request.0,
        &concerned
    )
    .fetch_optional(&mut *conn)
    .await?;
    if let Some(name) = decided {
        return Err(RequestError::Conflict(format!(
            "{name} has decided in this request and cannot gain by it; cancel it and ask anew."
        )));
    }
    sqlx::query!(
        "insert into request_role (request, person, role)
         select $1, concerned.person, 'party' from unnest($2::uuid[]) as concerned (person) on conflict do nothing",
        request.0,
        &concerned
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Takes the plan's names; a violation means somebody else just took one, and everything is planned again.
pub(super) async fn reserve(
    conn: &mut PgConnection,
    (request, planned): (RequestId, &PlannedNow),
) -> Result<(), sqlx::Error> {
    let system = &planned.directory;
    let (namespaces, values) = planned.names();
    sqlx::query!(
        "insert into reservation (system, namespace, value, request)
         select $1, n.namespace, n.value, $2 from unnest($3::text[], $4::text[]) as n (namespace, value)",
        system.0,
        request.0,
        &namespaces as &[&str],
        &values as &[&str],
    )
    .execute(conn)
    .await?;
    Ok(())
}

fn submitted(by: &By, number: RequestNumber, (draft, subject): (&Draft, PersonId)) -> Result<Record, RequestError> {
    let mut detail = Facts::default()
        .plain("kind", draft.answers.kind().as_str())
        .plain("subject", subject.to_string())
        .personal("title", draft.planned.title.clone());
    let answers = serde_json::to_value(&draft.answers).map_err(|error| sqlx::Error::Encode(Box::new(error)))?;
    if let Some(answers) = answers["answers"].as_object() {
        for (name, value) in answers {
            detail = detail.personal(&format!("answers.{name}"), crate::requests::fact(value));
        }
    }
    Ok(Record { detail, ..Record::of_request(action::REQUEST_SUBMITTED, number.0, by.clone()) })
}

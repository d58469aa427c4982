//! Who is told what, once: messages into the outbox, in the transaction of what they tell.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use super::receivers::{self, Receiver};
use super::{RequestError, items};
use crate::ids::{ItemId, PersonId, RequestId, RequestNumber};
use crate::mail::letters::{Decided, Done, Failed, MailFrame, PleaseDecide, Submitted};
use crate::mail::{self, Message, Outgoing, Post};
use crate::target::{Difference, Presence};

struct About {
    number: RequestNumber,
    title: String,
    asked_by: Option<PersonId>,
    asked_by_name: Option<String>,
    assignee: Option<PersonId>,
}

impl About {
    fn frame(&self, path: &str) -> MailFrame {
        MailFrame {
            number: self.number.to_string(),
            title: self.title.clone(),
            url: format!("/requests/{}{path}", self.number.0),
            ..MailFrame::default()
        }
    }
}

async fn about(conn: &mut PgConnection, request: RequestId) -> Result<About, sqlx::Error> {
    sqlx::query_as!(
        About,
        r#"select r.number as "number: RequestNumber", r.title, r.asked_by as "asked_by: PersonId",
                  a.display_name as "asked_by_name?", r.assignee as "assignee: PersonId"
             from request r left join person a on a.id = r.asked_by where r.id = $1"#,
        request.0
    )
    .fetch_one(conn)
    .await
}

/// What the letters about a new request say, read before it has its number: the requester hears that it is here, the first
/// deciders are asked.
pub(super) struct New {
    title: String,
    asked_by: PersonId,
    asked_by_name: String,
    resolve_by: DateTime<Utc>,
    /// Each item's label, and the stage that is open.
    items: Vec<(String, Option<String>)>,
    asking: Asking,
    post: Post,
}

impl New {
    /// After its items are written.
    pub(super) async fn read(
        conn: &mut PgConnection,
        now: DateTime<Utc>,
        (title, (asked_by, asked_by_name), resolve_by): (String, (PersonId, String), DateTime<Utc>),
        items: &[items::Written<'_>],
    ) -> Result<Self, RequestError> {
        let open: Vec<Uuid> = items.iter().filter_map(|(.., stages)| Some(stages.first()?.id)).collect();
        let asked = receivers::of_stages(conn, now, &open).await?;
        let readers = asked.iter().map(|receiver| receiver.person).chain([asked_by]);
        let post = Post::open(conn, readers).await?;
        let label = |(_, item, stages): &items::Written<'_>| {
            (item.label.clone(), stages.first().map(|stage| stage.name.clone()))
        };
        let asking = Asking::of_new(asked, items);
        let items = items.iter().map(label).collect();
        Ok(Self { title, asked_by, asked_by_name, resolve_by, items, asking, post })
    }

    pub(super) async fn send(
        self,
        conn: &mut PgConnection,
        now: DateTime<Utc>,
        number: RequestNumber,
    ) -> Result<(), RequestError> {
        let about = About {
            number,
            title: self.title,
            asked_by: Some(self.asked_by),
            asked_by_name: Some(self.asked_by_name),
            assignee: None,
        };
        let line = |(label, stage): (String, Option<String>)| match stage {
            Some(stage) => format!("{label}: decided by {}", stage.to_lowercase()),
            None => format!("{label}: needs no decision"),
        };
        let expected = self.resolve_by.format("%A %-d %B %Y").to_string();
        let letter = Submitted { frame: about.frame(""), items: self.items.into_iter().map(line).collect(), expected };
        let mut letters = vec![Outgoing { message: Message::Submitted(letter), to: self.asked_by, not_before: None }];
        letters.extend(self.asking.letters(now, &about, None));
        self.post.send(conn, now, number, letters).await?;
        Ok(())
    }
}

/// Whoever the item's open stage asks, and whoever stands in for them.
pub(super) async fn please_decide_all(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    (request, item): (RequestId, ItemId),
) -> Result<(), RequestError> {
    let asked = receivers::of_item(conn, now, item).await?;
    please_decide(conn, now, request, (asked, None)).await
}

/// These. `waits_since`: they were asked before, then; a letter that asks again comes when its reader's work begins.
pub(super) async fn please_decide(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    request: RequestId,
    (asked, waits_since): (Vec<Receiver>, Option<DateTime<Utc>>),
) -> Result<(), RequestError> {
    let about = about(conn, request).await?;
    let letters = Asking::read(conn, asked).await?.letters(now, &about, waits_since);
    mail::enqueue_all(conn, now, about.number, letters).await?;
    Ok(())
}

/// What letters to those whom open stages ask say.
struct Asking {
    asked: Vec<Receiver>,
    stages: Vec<OpenStage>,
    /// A line a step, by item.
    changes: Vec<(ItemId, String)>,
}

struct OpenStage {
    id: Uuid,
    item: ItemId,
    ordinal: i32,
    label: String,
    reason: String,
}

impl Asking {
    /// About items that were just planned.
    fn of_new(asked: Vec<Receiver>, items: &[items::Written<'_>]) -> Self {
        let open = |(new, item, stages): &items::Written<'_>| {
            let stage = stages.first()?;
            let (label, reason) = (item.label.clone(), stage.reason.clone());
            Some(OpenStage { id: stage.id, item: new.id, ordinal: new.ordinal, label, reason })
        };
        let steps = items.iter().flat_map(|(new, item, _)| item.steps.iter().map(|step| (new.id, step)));
        let changes = steps.map(|(item, step)| (item, line(&step.label, step.kind.as_str(), &step.difference)));
        Self { asked, stages: items.iter().filter_map(open).collect(), changes: changes.collect() }
    }

    /// About items whose stages were opened before, or just now.
    async fn read(conn: &mut PgConnection, asked: Vec<Receiver>) -> Result<Self, sqlx::Error> {
        if asked.is_empty() {
            return Ok(Self { asked, stages: Vec::new(), changes: Vec::new() });
        }
        let stages: Vec<Uuid> = asked.iter().map(|receiver| receiver.stage).collect();
        let stages = sqlx::query_as!(
            OpenStage,
            r#"select s.id, i.id as "item: ItemId", i.ordinal, i.label, s.reason
                 from stage s join item i on i.id = s.item where s.id = any ($1) order by i.ordinal"#,
            &stages
        )
        .fetch_all(&mut *conn)
        .await?;
        let items: Vec<Uuid> = stages.iter().map(|stage| stage.item.0).collect();
        let changes = changes(conn, &items).await?;
        Ok(Self { asked, stages, changes })
    }

    /// Stage by stage.
    fn letters(&self, now: DateTime<Utc>, about: &About, waits_since: Option<DateTime<Utc>>) -> Vec<Outgoing> {
        let mut letters = Vec::new();
        for stage in &self.stages {
            for receiver in self.asked.iter().filter(|receiver| receiver.stage == stage.id) {
                let since = |at: DateTime<Utc>| at.with_timezone(&receiver.hours.zone).format("%A %-d %B").to_string();
                let changes = self.changes.iter().filter(|(item, _)| *item == stage.item);
                let letter = PleaseDecide {
                    frame: about.frame(&format!("/items/{}/decision", stage.ordinal)),
                    item: stage.label.clone(),
                    asked_by: about.asked_by_name.clone().unwrap_or_default(),
                    why: stage.reason.clone(),
                    on_behalf: receiver.on_behalf.clone().unwrap_or_default(),
                    changes: changes.map(|(_, line)| line.clone()).collect(),
                    reason: String::new(),
                    due: String::new(),
                    waits_since: waits_since.map_or_else(String::new, since),
                };
                let begins = receiver.hours.next_open(now);
                letters.push(Outgoing {
                    message: Message::PleaseDecide(letter),
                    to: receiver.person,
                    not_before: waits_since.and(Some(begins)).filter(|begins| *begins > now),
                });
            }
        }
        letters
    }
}

/// What items' plans would change, a line a step; the exact values stand on the page, behind sign-in.
async fn changes(conn: &mut PgConnection, items: &[Uuid]) -> Result<Vec<(ItemId, String)>, sqlx::Error> {
    let steps = sqlx::query!(
        r#"select s.item as "item: ItemId", s.label, s.kind, s.difference as "difference: sqlx::types::Json<Difference>"
             from step s join item i on i.id = s.item and i.plan_number = s.plan_number
            where s.item = any ($1) and s.state <> 'superseded' order by s.item, s.ordinal"#,
        items
    )
    .fetch_all(conn)
    .await?;
    Ok(steps.into_iter().map(|step| (step.item, line(&step.label, &step.kind, &step.difference))).collect())
}

fn line(label: &str, kind: &str, difference: &Difference) -> String {
    let kind = if kind == "user" { "account" } else { kind };
    match difference.presence {
        Some((_, Presence::Present)) => format!("+ {label} ({kind})"),
        Some((_, Presence::Absent)) => format!("− {label} ({kind})"),
        None => {
            let names: Vec<&str> = difference.changes.iter().map(|change| change.attribute.as_str()).collect();
            format!("~ {label} ({kind}): {}", names.join(", "))
        }
    }
}

/// The requester: an item was approved, rejected or sent back, by whom and with which words.
pub(super) async fn decided(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    request: RequestId,
    (item, verdict, comment): (i32, &str, &str),
) -> Result<(), RequestError> {
    let about = about(conn, request).await?;
    let Some(asker) = about.asked_by else { return Ok(()) };
    let row = sqlx::query!(
        r#"select i.label,
                  (select p.display_name || case when d.stands_for <> d.person then ' for ' || f.display_name else '' end
                     from decision d join person p on p.id = d.person join person f on f.id = d.stands_for
                    where d.item = i.id order by d.decided_at desc limit 1) as by
             from item i where i.request = $1 and i.ordinal = $2"#,
        request.0,
        item
    )
    .fetch_one(&mut *conn)
    .await?;
    let (decision, next) = match verdict {
        "approved" => ("approved", "It is applied now, or on its day."),
        "lapsed" => ("lapsed, for nobody decided it in time", "Ask again if it is still needed."),
        "sent_back" => ("sent back", "Please answer on the request’s page: change the answers, or take it back."),
        _ => ("rejected", "Nothing of it will be done."),
    };
    let letter = Decided {
        frame: about.frame(""),
        item: row.label,
        decision: decision.to_owned(),
        by: row.by.filter(|_| verdict != "lapsed").unwrap_or_default(),
        comment: comment.to_owned(),
        next: next.to_owned(),
    };
    mail::enqueue(conn, now, about.number, Message::Decided(letter), asker).await?;
    Ok(())
}

/// The requester: everything that will happen has.
pub(super) async fn settled(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    request: RequestId,
    state: &str,
) -> Result<(), RequestError> {
    let about = about(conn, request).await?;
    let Some(asker) = about.asked_by.filter(|_| state == "done") else { return Ok(()) };
    let items = sqlx::query!("select label, state from item where request = $1 order by ordinal", request.0)
        .fetch_all(&mut *conn)
        .await?
        .into_iter()
        .map(|item| format!("{}: {}", item.label, item.state))
        .collect();
    let secret = sqlx::query_scalar!(
        r#"select exists (select from secret where request = $1 and revealed_at is null and sealed is not null) as "waits!""#,
        request.0
    )
    .fetch_one(&mut *conn)
    .await?;
    let next = if secret { "A password waits to be read, once, on the request’s page." } else { "" };
    let letter = Done { frame: about.frame(""), items, next: next.to_owned() };
    mail::enqueue(conn, now, about.number, Message::Done(letter), asker).await?;
    Ok(())
}

/// Whoever works on it, else the desk: a step stopped and a person must act.
pub(super) async fn needs_person(
    conn: &mut PgConnection,
    now: DateTime<Utc>,
    request: RequestId,
    (item, why): (&str, &str),
) -> Result<(), RequestError> {
    let about = about(conn, request).await?;
    let told =
        match about.assignee {
            Some(assignee) => vec![assignee],
            None => sqlx::query_scalar!(
                r#"select distinct person as "person: PersonId" from role_holding where role in ('desk', 'desk_lead')"#
            )
            .fetch_all(&mut *conn)
            .await?,
        };
    for person in told {
        let letter = Failed {
            frame: about.frame(""),
            step: item.to_owned(),
            why: why.to_owned(),
            kept: "What was done before stays done and is recorded.".to_owned(),
            mend: "Mend the cause and try the step again, or skip it with a reason, on the request’s page.".to_owned(),
        };
        mail::enqueue(conn, now, about.number, Message::Failed(letter), person).await?;
    }
    Ok(())
}

//! What parsing and planning need to know of Exchange: who and what was typed, which addresses are taken, what somebody holds.

use std::collections::BTreeMap;

use sqlx::PgConnection;
use uuid::Uuid;

use super::sight;
use crate::catalog::{self, JoinerMailbox, TargetSystem};
use crate::ids::{EntitlementId, PersonId, RequestId};
use crate::mirror::mail;
use crate::plan::field::Raw;
use crate::plan::mail::{MOST, whole_address};
use crate::plan::{Answers, Concerned, Known, ListSight, MailSight, RequestKind, Sight};
use crate::target::Kind;

/// Fields that name a mailbox or a list, or several.
const OBJECTS: [&str; 14] = [
    "mailbox",
    "list",
    "full_access",
    "send_as",
    "owners",
    "members",
    "moderators",
    "senders",
    "add",
    "remove",
    "owner",
    "new_owner",
    "forward_to",
    "person",
];

/// The Exchange organisations that are managed here.
///
/// # Errors
/// Where the database does not answer.
pub async fn organisations(conn: &mut PgConnection) -> Result<Vec<TargetSystem>, sqlx::Error> {
    Ok(organisations_of(catalog::target_systems(conn).await?))
}

/// Those of all target systems.
pub(super) fn organisations_of(mut systems: Vec<TargetSystem>) -> Vec<TargetSystem> {
    systems.retain(|system| system.key.family() == "exchange");
    // Where people get their mailboxes comes first: what is asked for without a word about where is meant there.
    systems.sort_by_key(|system| system.facts.joiner_mailbox == JoinerMailbox::None);
    systems
}

/// Looks up whatever the answers name.
///
/// # Errors
/// Where the database does not answer.
pub(super) async fn known(
    conn: &mut PgConnection,
    known: &mut Known,
    (kind, raw): (RequestKind, &Raw),
    own: Option<RequestId>,
) -> Result<(), sqlx::Error> {
    known.exchange = organisations(conn).await?;
    for field in OBJECTS {
        for typed in raw.lines(field).into_iter().take(MOST) {
            let somebody = sight::somebody(conn, known, typed).await?;
            if kind.needs_exchange()
                && !(somebody || known.objects.contains_key(typed))
                && let Some(object) = mail::by_typed(conn, typed).await?
            {
                known.objects.insert(typed.to_owned(), object);
            }
        }
    }
    let people: Vec<PersonId> = known.people.values().map(|person| person.id).collect();
    for person in people {
        let found = mail::of_person(conn, person).await?;
        known.mailboxes.insert(person, found);
    }
    let list = known.objects.get(raw.first("list"));
    let named: Vec<Uuid> =
        mailbox_named(known, raw).into_iter().chain(list).map(|object| object.recipient.id).collect();
    for id in &named {
        known.members.insert(*id, mail::members_of(conn, *id).await?);
    }
    known.owners = owners(conn, &named).await?;
    let changed = mailbox_named(known, raw).map(|object| object.recipient.clone());
    known.addresses_taken = taken(conn, (&known.exchange, changed.as_ref()), raw, own).await?;
    Ok(())
}

/// The mailbox that was typed: its own address, or a person who has one.
fn mailbox_named<'a>(known: &'a Known, raw: &Raw) -> Option<&'a mail::Object> {
    let typed = raw.first("mailbox");
    known.objects.get(typed).or_else(|| known.mailboxes.get(&known.people.get(typed)?.id)?.first())
}

/// Who is known to answer for mailboxes and lists, and works here: of a person's own mailbox they themselves; else whom the
/// catalogue names, whose it was, who owns the list in Exchange.
async fn owners(conn: &mut PgConnection, ids: &[Uuid]) -> Result<BTreeMap<Uuid, PersonId>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"select named.id as "id!",
                  coalesce(case when m.type in ('user', 'remote') then whose.id end, e.owner, whose.id, l.owner) as "owner: PersonId"
             from unnest($1::uuid[]) as named (id)
             left join mailbox m on m.native_id = named.id and m.gone_at is null
             left join account a on a.native_id = m.directory_id and a.gone_at is null
             left join person whose on whose.id = a.person and whose.state = 'active'
             left join lateral (select e.owner from entitlement e join person p on p.id = e.owner and p.state = 'active'
                                 where e.native_id = named.id order by e.created_at limit 1) e on true
             left join lateral (select p.id as owner from mailing_list l
                                  join mailbox o on o.system = l.system and o.native_id = any (l.owners) and o.gone_at is null
                                  join account oa on oa.native_id = o.directory_id and oa.gone_at is null
                                  join person p on p.id = oa.person and p.state = 'active'
                                 where l.native_id = named.id and l.gone_at is null
                                 order by p.display_name, p.id limit 1) l on true"#,
        ids
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().filter_map(|row| Some((row.id, row.owner?))).collect())
}

/// Holdings of these objects that are asked for as access and not here: a directory group's, in scope of SOX, of high risk.
async fn guarded(conn: &mut PgConnection, ids: &[Uuid]) -> Result<BTreeMap<(Uuid, String), String>, sqlx::Error> {
    let rows = sqlx::query!(
        "select native_id, right_name, name from entitlement
          where native_id = any ($1) and (kind = 'group_membership' or sox or risk = 'high')",
        ids
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| ((row.native_id, row.right_name), row.name)).collect())
}

/// The people who gain: those who are named, and whoever a mailbox belongs to, opens it, or is on a list, lists within lists
/// included.
pub(super) async fn people_behind(conn: &mut PgConnection, concerned: &Concerned) -> Result<Vec<Uuid>, sqlx::Error> {
    let named: Vec<Uuid> = concerned.people.iter().map(|person| person.0).collect();
    if concerned.recipients.is_empty() {
        return Ok(named);
    }
    let behind = sqlx::query_scalar!(
        r#"with recursive reached (id) as (
               select unnest($1::uuid[])
               union
               select next.id from reached r join lateral (
                   select l.member_id as id from list_member l where l.list_id = r.id
                   union all
                   select m.member_id from membership m where m.group_id = r.id
                   union all
                   select h.trustee_id from mail_right h
                    where h.object_id = r.id and h.kind = 'mailbox_permission' and h.right_name = 'full_access'
               ) next on true
           )
           select a.person as "person!" from reached r join account a on a.native_id = r.id and a.gone_at is null
            where a.person is not null
           union
           select a.person from reached r join mailbox m on m.native_id = r.id and m.gone_at is null
             join account a on a.native_id = m.directory_id and a.gone_at is null
            where a.person is not null
           union
           select unnest($2::uuid[])"#,
        &concerned.recipients,
        &named
    )
    .fetch_all(conn)
    .await?;
    Ok(behind)
}

/// Which of the addresses that were typed are taken, and by what.
async fn taken(
    conn: &mut PgConnection,
    (organisations, object): (&[TargetSystem], Option<&mail::Recipient>),
    raw: &Raw,
    own: Option<RequestId>,
) -> Result<BTreeMap<String, String>, sqlx::Error> {
    let of = |key: &str| organisations.iter().find(|system| system.key.0 == key);
    let own_system = object.and_then(|object| of(&object.system.0));
    let chosen = own_system.or_else(|| of(raw.first("system"))).or(organisations.first());
    let domain = chosen.and_then(|system| system.facts.mail_domain.as_deref());
    let typed = raw.lines("address").into_iter().chain(raw.lines("add_addresses"));
    let wanted: Vec<(String, String)> = typed.map(|typed| ("mail".to_owned(), whole_address(typed, domain))).collect();
    if wanted.is_empty() {
        return Ok(BTreeMap::new());
    }
    let directory =
        sqlx::query_scalar!("select key from target_system where family = 'ad' order by created_at, key limit 1")
            .fetch_optional(&mut *conn)
            .await?
            .unwrap_or_default();
    let mut taken = BTreeMap::new();
    for (_, address) in sight::look_up(conn, &directory, &wanted, own).await? {
        let holder = sqlx::query_scalar!(
            r#"select name as "name!" from (
                   select display_name as name from mailbox where addresses @> array[$1::text] and gone_at is null
                   union all
                   select display_name from mailing_list where addresses @> array[$1::text] and gone_at is null
                   union all
                   select display_name from account where (lower(mail) = $1 or lower(upn) = $1) and gone_at is null) holder
                limit 1"#,
            address
        )
        .fetch_optional(&mut *conn)
        .await?;
        taken.insert(address, holder.unwrap_or_else(|| "another request".to_owned()));
    }
    Ok(taken)
}

/// What a person holds in Exchange that is in the catalogue.
///
/// # Errors
/// Where the database does not answer.
pub(super) async fn held(
    conn: &mut PgConnection,
    person: PersonId,
) -> Result<BTreeMap<EntitlementId, String>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"with own as (select m.system, m.native_id from mailbox m
                          join account a on a.native_id = m.directory_id
                         where a.person = $1 and m.gone_at is null)
           select e.id as "id: EntitlementId", e.name from own
             join mail_right r on r.system = own.system and r.trustee_id = own.native_id
             join entitlement e on e.system = r.system and e.native_id = r.object_id and e.kind = r.kind
                and e.right_name = case when r.kind = 'folder_permission'
                                        then r.right_name || '/' || coalesce(r.attributes ->> 'role', '') else r.right_name end
           union
           select e.id, e.name from own
             join list_member l on l.system = own.system and l.member_id = own.native_id
             join entitlement e on e.system = l.system and e.native_id = l.list_id and e.kind = 'list_membership'"#,
        person.0
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().filter_map(|row| row.id.zip(row.name)).collect())
}

/// What planning sees of Exchange: what the answers name, and what the subject has and holds there.
///
/// # Errors
/// Where the database does not answer.
pub(super) async fn see(conn: &mut PgConnection, sight: &mut Sight<'_>, answers: &Answers) -> Result<(), sqlx::Error> {
    if sight.exchange.is_empty() {
        return Ok(());
    }
    let groups: Vec<String> = sight.exchange.iter().filter_map(|system| system.facts.licence_group.clone()).collect();
    let found = sqlx::query!(
        "select native_id, name from directory_group where system = $1 and name = any ($2) and gone_at is null",
        sight.directory.0,
        &groups
    )
    .fetch_all(&mut *conn)
    .await?;
    sight.licence_groups = found.into_iter().map(|row| (row.name, row.native_id)).collect();
    let named = match answers {
        Answers::MailboxAccess(answers) => vec![answers.mailbox.id],
        Answers::MailboxChange(answers) => vec![answers.mailbox.id],
        Answers::ListChange(answers) => vec![answers.list.id],
        _ => Vec::new(),
    };
    sight.owners = owners(conn, &named).await?;
    sight.guarded = guarded(conn, &named).await?;
    sight.objects = mail::by_ids(conn, &named).await?.into_iter().map(|object| (object.recipient.id, object)).collect();
    if let (Some(person), Answers::SharedMailbox(_)) = (answers.subject(), answers) {
        sight.mail.earlier = mail::earlier_of_person(conn, person).await?;
    }
    if let Answers::MailboxChange(change) = answers
        && let Some(person) = change.mailbox.person
    {
        sight.mail.mailboxes = mail::of_person(conn, person).await?;
    }
    if let (Some(person), Answers::Leaver(_) | Answers::Access(_) | Answers::MailboxAccess(_)) =
        (answers.subject(), answers)
    {
        sight.mail = of_person(conn, person).await?;
    }
    Ok(())
}

async fn of_person(conn: &mut PgConnection, person: PersonId) -> Result<MailSight, sqlx::Error> {
    let mailboxes = mail::of_person(conn, person).await?;
    let own: Vec<Uuid> = mailboxes.iter().map(|mailbox| mailbox.recipient.id).collect();
    let mut rights = Vec::new();
    for right in mail::rights_of(conn, (&own, &[])).await? {
        if own.contains(&right.object) {
            continue;
        }
        let word = match right.kind {
            Kind::FolderPermission => {
                format!("{}/{}", right.right, right.state.get("role").as_text().unwrap_or_default())
            }
            _ => right.right.clone(),
        };
        let entitlement = sqlx::query_scalar!(
            r#"select id as "id: EntitlementId" from entitlement
                where system = $1 and native_id = $2 and kind = $3 and right_name = $4"#,
            right.system.0,
            right.object,
            right.kind.as_str(),
            word
        )
        .fetch_optional(&mut *conn)
        .await?;
        rights.push((right, entitlement));
    }
    let mut lists = Vec::new();
    for list in mail::lists_of(conn, (&own, &own)).await? {
        let id = list.recipient.id;
        let members = mail::members_of(conn, id).await?;
        let owners = crate::plan::mail::ids_in(list.state.get("owners"));
        let entitlement = sqlx::query_scalar!(
            r#"select id as "id: EntitlementId" from entitlement where native_id = $1 and kind = 'list_membership'"#,
            id
        )
        .fetch_optional(&mut *conn)
        .await?;
        lists.push(ListSight {
            member: own.iter().any(|own| members.contains(own)),
            owner: own.iter().any(|own| owners.contains(&own.to_string())),
            list,
            entitlement,
        });
    }
    Ok(MailSight { mailboxes, rights, lists, ..MailSight::default() })
}

//! Which units Tenure works in, and where what a plan would write to lies.

use sqlx::PgConnection;
use uuid::Uuid;

use super::RequestError;
use crate::catalog::TargetSystem;
use crate::plan::scope::{self, Places, Scopes};
use crate::plan::{Answers, Plan, Sight};

/// The systems whose units are bounded.
pub(super) fn scopes(systems: &[TargetSystem]) -> Scopes {
    let bounded = systems.iter().filter(|system| !system.scope.is_whole());
    bounded.map(|system| (system.key.0.clone(), system.scope.clone())).collect()
}

async fn places(conn: &mut PgConnection, scopes: &Scopes, ids: &[Uuid]) -> Result<Places, sqlx::Error> {
    let systems: Vec<String> = scopes.keys().cloned().collect();
    let rows = sqlx::query!(
        r#"select system as "system!", native_id as "id!", dn as "dn!" from account
            where system = any($1) and native_id = any($2)
            union all
           select system, native_id, dn from directory_group where system = any($1) and native_id = any($2)"#,
        &systems,
        ids
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.id, (row.system, row.dn))).collect())
}

/// Refuses a plan that would write outside the units in scope.
pub(super) async fn within(conn: &mut PgConnection, plan: &Plan, scopes: &Scopes) -> Result<(), RequestError> {
    if scopes.is_empty() {
        return Ok(());
    }
    let places = places(conn, scopes, &scope::written(plan)).await?;
    scope::within(plan, scopes, &places).map_err(RequestError::Fields)
}

/// For a leaver: what Tenure may not touch (accounts, groups, and of an organisation on premises mailboxes, lists and rights) is
/// left as it is, and named, so that it is in nobody's way. Where no account is left, they stay, and the plan is refused with
/// the reason.
pub(super) async fn leave(
    conn: &mut PgConnection,
    sight: &mut Sight<'_>,
    answers: &Answers,
) -> Result<(), RequestError> {
    if sight.scopes.is_empty() || !matches!(answers, Answers::Leaver(_)) {
        return Ok(());
    }
    let places = places(conn, &sight.scopes, &held(sight)).await?;
    let Sight { scopes, accounts, left, mail, .. } = sight;
    let elsewhere = |id: &Uuid| {
        let place = places.get(id).and_then(|(system, dn)| Some((scopes.get(system)?, dn)));
        place.is_some_and(|(scope, dn)| !scope.covers(dn))
    };
    if accounts.iter().any(|account| !elsewhere(&account.id)) {
        let gone = accounts.extract_if(.., |account| elsewhere(&account.id));
        left.extend(gone.map(|account| format!("account {}", account.user_name)));
    }
    for account in accounts {
        let gone = account.groups.extract_if(.., |group| elsewhere(&group.id));
        left.extend(gone.map(|group| format!("group {}", group.name)));
    }
    let gone = mail.mailboxes.extract_if(.., |mailbox| elsewhere(&mailbox.recipient.id));
    left.extend(gone.map(|mailbox| format!("mailbox {}", mailbox.recipient.name)));
    let gone = mail.lists.extract_if(.., |list| elsewhere(&list.list.recipient.id));
    left.extend(gone.map(|list| format!("list {}", list.list.recipient.name)));
    let gone = mail.rights.extract_if(.., |(right, _)| elsewhere(&right.object));
    left.extend(gone.map(|(right, _)| format!("right on {}", right.object_name)));
    Ok(())
}

/// Everything of the subject that a leaver's plan could write to.
fn held(sight: &Sight<'_>) -> Vec<Uuid> {
    let accounts = sight.accounts.iter().map(|account| account.id);
    let groups = sight.accounts.iter().flat_map(|account| account.groups.iter().map(|group| group.id));
    let mailboxes = sight.mail.mailboxes.iter().map(|mailbox| mailbox.recipient.id);
    let lists = sight.mail.lists.iter().map(|list| list.list.recipient.id);
    let rights = sight.mail.rights.iter().map(|(right, _)| right.object);
    accounts.chain(groups).chain(mailboxes).chain(lists).chain(rights).collect()
}

//! What each reach of the matrix means, as SQL: the same words check one object and filter a list.
//!
//! Lists start from what the actor may see:
//!
//! ```ignore
//! let mut query = QueryBuilder::new("select … from request r where ");
//! scope::visible_requests(&mut query, viewer);
//! query.push(" and r.state = ").push_bind(state);
//! ```
//!
//! Each function pushes one condition in parentheses, over the alias that it names. The functions `team_of` and
//! `stands_in_for` are defined beside their tables in `migrations/`.

use sqlx::{PgConnection, Postgres, QueryBuilder};

use super::matrix::{Operation, Reach};
use super::{Role, Viewer};
use crate::ids::{ItemId, PersonId, RequestId};

/// Who looks.
#[derive(Debug, Clone, Copy)]
pub struct Who<'a> {
    pub person: PersonId,
    pub roles: &'a [Role],
}

impl<'a> Who<'a> {
    pub fn of(viewer: &'a Viewer) -> Self {
        Self { person: viewer.person, roles: &viewer.roles }
    }
}

type Query = QueryBuilder<Postgres>;

/// Requests (`request r`) that the viewer may see.
pub fn visible_requests(query: &mut Query, viewer: &Viewer) {
    requests(query, &Who::of(viewer), &Operation::SeeRequest.reaches(&viewer.roles));
}

/// Items (`item i` of `request r`) that wait for the viewer's decision now.
pub fn waiting_items(query: &mut Query, viewer: &Viewer) {
    items(query, &Who::of(viewer), &Operation::Decide.reaches(&viewer.roles));
}

/// Which items of a request the viewer may look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Items {
    All,
    /// Asked as the owner of one entitlement: that item, not everything about the person.
    Only(Vec<ItemId>),
}

impl Items {
    pub fn shows(&self, item: ItemId) -> bool {
        match self {
            Self::All => true,
            Self::Only(items) => items.contains(&item),
        }
    }
}

/// Whoever sees a request only because they decide (or decided) about an item of it sees that item alone.
///
/// # Errors
/// Where the database does not answer.
pub async fn visible_items(conn: &mut PgConnection, viewer: &Viewer, request: RequestId) -> Result<Items, sqlx::Error> {
    let wide: Vec<Reach> =
        Operation::SeeRequest.reaches(&viewer.roles).into_iter().filter(|reach| *reach != Reach::Involved).collect();
    let who = Who::of(viewer);
    let mut query = QueryBuilder::new("select exists (select from request r where r.id = ");
    query.push_bind(request).push(" and (");
    requests(&mut query, &who, &wide);
    query.push(" or ");
    party(&mut query, &who);
    query.push("))");
    if query.build_query_scalar::<bool>().fetch_one(&mut *conn).await? {
        return Ok(Items::All);
    }
    let mut query = QueryBuilder::new("select i.id from request r join item i on i.request = r.id where r.id = ");
    query.push_bind(request).push(" and ");
    stage_asks(&mut query, &who, "s.state <> 'superseded'", "s.item = i.id");
    query.push(" order by i.ordinal");
    let items: Vec<ItemId> = query.build_query_scalar().fetch_all(conn).await?;
    Ok(Items::Only(items))
}

/// One condition over `person p`.
pub fn persons(query: &mut Query, who: &Who<'_>, reaches: &[Reach]) {
    any_of(query, reaches, |query, reach| match reach {
        Reach::Any => pushed(query.push("true")),
        Reach::Own => pushed(query.push("p.id = ").push_bind(who.person)),
        Reach::Others => pushed(query.push("p.id <> ").push_bind(who.person)),
        Reach::Team => pushed(query.push("p.id in (select team_of(").push_bind(who.person).push("))")),
        _ => pushed(query.push("false")),
    });
}

/// One condition over `entitlement e`.
pub fn entitlements(query: &mut Query, who: &Who<'_>, reaches: &[Reach]) {
    any_of(query, reaches, |query, reach| match reach {
        Reach::Any => pushed(query.push("true")),
        Reach::Owned => pushed(query.push("e.owner = ").push_bind(who.person)),
        _ => pushed(query.push("false")),
    });
}

/// One condition over `secret x`.
pub fn secrets(query: &mut Query, who: &Who<'_>, reaches: &[Reach]) {
    any_of(query, reaches, |query, reach| match reach {
        Reach::Reader => pushed(query.push("x.reader = ").push_bind(who.person)),
        _ => pushed(query.push("false")),
    });
}

/// One condition over `request r`.
pub fn requests(query: &mut Query, who: &Who<'_>, reaches: &[Reach]) {
    any_of(query, reaches, |query, reach| match reach {
        Reach::Decider => decider(query, who, "s.item in (select id from item where request = r.id)"),
        other => request(query, who, other),
    });
}

/// One condition over `item i` of `request r`.
pub fn items(query: &mut Query, who: &Who<'_>, reaches: &[Reach]) {
    any_of(query, reaches, |query, reach| match reach {
        Reach::Decider => decider(query, who, "s.item = i.id"),
        other => request(query, who, other),
    });
}

fn request(query: &mut Query, who: &Who<'_>, reach: Reach) {
    match reach {
        Reach::Any => pushed(query.push("true")),
        Reach::Unrestricted => pushed(query.push("not r.restricted")),
        Reach::Own => pushed(query.push("r.subject = ").push_bind(who.person)),
        Reach::Asker => pushed(query.push("r.asked_by = ").push_bind(who.person)),
        Reach::Team => {
            pushed(query.push("(not r.restricted and r.subject in (select team_of(").push_bind(who.person).push(")))"))
        }
        Reach::Involved => {
            query.push("(exists (select from request_role x where x.request = r.id and x.person = ");
            query.push_bind(who.person).push(") or ");
            stage_asks(query, who, "s.state <> 'superseded'", "s.item in (select id from item where request = r.id)");
            query.push(")");
        }
        Reach::Never | Reach::Others | Reach::Owned | Reach::Decider | Reach::Reader => pushed(query.push("false")),
    }
}

fn party(query: &mut Query, who: &Who<'_>) {
    query.push("exists (select from request_role x where x.request = r.id and x.role = 'party' and x.person = ");
    query.push_bind(who.person).push(")");
}

/// An open stage waits for them, and they are no party.
fn decider(query: &mut Query, who: &Who<'_>, of: &str) {
    query.push("(not ");
    party(query, who);
    query.push(" and ");
    stage_asks(query, who, "s.state = 'open'", of);
    query.push(")");
}

/// A stage of the present plan asks them: by name, by role, or in the place of somebody who is no party either.
fn stage_asks(query: &mut Query, who: &Who<'_>, state: &str, of: &str) {
    let roles: Vec<String> = who.roles.iter().map(|role| role.as_str().to_owned()).collect();
    query.push("exists (select from stage s join item si on si.id = s.item and si.plan_number = s.plan_number where ");
    query
        .push(of)
        .push(" and ")
        .push(state)
        .push(" and ((s.role in ('desk', 'desk_lead', 'security') and s.role = any(");
    query.push_bind(roles).push(")) or exists (select from stage_decider d where d.stage = s.id and (d.person = ");
    query.push_bind(who.person).push(" or (d.person in (select stands_in_for(").push_bind(who.person);
    query.push(
        ")) and not exists (select from request_role y where y.request = si.request and y.person = d.person and y.role = 'party'))))))",
    );
}

/// Ends a match arm that only pushes.
fn pushed(_: &mut Query) {}

fn any_of(query: &mut Query, reaches: &[Reach], mut each: impl FnMut(&mut Query, Reach)) {
    query.push("(");
    if reaches.is_empty() {
        query.push("false");
    }
    for (position, reach) in reaches.iter().enumerate() {
        if position > 0 {
            query.push(" or ");
        }
        each(query, *reach);
    }
    query.push(")");
}

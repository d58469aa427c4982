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
//! Each function pushes one condition in parentheses, over the alias that it names. The functions `team_of`, `is_below`,
//! `is_involved` and `stands_in_for` are defined beside their tables in `migrations/`.

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
///
/// Who sees every open one is checked row by row. Everybody else's are found from what is theirs: there may be millions of
/// requests and three of these.
pub fn visible_requests(query: &mut Query, viewer: &Viewer) {
    let (who, mut reaches) = (Who::of(viewer), Operation::SeeRequest.reaches(&viewer.roles));
    if reaches.contains(&Reach::Any) {
        return pushed(query.push("true"));
    }
    if reaches.contains(&Reach::Unrestricted) {
        // A team's requests are among these, restricted ones never.
        reaches.retain(|reach| *reach != Reach::Team);
        // What a row says by itself comes first: the rest is looked up for restricted requests alone.
        reaches.sort_by_key(|reach| *reach != Reach::Unrestricted);
        return requests(query, &who, &reaches);
    }
    query.push("r.id = any(array(select null::uuid where false");
    for reach in reaches {
        match reach {
            Reach::Own => {
                pushed(query.push(" union all select id from request where subject = ").push_bind(who.person))
            }
            Reach::Asker => {
                pushed(query.push(" union all select id from request where asked_by = ").push_bind(who.person))
            }
            Reach::Team => {
                query.push(" union all select id from request where not restricted and subject in (select team_of(");
                pushed(query.push_bind(who.person).push("))"));
            }
            Reach::Involved => {
                query.push(" union all select request from request_role where person = ").push_bind(who.person);
                asked_items(query, &who, ("request", "s.state <> 'superseded'"), |_| {}, "");
            }
            _ => {}
        }
    }
    query.push("))");
}

/// Counts the items that wait for the viewer's decision now, up to `most`: a whole query. It means what [`items`] means by
/// [`Reach::Decider`], beginning with the open stages instead of with the items.
pub fn count_waiting(query: &mut Query, viewer: &Viewer, most: i64) {
    let who = Who::of(viewer);
    query.push("select count(*) from (select null::uuid as item where false");
    if Operation::Decide.reaches(&viewer.roles).contains(&Reach::Decider) {
        let free = |query: &mut Query| {
            query.push(
                " and i.state = 'deciding' and not exists (select from request_role x where x.request = i.request",
            );
            query.push(" and x.role = 'party' and x.person = ").push_bind(who.person).push(" offset 0)");
        };
        // A number in the text: a plan for any number would be one for many.
        asked_items(query, &who, ("id", "s.state = 'open'"), free, &format!(" order by s.opened_at limit {most}"));
    }
    query.push(") waiting");
}

/// Adds, by `union`, the `what` of items whose present plan's stages ask them: by role, by name, or in the place of somebody
/// who is no party. `items` narrows `item i`, `end` orders and ends each part.
///
/// `offset 0` keeps PostgreSQL from beginning with the items: it goes from stage to stage, and stops where it is told to.
fn asked_items(query: &mut Query, who: &Who<'_>, (what, state): (&str, &str), items: impl Fn(&mut Query), end: &str) {
    let item = |query: &mut Query| {
        query.push(" cross join lateral (select i.id, i.request from item i where i.id = s.item and i.plan_number = s.plan_number");
        items(query);
        query.push(" offset 0) si where ").push(state);
    };
    let roles = asked_roles(who);
    if !roles.is_empty() {
        query
            .push(" union (select asked.found from unnest(")
            .push_bind(roles)
            .push("::text[]) as mine (role) cross join lateral (");
        query.push("select si.").push(what).push(" as found from stage s");
        item(query);
        query.push(" and s.role = mine.role").push(end).push(") asked)");
    }
    query.push(" union (select si.").push(what).push(" from stage_decider d join stage s on s.id = d.stage");
    item(query);
    query.push(" and d.person = ").push_bind(who.person).push(end);
    query.push(") union (select si.").push(what).push(" from stage_decider d join stage s on s.id = d.stage");
    item(query);
    query.push(" and d.person in (select stands_in_for(").push_bind(who.person).push("))");
    query.push(" and not exists (select from request_role y where y.request = si.request and y.person = d.person and y.role = 'party')");
    query.push(end).push(")");
}

/// Their roles that stages ask as such.
fn asked_roles(who: &Who<'_>) -> Vec<String> {
    let asked = [Role::Desk, Role::DeskLead, Role::Security];
    who.roles.iter().filter(|role| asked.contains(role)).map(|role| role.as_str().to_owned()).collect()
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
        Reach::Team => pushed(query.push("is_below(p.id, ").push_bind(who.person).push(")")),
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
        Reach::Decider => decider(query, who, "si.request = r.id"),
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
            pushed(query.push("(not r.restricted and is_below(r.subject, ").push_bind(who.person).push("))"))
        }
        Reach::Involved => {
            query.push("is_involved(r.id, ").push_bind(who.person).push(", ").push_bind(asked_roles(who)).push(")");
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
    query.push("exists (select from stage s join item si on si.id = s.item and si.plan_number = s.plan_number where ");
    query.push(of).push(" and ").push(state).push(" and (s.role = any(");
    query
        .push_bind(asked_roles(who))
        .push(") or exists (select from stage_decider d where d.stage = s.id and (d.person = ");
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

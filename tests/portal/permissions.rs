//! The permission matrix as auditors read it, and what it means on real objects.

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{PgPool, QueryBuilder};
use tenure::access::{self, Actor, Ask, Denied, Object, Viewer, op, scope, session};
use tenure::ids::{ItemId, PersonId, RequestId};
use uuid::Uuid;

use crate::support::Portal;

#[test]
fn the_matrix_is_the_one_that_was_agreed() {
    insta::assert_snapshot!(access::matrix::text());
}

async fn viewer(portal: &Portal, person: PersonId) -> Viewer {
    let mut conn = portal.owner.acquire().await.unwrap();
    let token = session::open(&mut conn, portal.clock.now(), person, &session::From::default()).await.unwrap();
    session::resume(&mut conn, &token, None).await.unwrap().unwrap().viewer
}

/// A request about `subject`, its one item with an open stage of that role and those deciders.
async fn request(
    db: &PgPool,
    (asked_by, subject, restricted): (PersonId, PersonId, bool),
    (role, deciders): (&str, &[PersonId]),
) -> (RequestId, ItemId) {
    let (request, item, stage) = (RequestId::new(), ItemId::new(), Uuid::now_v7());
    sqlx::query(
        "insert into request (id, number, kind, state, title, subject, asked_by, asked_at, answers, nonce, restricted)
         values ($1, (select coalesce(max(number), 0) + 1 from request), 'access', 'deciding', 'Access', $2, $3, now(), '{}', $4, $5)",
    )
    .bind(request)
    .bind(subject)
    .bind(asked_by)
    .bind(request.to_string())
    .bind(restricted)
    .execute(db)
    .await
    .unwrap();
    for party in std::collections::BTreeSet::from([asked_by, subject]) {
        sqlx::query("insert into request_role (request, person, role) values ($1, $2, 'party')")
            .bind(request)
            .bind(party)
            .execute(db)
            .await
            .unwrap();
    }
    sqlx::query("insert into item (id, request, ordinal, label, state, digest, basis) values ($1, $2, 1, 'Ledger', 'deciding', 'd', '{}')")
        .bind(item)
        .bind(request)
        .execute(db)
        .await
        .unwrap();
    sqlx::query("insert into stage (id, item, plan_number, ordinal, role, name, reason, state) values ($1, $2, 1, 1, $3, $3, 'policy', 'open')")
        .bind(stage)
        .bind(item)
        .bind(role)
        .execute(db)
        .await
        .unwrap();
    for decider in deciders {
        sqlx::query("insert into stage_decider (stage, person) values ($1, $2)")
            .bind(stage)
            .bind(decider)
            .execute(db)
            .await
            .unwrap();
    }
    (request, item)
}

async fn allowed<O: access::Op>(portal: &Portal, who: &Viewer, object: Object) -> &'static str {
    let mut tx = portal.pool.begin().await.unwrap();
    match access::permit::<O>(&mut tx, &Actor::Person(who.clone()), object).await {
        Ok(_) => "yes",
        Err(Denied::NotFound) => "not found",
        Err(Denied::Forbidden(_)) => "no",
        Err(Denied::SessionEnded) => "signed out",
        Err(Denied::Database(error)) => panic!("{error}"),
    }
}

#[sqlx::test]
async fn reaches_mean_what_they_say_on_real_objects(options: PgPoolOptions, connect: PgConnectOptions) {
    let portal = Portal::start(options, connect).await;
    let company = portal.company().await;
    let open = request(&portal.owner, (company.anna, company.anna, false), ("owner", &[company.owner])).await;
    let hidden = request(&portal.owner, (company.desk, company.ben, true), ("security", &[])).await;
    let mut table = String::new();
    for (name, person) in company.everybody() {
        let who = viewer(&portal, person).await;
        let seen = allowed::<op::See>(&portal, &who, Object::Request(open.0)).await;
        let decides = allowed::<op::Decide>(&portal, &who, Object::Item(open.1)).await;
        let seen_hidden = allowed::<op::See>(&portal, &who, Object::Request(hidden.0)).await;
        let cancels = allowed::<op::Cancel>(&portal, &who, Object::Request(open.0)).await;
        let leaver = allowed::<op::Submit>(&portal, &who, Object::Ask(Ask::Leaver, Some(company.ben))).await;
        let own = allowed::<op::Submit>(&portal, &who, Object::Ask(Ask::PasswordReset, Some(person))).await;
        let fully = allowed::<op::SeePersonFully>(&portal, &who, Object::Person(company.ben)).await;
        let holders = allowed::<op::SeeHolders>(&portal, &who, Object::Entitlement(company.ledger)).await;
        table.push_str(&format!(
            "{name:<14} sees {seen:<10} decides {decides:<10} restricted {seen_hidden:<10} cancels {cancels:<10} \
             Ben leaves {leaver:<4} own reset {own:<4} all of Ben {fully:<4} holders {holders}\n"
        ));
        // A list shows exactly what a single look allows.
        let mut query = QueryBuilder::new("select r.id from request r where ");
        scope::visible_requests(&mut query, &who);
        let listed: Vec<RequestId> = query.build_query_scalar().fetch_all(&portal.pool).await.unwrap();
        assert_eq!(listed.contains(&open.0), seen == "yes", "{name}");
        assert_eq!(listed.contains(&hidden.0), seen_hidden == "yes", "{name}");
        // As many wait for them as they may decide about.
        let mut query = QueryBuilder::new("");
        scope::count_waiting(&mut query, &who, 100);
        let waiting: i64 = query.build_query_scalar().fetch_one(&portal.pool).await.unwrap();
        let decides_hidden = allowed::<op::Decide>(&portal, &who, Object::Item(hidden.1)).await;
        let may = [decides, decides_hidden].iter().filter(|may| **may == "yes").count();
        assert_eq!(usize::try_from(waiting).unwrap(), may, "{name}");
    }
    insta::assert_snapshot!(table);
}

#[sqlx::test]
async fn below_somebody_is_the_same_asked_from_above_and_from_below(options: PgPoolOptions, connect: PgConnectOptions) {
    let portal = Portal::start(options, connect).await;
    let company = portal.company().await;
    let differ = "select count(*) from person a cross join person b
                   where is_below(a.id, b.id) is distinct from (a.id in (select team_of(b.id)))";
    let below = "select count(*) from person a cross join person b where is_below(a.id, b.id)";
    let count = async |text: &'static str| -> i64 { sqlx::query_scalar(text).fetch_one(&portal.owner).await.unwrap() };
    assert_eq!((count(differ).await, count(below).await), (0, 3), "Anna and Ben below Maria, Ben below Anna");
    // An employment that has ended counts for nothing, a circle of managers ends.
    sqlx::query("update employment set first_day = '2020-01-01', last_day = '2020-12-31' where person = $1")
        .bind(company.anna)
        .execute(&portal.owner)
        .await
        .unwrap();
    assert_eq!((count(differ).await, count(below).await), (0, 1));
    sqlx::query("update employment set last_day = null, manager = $2 where person = $1")
        .bind(company.anna)
        .bind(company.ben)
        .execute(&portal.owner)
        .await
        .unwrap();
    assert_eq!((count(differ).await, count(below).await), (0, 2), "each below the other");
}

#[sqlx::test]
async fn a_stand_in_decides_only_while_it_lasts_and_never_about_themselves(
    options: PgPoolOptions,
    connect: PgConnectOptions,
) {
    let portal = Portal::start(options, connect).await;
    let company = portal.company().await;
    let about_anna = request(&portal.owner, (company.anna, company.anna, false), ("owner", &[company.owner])).await.1;
    let about_emil =
        request(&portal.owner, (company.employee, company.employee, false), ("owner", &[company.owner])).await.1;
    let emil = viewer(&portal, company.employee).await;
    assert_eq!(allowed::<op::Decide>(&portal, &emil, Object::Item(about_anna)).await, "not found");
    sqlx::query("insert into delegation (id, person, delegate, from_day, last_day) values ($1, $2, $3, business_day(), business_day() + 1)")
        .bind(Uuid::now_v7())
        .bind(company.owner)
        .bind(company.employee)
        .execute(&portal.owner)
        .await
        .unwrap();
    assert_eq!(allowed::<op::Decide>(&portal, &emil, Object::Item(about_anna)).await, "yes");
    assert_eq!(allowed::<op::Decide>(&portal, &emil, Object::Item(about_emil)).await, "no", "not about oneself");
    sqlx::query("update delegation set from_day = business_day() - 9, last_day = business_day() - 2")
        .execute(&portal.owner)
        .await
        .unwrap();
    assert_eq!(allowed::<op::Decide>(&portal, &emil, Object::Item(about_anna)).await, "not found");
}

#[sqlx::test]
async fn whoever_decides_about_one_item_sees_that_item(options: PgPoolOptions, connect: PgConnectOptions) {
    let portal = Portal::start(options, connect).await;
    let company = portal.company().await;
    let (id, item) = request(&portal.owner, (company.manager, company.anna, false), ("owner", &[company.owner])).await;
    sqlx::query("insert into item (id, request, ordinal, label, state, digest, basis) values ($1, $2, 2, 'Other', 'deciding', 'd', '{}')")
        .bind(ItemId::new())
        .bind(id)
        .execute(&portal.owner)
        .await
        .unwrap();
    let mut conn = portal.owner.acquire().await.unwrap();
    let owner = viewer(&portal, company.owner).await;
    assert_eq!(scope::visible_items(&mut conn, &owner, id).await.unwrap(), scope::Items::Only(vec![item]));
    let manager = viewer(&portal, company.manager).await;
    assert_eq!(scope::visible_items(&mut conn, &manager, id).await.unwrap(), scope::Items::All);
}

#[sqlx::test]
async fn a_permit_waits_for_no_ended_session(options: PgPoolOptions, connect: PgConnectOptions) {
    let portal = Portal::start(options, connect).await;
    let company = portal.company().await;
    let desk = viewer(&portal, company.desk).await;
    assert_eq!(allowed::<op::SeeQueue>(&portal, &desk, Object::None).await, "yes");
    sqlx::query("update session set last_seen_at = now() - interval '31 minutes'")
        .execute(&portal.owner)
        .await
        .unwrap();
    assert_eq!(allowed::<op::SeeQueue>(&portal, &desk, Object::None).await, "signed out");
    sqlx::query("update session set last_seen_at = now()").execute(&portal.owner).await.unwrap();
    sqlx::query("update person set state = 'left' where id = $1")
        .bind(company.desk)
        .execute(&portal.owner)
        .await
        .unwrap();
    assert_eq!(allowed::<op::SeeQueue>(&portal, &desk, Object::None).await, "signed out");
}

#[sqlx::test]
async fn ending_a_session_waits_for_the_operation_that_holds_it(options: PgPoolOptions, connect: PgConnectOptions) {
    let portal = Portal::start(options, connect).await;
    let company = portal.company().await;
    let desk = viewer(&portal, company.desk).await;
    let mut operation = portal.pool.begin().await.unwrap();
    access::permit::<op::EndSession>(&mut operation, &Actor::Person(desk.clone()), Object::Person(company.desk))
        .await
        .unwrap();
    let mut other = portal.owner.acquire().await.unwrap();
    sqlx::query("set lock_timeout = '100ms'").execute(&mut *other).await.unwrap();
    let ended =
        sqlx::query("update session set ended_at = now() where id = $1").bind(desk.session).execute(&mut *other).await;
    assert!(ended.is_err(), "the row is held until the operation ends");
    operation.commit().await.unwrap();
    sqlx::query("update session set ended_at = now() where id = $1")
        .bind(desk.session)
        .execute(&mut *other)
        .await
        .unwrap();
    sqlx::query("reset lock_timeout").execute(&mut *other).await.unwrap();
}

//! The units that Tenure works in: proposed and released as any setting, and kept to by plans, steps, rules and adoption.

use axum::http::StatusCode;
use serde_json::json;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection as _, PgPool};
use tenure::catalog::UnitScope;
use tenure::changes::perform::Outcome;
use tenure::changes::scope;
use tenure::mirror::trial;
use tenure::plan::PlannedStep;
use tenure::requests::RequestError;
use tenure::target::{Change, Difference, Key, Kind, SystemKey, Value};
use uuid::Uuid;

use crate::changes::Bench;
use crate::settings::Two;
use crate::support::browser::Answer;
use crate::support::company::SYSTEM;

const STAFF: &str = "OU=Staff,DC=corp,DC=example,DC=com";
const GONE: &str = "OU=Quarantine,DC=corp,DC=example,DC=com";

async fn run(db: &PgPool, query: &'static str) {
    sqlx::query(query).execute(db).await.unwrap_or_else(|error| panic!("{query}: {error}"));
}

/// Anna works in Staff, her admin account and the group "Ledger" lie elsewhere.
async fn laid_out(two: &Two) {
    let db = &two.portal.owner;
    run(db, "update target_system set facts = '{\"base\": \"DC=corp,DC=example,DC=com\"}'").await;
    run(db, "update account set dn = 'CN=Anna Vogel,OU=Staff,DC=corp,DC=example,DC=com', attributes = attributes || '{\"parent\": \"OU=Staff,DC=corp,DC=example,DC=com\"}'").await;
    run(db, "insert into directory_group (system, native_id, name, dn, attributes) select system, native_id, name, 'CN=' || name || case name when 'Ledger' then ',OU=Robots,DC=corp,DC=example,DC=com' else ',OU=Staff,DC=corp,DC=example,DC=com' end, '{}' from entitlement").await;
    run(db, "insert into account (system, native_id, user_name, display_name, mail, dn, enabled, attributes) values ('ad:corp.example.com', gen_random_uuid(), 'robot', 'Ben Vogt', 'bvogt@example.com', 'CN=robot,OU=Robots,DC=corp,DC=example,DC=com', true, '{\"objectSid\": \"S-1-5-21-1-2-3-1200\", \"parent\": \"OU=Robots,DC=corp,DC=example,DC=com\"}')").await;
}

impl Two {
    async fn bound(&self, units: &str) -> Answer {
        let draft = self.draft(&format!("system:{SYSTEM}")).await;
        let proposal = self.propose(&draft, &[("units_in_scope", units), ("units_excluded", "")]).await;
        let page = self.other.get(&proposal).await;
        assert_eq!(self.release(&proposal).await.status, StatusCode::SEE_OTHER);
        page
    }
}

fn told(error: RequestError) -> (String, String) {
    match error {
        RequestError::Fields(mut fields) => {
            let first = fields.remove(0);
            (first.field, first.message)
        }
        other => panic!("{other}"),
    }
}

#[sqlx::test]
async fn units_are_checked_tried_and_released(options: PgPoolOptions, connect: PgConnectOptions) {
    let two = Two::start(options, connect).await;
    laid_out(&two).await;
    let draft = two.draft(&format!("system:{SYSTEM}")).await;
    let form = two.one.get(&draft).await;
    assert!(form.text.contains("OU=Robots,DC=corp,DC=example,DC=com</code>"), "what the mirror has seen is offered");
    for (units, excluded, wrong) in [
        ("Staff", "", "is not a name such as"),
        ("OU=Staff,DC=other", "", "does not lie below DC=corp"),
        (STAFF, "OU=X,DC=corp,DC=example,DC=com", "nothing to exclude"),
    ] {
        let changed = [("units_in_scope", units), ("units_excluded", excluded), ("what", "propose"), ("note", "x")];
        let answer = two.send(&draft, &changed).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert!(answer.text.contains(wrong), "{units}: {:?}", answer.find_all(".field.wrong"));
    }
    let page =
        two.bound(&format!("ou=staff, dc=corp,dc=example,dc=com\n{STAFF}\nOU=New,DC=corp,DC=example,DC=com")).await;
    let tried = page.find_all(".changes > div").join(" / ");
    for part in [
        "Accounts from 2 in scope → to 1 in scope",
        "Groups from 2 in scope → to 1 in scope",
        "Account robot (Ben Vogt) from in scope → to outside: CN=robot,OU=Robots,",
        "Group Ledger from in scope → to outside",
        "where accounts are kept OU=Quarantine,DC=corp,DC=example,DC=com: accounts of people who leave stay where they are",
        "Unit OU=New,DC=corp,DC=example,DC=com nothing was seen in it yet",
    ] {
        assert!(tried.contains(part), "{part}: {tried}");
    }
    assert!(!tried.contains("People with an account"), "{tried}");
    let system = two.one.get(&format!("/system/{SYSTEM}")).await;
    assert!(system.text.contains("ou=staff") || system.text.contains("OU=staff"), "{}", system.text);
    assert!(system.text.contains("Accounts outside the units in scope") && system.text.contains("Version 1"));
    // An organisation has no units, and a system that is unknown no page.
    run(
        &two.portal.owner,
        "insert into target_system (key, family, name) values ('exchange:onprem', 'exchange', 'Exchange')",
    )
    .await;
    let exchange = two.draft("system:exchange:onprem").await;
    assert!(!two.one.get(&exchange).await.text.contains("Units in scope"));
    let body = json!({"observe_only": false, "units_in_scope": [STAFF]});
    let mut conn = two.portal.pool.acquire().await.unwrap();
    let subject = tenure::catalog::proposals::Subject::System(SystemKey("exchange:onprem".to_owned()));
    assert!(tenure::catalog::proposals::check(&mut conn, &subject, &body).await.is_err());
}

#[sqlx::test]
async fn plans_keep_to_the_units(options: PgPoolOptions, connect: PgConnectOptions) {
    let two = Two::start(options, connect).await;
    laid_out(&two).await;
    let access = [("person", "avogel"), ("groups", "Ledger")];
    two.bound(&format!("{STAFF}\n{GONE}")).await;
    let manager = two.actor(two.company.manager).await;
    let refused = two.ask(&manager, "access", &access).await.unwrap_err();
    let (field, message) = told(refused);
    assert_eq!(field, "groups");
    assert!(
        message.contains("OU=Robots") && message.contains("An administrator can put the unit in scope"),
        "{message}"
    );
    two.ask(&manager, "joiner", &crate::scope::JOINER).await.expect("made in Staff");
    // The group that a leaver is in lies elsewhere: it is left to a person, and named; disabling does not wait for it.
    run(&two.portal.owner, "insert into membership (system, group_id, member_id) select g.system, g.native_id, a.native_id from directory_group g, account a where g.name = 'Ledger' and a.user_name = 'avogel'").await;
    let number =
        two.ask(&manager, "leaver", &[("person", "avogel"), ("last_day", "2026-12-31")]).await.expect("planned");
    let steps: Vec<(String, String)> = sqlx::query_as(
        "select s.name, s.why from step s join request r on r.id = s.request where r.number = $1 order by s.ordinal",
    )
    .bind(number)
    .fetch_all(&two.portal.owner)
    .await
    .unwrap();
    let names: Vec<&str> = steps.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["disable-avogel", "quarantine-avogel"]);
    assert!(steps[0].1.contains("left to a person: group Ledger"), "{steps:?}");
    // Joiners would be made outside; nobody is.
    two.bound("OU=Robots,DC=corp,DC=example,DC=com").await;
    let (field, message) = told(two.ask(&manager, "joiner", &crate::scope::JOINER).await.unwrap_err());
    assert!(field == "site" && message.contains(STAFF), "{field}: {message}");
    // And rules that lead outside are told when they are proposed.
    let draft = two.draft("naming").await;
    let changed = [("parent", "*: OU=Elsewhere,DC=corp,DC=example,DC=com"), ("what", "propose"), ("note", "x")];
    let naming = two.send(&draft, &changed).await;
    assert_eq!(naming.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(
        naming.text.contains("lies outside the units that Tenure works in"),
        "{:?}",
        naming.find_all(".field.wrong")
    );
    let mut conn = two.portal.pool.acquire().await.unwrap();
    let entitlements: Vec<Uuid> = sqlx::query_scalar("select id from entitlement where name = 'All Hamburg'")
        .fetch_all(&two.portal.owner)
        .await
        .unwrap();
    let body = json!({"rules": [{"name": "all", "when": {}, "entitlements": entitlements}]});
    let subject = tenure::catalog::proposals::Subject::parse("birthright").unwrap();
    let wrong = tenure::catalog::proposals::check(&mut conn, &subject, &body).await.unwrap_err();
    assert!(wrong.to_string().contains("All Hamburg is a group outside the units"), "{wrong}");
}

pub const JOINER: [(&str, &str); 8] = [
    ("given_name", "Lan"),
    ("family_name", "Nguyễn"),
    ("type", "employee"),
    ("department", "Finance"),
    ("title", "Accountant"),
    ("site", "Hamburg"),
    ("manager", "mkeller"),
    ("start_on", "2026-11-30"),
];

#[sqlx::test]
async fn what_lies_outside_is_linked_by_no_rule_and_counted_apart(options: PgPoolOptions, connect: PgConnectOptions) {
    let two = Two::start(options, connect).await;
    laid_out(&two).await;
    let mut conn = two.portal.pool.acquire().await.unwrap();
    let system = SystemKey(SYSTEM.to_owned());
    let links = async |conn: &mut sqlx::PgConnection| -> usize {
        trial::trials(conn, &system).await.unwrap().trials.iter().map(|trial| trial.links.len()).sum()
    };
    assert_eq!(links(&mut conn).await, 1, "by mail");
    two.bound(STAFF).await;
    assert_eq!(links(&mut conn).await, 0);
    let counted = trial::coverage(&mut conn).await.unwrap();
    assert_eq!((counted.all, counted.linked, counted.open, counted.outside), (1, 1, 0, 1));
    let adoption = two.one.get("/adoption").await;
    assert!(adoption.text.contains("Outside the units in scope") && !adoption.text.contains(">robot<"));
    assert!(two.one.get("/adoption?view=outside").await.text.contains(">robot<"));
}

#[sqlx::test]
async fn a_step_stops_where_the_units_shrank_meanwhile(options: PgPoolOptions, connect: PgConnectOptions) {
    let account = Uuid::now_v7();
    let step = PlannedStep {
        name: "title".into(),
        system: SystemKey("ad:test".into()),
        kind: Kind::User,
        key: Key::Native { id: account },
        difference: Difference {
            presence: None,
            changes: vec![Change { attribute: "title".into(), from: Value::Null, to: "Lead".into() }],
        },
        after: Vec::new(),
        not_before: None,
        grant: None,
        secret: None,
        label: "Anna".into(),
        why: String::new(),
    };
    let bench = Bench::of(options, connect, "ad:test", &[step]).await;
    sqlx::query("insert into account (system, native_id, user_name, display_name, dn, enabled, attributes) values ('ad:test', $1, 'a', 'A', 'CN=a,OU=Staff,DC=corp', true, '{}')")
        .bind(account).execute(&bench.owner).await.unwrap();
    let leased = bench.lease().await.expect("due");
    let steps = [leased];
    assert_eq!(scope::refused(&bench.pool, &steps).await.iter().flatten().count(), 0, "nothing is bounded");
    run(&bench.owner, "update target_system set scope = '{\"units\": [\"OU=staff,DC=corp\"]}'").await;
    assert_eq!(scope::refused(&bench.pool, &steps).await.iter().flatten().count(), 0, "it lies within");
    run(&bench.owner, "update target_system set scope = '{\"units\": [\"OU=Other,DC=corp\"]}'").await;
    let refused = scope::refused(&bench.pool, &steps).await;
    let [Some(Outcome::Refused { why, .. })] = refused.as_slice() else { panic!("refused") };
    assert!(why.contains("“Anna” lies at CN=a,OU=Staff,DC=corp") && why.contains("OU=Other,DC=corp"), "{why}");
}

/// The schema's answer is the program's.
#[sqlx::test]
async fn schema_and_program_agree(options: PgPoolOptions, connect: PgConnectOptions) {
    let mut conn = sqlx::PgConnection::connect_with(&connect).await.unwrap();
    drop(options);
    let names = [
        "CN=a,OU=Staff,DC=corp",
        "OU=STAFF,DC=corp",
        "CN=a,OU=AStaff,DC=corp",
        "CN=a\\,OU\\=Staff,DC=corp",
        "CN=a,DC=corp",
        "CN=a,OU=Robots,OU=Staff,DC=corp",
        "CN=ß,OU=Straße,DC=corp",
        "CN=100%_a,OU=Staff,DC=corp",
    ];
    let own = |units: &[&str]| units.iter().map(|unit| (*unit).to_owned()).collect::<Vec<String>>();
    for (units, excluded) in [
        (own(&[]), own(&[])),
        (own(&["OU=Staff,DC=corp"]), own(&["OU=robots,OU=Staff,DC=corp"])),
        (own(&["OU=Straße,DC=corp", "DC=corp"]), own(&["OU=Staff,DC=corp"])),
        (own(&[]), own(&["OU=Staff,DC=corp"])),
    ] {
        let scope = UnitScope { units, excluded };
        for name in names {
            let sql: bool = sqlx::query_scalar("select in_scope($1, $2)")
                .bind(name)
                .bind(serde_json::to_value(&scope).unwrap())
                .fetch_one(&mut conn)
                .await
                .unwrap();
            assert_eq!(sql, scope.covers(name), "{name} in {scope:?}");
        }
    }
}

//! People, employments and roles written by an administrator in the browser.

use axum::http::StatusCode;
use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use tenure::ids::PersonId;

use crate::support::Portal;
use crate::support::browser::with;

const NEW: [(&str, &str); 12] = [
    ("employee_number", "H-1"),
    ("given_name", "Hanne"),
    ("family_name", "Hand"),
    ("display_name", "Hand Hanne"),
    ("type", "contractor"),
    ("department", "Archive"),
    ("title", "Clerk"),
    ("site", "Hamburg"),
    ("manager", "Maria Keller (mkeller)"),
    ("first_day_day", "1"),
    ("first_day_month", "1"),
    ("first_day_year", "2020"),
];

async fn row(db: &PgPool, id: &str) -> (String, String, String, String, Option<String>) {
    sqlx::query_as(
        "select p.display_name, p.state, d.name, e.title, m.display_name
           from person p join employment e on e.person = p.id join department d on d.id = e.department
           left join person m on m.id = e.manager where p.id::text = $1 order by e.first_day desc limit 1",
    )
    .bind(id)
    .fetch_one(db)
    .await
    .unwrap()
}

async fn records(db: &PgPool, action: &str) -> i64 {
    sqlx::query_scalar("select count(*) from evidence_record where action = $1")
        .bind(action)
        .fetch_one(db)
        .await
        .unwrap()
}

#[sqlx::test]
async fn somebody_is_written_down_changed_and_comes_back(options: PgPoolOptions, connect: PgConnectOptions) {
    let portal = Portal::start(options, connect).await;
    let company = portal.company().await;
    let db = &portal.owner;
    let admin = portal.browser_of(company.admin).await;
    let made = admin.post("/people/new", &NEW).await;
    let id = made.location().strip_prefix("/people/").unwrap_or_else(|| panic!("{}", made.text)).to_owned();
    let (name, state, department, title, manager) = row(db, &id).await;
    assert_eq!((name.as_str(), state.as_str(), department.as_str()), ("Hand Hanne", "active", "Archive"));
    assert_eq!((title.as_str(), manager.as_deref()), ("Clerk", Some("Maria Keller")));
    assert_eq!(records(db, "person.made").await, 1);

    let form = admin.get(&format!("/people/{id}/edit")).await.filled("main form");
    let changed = [
        ("title", "Head"),
        ("phone", "+49 40 7"),
        ("last_day_day", "30"),
        ("last_day_month", "6"),
        ("last_day_year", "2026"),
    ];
    let answer = admin.post(&format!("/people/{id}/edit"), &with(&form, &changed)).await;
    assert_eq!(answer.location(), format!("/people/{id}"), "{}", answer.text);
    let (name, state, _, title, manager) = row(db, &id).await;
    assert_eq!((name.as_str(), state.as_str(), title.as_str()), ("Hand Hanne", "left", "Head"), "the calendar follows");
    assert_eq!(manager.as_deref(), Some("Maria Keller"), "what was not changed stays");
    // The same form once more: somebody changed them since it was shown, nothing typed is lost.
    let late = admin.post(&format!("/people/{id}/edit"), &with(&form, &[("title", "Chief")])).await;
    assert_eq!(late.status, StatusCode::CONFLICT);
    assert!(late.text.contains("changed them since you looked") && late.value("title").as_deref() == Some("Chief"));

    let edit = admin.get(&format!("/people/{id}/edit")).await;
    assert!(edit.text.contains("They begin another employment"), "{}", edit.text);
    let form = admin.get(&format!("/people/{id}/employment")).await.filled("main form");
    assert!(!form.iter().any(|(name, _)| name == "given_name"), "they are who they are");
    let early = [("first_day_day", "30"), ("first_day_month", "6"), ("first_day_year", "2026")];
    let refused = admin.post(&format!("/people/{id}/employment"), &with(&form, &early)).await;
    assert!(refused.text.contains("Enter a day after 2026-06-30"), "{}", refused.text);
    let back = [("first_day_day", "1"), ("first_day_month", "9"), ("first_day_year", "2026"), ("type", "employee")];
    let answer = admin.post(&format!("/people/{id}/employment"), &with(&form, &back)).await;
    assert_eq!(answer.location(), format!("/people/{id}"), "{}", answer.text);
    let (name, state, ..) = row(db, &id).await;
    assert_eq!((name.as_str(), state.as_str()), ("Hand Hanne", "active"));
    let employments: Vec<(String, Option<chrono::NaiveDate>)> =
        sqlx::query_as("select type, last_day from employment where person::text = $1 order by first_day")
            .bind(&id)
            .fetch_all(db)
            .await
            .unwrap();
    let june = chrono::NaiveDate::from_ymd_opt(2026, 6, 30);
    assert_eq!(employments, [("contractor".to_owned(), june), ("employee".to_owned(), None)]);
}

#[sqlx::test]
async fn what_is_wrong_stands_beside_its_field(options: PgPoolOptions, connect: PgConnectOptions) {
    let portal = Portal::start(options, connect).await;
    let company = portal.company().await;
    let admin = portal.browser_of(company.admin).await;
    let form: Vec<(String, String)> =
        NEW.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    for (changed, part) in [
        ([("given_name", ""), ("site", "Hamburg")], "Given name is empty"),
        ([("site", "Atlantis"), ("title", "T")], "“Atlantis” is not a site here"),
        ([("first_day_day", "31"), ("first_day_month", "2")], "Enter a real day"),
        ([("manager", "Nobody Such (nsuch)"), ("title", "T")], "Choose a person from the list"),
        ([("mail", "nobody"), ("title", "T")], "Mail is not a mail address"),
        ([("display_name", "A\u{202E}b"), ("title", "T")], "Shown as contains an invisible character"),
    ] {
        let answer = admin.post("/people/new", &with(&form, &changed)).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{part}");
        assert!(answer.text.contains(part), "{part}: {}", answer.text);
        assert_eq!(answer.value("family_name").as_deref(), Some("Hand"), "nothing typed is lost");
    }
    assert!(!admin.post("/people/new", &NEW).await.location().is_empty());
    let twice = admin.post("/people/new", &NEW).await;
    assert!(twice.text.contains("This employee number belongs to somebody else already"), "{}", twice.text);
    // Nobody is above themselves.
    let maria = company.manager;
    let form = admin.get(&format!("/people/{maria}/edit")).await.filled("main form");
    let answer = admin.post(&format!("/people/{maria}/edit"), &with(&form, &[("manager", "H-1")])).await;
    assert!(answer.text.contains("nobody is above themselves"), "{}", answer.text);
    // Saved as it is, nothing changes and nothing is recorded.
    let before = records(&portal.owner, "person.changed").await;
    let answer = admin.post(&format!("/people/{maria}/edit"), &with(&form, &[])).await;
    assert_eq!(answer.location(), format!("/people/{maria}"), "{}", answer.text);
    assert_eq!(records(&portal.owner, "person.changed").await, before);
}

#[sqlx::test]
async fn only_administrators_and_never_about_themselves(options: PgPoolOptions, connect: PgConnectOptions) {
    let portal = Portal::start(options, connect).await;
    let company = portal.company().await;
    let own: PersonId = company.admin;
    for (who, about) in [(company.lead, company.ben), (company.manager, company.ben), (company.admin, own)] {
        let browser = portal.browser_of(who).await;
        for page in ["edit", "employment", "roles"] {
            let path = format!("/people/{about}/{page}");
            assert_eq!(browser.get(&path).await.status, StatusCode::FORBIDDEN, "{path}");
            let fields = [("role", "administrator"), ("what", "give"), ("seen", "")];
            assert_eq!(browser.post(&path, &fields).await.status, StatusCode::FORBIDDEN, "{path}");
        }
    }
    let admin = portal.browser_of(company.admin).await;
    assert!(!admin.get(&format!("/people/{own}")).await.text.contains(&format!("/people/{own}/roles")));
    assert_eq!(portal.browser_of(company.lead).await.get("/people/new").await.status, StatusCode::FORBIDDEN);
}

#[sqlx::test]
async fn a_role_is_given_and_taken_and_ends_their_sessions(options: PgPoolOptions, connect: PgConnectOptions) {
    let portal = Portal::start(options, connect).await;
    let company = portal.company().await;
    let admin = portal.browser_of(company.admin).await;
    let theirs = portal.browser_of(company.employee).await;
    let page = format!("/people/{}/roles", company.employee);
    assert!(admin.get(&format!("/people/{}", company.employee)).await.text.contains(&page));
    let given = admin.post(&page, &[("role", "desk"), ("what", "give")]).await;
    assert_eq!(given.location(), page, "{}", given.text);
    assert!(admin.get(&page).await.text.contains("has it"));
    assert!(theirs.get("/me").await.location().starts_with("/signin"), "their session has ended");
    let again = portal.browser_of(company.employee).await;
    assert_eq!(again.get("/queue").await.status, StatusCode::OK);
    admin.post(&page, &[("role", "desk"), ("what", "take")]).await;
    let after = portal.browser_of(company.employee).await;
    assert_eq!(after.get("/queue").await.status, StatusCode::FORBIDDEN);
    for (role, what) in [("manager", "give"), ("desk", "lend"), ("", "")] {
        assert_eq!(admin.post(&page, &[("role", role), ("what", what)]).await.status, StatusCode::UNPROCESSABLE_ENTITY);
    }
    assert_eq!((records(&portal.owner, "role.given").await, records(&portal.owner, "role.taken").await), (1, 1));
}

/// A last day that nobody has asked to be carried out is told on the person's page.
#[sqlx::test]
async fn a_last_day_without_a_leaver_is_told(options: PgPoolOptions, connect: PgConnectOptions) {
    let portal = Portal::start(options, connect).await;
    let company = portal.company().await;
    crate::support::company::rules(&portal, &company).await;
    let admin = portal.browser_of(company.admin).await;
    let page = format!("/people/{}", company.anna);
    assert!(!admin.get(&page).await.text.contains("they would stay enabled"));
    let form = admin.get(&format!("{page}/edit")).await.filled("main form");
    let day = [("last_day_day", "31"), ("last_day_month", "12"), ("last_day_year", "2026")];
    let answer = admin.post(&format!("{page}/edit"), &with(&form, &day)).await;
    assert_eq!(answer.location(), page, "{}", answer.text);
    let shown = admin.get(&page).await;
    assert!(
        shown.text.contains("Leaves on Thursday 31 December 2026") && shown.text.contains("they would stay enabled"),
        "{}",
        shown.text
    );
    let desk = portal.browser_of(company.desk).await;
    assert!(desk.get(&page).await.text.contains("/requests/new/leaver"));
}

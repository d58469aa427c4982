//! People: the import takes all or nothing, the calendar moves people, search finds them however they are typed.

use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use tenure::evidence::By;
use tenure::people::{self, Imported};

use crate::support::{monday, pools};

const HEADER: &str = "employee_number,given_name,family_name,type,department,title,site,manager_employee_number,first_day,last_day,mail,phone,user_name\n";

async fn sites(pool: &PgPool) {
    let mut tx = pool.begin().await.unwrap();
    let by = By { via: "command".to_owned(), ..By::default() };
    for (code, zone, country) in [("Hamburg", "Europe/Berlin", "DE"), ("New York", "America/New_York", "US")] {
        people::site(&mut tx, monday(), &by, &people::SiteData { code, name: code, zone, country }).await.unwrap();
    }
    tx.commit().await.unwrap();
}

async fn import(pool: &PgPool, rows: &str) -> Result<Imported, Vec<String>> {
    let text = format!("{HEADER}{rows}");
    let by = By { via: "command".to_owned(), ..By::default() };
    let outcome = people::import(pool, monday(), &by, text.as_bytes()).await.unwrap();
    outcome.map_err(|errors| errors.iter().map(ToString::to_string).collect())
}

#[sqlx::test(migrator = "tenure::db::MIGRATOR")]
async fn an_import_done_twice_changes_nothing(options: PgPoolOptions, connect: PgConnectOptions) {
    let (_, pool) = pools(options, connect).await;
    sites(&pool).await;
    // The manager stands after whom they manage.
    let rows = "2,Lan,Nguyễn Thị,employee,Finance,Accountant,Hamburg,1,2026-11-30,,lan@example.com,,\n1,Maria,Keller,employee,Finance,Head,Hamburg,,2020-01-01,,maria@example.com,+49 40 1,mkeller\n";
    assert_eq!(import(&pool, rows).await, Ok(Imported { created: 2, changed: 0, unchanged: 0 }));
    let records: i64 = sqlx::query_scalar("select count(*) from evidence_record where action = 'person.imported'")
        .fetch_one(&pool)
        .await
        .unwrap();
    assert_eq!(import(&pool, rows).await, Ok(Imported { created: 0, changed: 0, unchanged: 2 }));
    let after: i64 = sqlx::query_scalar("select count(*) from evidence_record where action = 'person.imported'")
        .fetch_one(&pool)
        .await
        .unwrap();
    assert_eq!((records, after), (2, 2));
    assert_eq!(
        import(&pool, &rows.replace("Accountant", "Controller")).await,
        Ok(Imported { created: 0, changed: 1, unchanged: 1 })
    );
    let states: Vec<(String, String)> =
        sqlx::query_as("select given_name, state from person order by given_name").fetch_all(&pool).await.unwrap();
    assert_eq!(states, [("Lan".into(), "expected".into()), ("Maria".into(), "active".into())]);
}

#[sqlx::test(migrator = "tenure::db::MIGRATOR")]
async fn one_wrong_cell_and_nothing_is_imported(options: PgPoolOptions, connect: PgConnectOptions) {
    let (_, pool) = pools(options, connect).await;
    sites(&pool).await;
    let long = "x".repeat(300);
    let rows = format!(
        "1,Maria,Keller,employee,Finance,Head,Hamburg,,2020-01-01,,,,\n2,Lan,{long},boss,Finance,Accountant,Atlantis,9,30.11.2026,,nobody,,\n3,A\u{202E}b,C,intern,,T,Hamburg,4,2026-01-01,2025-01-01,,,\n4,D,E,intern,HR,T,Hamburg,3,2026-01-01,,,,\n1,F,G,intern,HR,T,Hamburg,,2026-01-01,,,,\nonly,three,cells\n"
    );
    let errors = import(&pool, &rows).await.unwrap_err();
    for part in [
        "line 3, family_name: can be at most 64 characters; this has 300",
        "line 3, type: “boss”",
        "line 3, site: “Atlantis” is not a site here; known: Hamburg, New York",
        "line 3, first_day: “30.11.2026”",
        "line 3, mail:",
        "line 4, given_name: contains an invisible character (U+202E)",
        "line 4, department: is empty",
        "line 4, last_day: lies before the first day",
        "line 6, employee_number: 1 stands on line 2 as well",
        "line 7, file:",
    ] {
        assert!(errors.iter().any(|error| error.starts_with(part)), "{part} not in {errors:#?}");
    }
    let people: i64 = sqlx::query_scalar("select count(*) from person").fetch_one(&pool).await.unwrap();
    assert_eq!(people, 0);
}

#[sqlx::test(migrator = "tenure::db::MIGRATOR")]
async fn nobody_is_above_themselves(options: PgPoolOptions, connect: PgConnectOptions) {
    let (_, pool) = pools(options, connect).await;
    sites(&pool).await;
    let rows = "1,A,A,employee,HR,T,Hamburg,2,2026-01-01,,,,\n2,B,B,employee,HR,T,Hamburg,3,2026-01-01,,,,\n3,C,C,employee,HR,T,Hamburg,1,2026-01-01,,,,\n4,D,D,employee,HR,T,Hamburg,99,2026-01-01,,,,\n";
    let errors = import(&pool, rows).await.unwrap_err();
    assert_eq!(errors.len(), 4, "{errors:#?}");
    assert!(errors[0].contains("above themselves") && errors[3].contains("99 is neither in this file nor known"));
    let semicolons = format!("\u{FEFF}{}1;A;A;employee;HR;T;Hamburg;;2026-01-01;;;;\n", HEADER.replace(',', ";"));
    let by = By::default();
    assert!(
        people::import(&pool, monday(), &by, semicolons.as_bytes()).await.unwrap().is_ok(),
        "as a spreadsheet saves it"
    );
    let strange = HEADER.replace("title", "job");
    let errors = people::import(&pool, monday(), &by, strange.as_bytes()).await.unwrap().unwrap_err();
    assert!(
        errors.iter().any(|error| error.field == "title") && errors.iter().any(|error| error.field == "job"),
        "{errors:?}"
    );
}

#[sqlx::test(migrator = "tenure::db::MIGRATOR")]
async fn search_takes_accents_parts_and_numbers(options: PgPoolOptions, connect: PgConnectOptions) {
    let (_, pool) = pools(options, connect).await;
    sites(&pool).await;
    let rows = "10482,Lan,Nguyễn Thị,employee,Finance,Accountant,Hamburg,,2020-01-01,,,,\n7,Jürgen,Groß,employee,HR,T,Hamburg,,2020-01-01,2020-02-01,,,\n8,100%,Under_score,employee,HR,T,Hamburg,,2020-01-01,,,,\n";
    import(&pool, rows).await.unwrap();
    let mut conn = pool.acquire().await.unwrap();
    for (typed, found) in [
        ("nguyen", 1),
        ("NGUYỄN lan", 1),
        ("10482", 1),
        ("gross", 1),
        ("%", 1),
        ("_", 1),
        ("'; drop table person; --", 0),
        ("", 0),
        ("zzz", 0),
    ] {
        let hits = people::search(&mut conn, typed, 10).await.unwrap();
        assert_eq!(hits.len(), found, "{typed}: {hits:?}");
    }
}

/// Midnight comes to Hamburg six hours before New York.
#[sqlx::test(migrator = "tenure::db::MIGRATOR")]
async fn people_come_and_go_by_the_date_at_their_site(options: PgPoolOptions, connect: PgConnectOptions) {
    let (_, pool) = pools(options, connect).await;
    sites(&pool).await;
    let rows = "1,H,A,employee,HR,T,Hamburg,,2026-12-01,,,,\n2,N,Y,employee,HR,T,New York,,2026-12-01,,,,\n3,L,E,employee,HR,T,Hamburg,,2020-01-01,2026-11-30,,,\n";
    import(&pool, rows).await.unwrap();
    let states = async |at: &str| {
        let mut tx = pool.begin().await.unwrap();
        people::settle_states(&mut tx, at.parse().unwrap()).await.unwrap();
        tx.commit().await.unwrap();
        let states: Vec<String> =
            sqlx::query_scalar("select state from person order by employee_number").fetch_all(&pool).await.unwrap();
        states
    };
    assert_eq!(states("2026-11-30T22:59:59Z").await, ["expected", "expected", "active"]);
    assert_eq!(states("2026-11-30T23:00:00Z").await, ["active", "expected", "left"]);
    assert_eq!(states("2026-12-01T05:00:00Z").await, ["active", "active", "left"]);
}

/// HR's file says nothing of a last day that a leaver's request has set, nor of what it has no column for.
#[sqlx::test(migrator = "tenure::db::MIGRATOR")]
async fn an_import_takes_back_nothing_that_it_does_not_speak_of(options: PgPoolOptions, connect: PgConnectOptions) {
    let (_, pool) = pools(options, connect).await;
    sites(&pool).await;
    let rows = "1,Maria,Keller,employee,Finance,Head,Hamburg,,2020-01-01,,maria@example.com,+49 40 1,\n2,Lan,Thi,employee,Finance,T,Hamburg,1,2020-01-01,,lan@example.com,+49 40 2,\n";
    import(&pool, rows).await.unwrap();
    let mut conn = pool.acquire().await.unwrap();
    let lan = people::by_employee_number(&mut conn, "2").await.unwrap().unwrap();
    let day = "2026-11-20".parse().unwrap();
    let mut tx = pool.begin().await.unwrap();
    people::set_last_day(&mut tx, monday(), &By::default(), lan, day).await.unwrap();
    people::settle_states(&mut tx, monday()).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(import(&pool, rows).await, Ok(Imported { created: 0, changed: 0, unchanged: 2 }));
    let short = "employee_number,given_name,family_name,type,department,title,site,first_day\n2,Lan,Thi,employee,Finance,Boss,Hamburg,2020-01-01\n";
    people::import(&pool, monday(), &By::default(), short.as_bytes()).await.unwrap().unwrap();
    let after = people::find(&mut conn, lan).await.unwrap().unwrap();
    assert_eq!(
        (after.state.as_str(), after.mail.as_deref(), after.phone.as_deref()),
        ("left", Some("lan@example.com"), Some("+49 40 2"))
    );
    let employment = after.employment.unwrap();
    assert_eq!((employment.title.as_str(), employment.last_day), ("Boss", Some(day)));
    assert!(employment.manager.is_some());
}

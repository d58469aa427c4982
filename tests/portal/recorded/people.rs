//! People changed in the browser by administrators.

use scraper::Selector;
use uuid::Uuid;

use super::walk::Walk;
use crate::support::company::SYSTEM;

const FILE: &str = "Number,First name,Last name,Contract,Department,Job title,Location,Start date
I-2,Ines,Imp,employee,Finance,Clerk,Kiel,2020-01-01
";

pub async fn file(walk: &mut Walk) {
    let admin = walk.portal.browser_of(walk.company.admin).await;
    for discard in [true, false] {
        let begun = walk.did("POST /people/import", admin.post("/people/import", &[("pasted", FILE)])).await;
        let page = begun.location().to_owned();
        if discard {
            walk.did("POST /people/import/{id}/discard", admin.post(&format!("{page}/discard"), &[])).await;
            continue;
        }
        let columns = [
            ("employee_number", "0"),
            ("given_name", "1"),
            ("family_name", "2"),
            ("type", "3"),
            ("department", "4"),
            ("title", "5"),
            ("site", "6"),
            ("first_day", "7"),
        ];
        walk.did("POST /people/import/{id}/columns", admin.post(&format!("{page}/columns"), &columns)).await;
        let digest = admin.get(&page).await.value("digest").unwrap();
        walk.did("POST /people/import/{id}", admin.post(&page, &[("digest", &digest)])).await;
    }
}

pub async fn by_hand(walk: &mut Walk) {
    let admin = walk.portal.browser_of(walk.company.admin).await;
    let fields = |title: &'static str, [day, month, year]: [&'static str; 3]| {
        vec![
            ("employee_number", "H-1"),
            ("given_name", "Hanne"),
            ("family_name", "Hand"),
            ("type", "contractor"),
            ("department", "Finance"),
            ("title", title),
            ("site", "Kiel"),
            ("first_day_day", day),
            ("first_day_month", month),
            ("first_day_year", year),
        ]
    };
    let new = fields("Clerk", ["1", "1", "2020"]);
    let made = walk.did("POST /people/new", admin.post("/people/new", &new)).await;
    let page = made.location().to_owned();
    let mut changed = fields("Head", ["1", "1", "2020"]);
    changed.extend([("last_day_day", "30"), ("last_day_month", "6"), ("last_day_year", "2024")]);
    let seen = admin.get(&format!("{page}/edit")).await.value("seen").unwrap();
    changed.push(("seen", &seen));
    walk.did("POST /people/{id}/edit", admin.post(&format!("{page}/edit"), &changed)).await;
    let seen = admin.get(&format!("{page}/employment")).await.value("seen").unwrap();
    let mut again = fields("Advisor", ["1", "9", "2026"]);
    again.push(("seen", &seen));
    walk.did("POST /people/{id}/employment", admin.post(&format!("{page}/employment"), &again)).await;
    for what in ["give", "take"] {
        let name = format!("POST /people/{{id}}/roles ({what})");
        let fields = [("role", "desk"), ("what", what)];
        walk.did(&name, admin.post(&format!("{page}/roles"), &fields)).await;
    }
}

pub async fn rules_of_adoption(walk: &mut Walk) {
    let admin = walk.portal.browser_of(walk.company.admin).await;
    sqlx::query(
        "insert into account (system, native_id, user_name, display_name, dn, enabled, attributes)
         values ($1, $2, 'ximp', 'Room 7', 'CN=x,DC=corp', true, '{}')",
    )
    .bind(SYSTEM)
    .bind(Uuid::now_v7())
    .execute(&walk.portal.owner)
    .await
    .unwrap();
    let switch = walk
        .did("POST /adoption/rules/{rule}/switch", admin.post("/adoption/rules/mail/switch", &[("automatic", "no")]));
    switch.await;
    walk.set("update person set given_name = 'Xaver' where employee_number = 'I-2'").await;
    let page = admin.get("/adoption/rules").await.html();
    let digest = Selector::parse("form[action='/adoption/rules/user_name'] input[name=digest]").unwrap();
    let digest = page.select(&digest).next().unwrap().value().attr("value").unwrap().to_owned();
    let fields = [("system", SYSTEM), ("digest", digest.as_str())];
    walk.did("POST /adoption/rules/{rule}", admin.post("/adoption/rules/user_name", &fields)).await;
}

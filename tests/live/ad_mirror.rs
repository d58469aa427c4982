//! The directory's own feed into the mirror's tables.

use std::collections::{BTreeSet, HashSet};

use ldap3::Mod;
use sqlx::PgPool;
use tenure::clock::Clock;
use tenure::evidence::By;
use tenure::mirror::{look, refresh};
use tenure::people;
use tenure::target::{Connector as _, Value};

use crate::ad_lab::{Lab, guid, in_own_unit};

async fn catch_up(pool: &PgPool, lab: &Lab) {
    loop {
        let done = refresh(pool, &lab.connector, Clock::System.now()).await.expect("refreshed");
        if !done.more {
            return;
        }
    }
}

#[sqlx::test]
async fn what_happens_in_the_directory_is_in_the_mirror_after_the_next_look(pool: PgPool) {
    in_own_unit(async |lab: &mut Lab| {
        let system = lab.connector.system().0.clone();
        sqlx::query("insert into target_system (key, family, name) values ($1, 'ad', 'Active Directory')")
            .bind(&system)
            .execute(&pool)
            .await
            .expect("a system");
        let (id, goes, group) = (lab.account("mirror").await, lab.account("goes").await, lab.group("mirror").await);
        catch_up(&pool, lab).await;
        let mut conn = pool.acquire().await.expect("a connection");
        let seen = look::account(&mut conn, &system, id).await.expect("answered").expect("there");
        assert_eq!(seen.state.0, lab.state(id).await);
        assert!(!seen.enabled && seen.must_change_password);

        lab.meddle(&guid(id), "title", "Lead").await;
        let member = vec![Mod::Add("member".to_owned(), HashSet::from([guid(id)]))];
        lab.admin.modify(&guid(group), member).await.and_then(ldap3::LdapResult::success).expect("a member");
        lab.admin.delete(&guid(goes)).await.and_then(ldap3::LdapResult::success).expect("deleted");
        catch_up(&pool, lab).await;
        let seen = look::account(&mut conn, &system, id).await.expect("answered").expect("there");
        assert_eq!(seen.state.get("title"), &Value::text("Lead"));
        let groups = look::groups_of(&mut conn, &system, id).await.expect("answered");
        assert_eq!(groups.iter().map(|group| group.id).collect::<Vec<_>>(), [group]);

        // A deletion is hidden from a plain account: found when ids are next compared.
        sqlx::query("update mirror_cursor set compared_at = null").execute(&pool).await.expect("due");
        catch_up(&pool, lab).await;
        let seen = look::account(&mut conn, &system, goes).await.expect("answered").expect("rows stay");
        assert!(seen.gone_at.is_some());
    })
    .await;
}

/// A file of the lab's company.
fn company(file: &str) -> Vec<u8> {
    let path = format!("{}/lab/company/{file}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

async fn import_company(pool: &PgPool) {
    let mut conn = pool.acquire().await.expect("a connection");
    for site in csv::Reader::from_reader(company("sites.csv").as_slice()).records() {
        let site = site.expect("a line");
        let data = people::SiteData { code: &site[0], name: &site[1], zone: &site[2], country: &site[3] };
        people::site(&mut conn, Clock::System.now(), &By::routine("test"), &data).await.expect("a site");
    }
    let file = company("people.csv");
    let imported = people::import(pool, Clock::System.now(), &By::routine("test"), file.as_slice()).await;
    imported.expect("answered").expect("no errors");
}

#[sqlx::test]
async fn the_companys_accounts_find_their_people_and_the_misfits_are_listed(pool: PgPool) {
    in_own_unit(async |lab: &mut Lab| {
        let system = lab.connector.system().0.clone();
        sqlx::query("insert into target_system (key, family, name) values ($1, 'ad', 'Active Directory')")
            .bind(&system)
            .execute(&pool)
            .await
            .expect("a system");
        import_company(&pool).await;
        catch_up(&pool, lab).await;
        let misfits: serde_json::Value = serde_json::from_slice(&company("directory.json")).expect("JSON");
        let listed = |name: &str| -> BTreeSet<String> {
            let list = misfits[name].as_array().expect("a list");
            list.iter().map(|entry| entry.as_str().or(entry["account"].as_str()).expect("a name").to_owned()).collect()
        };

        let rules: Vec<(Option<String>, String, String)> = sqlx::query_as(
            "select p.employee_number, a.linked_by_rule, a.kind from account a join person p on p.id = a.person",
        )
        .fetch_all(&pool)
        .await
        .expect("links");
        let by = |rule: &str| -> BTreeSet<String> {
            rules.iter().filter(|row| row.1 == rule).filter_map(|row| row.0.clone()).collect()
        };
        assert_eq!(by("mail"), listed("matched_by_mail"));
        assert_eq!(by("name"), listed("matched_by_name"));
        let linked: BTreeSet<String> = rules.iter().filter_map(|row| row.0.clone()).collect();
        assert_eq!(linked.intersection(&listed("without_account")).count(), 0);
        assert!(linked.len() >= 50, "most people have their account: {}", linked.len());
        assert_eq!(rules.iter().filter(|row| row.2 == "admin").count(), listed("second_accounts").len());

        let mut conn = pool.acquire().await.expect("a connection");
        let unlinked = look::unlinked(&mut conn, "", 1000).await.expect("answered");
        let unlinked: BTreeSet<String> = unlinked.into_iter().map(|account| account.user_name).collect();
        assert!(listed("orphans").is_subset(&unlinked), "{unlinked:?}");
        assert!(listed("service_accounts").is_disjoint(&unlinked), "known by their names: {unlinked:?}");
    })
    .await;
}

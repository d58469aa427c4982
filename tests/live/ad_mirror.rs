//! The directory's own feed into the mirror's tables.

use std::collections::HashSet;

use ldap3::Mod;
use sqlx::PgPool;
use tenure::clock::Clock;
use tenure::mirror::{look, refresh};
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

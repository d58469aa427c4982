//! A feed that tells what the test wants.

use std::sync::Mutex;

use async_trait::async_trait;
use tenure::target::*;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::{EXCHANGE, Stage, ids, state, texts};

struct Feed {
    system: SystemKey,
    piece: Mutex<Vec<Changed>>,
}

#[async_trait]
impl Connector for Feed {
    fn system(&self) -> &SystemKey {
        &self.system
    }
    fn capabilities(&self) -> &'static [Capability] {
        &[]
    }
    async fn server(&self, _: Wish<'_>) -> Result<Server, Fault> {
        unimplemented!("not asked by the mirror")
    }
    async fn observe(&self, _: &Server, _: &Resource) -> Result<Option<Seen>, Fault> {
        unimplemented!("not asked by the mirror")
    }
    async fn ensure(&self, _: &Server, _: &Resource, _: &Difference, _: &Secrets) -> Result<Native, Fault> {
        unimplemented!("the mirror never writes")
    }
    async fn new_password(&self, _: &Server) -> Result<Zeroizing<String>, Fault> {
        unimplemented!("not asked by the mirror")
    }
    async fn changes(&self, _: Option<&[u8]>) -> Result<Batch, Fault> {
        let changed = std::mem::take(&mut *self.piece.lock().unwrap());
        let server = Server { url: "https://ex1".into(), name: "ex1".into(), directory: None };
        let cursor = Uuid::now_v7().as_bytes().to_vec();
        Ok(Batch { changed, cursor, more: false, whole: None, server, at: super::super::support::monday() })
    }
    async fn all_ids(&self) -> Result<Vec<Uuid>, Fault> {
        Err(Fault::Retry { after: None, why: "not now".to_owned() })
    }
}

/// The mirror takes in these.
pub async fn told(stage: &Stage, changed: Vec<Changed>) {
    let feed = Feed { system: SystemKey(EXCHANGE.to_owned()), piece: Mutex::new(changed) };
    // Comparing all ids is not what is tested here.
    sqlx::query("insert into mirror_cursor (system, compared_at) values ($1, now()) on conflict do nothing")
        .bind(EXCHANGE)
        .execute(&stage.portal.owner)
        .await
        .unwrap();
    tenure::mirror::refresh(&stage.portal.pool, &feed, stage.portal.clock.now()).await.unwrap();
}

pub fn right(kind: Kind, trustee: Uuid, right: &str, state: State) -> Right {
    Right { kind, trustee, right: right.to_owned(), state }
}

fn object(kind: Kind, state: State) -> ChangedObject {
    ChangedObject {
        kind,
        whole: true,
        state,
        members_added: Vec::new(),
        members_removed: Vec::new(),
        members_whole: false,
        rights: None,
        native: Native::default(),
    }
}

pub fn mailbox(id: Uuid, name: &str, addresses: &[&str], rights: Option<Vec<Right>>) -> Changed {
    let state = state(&[
        ("type", "shared".into()),
        ("displayName", name.into()),
        ("alias", "billing".into()),
        ("primaryAddress", "Billing@example.com".into()),
        ("addresses", texts(addresses)),
    ]);
    Changed { id, seen: Some(ChangedObject { rights, ..object(Kind::Mailbox, state) }) }
}

pub fn list(id: Uuid, name: &str, owners: &[Uuid], added: &[Uuid], removed: &[Uuid], whole: bool) -> Changed {
    let state = state(&[
        ("type", "security".into()),
        ("displayName", name.into()),
        ("alias", name.into()),
        ("primaryAddress", format!("{}@example.com", name.to_lowercase()).into()),
        ("owners", ids(owners)),
    ]);
    let seen = ChangedObject {
        members_added: added.to_vec(),
        members_removed: removed.to_vec(),
        members_whole: whole,
        ..object(Kind::List, state)
    };
    Changed { id, seen: Some(seen) }
}

pub fn gone(id: Uuid) -> Changed {
    Changed { id, seen: None }
}

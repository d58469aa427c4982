//! A target system in memory, for tests of the worker alone: it keeps objects, counts writes, and fails as told.
//! The real directory has its own suite.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Mutex;

use async_trait::async_trait;
use tenure::target::{
    Address, Batch, Capability, Connector, Difference, Fault, Kind, Native, Presence, Resource, Secrets, Seen, Server,
    State, SystemKey, Value, Wish,
};
use uuid::Uuid;
use zeroize::Zeroizing;

/// What the next write does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Refuses before anything is changed; will be tried again.
    Busy,
    /// The connection breaks before it is sent.
    LostBefore,
    /// It is done, and the answer is lost.
    LostAfter,
    /// Refused for good.
    Refuse,
}

#[derive(Default)]
struct Inside {
    objects: BTreeMap<Uuid, State>,
    made: BTreeMap<Uuid, Uuid>,
    /// Memberships and rights, by address.
    held: BTreeMap<String, State>,
    script: VecDeque<Next>,
    writes: usize,
    passwords: Vec<String>,
    down: bool,
}

pub struct Scripted {
    system: SystemKey,
    inside: Mutex<Inside>,
}

impl Scripted {
    pub fn new(system: &str) -> Self {
        Self { system: SystemKey(system.to_owned()), inside: Mutex::default() }
    }

    pub fn script(&self, next: impl IntoIterator<Item = Next>) {
        self.inside.lock().unwrap().script.extend(next);
    }

    /// What no write met will meet none.
    pub fn as_told_no_more(&self) {
        self.inside.lock().unwrap().script.clear();
    }

    pub fn down(&self, down: bool) {
        self.inside.lock().unwrap().down = down;
    }

    pub fn put(&self, id: Uuid, state: State) {
        self.inside.lock().unwrap().objects.insert(id, state);
    }

    pub fn edit(&self, id: Uuid, attribute: &str, value: Value) {
        self.inside.lock().unwrap().objects.get_mut(&id).unwrap().0.insert(attribute.to_owned(), value);
    }

    pub fn object(&self, id: Uuid) -> Option<State> {
        self.inside.lock().unwrap().objects.get(&id).cloned()
    }

    pub fn objects(&self) -> usize {
        self.inside.lock().unwrap().objects.len()
    }

    /// Somebody holds a membership or a right.
    pub fn hold(&self, address: &Address, state: State) {
        self.inside.lock().unwrap().held.insert(address.to_string(), state);
    }

    /// What is held at that address, as it shows.
    pub fn held(&self, address: &Address) -> Option<State> {
        self.inside.lock().unwrap().held.get(&address.to_string()).cloned()
    }

    /// Whether the trustee holds the right on the object.
    pub fn has_right(&self, object: Uuid, trustee: Uuid, right: &str) -> bool {
        let address = Address::Permission { object, trustee, right: right.to_owned() };
        self.inside.lock().unwrap().held.contains_key(&address.to_string())
    }

    pub fn is_member(&self, group: Uuid, member: Uuid) -> bool {
        self.inside.lock().unwrap().held.contains_key(&Address::Member { group, member }.to_string())
    }

    /// Writes that really changed something.
    pub fn writes(&self) -> usize {
        self.inside.lock().unwrap().writes
    }

    pub fn passwords(&self) -> Vec<String> {
        self.inside.lock().unwrap().passwords.clone()
    }
}

impl Inside {
    fn write(&mut self, what: &Resource, step: &Difference, secrets: &Secrets) {
        match what.address {
            Address::Member { .. } | Address::Permission { .. } => {
                let key = what.address.to_string();
                let readable = step.changes.iter().filter(|change| change.attribute != "automapping");
                let state = State(readable.map(|change| (change.attribute.clone(), change.to.clone())).collect());
                let changed = match step.presence {
                    Some((_, Presence::Absent)) => self.held.remove(&key).is_some(),
                    _ => self.held.insert(key, state.clone()) != Some(state),
                };
                self.writes += usize::from(changed);
            }
            Address::Native(id) if step.presence.is_some_and(|(_, to)| to == Presence::Absent) => {
                self.writes += usize::from(self.objects.remove(&id).is_some());
            }
            Address::New { correlation } => {
                let id = *self.made.entry(correlation).or_insert_with(Uuid::now_v7);
                self.set(id, step, secrets);
                self.mailbox(what, id);
            }
            Address::Native(id) => {
                self.set(id, step, secrets);
                self.mailbox(what, id);
            }
        }
    }

    /// A mailbox is the mail side of a directory object: it has that object's id, and says so.
    fn mailbox(&mut self, what: &Resource, id: Uuid) {
        if what.kind == Kind::Mailbox {
            self.objects.entry(id).or_default().0.insert("directoryId".to_owned(), Value::Text(id.to_string()));
        }
    }

    fn set(&mut self, id: Uuid, step: &Difference, secrets: &Secrets) {
        let state = self.objects.entry(id).or_default();
        let before = state.clone();
        for change in &step.changes {
            if change.to == Value::SEALED {
                self.passwords.push(secrets.password.as_ref().expect("a password for a sealed change").to_string());
            } else {
                state.0.insert(change.attribute.clone(), change.to.clone());
            }
        }
        self.writes += usize::from(*state != before);
    }
}

#[async_trait]
impl Connector for Scripted {
    fn system(&self) -> &SystemKey {
        &self.system
    }

    fn capabilities(&self) -> &'static [Capability] {
        &[
            Capability { kind: Kind::User, writable: &[], unreadable: &["password"], unguarded: &[] },
            Capability { kind: Kind::Membership, writable: &[], unreadable: &[], unguarded: &[] },
            Capability { kind: Kind::MailboxPermission, writable: &[], unreadable: &["automapping"], unguarded: &[] },
        ]
    }

    async fn server(&self, _: Wish<'_>) -> Result<Server, Fault> {
        if self.inside.lock().unwrap().down {
            return Err(Fault::Retry { after: Some(std::time::Duration::ZERO), why: "down".to_owned() });
        }
        Ok(Server { url: "memory:".to_owned(), name: "memory".to_owned(), directory: None })
    }

    async fn observe(&self, _: &Server, what: &Resource) -> Result<Option<Seen>, Fault> {
        let inside = self.inside.lock().unwrap();
        let found = match what.address {
            Address::New { correlation } => {
                inside.made.get(&correlation).map(|id| (Some(*id), inside.objects[id].clone()))
            }
            Address::Native(id) => inside.objects.get(&id).map(|state| (Some(id), state.clone())),
            Address::Member { .. } | Address::Permission { .. } => {
                inside.held.get(&what.address.to_string()).map(|state| (None, state.clone()))
            }
        };
        Ok(found.map(|(id, state)| Seen { id, state, native: Native::default() }))
    }

    async fn ensure(&self, _: &Server, what: &Resource, step: &Difference, secrets: &Secrets) -> Result<Native, Fault> {
        let mut inside = self.inside.lock().unwrap();
        match inside.script.pop_front() {
            None => inside.write(what, step, secrets),
            Some(Next::Busy) => {
                return Err(Fault::Retry { after: Some(std::time::Duration::ZERO), why: "busy".to_owned() });
            }
            Some(Next::LostBefore) => return Err(Fault::Unknown { why: "lost".to_owned() }),
            Some(Next::LostAfter) => {
                inside.write(what, step, secrets);
                return Err(Fault::Unknown { why: "lost".to_owned() });
            }
            Some(Next::Refuse) => {
                return Err(Fault::Refused { why: "not allowed".to_owned(), attribute: Some("title".to_owned()) });
            }
        }
        Ok(Native { usn: Some(inside.writes.to_string()), ..Native::default() })
    }

    async fn new_password(&self, _: &Server) -> Result<Zeroizing<String>, Fault> {
        Ok(Zeroizing::new(format!("Secret-{}", Uuid::now_v7())))
    }

    async fn changes(&self, _: Option<&[u8]>) -> Result<Batch, Fault> {
        Err(Fault::Retry { after: None, why: "no feed".to_owned() })
    }

    async fn all_ids(&self) -> Result<Vec<Uuid>, Fault> {
        Ok(self.inside.lock().unwrap().objects.keys().copied().collect())
    }
}

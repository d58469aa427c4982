//! One look's or one write's cmdlets: checked against the flavour, pinned to the directory server, their traces kept.

use std::collections::HashMap;
use std::sync::Mutex;

use uuid::Uuid;

use super::cmdlet::{Class, Cmdlet, CmdletError, Effect, Object, Outcome, Param, Transport};
use super::fault;
use super::flavour::{self, Flavour};
use super::resource::is_ours;
use super::value::Properties;
use crate::target::{Fault, Native};

/// Ids by how Exchange names things (`corp.example.com/Staff/Ann Lee`, `CORP\ann`): names move, so not kept for long.
#[derive(Debug, Default)]
pub(super) struct Ids(Mutex<HashMap<String, Option<Uuid>>>);

/// More names than that are forgotten and asked for again.
const MOST_NAMES: usize = 20_000;

impl Ids {
    pub fn forget(&self) {
        if let Ok(mut known) = self.0.lock() {
            known.clear();
        }
    }

    fn get(&self, name: &str) -> Option<Option<Uuid>> {
        self.0.lock().ok()?.get(name).copied()
    }

    pub fn learn(&self, name: &str, id: Option<Uuid>) {
        if let Ok(mut known) = self.0.lock() {
            if known.len() >= MOST_NAMES {
                known.clear();
            }
            known.insert(name.to_owned(), id);
        }
    }
}

/// Sends cmdlets and remembers what is worth keeping of them.
pub(super) struct Calls<'a> {
    transport: &'a dyn Transport,
    flavour: Flavour,
    directory: Option<&'a str>,
    ids: &'a Ids,
    native: Native,
}

impl<'a> Calls<'a> {
    pub fn new(transport: &'a dyn Transport, flavour: Flavour, directory: Option<&'a str>, ids: &'a Ids) -> Self {
        let native = Native { server: Some(transport.endpoint()), ..Native::default() };
        Self { transport, flavour, directory, ids, native }
    }

    pub fn flavour(&self) -> Flavour {
        self.flavour
    }

    pub fn ids(&self) -> &'a Ids {
        self.ids
    }

    /// What the server told of these calls.
    pub fn native(&self) -> Native {
        self.native.clone()
    }

    async fn invoke(&mut self, mut cmdlet: Cmdlet) -> Result<Outcome, Fault> {
        let writes = cmdlet.effect != Effect::Read;
        if let Some(directory) =
            self.directory.filter(|_| flavour::takes(self.flavour, &cmdlet.name, "DomainController"))
        {
            cmdlet = cmdlet.text("DomainController", directory);
        }
        if writes {
            cmdlet = cmdlet.flag("Confirm", false);
        }
        flavour::check(self.flavour, &cmdlet).map_err(|why| Fault::Refused { why, attribute: None })?;
        if writes {
            self.native.commands.push(cmdlet.to_string());
        }
        let outcome = self.transport.invoke(&cmdlet).await.map_err(|error| fault::of_transport(error, writes))?;
        self.native.calls.extend(outcome.trace.clone().filter(|_| writes));
        self.native.warnings.extend(outcome.warnings.iter().filter(|_| writes).cloned());
        Ok(outcome)
    }

    /// What a reading cmdlet gave; nothing where there is no such object.
    pub async fn all(&mut self, cmdlet: Cmdlet) -> Result<Vec<Object>, Fault> {
        let outcome = self.invoke(cmdlet).await?;
        match outcome.errors.iter().find(|error| error.class != Class::NotFound) {
            Some(error) => Err(fault::of_error(error, false)),
            None => Ok(outcome.objects),
        }
    }

    /// The one object that it gave.
    pub async fn one(&mut self, cmdlet: Cmdlet) -> Result<Option<Object>, Fault> {
        let mut found = self.all(cmdlet).await?;
        if found.len() > 1 {
            return Err(Fault::NeedsPerson { why: "Exchange has several objects of one identity.".to_owned() });
        }
        Ok(found.pop())
    }

    /// The one object that carries the correlation, by the first of the cmdlets that gives it.
    pub async fn ours(&mut self, cmdlets: [Cmdlet; 2], correlation: Uuid) -> Result<Option<Object>, Fault> {
        for cmdlet in cmdlets {
            let found = self.all(cmdlet).await?.into_iter().find(|object| is_ours(object, correlation));
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// Writes. Errors of these classes are no errors here: it is so already.
    pub async fn write(&mut self, cmdlet: Cmdlet, fine: &[Class]) -> Result<Vec<Object>, Fault> {
        let outcome = self.run(cmdlet).await?;
        match outcome.errors.iter().find(|error| !fine.contains(&error.class)) {
            Some(error) => Err(fault::of_error(error, true)),
            None => Ok(outcome.objects),
        }
    }

    /// Sends it, with whatever it said.
    pub async fn run(&mut self, cmdlet: Cmdlet) -> Result<Outcome, Fault> {
        self.invoke(cmdlet).await
    }

    /// The immutable id of whatever Exchange names so; None where it is no recipient.
    pub async fn id(&mut self, name: &str) -> Result<Option<Uuid>, Fault> {
        if let Ok(id) = name.parse() {
            return Ok(Some(id));
        }
        if let Some(known) = self.ids.get(name) {
            return Ok(known);
        }
        let found = self.one(Cmdlet::read("Get-Recipient").text("Identity", name)).await?;
        let id = match &found {
            Some(object) => Properties(object).guid("Guid").map_err(|error| fault::of_value(&error))?,
            None => None,
        };
        self.ids.learn(name, id);
        Ok(id)
    }

    /// The ids of several, sorted; those that are no recipients are left out.
    pub async fn id_list(&mut self, names: &[String]) -> Result<Vec<Uuid>, Fault> {
        let mut found = Vec::with_capacity(names.len());
        for name in names {
            found.extend(self.id(name).await?);
        }
        found.sort_unstable();
        found.dedup();
        Ok(found)
    }
}

/// Whether any of the errors is of that class.
pub(super) fn has(errors: &[CmdletError], class: &Class) -> bool {
    errors.iter().any(|error| error.class == *class)
}

/// `-Identity <id>`.
pub(super) fn at(cmdlet: Cmdlet, id: &str) -> Cmdlet {
    cmdlet.text("Identity", id)
}

/// Replaces a list; an empty one takes it away.
pub(super) fn list(values: Vec<String>) -> Param {
    if values.is_empty() { Param::Null } else { Param::List(values) }
}

//! Rights outside the units with people's accounts: deleted objects, password policies, the catalogue's groups.

use ldap3::Scope;
use uuid::Uuid;

use super::super::check::{Finding, bad, doubtful, good};
use super::super::escape::{filter_bytes, is_within, split};
use super::super::session::{Failure, Session};
use super::super::{AdConnector, controls, fault};
use super::delegation::{DELETIONS, GROUP_CLASS, MEMBERSHIPS, POLICIES};
use super::descriptor::{Descriptor, LIST, READ, WRITE, Wanted};
use super::{MOST_NAMES, Own, commands, few, list, own, place};
use crate::target::{Connector as _, Wish};

/// Groups looked at in one search.
const GROUPS_AT_ONCE: usize = 50;
/// msDS-PasswordSettings.
const POLICY_CLASS: Uuid = Uuid::from_u128(0x3bcd_9db8_f84b_451c_952f_6c52_b81f_9ec6);

impl AdConnector {
    /// Deleted accounts leave by the feed where the container of deleted objects may be read, by comparison where not.
    pub(super) async fn deletions(&self, session: &mut Session, own: &Own) -> Result<Finding, Failure> {
        let dn = format!("CN=Deleted Objects,{}", self.settings.base_dn);
        let controls = vec![controls::show_deleted(), controls::access_list()];
        let attributes = ["nTSecurityDescriptor"];
        let found = session.search_with(&dn, Scope::Base, "(objectClass=*)", &attributes, controls).await;
        let list = match found {
            Ok((entries, _)) => {
                entries.first().and_then(|entry| entry.bytes("nTSecurityDescriptor").and_then(Descriptor::parse))
            }
            Err(Failure::Said { rc: 32 | 50, .. }) => None,
            Err(failure) => return Err(failure),
        };
        let may = |bit| list.as_ref().is_some_and(|list| list.allows(&own.sids, &Wanted { bit, objects: vec![] }));
        Ok(if may(LIST) && may(READ) {
            good(format!("{DELETIONS}: a deleted account is seen within seconds."))
        } else {
            let found = doubtful(format!(
                "{DELETIONS}: the account may not read {dn}, so a deleted account is found by comparison, every ten minutes."
            ));
            // Samba's own command does not see that container: the guide says how its list is written whole.
            let windows =
                [format!("dsacls \"{dn}\" /takeownership"), format!("dsacls \"{dn}\" /G \"{}:LCRPRC\"", own.name)];
            found.mend(windows)
        })
    }

    /// Fine-grained password policies are hidden from a plain account, and a start password has to suit them.
    pub(super) async fn policies(&self, session: &mut Session, own: &Own) -> Result<Finding, Failure> {
        let dn = format!("CN=Password Settings Container,CN=System,{}", self.settings.base_dn);
        let list = place(session, &dn).await?.and_then(|place| place.descriptor);
        let wanted = Wanted { bit: READ, objects: Vec::new() };
        let may = |list: &Descriptor| list.allows_on_heirs(&own.sids, &wanted, POLICY_CLASS);
        Ok(if list.as_ref().is_some_and(may) {
            good(format!("{POLICIES}: the default one and the fine-grained ones."))
        } else {
            let found = bad(format!(
                "{POLICIES}: the account may not read those in {dn}: a start password may be shorter than one of them asks for."
            ));
            let entry = format!("(A;CI;RPLCLORC;;;{})", own.sid);
            found.mend(commands(&dn, &[format!("/I:T /G \"{}:GR\"", own.name)], &entry))
        })
    }

    /// Whether we may add and remove members of these groups (by id): those of the catalogue. Never writes.
    pub async fn check_groups(&self, groups: &[Uuid]) -> Vec<Finding> {
        if groups.is_empty() || self.settings.observe_only {
            return Vec::new();
        }
        let looked = async {
            let server = self.server(Wish::default()).await?;
            let session = &mut self.pool.session(&server.url).await?;
            let found = self.look_at_groups(session, groups).await;
            found.map_err(|failure| fault::reading(&failure, "reading the groups' rights"))
        };
        match looked.await {
            Ok(finding) => vec![finding],
            // That no server answers was said before.
            Err(fault) => vec![bad(format!("{MEMBERSHIPS}: {fault}"))],
        }
    }

    async fn look_at_groups(&self, session: &mut Session, groups: &[Uuid]) -> Result<Finding, Failure> {
        let own = own(session).await?;
        let schema = self.schema(session).await?;
        let member = schema.get("member").cloned().unwrap_or_default();
        let wanted = Wanted { bit: WRITE, objects: member.clone() };
        let (mut missing, mut seen) = (Vec::new(), 0_usize);
        for ids in groups.chunks(GROUPS_AT_ONCE) {
            let each: String =
                ids.iter().map(|id| format!("(objectGUID={})", filter_bytes(&id.to_bytes_le()))).collect();
            let controls = vec![controls::no_referrals(), controls::access_list()];
            let (base, filter) = (&self.settings.base_dn, format!("(|{each})"));
            let asked = session.search_with(base, Scope::Subtree, &filter, &["nTSecurityDescriptor"], controls);
            for entry in asked.await?.0.iter().filter(|entry| is_within(&entry.dn, base)) {
                seen += 1;
                let list = entry.bytes("nTSecurityDescriptor").and_then(Descriptor::parse);
                if !list.is_some_and(|list| list.allows(&own.sids, &wanted)) {
                    missing.push(entry.dn.clone());
                }
            }
        }
        if missing.is_empty() {
            return Ok(good(format!("{MEMBERSHIPS}: allowed in {}.", few(seen, "group"))));
        }
        missing.sort();
        let names: Vec<&str> = missing.iter().map(String::as_str).collect();
        let id = member.first().copied().unwrap_or_default();
        // Given on the unit above, so that new groups have it too.
        let mut units: Vec<String> = missing.iter().filter_map(|dn| split(dn)).map(|name| name.parent).collect();
        units.sort();
        units.dedup();
        let entry = format!("(OA;CIIO;WP;{id};{GROUP_CLASS};{})", own.sid);
        let arguments = [format!("/I:S /G \"{}:WP;member;group\"", own.name)];
        let found = bad(format!("{MEMBERSHIPS}: the account may not write member of {}.", list(&names)));
        Ok(found.mend(units.iter().take(MOST_NAMES).flat_map(|unit| commands(unit, &arguments, &entry))))
    }
}

//! The mirror of the whole directory, and its comparison in full, beside paged `ldapsearch` of the same attributes to a
//! file.

use std::process::Stdio;
use std::time::Instant;

use tenure::clock::Clock;
use tenure::mirror;
use tenure::target::Connector as _;

use crate::ad_lab::env;
use crate::server::memory;
use crate::site::Site;
use crate::{quantile, row};

/// What the connector asks for of accounts and groups.
const ATTRIBUTES: [&str; 33] = [
    "cn",
    "sAMAccountName",
    "userPrincipalName",
    "givenName",
    "sn",
    "displayName",
    "mail",
    "employeeID",
    "department",
    "title",
    "company",
    "physicalDeliveryOfficeName",
    "telephoneNumber",
    "description",
    "manager",
    "userAccountControl",
    "lockoutTime",
    "accountExpires",
    "pwdLastSet",
    "objectGUID",
    "objectSid",
    "objectClass",
    "sAMAccountType",
    "lastLogonTimestamp",
    "whenCreated",
    "adminCount",
    "primaryGroupID",
    "uSNChanged",
    "msDS-cloudExtensionAttribute20",
    "name",
    "groupType",
    "managedBy",
    "member",
];

/// Accounts in the end, where `TENURE_BENCH_ACCOUNTS` says nothing else; the first look is at a tenth of them.
const ACCOUNTS: usize = 30_000;
/// Ours and the limit by turns; the middle one counts.
const ROUNDS: usize = 3;

pub async fn measure(site: &Site) {
    let accounts = std::env::var("TENURE_BENCH_ACCOUNTS").map_or(ACCOUNTS, |text| text.parse().unwrap());
    for (from, to) in [(0, accounts / 10), (accounts / 10, accounts)] {
        let status = tokio::process::Command::new("/usr/bin/python3")
            .args(["-B", concat!(env!("CARGO_MANIFEST_DIR"), "/lab/many/load.py"), &env("TENURE_BENCH_SMB_CONF")])
            .args([from.to_string(), to.to_string()])
            .status()
            .await
            .unwrap();
        assert!(status.success(), "the accounts could not be made; the message stands above");
        looked(site).await;
    }
}

async fn looked(site: &Site) {
    let (mut ours, mut limit, mut memory) = (Vec::new(), Vec::new(), 0.0_f64);
    for _ in 0..ROUNDS {
        limit.push(searched().await);
        let (seconds, most) = mirrored(site).await;
        ours.push(seconds);
        memory = memory.max(most);
    }
    let (ours, limit) = (quantile(&mut ours, 0.5), quantile(&mut limit, 0.5));
    let accounts: i64 = sqlx::query_scalar("select count(*) from account where system = $1 and gone_at is null")
        .bind(&site.connector.system().0)
        .fetch_one(&site.pool)
        .await
        .unwrap();
    row(
        &format!("mirror of {accounts} accounts into PostgreSQL, beside paged ldapsearch to a file"),
        &format!("{ours:.1} s, {memory:.0} MiB at most"),
        &format!("{limit:.1} s"),
        &format!("{:.2}", ours / limit),
        "1.50; flat",
    );
}

/// The whole directory into the mirror: seconds, and the most memory meanwhile in MiB.
async fn mirrored(site: &Site) -> (f64, f64) {
    let mut conn = site.pool.acquire().await.unwrap();
    mirror::begin_anew(&mut conn, site.connector.system()).await.unwrap();
    drop(conn);
    // The kernel's record of the most memory begins anew.
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
    let began = Instant::now();
    while mirror::refresh(&site.pool, &*site.connector, Clock::System.now()).await.unwrap().more {}
    (began.elapsed().as_secs_f64(), memory(std::process::id()).1)
}

async fn searched() -> f64 {
    let file = tempfile::NamedTempFile::new().unwrap();
    let began = Instant::now();
    let status = tokio::process::Command::new("ldapsearch")
        .args([
            "-x",
            "-LLL",
            "-o",
            "ldif-wrap=no",
            "-E",
            "pr=1000/noprompt",
            "-H",
            &env("LDAP_URL"),
            "-D",
            &env("LDAP_BIND_DN"),
        ])
        .args([
            "-y",
            &env("LDAP_PASSWORD_FILE"),
            "-b",
            &env("LDAP_BASE_DN"),
            "(|(&(objectCategory=person)(objectClass=user))(objectClass=group))",
        ])
        .args(ATTRIBUTES)
        .stdout(Stdio::from(file.reopen().unwrap()))
        .status()
        .await
        .unwrap();
    assert!(status.success(), "ldapsearch failed; its message stands above");
    began.elapsed().as_secs_f64()
}

//! The mirror of the whole directory, and its comparison in full, beside paged `ldapsearch` of the same attributes.

use std::process::Stdio;
use std::time::Instant;

use tenure::clock::Clock;
use tenure::mirror;
use tenure::target::Connector as _;

use crate::ad_lab::env;
use crate::row;
use crate::site::Site;

/// What the mirror keeps of an account.
const ATTRIBUTES: [&str; 16] = [
    "objectGUID",
    "sAMAccountName",
    "userPrincipalName",
    "displayName",
    "givenName",
    "sn",
    "mail",
    "department",
    "title",
    "physicalDeliveryOfficeName",
    "manager",
    "userAccountControl",
    "accountExpires",
    "lockoutTime",
    "pwdLastSet",
    "employeeID",
];

/// Accounts added to the directory before each look.
const SIZES: [(usize, usize); 2] = [(0, 1_000), (1_000, 10_000)];

pub async fn measure(site: &Site) {
    for (from, to) in SIZES {
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
            "(|(objectCategory=person)(objectClass=group))",
        ])
        .args(ATTRIBUTES)
        .stdout(Stdio::from(file.reopen().unwrap()))
        .status()
        .await
        .unwrap();
    assert!(status.success(), "ldapsearch failed; its message stands above");
    let limit = began.elapsed().as_secs_f64();

    let system = site.connector.system();
    let mut conn = site.pool.acquire().await.unwrap();
    mirror::begin_anew(&mut conn, system).await.unwrap();
    drop(conn);
    let began = Instant::now();
    while mirror::refresh(&site.pool, &*site.connector, Clock::System.now()).await.unwrap().more {}
    let ours = began.elapsed().as_secs_f64();
    let accounts: i64 = sqlx::query_scalar("select count(*) from account where system = $1 and gone_at is null")
        .bind(&system.0)
        .fetch_one(&site.pool)
        .await
        .unwrap();
    row(
        &format!("mirror of {accounts} accounts into PostgreSQL, beside paged ldapsearch to a file"),
        &format!("{ours:.1} s"),
        &format!("{limit:.1} s"),
        &format!("{:.2}", ours / limit),
        "1.50",
    );
}

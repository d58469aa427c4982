//! Joiners, from the decision to the account in its groups, beside the same LDAP operations by OpenLDAP's own program.

use std::fmt::Write as _;
use std::process::Stdio;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tenure::ids::RequestNumber;

use crate::ad_lab::env;
use crate::server::{Program, processor};
use crate::site::Site;
use crate::{quantile, row};

/// Connections to the directory, ours and the other's.
const CONNECTIONS: usize = 4;
/// Joiners at once.
const MANY: usize = 80;
/// Joiners one after another.
const SINGLE: usize = 15;

pub async fn measure(site: &Site) {
    let mut hand = Vec::new();
    for number in 0..SINGLE {
        hand.push(by_hand("single", number..=number, 1).await * 1e3);
    }
    let worker = Program::work(CONNECTIONS);
    let mut ours = Vec::new();
    for number in 0..SINGLE {
        let asked = joiner(site, "Solo", number).await;
        let decided = Instant::now();
        site.approve("desk", asked, 1).await;
        until_usable(site, &[asked]).await;
        // The first one waits for the worker to start.
        if number > 0 {
            ours.push(decided.elapsed().as_secs_f64() * 1e3);
        }
    }
    drop(worker);
    let (ours_middle, hand_middle) = (quantile(&mut ours, 0.5), quantile(&mut hand, 0.5));
    row(
        "from the last approval to the account in its groups",
        &format!("p50 {ours_middle:.0} ms, most {:.0} ms", quantile(&mut ours, 1.0)),
        &format!("p50 {hand_middle:.0} ms"),
        &format!("{:+.0} ms", ours_middle - hand_middle),
        "+300 ms; p99 1 s",
    );

    // The directory gets slower as its groups grow: before and after ours, and the mean of both.
    let before = by_hand("before", 0..=MANY - 1, CONNECTIONS).await;
    let mut asked = Vec::new();
    for number in 0..MANY {
        let request = joiner(site, "Viele", number).await;
        site.approve("desk", request, 1).await;
        asked.push(request);
    }
    let directory: u32 = env("TENURE_BENCH_DIRECTORY_PID").parse().unwrap();
    let directory_before = processor(directory);
    let worker = Program::work(CONNECTIONS);
    until_usable(site, &asked).await;
    let (ours_processor, theirs) = (processor(worker.pid()), processor(directory) - directory_before);
    drop(worker);
    let numbers: Vec<i64> = asked.iter().map(|number| number.0).collect();
    let seconds: f64 = sqlx::query_scalar(
        "select extract(epoch from max(s.settled_at) - min(a.started_at))::float8
           from request r join step s on s.request = r.id join attempt a on a.step = s.id where r.number = any ($1)",
    )
    .bind(&numbers)
    .fetch_one(&site.pool)
    .await
    .unwrap();
    let after = by_hand("after", 0..=MANY - 1, CONNECTIONS).await;
    #[expect(clippy::cast_precision_loss, reason = "small counts")]
    let (ours, limit) = (MANY as f64 / seconds, MANY as f64 / f64::midpoint(before, after));
    row(
        &format!("joiners, {CONNECTIONS} connections, beside ldapmodify of the same entries"),
        &format!("{ours:.1}/s"),
        &format!("{limit:.1}/s"),
        &format!("{:.2}", ours / limit),
        "0.90",
    );
    row(
        "our processor time beside the directory's, for these",
        &format!("{ours_processor:.1} s"),
        &format!("{theirs:.1} s"),
        &format!("{:.2}", ours_processor / theirs),
        "0.10",
    );
}

/// Names of people have no digits.
fn letters(number: usize) -> String {
    format!("{number:03}").bytes().map(|digit| char::from(digit - b'0' + b'a')).collect()
}

async fn joiner(site: &Site, family: &str, number: usize) -> RequestNumber {
    site.joiner(&format!("Bench{}", letters(number)), family, &[]).await
}

/// Until every step of theirs is done.
async fn until_usable(site: &Site, requests: &[RequestNumber]) {
    let numbers: Vec<i64> = requests.iter().map(|number| number.0).collect();
    let began = Instant::now();
    loop {
        let open: i64 = sqlx::query_scalar(
            "select count(*) from step s join request r on r.id = s.request
              where r.number = any ($1) and s.state not in ('applied', 'unchanged')",
        )
        .bind(&numbers)
        .fetch_one(&site.pool)
        .await
        .unwrap();
        if open == 0 {
            return;
        }
        assert!(began.elapsed() < Duration::from_secs(180), "{open} steps are still open");
        tokio::time::sleep(Duration::from_millis(3)).await;
    }
}

/// The same entries by `ldapmodify`, that many processes side by side; in seconds.
async fn by_hand(tag: &str, numbers: std::ops::RangeInclusive<usize>, connections: usize) -> f64 {
    let base = env("LDAP_BASE_DN");
    let mut files = vec![String::new(); connections];
    for number in numbers {
        let name = format!("{tag}{number}");
        let dn = format!("CN=Hand {name},OU=Hamburg,OU=Staff,{base}");
        let file = &mut files[number % connections];
        write!(
            file,
            "dn: {dn}\nchangetype: add\nobjectClass: user\ncn: Hand {name}\nsAMAccountName: h{name}\n\
             userPrincipalName: h{name}@corp.example.com\ngivenName: Hand\nsn: {name}\ndisplayName: Hand {name}\n\
             mail: h{name}@example.com\ndepartment: Finance\ntitle: Accountant\nphysicalDeliveryOfficeName: Hamburg\n\
             userAccountControl: 514\n\n\
             dn: {dn}\nchangetype: modify\nreplace: unicodePwd\nunicodePwd:: {}\n-\nreplace: pwdLastSet\npwdLastSet: 0\n\n\
             dn: {dn}\nchangetype: modify\nreplace: userAccountControl\nuserAccountControl: 512\n\n",
            password()
        )
        .unwrap();
        for group in ["All Hamburg", "All employees", "Finance staff"] {
            write!(file, "dn: CN={group},OU=Groups,{base}\nchangetype: modify\nadd: member\nmember: {dn}\n\n").unwrap();
        }
    }
    let dir = TempDir::new().unwrap();
    let began = Instant::now();
    let running: Vec<_> = files
        .iter()
        .enumerate()
        .map(|(at, text)| {
            let path = dir.path().join(format!("{at}.ldif"));
            std::fs::write(&path, text).unwrap();
            let mut command = tokio::process::Command::new("ldapmodify");
            command.args([
                "-x",
                "-H",
                &env("LDAP_URL"),
                "-D",
                &env("LDAP_BIND_DN"),
                "-y",
                &env("LDAP_PASSWORD_FILE"),
                "-f",
            ]);
            command.arg(path).stdout(Stdio::null()).spawn().unwrap()
        })
        .collect();
    for mut child in running {
        assert!(child.wait().await.unwrap().success(), "ldapmodify failed; its message stands above");
    }
    began.elapsed().as_secs_f64()
}

/// A password as LDIF has it: UTF-16, quoted, base64.
fn password() -> String {
    use base64::Engine as _;
    let quoted: Vec<u8> =
        format!("\"{}\"", crate::ad_lab::PASSWORD).encode_utf16().flat_map(u16::to_le_bytes).collect();
    base64::engine::general_purpose::STANDARD.encode(quoted)
}

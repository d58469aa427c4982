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

/// How often a change is made outside.
const CHANGES: usize = 15;

pub async fn measure(site: &Site) {
    single(site).await;
    let one = beside_ldapmodify(site).await;
    for (workers, family) in [(2, "Paar"), (4, "Quartett")] {
        let many = rate(applied(site, family, workers).await.seconds);
        row(
            &format!("joiners, {workers} workers of {CONNECTIONS} connections each, beside one"),
            &format!("{many:.1}/s"),
            &format!("{one:.1}/s"),
            &format!("{:.2}", many / one),
            "grows until the directory is the limit",
        );
    }
    made_outside(site).await;
}

/// One after another on an idle system.
async fn single(site: &Site) {
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
}

/// Many at once; how many a second.
async fn beside_ldapmodify(site: &Site) -> f64 {
    // The directory gets slower as its groups grow: before and after ours, and the mean of both.
    let before = by_hand("before", 0..=MANY - 1, CONNECTIONS).await;
    let applied = applied(site, "Viele", 1).await;
    let after = by_hand("after", 0..=MANY - 1, CONNECTIONS).await;
    let (ours, limit) = (rate(applied.seconds), rate(f64::midpoint(before, after)));
    row(
        &format!("joiners, {CONNECTIONS} connections, beside ldapmodify of the same entries"),
        &format!("{ours:.1}/s"),
        &format!("{limit:.1}/s"),
        &format!("{:.2}", ours / limit),
        "0.90",
    );
    row(
        "our processor time beside the directory's, for these",
        &format!("{:.1} s", applied.workers),
        &format!("{:.1} s", applied.directory),
        &format!("{:.2}", applied.workers / applied.directory),
        "0.10",
    );
    ours
}

#[expect(clippy::cast_precision_loss, reason = "small counts")]
fn rate(seconds: f64) -> f64 {
    MANY as f64 / seconds
}

/// What it took to apply [`MANY`] joiners.
struct Applied {
    /// From the first attempt to the last step.
    seconds: f64,
    /// Processor seconds of all workers.
    workers: f64,
    /// Processor seconds of the directory.
    directory: f64,
}

/// Has that many workers apply joiners that are decided already.
async fn applied(site: &Site, family: &str, workers: usize) -> Applied {
    let mut asked = Vec::new();
    for number in 0..MANY {
        let request = joiner(site, family, number).await;
        site.approve("desk", request, 1).await;
        asked.push(request);
    }
    let directory: u32 = env("TENURE_BENCH_DIRECTORY_PID").parse().unwrap();
    let before = processor(directory);
    let workers: Vec<Program> = (0..workers).map(|_| Program::work(CONNECTIONS)).collect();
    until_usable(site, &asked).await;
    let directory = processor(directory) - before;
    let ours = workers.iter().map(|worker| processor(worker.pid())).sum();
    drop(workers);
    let numbers: Vec<i64> = asked.iter().map(|number| number.0).collect();
    let seconds: f64 = sqlx::query_scalar(
        "select extract(epoch from max(s.settled_at) - min(a.started_at))::float8
           from request r join step s on s.request = r.id join attempt a on a.step = s.id where r.number = any ($1)",
    )
    .bind(&numbers)
    .fetch_one(&site.pool)
    .await
    .unwrap();
    Applied { seconds, workers: ours, directory }
}

/// From a change that somebody else makes in the directory until the mirror, which pages read, has it.
async fn made_outside(site: &Site) {
    let worker = Program::work(CONNECTIONS);
    let mut admin = crate::ad_lab::admin().await;
    let dn = format!("CN=Hand single0,OU=Hamburg,OU=Staff,{}", env("LDAP_BASE_DN"));
    let mut took = Vec::new();
    for number in 0..=CHANGES {
        let name = format!("Hand changed {number}");
        let change = ldap3::Mod::Replace("displayName", std::collections::HashSet::from([name.as_str()]));
        let began = Instant::now();
        admin.modify(&dn, vec![change]).await.unwrap().success().unwrap();
        loop {
            let seen: bool = sqlx::query_scalar("select exists (select from account where display_name = $1)")
                .bind(&name)
                .fetch_one(&site.pool)
                .await
                .unwrap();
            if seen {
                break;
            }
            assert!(began.elapsed() < Duration::from_secs(60), "the mirror does not follow");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        // The first one waits for the worker to start.
        if number > 0 {
            took.push(began.elapsed().as_secs_f64() * 1e3);
        }
        // Not in step with how often the worker asks.
        tokio::time::sleep(Duration::from_millis(137 * u64::try_from(number % 7).unwrap())).await;
    }
    drop(worker);
    row(
        "from a change made outside until pages show it",
        &format!("p50 {:.0} ms, most {:.0} ms", quantile(&mut took, 0.5), quantile(&mut took, 1.0)),
        "-",
        "-",
        "5 s",
    );
}

/// Names of people have no digits.
fn letters(number: usize) -> String {
    format!("{number:03}").bytes().map(|digit| char::from(digit - b'0' + b'a')).collect()
}

async fn joiner(site: &Site, family: &str, number: usize) -> RequestNumber {
    site.joiner(&format!("Bench{}", letters(number)), family, &[]).await
}

/// Until every step of theirs is done. Looks often where one is waited for, seldom where many are: looking takes time of the same
/// processors, and what many took is read from their attempts.
async fn until_usable(site: &Site, requests: &[RequestNumber]) {
    let look = Duration::from_millis(if requests.len() > 1 { 100 } else { 3 });
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
        tokio::time::sleep(look).await;
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

//! The product's figures on a real directory and a database that grows: joiners beside `ldapmodify` of the same entries,
//! pages beside their own SQL in `pgbench`, submitting beside bare inserts, the mirror beside paged `ldapsearch`, memory and
//! start. Run by `scripts/bench` on its own lab, all parts or those that TENURE_BENCH_PARTS names; each line is one measured figure.

#[path = "../../tests/live/ad_lab.rs"]
#[allow(dead_code, reason = "the live suite uses the rest")]
mod ad_lab;
mod company;
mod joiners;
mod mirror;
mod pages;
mod server;
#[path = "../../tests/live/site.rs"]
#[allow(dead_code, reason = "the live suite uses the rest")]
mod site;
mod statements;
mod submit;

use crate::site::Site;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let site = Site::open().await;
        let owner =
            sqlx::PgPool::connect(site.config.database.owner_url.as_deref().expect("the lab's owner")).await.unwrap();
        let parts = std::env::var("TENURE_BENCH_PARTS").unwrap_or_default();
        let wanted = |part: &str| parts.is_empty() || parts.split(' ').any(|one| one == part);
        if wanted("joiners") {
            joiners::measure(&site).await;
        }
        if wanted("mirror") {
            mirror::measure(&site).await;
        }
        if wanted("pages") {
            let template = company::template(&site, &owner).await;
            for (scale, people, requests) in sizes() {
                company::grow(&owner, &template, people, requests).await;
                pages::measure(&site, &owner, &format!("{scale}×")).await;
            }
        }
    });
}

/// How much data pages are measured with: scale, people, requests. One and ten thousand people, up to the scale that
/// TENURE_BENCH_SCALE says: ten where it says nothing; at a hundred, seeding alone takes a long while.
fn sizes() -> impl Iterator<Item = (i64, i64, i64)> {
    let most: i64 = std::env::var("TENURE_BENCH_SCALE").map_or(10, |text| text.parse().expect("a scale: 1, 10 or 100"));
    [1, 10, 100].into_iter().filter(move |scale| *scale <= most).map(|scale| (scale, scale * 1_000, scale * 10_000))
}

/// One row of the table; `scripts/bench` aligns them.
fn row(figure: &str, ours: &str, limit: &str, ratio: &str, bar: &str) {
    println!("row\t{figure}\t{ours}\t{limit}\t{ratio}\t{bar}");
}

/// The value below which that share of them lies.
fn quantile(of: &mut [f64], share: f64) -> f64 {
    of.sort_by(f64::total_cmp);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "small counts"
    )]
    let at = (share * of.len() as f64).ceil() as usize;
    of[at.clamp(1, of.len()) - 1]
}

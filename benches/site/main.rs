//! The product's figures on a real directory and a database that grows: joiners beside `ldapmodify` of the same entries,
//! pages beside their own SQL in `pgbench`, submitting beside bare inserts, the mirror beside paged `ldapsearch`, memory and
//! start. Run by `scripts/bench` on its own lab; each line is one measured figure.

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

use crate::site::Site;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let site = Site::open().await;
        let owner =
            sqlx::PgPool::connect(site.config.database.owner_url.as_deref().expect("the lab's owner")).await.unwrap();
        joiners::measure(&site).await;
        mirror::measure(&site).await;
        let template = company::template(&site).await;
        for (scale, people, requests) in [("1×", 1_000, 10_000), ("10×", 10_000, 100_000)] {
            company::grow(&owner, &template, people, requests).await;
            pages::measure(&site, &owner, scale).await;
        }
    });
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

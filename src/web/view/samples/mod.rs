//! Every page rendered from sample data, in the states that it can be in: full, empty, with errors, with long text and
//! hostile names, read-only. The test that renders them also writes them to `target/ui-samples/`, with the static
//! files beside them, so that they can be looked at (`python3 -m http.server --directory target/ui-samples`).

mod auditing;
mod company;
mod forms;
mod letters;
mod own;
mod pages;
mod people;
mod settings;
mod work;

use std::{fs, path::Path};

use askama::Template;
use scraper::{Html, Selector};

use super::assets;

/// The name of a sample and its document.
type Sample = (&'static str, String);

fn page(name: &'static str, template: &impl Template) -> Sample {
    (name, template.render().unwrap_or_else(|error| panic!("{name}: {error}")))
}

fn all() -> Vec<Sample> {
    [
        pages::all(),
        own::all(),
        forms::all(),
        work::all(),
        auditing::all(),
        letters::all(),
        people::all(),
        settings::all(),
        fragments(),
    ]
    .concat()
}

/// The pieces that scripts fetch; each has its text without a script too.
fn fragments() -> Vec<Sample> {
    vec![
        page("fragment-picker", &forms::picker("keller")),
        page("fragment-chooser", &forms::found("ledger")),
        page("fragment-suggest", &people::suggested("wolf")),
        page("fragment-live", &pages::live()),
    ]
}

/// Names that have broken pages elsewhere, and a word without any place to break.
pub(crate) const HOSTILE: &str = "<script>alert(1)</script> \"O’Brien\" & {{7*7}} ' onmouseover='x";
pub(crate) const LONG: &str =
    "Wolfeschlegelsteinhausenbergerdorffwelchevoralternwarengewissenhaftschaferswessenschafewarenwohlgepflege";

#[test]
fn every_page_renders_and_is_written_to_look_at() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/ui-samples");
    fs::create_dir_all(folder.join("static")).unwrap();
    for asset in assets::all() {
        fs::write(folder.join("static").join(asset.name), &asset.bytes).unwrap();
    }
    let samples = all();
    assert!(samples.len() > 60, "a page lost its sample");
    let mut index = String::from("<!doctype html><title>Samples</title><ul>");
    for (name, html) in &samples {
        fs::write(folder.join(format!("{name}.html")), html).unwrap();
        index.push_str(&format!("<li><a href=\"{name}.html\">{name}</a>"));
    }
    fs::write(folder.join("index.html"), index).unwrap();
}

#[test]
fn no_sample_needs_what_the_content_security_policy_forbids() {
    let inline = Selector::parse("[style], style, script:not([src])").unwrap();
    let any = Selector::parse("*").unwrap();
    for (name, html) in all() {
        let document = Html::parse_document(&html);
        if name.starts_with("mail-") {
            assert!(document.select(&Selector::parse("script").unwrap()).next().is_none(), "{name}");
            continue;
        }
        assert!(document.select(&inline).next().is_none(), "{name}: inline style or script");
        for element in document.select(&any) {
            let handler = element.value().attrs().find(|(attribute, _)| attribute.starts_with("on"));
            assert!(handler.is_none(), "{name}: {handler:?}");
        }
    }
}

#[test]
fn hostile_text_stays_text() {
    let alert = Selector::parse("script:not([src])").unwrap();
    let mut seen = 0;
    for (name, html) in all() {
        let document = Html::parse_document(&html);
        assert!(document.select(&alert).next().is_none(), "{name}");
        assert!(!html.contains("<script>alert"), "{name}");
        seen += usize::from(html.contains("alert(1)"));
    }
    assert!(seen >= 8, "only {seen} samples hold hostile text");
}

#[test]
fn every_form_that_changes_something_carries_the_token() {
    let forms = Selector::parse("form[method=post]").unwrap();
    let token = Selector::parse("input[name=csrf]").unwrap();
    for (name, html) in all() {
        for form in Html::parse_document(&html).select(&forms) {
            let value = form.select(&token).next().and_then(|input| input.attr("value"));
            assert_eq!(value, Some("token"), "{name}: {}", form.html());
        }
    }
}

#[test]
fn ids_are_unique_and_what_refers_to_them_finds_them() {
    let with_id = Selector::parse("[id]").unwrap();
    let referring = Selector::parse("label[for], [aria-describedby], [aria-labelledby], a[href^='#']").unwrap();
    for (name, html) in all() {
        let document = Html::parse_document(&html);
        let mut ids: Vec<&str> = document.select(&with_id).filter_map(|element| element.attr("id")).collect();
        let count = ids.len();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), count, "{name}: an id twice");
        for element in document.select(&referring) {
            let href = element.attr("href").and_then(|href| href.strip_prefix('#'));
            let named =
                ["for", "aria-describedby", "aria-labelledby"].iter().filter_map(|a| element.attr(a)).chain(href);
            for id in named.flat_map(str::split_whitespace) {
                assert!(ids.contains(&id), "{name}: nothing has the id {id}: {}", element.html());
            }
        }
    }
}

#[test]
fn every_icon_is_in_the_sprite_and_every_file_is_small_enough() {
    let sprite = std::str::from_utf8(&assets::find("icons.svg").unwrap().bytes).unwrap();
    let uses = Selector::parse("use").unwrap();
    for (name, html) in all() {
        for icon in Html::parse_document(&html).select(&uses) {
            let id = icon.attr("href").and_then(|href| href.split_once('#')).map(|(_, id)| id.to_owned());
            assert!(sprite.contains(&format!("id=\"{}\"", id.as_deref().unwrap_or("?"))), "{name}: {id:?}");
        }
        assert!(html.len() < 200_000, "{name} is too large");
    }
    let sheet = assets::find("tenure.css").unwrap().bytes.len();
    assert!(sheet <= 30 * 1024, "the stylesheet has {sheet} bytes");
    assert!(assets::find("../Cargo.toml").is_none());
}

#[test]
fn times_say_what_people_say() {
    use super::When;
    use chrono::{TimeZone, Utc};
    let zone = chrono_tz::Europe::Berlin;
    let at = |day, hour, minute| Utc.with_ymd_and_hms(2026, 11, day, hour, minute, 0).unwrap();
    let now = at(23, 13, 2);
    let said = |then| When::at(then, now, zone).relative;
    assert_eq!(said(now), "just now");
    assert_eq!(said(at(23, 12, 57)), "5 min ago");
    assert_eq!(said(at(23, 16, 2)), "in 3 h");
    assert_eq!(said(at(22, 9, 0)), "yesterday");
    assert_eq!(said(at(9, 9, 0)), "9 Nov");
    assert_eq!(When::clock(at(22, 10, 20), now, zone).relative, "yesterday 11:20");
    assert_eq!(When::at(at(23, 10, 0), now, zone).exact, "Monday 23 November 2026, 11:00:00 CET");
}

#[test]
fn a_pickers_text_gives_its_key() {
    use super::forms::picked;
    assert_eq!(picked("Maria Keller (mkeller)"), "mkeller");
    assert_eq!(picked(" mkeller "), "mkeller");
    assert_eq!(picked("Ann (Annie) Low (alow)"), "alow");
    assert_eq!(picked("odd ()"), "odd ()");
}

//! The files under `static/`, built into the program, each under an address that changes with its content.

use std::{borrow::Cow, sync::LazyLock};

use askama::Template;
use sha2::{Digest, Sha256};

/// One file served under `/static/`.
pub struct Asset {
    /// File name below `static/`, which is also its address below `/static/`.
    pub name: &'static str,
    /// Value of `Content-Type`.
    pub content_type: &'static str,
    /// The file; the stylesheet without comments and needless blanks.
    pub bytes: Cow<'static, [u8]>,
    /// First 12 hexadecimal digits of its SHA-256: the `v` in its address and its `ETag`. An address with the right
    /// `v` may be cached for ever.
    pub version: String,
}

macro_rules! files {
    ($($name:literal => $kind:literal),+ $(,)?) => {
        vec![$(made($name, $kind, include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/static/", $name)))),+]
    };
}

static ALL: LazyLock<Vec<Asset>> = LazyLock::new(|| {
    files![
        "tenure.css" => "text/css; charset=utf-8",
        "tenure.js" => "text/javascript; charset=utf-8",
        "verify.js" => "text/javascript; charset=utf-8",
        "htmx.min.js" => "text/javascript; charset=utf-8",
        "icons.svg" => "image/svg+xml",
        "logo.svg" => "image/svg+xml",
    ]
});

fn made(name: &'static str, content_type: &'static str, bytes: &'static [u8]) -> Asset {
    let bytes = match content_type {
        "text/css; charset=utf-8" => Cow::Owned(squeezed(bytes)),
        _ => Cow::Borrowed(bytes),
    };
    let version = hex::encode(Sha256::digest(&bytes)).chars().take(12).collect();
    Asset { name, content_type, bytes, version }
}

/// A stylesheet without comments, and without blanks where they mean nothing: after `{ } ; , : >` and before `{ } >`, and
/// around `+` outside of brackets, where it joins selectors and adds nothing up. Text in quotes stays as it is. So the file
/// can be written for people and is still small.
fn squeezed(css: &[u8]) -> Vec<u8> {
    let css = String::from_utf8_lossy(css);
    let mut out = String::with_capacity(css.len());
    let mut quoted = None;
    let mut brackets = 0;
    let mut rest = css.chars().peekable();
    while let Some(c) = rest.next() {
        match quoted {
            Some(quote) => {
                out.push(c);
                quoted = (c != quote).then_some(quote);
            }
            None if c == '/' && rest.peek() == Some(&'*') => {
                let mut last = ' ';
                rest.next();
                for d in rest.by_ref() {
                    if last == '*' && d == '/' {
                        break;
                    }
                    last = d;
                }
            }
            None if c.is_whitespace() => {
                let joined = brackets == 0 && (out.ends_with('+') || rest.peek() == Some(&'+'));
                let needed = !out.is_empty() && !out.ends_with(['{', '}', ';', ',', ':', '>', ' ']);
                if needed && !joined && !matches!(rest.peek(), Some('{' | '}' | '>')) {
                    out.push(' ');
                }
            }
            None => {
                brackets += i32::from(c == '(') - i32::from(c == ')');
                quoted = matches!(c, '"' | '\'').then_some(c);
                out.push(c);
            }
        }
    }
    out.into_bytes()
}

/// All files, for tests and for serving.
pub fn all() -> &'static [Asset] {
    &ALL
}

/// The file of that name, or none: the only names served are those compiled in, so no path can leave the folder.
pub fn find(name: &str) -> Option<&'static Asset> {
    ALL.iter().find(|asset| asset.name == name)
}

/// The address of a static file, with its version: `/static/tenure.css?v=0f3a…`. An unknown name keeps its plain
/// address (and will be "not found"), which the test of all templates would show.
pub fn asset(name: &str) -> String {
    match find(name) {
        Some(found) => format!("/static/{name}?v={}", found.version),
        None => format!("/static/{name}"),
    }
}

/// An icon from the sprite, always decorative: the word beside it (or a hidden one) carries the meaning.
#[derive(Template)]
#[template(
    source = r##"<svg class="icon" aria-hidden="true" focusable="false"><use href="{{ sheet }}#{{ name }}"/></svg>"##,
    ext = "html"
)]
pub struct Icon {
    name: String,
    sheet: &'static str,
}
embeddable!(Icon);

static SHEET: LazyLock<String> = LazyLock::new(|| asset("icons.svg"));

/// The icon of that name in `static/icons.svg` (names as in Lucide).
pub fn icon(name: &str) -> Icon {
    Icon { name: name.to_owned(), sheet: &SHEET }
}

//! A browser as far as tests need one: keeps its cookie, sends what browsers send, fills in the form's token.

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, StatusCode, header};
use scraper::{Html, Selector};
use tenure::access::session;
use tenure::ids::PersonId;
use tower::ServiceExt;

use super::Portal;

/// An answer, read to its end.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
}

impl Answer {
    pub fn location(&self) -> &str {
        self.headers.get(header::LOCATION).map_or("", |value| value.to_str().unwrap())
    }

    pub fn cookie(&self) -> &str {
        self.headers.get(header::SET_COOKIE).map_or("", |value| value.to_str().unwrap())
    }

    pub fn html(&self) -> Html {
        Html::parse_document(&self.text)
    }

    /// The text of the first element that matches, with single spaces.
    pub fn find(&self, selector: &str) -> Option<String> {
        let html = self.html();
        let found = html.select(&Selector::parse(selector).unwrap()).next()?;
        Some(found.text().collect::<String>().split_whitespace().collect::<Vec<_>>().join(" "))
    }

    /// All texts of elements that match.
    pub fn find_all(&self, selector: &str) -> Vec<String> {
        let html = self.html();
        html.select(&Selector::parse(selector).unwrap())
            .map(|found| found.text().collect::<String>().split_whitespace().collect::<Vec<_>>().join(" "))
            .collect()
    }

    /// The value of a hidden or visible input.
    pub fn value(&self, name: &str) -> Option<String> {
        let html = self.html();
        let selector = Selector::parse(&format!("input[name=\"{name}\"]")).unwrap();
        html.select(&selector).next().and_then(|input| input.value().attr("value")).map(str::to_owned)
    }

    /// What a browser would send of the form that `within` finds: every field with its value, but for the form's token.
    pub fn filled(&self, within: &str) -> Vec<(String, String)> {
        let html = self.html();
        let all =
            Selector::parse(&format!("{within} input[name], {within} select[name], {within} textarea[name]")).unwrap();
        let chosen = Selector::parse("option[selected]").unwrap();
        let first = Selector::parse("option").unwrap();
        html.select(&all)
            .filter(|field| {
                !matches!(field.value().attr("type"), Some("checkbox" | "radio"))
                    || field.value().attr("checked").is_some()
            })
            .map(|field| {
                let value = match field.value().name() {
                    "select" => {
                        let option = field.select(&chosen).next().or_else(|| field.select(&first).next());
                        option.and_then(|option| option.value().attr("value")).unwrap_or_default().to_owned()
                    }
                    "textarea" => field.text().collect::<String>().trim_start_matches('\n').to_owned(),
                    _ => field.value().attr("value").unwrap_or_default().to_owned(),
                };
                (field.value().attr("name").unwrap().to_owned(), value)
            })
            .filter(|(name, _)| name != "csrf")
            .collect()
    }
}

/// A form's fields with some answers changed.
pub fn with<'a>(form: &'a [(String, String)], changed: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let mut fields: Vec<(&str, &str)> = form
        .iter()
        .filter(|(name, _)| !changed.iter().any(|(other, _)| other == name))
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    fields.extend(changed);
    fields
}

/// Sends one request to the router.
pub async fn send(app: &Router, request: Request<Body>) -> Answer {
    let response = app.clone().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let bytes = axum::body::to_bytes(body, 10 << 20).await.unwrap();
    Answer { status: parts.status, headers: parts.headers, text: String::from_utf8_lossy(&bytes).into_owned() }
}

/// A request as a browser on one of our pages sends it.
pub fn request(method: Method, path: &str) -> axum::http::request::Builder {
    Request::builder()
        .method(method)
        .uri(path)
        .header(header::HOST, "tenure.test")
        .header("sec-fetch-site", "same-origin")
        .header(header::USER_AGENT, "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0")
}

pub fn encoded(fields: &[(&str, &str)]) -> String {
    let part = |text: &str| {
        text.bytes().fold(String::new(), |mut out, byte| {
            if byte.is_ascii_alphanumeric() {
                out.push(char::from(byte));
            } else {
                out.push_str(&format!("%{byte:02X}"));
            }
            out
        })
    };
    fields.iter().map(|(name, value)| format!("{}={}", part(name), part(value))).collect::<Vec<_>>().join("&")
}

/// A browser with one cookie.
#[derive(Clone)]
pub struct Browser {
    app: Router,
    pub cookie: Option<String>,
    csrf: Option<String>,
}

impl Portal {
    /// A browser in which nobody is signed in.
    pub fn browser(&self) -> Browser {
        Browser { app: self.app.clone(), cookie: None, csrf: None }
    }

    /// A browser in which that person is signed in.
    pub async fn browser_of(&self, person: PersonId) -> Browser {
        let mut conn = self.owner.acquire().await.unwrap();
        let token = session::open(&mut conn, self.clock.now(), person, &session::From::default()).await.unwrap();
        let live = session::resume(&mut conn, &token, None).await.unwrap().expect("the session was opened just now");
        Browser { app: self.app.clone(), cookie: Some(format!("tenure={token}")), csrf: Some(live.form_token()) }
    }
}

impl Browser {
    pub async fn get(&self, path: &str) -> Answer {
        send(&self.app, self.request(Method::GET, path).body(Body::empty()).unwrap()).await
    }

    /// Posts a form with the session's token.
    pub async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let mut fields = fields.to_vec();
        if let Some(csrf) = &self.csrf {
            fields.push(("csrf", csrf));
        }
        self.post_raw(path, &fields).await
    }

    /// Posts exactly these fields.
    pub async fn post_raw(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let request = self
            .request(Method::POST, path)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(Body::from(encoded(fields)))
            .unwrap();
        send(&self.app, request).await
    }

    pub fn request(&self, method: Method, path: &str) -> axum::http::request::Builder {
        let request = request(method, path);
        match &self.cookie {
            Some(cookie) => request.header(header::COOKIE, cookie),
            None => request,
        }
    }
}

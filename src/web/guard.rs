//! What every request passes: an id and a span, hostile paths and hosts refused, other sites' forms refused, a time limit;
//! and what every answer carries: the security headers.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use axum::extract::{MatchedPath, Request, State};
use axum::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use axum::http::{Method, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum_extra::extract::cookie::CookieJar;
use tracing::Instrument;
use uuid::Uuid;

use super::view::errors::Wrong;
use super::{AppState, Error, errors, viewer};

/// The other end of the connection.
#[derive(Debug, Clone, Copy)]
pub struct Peer(pub SocketAddr);

/// This request's id: in every log line, in the answer's `X-Request-Id`, on error pages.
#[derive(Debug, Clone)]
pub struct RequestId(pub String);

/// The address that sessions and evidence are told; None in tests without a connection.
#[derive(Debug, Clone)]
pub struct Address(pub Option<String>);

/// The time that a handler may take. A stream of events returns at once and then lives on.
const TIME: Duration = Duration::from_secs(30);

const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; font-src 'self'; \
     img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Around every handler, the fallback too.
pub async fn around(State(state): State<AppState>, mut request: Request, next: Next) -> Response {
    let started = Instant::now();
    let id = Uuid::now_v7().simple().to_string();
    let peer = request.extensions().get::<Peer>().map(|peer| peer.0.ip());
    let address = Address(client_address(peer, state.config.web.trusted_proxy, request.headers()));
    let method = request.method().clone();
    let path = request.uri().path().to_owned();
    let route = request.extensions().get::<MatchedPath>().map_or("none".to_owned(), |route| route.as_str().to_owned());
    let span = tracing::info_span!("request", id, %method, route);
    request.extensions_mut().insert(RequestId(id.clone()));
    request.extensions_mut().insert(address);
    let from = errors::From::of(&request);
    // A fragment (htmx) has no place for messages: the page's next full load tells.
    let brought = CookieJar::from_headers(request.headers()).get(viewer::SAID).is_some()
        && !request.headers().contains_key("hx-request");
    let answer = async {
        if let Some(refused) = refuse(&state, &request) {
            return refused.into_response();
        }
        match tokio::time::timeout(TIME, next.run(request)).await {
            Ok(response) => response,
            Err(_) => Error::wrong(Wrong::Broken, "It took longer than 30 seconds.").into_response(),
        }
    };
    let mut response = async { errors::shown(&state, from, &id, answer.await).await }.instrument(span).await;
    viewer::told(&state, brought, &mut response);
    secure(&state, &id, response.headers_mut());
    let status = response.status().as_u16();
    let took = started.elapsed();
    metrics::counter!("tenure_http_requests_total", "method" => method.to_string(), "route" => route.clone(), "status" => status.to_string()).increment(1);
    metrics::histogram!("tenure_http_request_seconds", "route" => route.clone()).record(took.as_secs_f64());
    tracing::info!(id, %method, route, path, status, ms = took.as_millis(), "answered");
    response
}

/// Reasons to refuse a request before any handler sees it.
fn refuse(state: &AppState, request: &Request) -> Option<Error> {
    if hostile(request.uri()) {
        return Some(Error::wrong(Wrong::NotFound, ""));
    }
    let probe = matches!(request.uri().path(), "/healthz" | "/readyz" | "/metrics");
    if !probe && !expected_host(state, request.headers()) {
        return Some(Error::wrong(Wrong::Senseless, "Tenure does not answer under this name."));
    }
    let api = request.uri().path().starts_with("/api/");
    // The API reads no cookie, so no other site can borrow one; everything else must come from our own pages.
    if !api && !safe(request.method()) && !same_origin(state, request.headers()) {
        return Some(Error::wrong(Wrong::StaleForm, "The form was not sent from a page of Tenure."));
    }
    None
}

/// Methods that change nothing.
pub fn safe(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

/// Paths that two programs in a row might read differently (CVE-2021-40539): none of ours looks like that.
pub fn hostile(uri: &Uri) -> bool {
    let path = uri.path();
    let lower = path.to_ascii_lowercase();
    let confusing = ["//", "/./", "/../", ";", "\\", "%2e", "%2f", "%5c", "%3b", "%00", "%25", "%0a", "%0d"];
    uri.authority().is_some()
        || path.len() > 2000
        || path.ends_with("/.")
        || path.ends_with("/..")
        || !path.bytes().all(|byte| byte.is_ascii_graphic())
        || confusing.iter().any(|part| lower.contains(part))
}

/// Whether the request names us: another name that leads to our address (DNS rebinding) gets nothing.
fn expected_host(state: &AppState, headers: &HeaderMap) -> bool {
    let Some(host) = headers.get(header::HOST).and_then(|host| host.to_str().ok()) else { return false };
    let web = &state.config.web;
    let port = web.listen.port();
    host.eq_ignore_ascii_case(authority(&web.base_url))
        || (web.listen.ip().is_loopback()
            && [web.listen.to_string(), format!("localhost:{port}"), format!("127.0.0.1:{port}")]
                .iter()
                .any(|ours| ours == host))
}

fn authority(base_url: &str) -> &str {
    let rest = base_url.split_once("://").map_or(base_url, |(_, rest)| rest);
    rest.split('/').next().unwrap_or(rest)
}

/// Whether the browser says that one of our own pages sent this. Neither header: no.
fn same_origin(state: &AppState, headers: &HeaderMap) -> bool {
    if let Some(site) = headers.get("sec-fetch-site") {
        return site == "same-origin";
    }
    let Some(origin) = headers.get(header::ORIGIN).and_then(|origin| origin.to_str().ok()) else { return false };
    let scheme = if state.config.web.insecure_http { "http://" } else { "https://" };
    let Some(host) = origin.strip_prefix(scheme) else { return false };
    // The host is one of ours already, see `expected_host`.
    headers.get(header::HOST).is_some_and(|ours| ours.as_bytes().eq_ignore_ascii_case(host.as_bytes()))
}

/// The client's address: the connection's, or what the one proxy that is trusted says it was.
pub fn client_address(peer: Option<IpAddr>, trusted: Option<IpAddr>, headers: &HeaderMap) -> Option<String> {
    let peer = peer?;
    if Some(peer) == trusted {
        // The last entry is the one that our proxy wrote; those before it are the client's own claims.
        let told = headers.get_all("x-forwarded-for").iter().next_back().and_then(|value| value.to_str().ok());
        let last = told.and_then(|list| list.rsplit(',').next()).and_then(|last| last.trim().parse::<IpAddr>().ok());
        if let Some(client) = last {
            return Some(client.to_string());
        }
    }
    Some(peer.to_string())
}

fn secure(state: &AppState, id: &str, headers: &mut HeaderMap) {
    let mut set = |name: HeaderName, value: &'static str| {
        headers.insert(name, HeaderValue::from_static(value));
    };
    set(header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY);
    set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(header::REFERRER_POLICY, "same-origin");
    set(HeaderName::from_static("cross-origin-opener-policy"), "same-origin");
    set(HeaderName::from_static("cross-origin-resource-policy"), "same-origin");
    set(HeaderName::from_static("permissions-policy"), "camera=(), microphone=(), geolocation=()");
    set(header::X_FRAME_OPTIONS, "DENY");
    if !state.config.web.insecure_http {
        set(header::STRICT_TRANSPORT_SECURITY, "max-age=31536000");
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    if let Ok(id) = HeaderValue::from_str(id) {
        headers.insert(HeaderName::from_static("x-request-id"), id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn confusing_paths_are_seen() {
        for path in [
            "/./me",
            "//me",
            "/me/.",
            "/a/../me",
            "/%2e/me",
            "/%2E%2e/me",
            "/me;x=1",
            "/me%2f",
            "/\\me",
            "/me%00",
            "/me%252e",
        ] {
            let uri = path.parse::<Uri>();
            assert!(uri.as_ref().is_err() || uri.is_ok_and(|uri| hostile(&uri)), "{path}");
        }
        for path in ["/", "/me", "/requests/482/items/1/decision", "/static/tenure.css?v=..", "/people/a-b_c.d"] {
            assert!(!hostile(&path.parse().unwrap()), "{path}");
        }
    }

    #[test]
    fn only_the_trusted_proxy_is_believed() {
        let mut headers = HeaderMap::new();
        headers.append("x-forwarded-for", HeaderValue::from_static("6.6.6.6, 192.0.2.7"));
        let (peer, other) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        assert_eq!(client_address(Some(peer), None, &headers).as_deref(), Some("10.0.0.1"));
        assert_eq!(client_address(Some(peer), Some(other), &headers).as_deref(), Some("10.0.0.1"));
        assert_eq!(client_address(Some(peer), Some(peer), &headers).as_deref(), Some("192.0.2.7"));
    }
}

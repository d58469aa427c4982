//! Static files: those compiled in and no others, cached for ever under an address that names their content.

use axum::extract::{Path, RawQuery};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::Error;
use super::view::assets;

/// `GET /static/{name}?v=…`
pub async fn file(Path(name): Path<String>, RawQuery(query): RawQuery, headers: HeaderMap) -> Result<Response, Error> {
    let asset = assets::find(&name).ok_or_else(Error::not_found)?;
    let tag = format!("\"{}\"", asset.version);
    let named = query.is_some_and(|query| query == format!("v={}", asset.version));
    let caching = if named { "public, max-age=31536000, immutable" } else { "no-cache" };
    let about = [(header::CACHE_CONTROL, caching), (header::ETAG, tag.as_str())];
    if headers.get(header::IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == tag.as_bytes()) {
        return Ok((StatusCode::NOT_MODIFIED, about).into_response());
    }
    Ok((about, [(header::CONTENT_TYPE, asset.content_type)], asset.bytes.to_vec()).into_response())
}

//! Lists as files: the same rows as on the page, by the same filter, for the same viewer, all of them, streamed as CSV.
//!
//! A file is written page by page while it is read, so its length costs no memory; what breaks on the way breaks the
//! download, which then is not taken for whole. It begins with a byte order mark, since spreadsheets read it as UTF-8 only
//! then. Cells that a spreadsheet would run as a formula are made text. Each file taken is a record.

mod lists;

use std::io;

use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum_extra::extract::Query;
use futures_util::{StreamExt as _, stream};
use sqlx::PgPool;
use tokio::sync::mpsc;

use super::viewer::SignedIn;
use super::{AppState, Error, Fields};
use crate::evidence::{Facts, Record, action, append};
use lists::List;

/// Rows that are read at once.
const ROWS: i64 = 500;
/// Pieces of the file that may wait for the reader.
const PIECES: usize = 4;

/// The list that a page shows, by the page's path; None where there is none to take.
pub fn of_page(path: &str) -> Option<&'static str> {
    lists::PAGES.iter().find(|(page, _)| *page == path).map(|(_, list)| *list)
}

/// `GET /exports/{list}.csv`, with the page's own fields.
pub async fn take(
    State(state): State<AppState>,
    Path(file): Path<String>,
    me: SignedIn,
    Query(query): Query<Vec<(String, String)>>,
) -> Result<Response, Error> {
    let name = file.strip_suffix(".csv").ok_or_else(Error::not_found)?;
    let fields = Fields(query.into_iter().filter(|(name, _)| name != "after").collect());
    let mut tx = state.pool.begin().await?;
    let list = List::open(&mut tx, &me, name, &fields).await?;
    let asked: Vec<String> =
        fields.0.iter().filter(|(_, value)| !value.is_empty()).map(|(name, value)| format!("{name}={value}")).collect();
    // What was searched for may name somebody.
    let detail = Facts::default().plain("list", name).plain("format", "csv").personal("filter", asked.join("&"));
    let record = Record { detail, ..Record::new(action::REPORT_TAKEN, "report:list", me.actor().by()) };
    append(&mut tx, me.now, &record).await.map_err(Error::broken)?;
    tx.commit().await?;
    let (sender, pieces) = mpsc::channel(PIECES);
    let pool = state.pool.clone();
    tokio::spawn(async move { write(&pool, list, &sender).await });
    let pieces = stream::unfold(pieces, |mut pieces| async move { pieces.recv().await.map(|piece| (piece, pieces)) });
    // Compression asks once more after the end.
    let pieces = pieces.fuse();
    let about = [
        (header::CONTENT_TYPE, "text/csv; charset=utf-8; header=present".to_owned()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{name}-{}.csv\"", me.today())),
        (header::CACHE_CONTROL, "no-store".to_owned()),
    ];
    Ok((about, Body::from_stream(pieces)).into_response())
}

/// Writes a list to its end, or until nobody reads any more.
async fn write(pool: &PgPool, mut list: List, reader: &mpsc::Sender<io::Result<Bytes>>) {
    let mut piece = Ok(piece(true, &[list.header().iter().map(|title| (*title).to_owned()).collect()]));
    loop {
        let broken = piece.is_err();
        if reader.send(piece.map(Bytes::from)).await.is_err() || broken {
            return;
        }
        piece = match rows(pool, &mut list).await {
            Ok(rows) if rows.is_empty() => return,
            Ok(rows) => Ok(self::piece(false, &rows)),
            Err(error) => {
                tracing::warn!(?error, "a list could not be written to its end");
                Err(io::Error::other("the list could not be read to its end"))
            }
        };
    }
}

async fn rows(pool: &PgPool, list: &mut List) -> Result<Vec<Vec<String>>, Error> {
    let mut conn = pool.acquire().await?;
    list.next(&mut conn, ROWS).await
}

fn piece(first: bool, rows: &[Vec<String>]) -> Vec<u8> {
    let mut bytes = if first { b"\xef\xbb\xbf".to_vec() } else { Vec::new() };
    // RFC 4180.
    let mut writer = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(&mut bytes);
    for row in rows {
        writer
            .write_record(row.iter().map(|cell| inert(cell)))
            .expect("rows of one list have one length; memory does not fail");
    }
    drop(writer);
    bytes
}

/// A cell that no spreadsheet runs (OWASP, "CSV Injection"): an apostrophe before what begins like a formula.
fn inert(cell: &str) -> String {
    let begins = cell.trim_start_matches([' ', '"', '\'']);
    let risky = begins.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠']);
    let cell: String = cell.chars().filter(|letter| *letter != '\0').collect();
    if risky { format!("'{cell}") } else { cell }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_text_and_come_back() {
        let hostile = ["=1+1", "+49 40 555", "-1", "@SUM(A1)", "\t=1", " =1", "\"=1", "'=1", "＝1", "\r\n=1"];
        for cell in hostile {
            assert!(inert(cell).starts_with('\''), "{cell:?}");
        }
        for cell in ["", "O'Brien", "a=b", "5", "Nguyễn Thị", "a,\"b\"\r\nc"] {
            assert_eq!(inert(cell), cell);
        }
        let rows = vec![vec!["a,\"b\"\r\nc".to_owned(), "=1".to_owned()], vec![String::new(), "ü".to_owned()]];
        let bytes = piece(false, &rows);
        let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(bytes.as_slice());
        let back: Vec<Vec<String>> =
            reader.records().map(|row| row.unwrap().iter().map(str::to_owned).collect()).collect();
        assert_eq!(back, [vec!["a,\"b\"\r\nc", "'=1"], vec!["", "ü"]]);
        assert!(piece(true, &[]).starts_with(b"\xef\xbb\xbf"));
    }
}

//! A CSV file as a table of text: UTF-8 with or without a byte-order mark; comma, semicolon or tab.

use super::RowError;

/// The largest file that is read, in bytes.
pub const LARGEST: usize = 8 << 20;
/// The most lines that are read.
const MOST_ROWS: usize = 50_000;
/// The most columns that are read.
const MOST_COLUMNS: usize = 200;

/// A file, read into cells and not yet understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    pub headers: Vec<String>,
    /// The line as an editor counts, and the cells, as many as there are headers.
    pub rows: Vec<(u64, Vec<String>)>,
    /// Lines that are not like the header.
    pub odd: Vec<RowError>,
}

/// The separator that the header has most of, outside quotes; a comma where it has none.
fn separator(header: &str) -> u8 {
    let mut counts = [(b',', 0), (b';', 0), (b'\t', 0)];
    let mut quoted = false;
    for byte in header.bytes() {
        quoted ^= byte == b'"';
        for (separator, count) in &mut counts {
            *count += usize::from(!quoted && byte == *separator);
        }
    }
    counts.iter().rev().max_by_key(|(_, count)| *count).map_or(b',', |(separator, _)| *separator)
}

/// The file's text.
///
/// # Errors
/// What is wrong with the whole file, on the line where it shows.
pub fn text(bytes: &[u8]) -> Result<&str, RowError> {
    if bytes.len() > LARGEST {
        return Err(RowError::file(1, format!("is larger than {} MB; split it", LARGEST >> 20)));
    }
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let line = bytes[..error.valid_up_to()].iter().filter(|byte| **byte == b'\n').count() as u64 + 1;
        RowError::file(line, "is not UTF-8; save it as “CSV UTF-8”".to_owned())
    })?;
    if let Some(at) = text.find('\0') {
        let line = text[..at].matches('\n').count() as u64 + 1;
        return Err(RowError::file(line, "holds a NUL character; save it as “CSV UTF-8”".to_owned()));
    }
    Ok(text.trim_start_matches('\u{FEFF}'))
}

/// The line that a row stands on, behind the empty ones that are passed over.
fn line_of(text: &str, position: &csv::Position) -> u64 {
    let from = usize::try_from(position.byte()).unwrap_or(usize::MAX);
    let rest = text.as_bytes().get(from..).unwrap_or_default();
    let empty = rest.iter().take_while(|byte| matches!(byte, b'\n' | b'\r')).filter(|byte| **byte == b'\n').count();
    position.line() + empty as u64
}

/// Reads a file's text into cells.
///
/// # Errors
/// What is wrong with the whole file.
pub fn table(text: &str) -> Result<Table, RowError> {
    let text = text.trim_start_matches('\u{FEFF}');
    let delimiter = separator(text.lines().next().unwrap_or_default());
    let mut rows = csv::ReaderBuilder::new().delimiter(delimiter).trim(csv::Trim::All).from_reader(text.as_bytes());
    let headers = rows.headers().map_err(|error| RowError::file(1, error.to_string()))?;
    let headers: Vec<String> = headers.iter().map(str::to_owned).collect();
    if headers.iter().all(String::is_empty) {
        return Err(RowError::file(1, "is empty; the first line names the columns".to_owned()));
    }
    if headers.len() > MOST_COLUMNS {
        return Err(RowError::file(1, format!("has more than {MOST_COLUMNS} columns; keep those that are needed")));
    }
    let mut table = Table { headers, rows: Vec::new(), odd: Vec::new() };
    for row in rows.records() {
        match row {
            Ok(row) => {
                let at = row.position().map_or(0, |position| line_of(text, position));
                table.rows.push((at, row.iter().map(str::to_owned).collect()));
            }
            Err(error) => {
                let at = error.position().map_or(0, |position| line_of(text, position));
                let message = "this line has another number of cells than the header".to_owned();
                table.odd.push(RowError::file(at, message));
            }
        }
        if table.rows.len() + table.odd.len() > MOST_ROWS {
            return Err(RowError::file(1, format!("has more than {MOST_ROWS} lines; split it")));
        }
    }
    Ok(table)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn separators_are_seen_outside_quotes() {
        for (header, separator_of_it) in
            [("a,b;c,d", b','), ("a;b;c", b';'), ("a\tb", b'\t'), ("\"x;y;z\",b", b','), ("alone", b',')]
        {
            assert_eq!(separator(header), separator_of_it, "{header}");
        }
    }

    #[test]
    fn what_is_no_table_is_said_so() {
        assert!(text(&[b'a', 0xff]).is_err() && text(b"a\0b").is_err());
        assert!(table("").is_err());
        let read = table(text("\u{FEFF}a;b\n1;2\n\nonly\n".as_bytes()).unwrap()).unwrap();
        assert_eq!(read.headers, ["a", "b"]);
        assert_eq!((read.rows.len(), read.odd.len(), read.odd[0].line), (1, 1, 4));
    }
}

//! Fragments (MS-PSRP 2.2.4): a message cut to what the transport carries at a time.
//!
//! ```text
//! 0   object id    u64, big-endian: which message, one count per sender
//! 8   fragment id  u64, big-endian: 0, 1, 2 …
//! 16  flags        1: the first, 2: the last
//! 17  length       u32, big-endian
//! 21  the piece
//! ```
//! Pieces of several messages may come interleaved; those of one come in order.

use std::collections::HashMap;

use super::{Limits, ProtocolError};

const HEADER: usize = 21;
const START: u8 = 1;
const END: u8 = 2;

/// Cuts a message into fragments of at most `max` bytes, headers counted; at least one byte of message goes in each.
pub(super) fn split(object_id: u64, message: &[u8], max: usize) -> Vec<Vec<u8>> {
    let room = max.saturating_sub(HEADER).clamp(1, u32::MAX as usize);
    let count = message.len().div_ceil(room).max(1);
    (0..count)
        .map(|index| {
            let piece = &message[(index * room).min(message.len())..((index + 1) * room).min(message.len())];
            let flags = if index == 0 { START } else { 0 } | if index + 1 == count { END } else { 0 };
            let mut fragment = Vec::with_capacity(HEADER + piece.len());
            fragment.extend_from_slice(&object_id.to_be_bytes());
            fragment.extend_from_slice(&(index as u64).to_be_bytes());
            fragment.push(flags);
            fragment.extend_from_slice(&(piece.len() as u32).to_be_bytes());
            fragment.extend_from_slice(piece);
            fragment
        })
        .collect()
}

/// Puts messages together again.
#[derive(Debug, Default)]
pub(super) struct Assembler {
    open: HashMap<u64, Partial>,
    held: usize,
}

#[derive(Debug)]
struct Partial {
    next: u64,
    bytes: Vec<u8>,
}

/// One fragment within what was received.
struct Fragment<'a> {
    object: u64,
    index: u64,
    flags: u8,
    piece: &'a [u8],
}

impl Assembler {
    /// Takes whole fragments and gives the messages that they complete, in the order in which they were completed.
    ///
    /// # Errors
    /// A header or a piece is cut short, a message begins twice, continues without having begun or skips a piece, or it
    /// grows over the limits.
    pub(super) fn push(&mut self, mut bytes: &[u8], limits: &Limits) -> Result<Vec<Vec<u8>>, ProtocolError> {
        let mut messages = Vec::new();
        while !bytes.is_empty() {
            let (fragment, rest) = cut(bytes)?;
            bytes = rest;
            messages.extend(self.add(&fragment, limits)?);
        }
        Ok(messages)
    }

    fn add(&mut self, fragment: &Fragment<'_>, limits: &Limits) -> Result<Option<Vec<u8>>, ProtocolError> {
        let &Fragment { object, index, flags, piece } = fragment;
        let starts = flags & START != 0;
        if starts != (index == 0) {
            return Err(ProtocolError::Fragment(format!(
                "object {object} has the start flag wrong in its piece {index}"
            )));
        }
        if starts && self.open.contains_key(&object) {
            return Err(ProtocolError::Fragment(format!("object {object} begins twice")));
        }
        if starts && self.open.len() >= limits.open_messages {
            return Err(ProtocolError::TooMuch(format!("{} messages begun at a time", limits.open_messages)));
        }
        let held = self.open.get(&object).map_or(0, |partial| partial.bytes.len());
        if held + piece.len() > limits.message_bytes {
            return Err(ProtocolError::TooMuch(format!("a message of more than {} bytes", limits.message_bytes)));
        }
        if self.held + piece.len() > limits.open_bytes {
            return Err(ProtocolError::TooMuch(format!(
                "more than {} bytes in unfinished messages",
                limits.open_bytes
            )));
        }
        if starts && flags & END != 0 {
            return Ok(Some(piece.to_vec()));
        }
        if starts {
            self.open.insert(object, Partial { next: 0, bytes: Vec::new() });
        }
        let Some(partial) = self.open.get_mut(&object) else {
            return Err(ProtocolError::Fragment(format!("object {object} goes on without having begun")));
        };
        if index != partial.next {
            let expected = partial.next;
            return Err(ProtocolError::Fragment(format!("object {object} has piece {index} where {expected} belongs")));
        }
        partial.next += 1;
        partial.bytes.extend_from_slice(piece);
        self.held += piece.len();
        if flags & END == 0 {
            return Ok(None);
        }
        let whole = self.open.remove(&object).map(|partial| partial.bytes).unwrap_or_default();
        self.held -= whole.len();
        Ok(Some(whole))
    }
}

fn cut(bytes: &[u8]) -> Result<(Fragment<'_>, &[u8]), ProtocolError> {
    let short = || ProtocolError::Fragment(format!("its header takes {HEADER} bytes and {} are left", bytes.len()));
    let (object, rest) = bytes.split_first_chunk::<8>().ok_or_else(short)?;
    let (index, rest) = rest.split_first_chunk::<8>().ok_or_else(short)?;
    let (&[flags], rest) = rest.split_first_chunk::<1>().ok_or_else(short)?;
    let (length, rest) = rest.split_first_chunk::<4>().ok_or_else(short)?;
    let length = u32::from_be_bytes(*length) as usize;
    let Some((piece, rest)) = rest.split_at_checked(length) else {
        return Err(ProtocolError::Fragment(format!("it says {length} bytes and {} are left", rest.len())));
    };
    Ok((Fragment { object: u64::from_be_bytes(*object), index: u64::from_be_bytes(*index), flags, piece }, rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn push(fragments: &[Vec<u8>], limits: &Limits) -> Result<Vec<Vec<u8>>, ProtocolError> {
        Assembler::default().push(&fragments.concat(), limits)
    }

    #[test]
    fn a_header_is_as_the_protocol_has_it() {
        let fragments = split(3, b"abc", 23);
        assert_eq!(fragments.len(), 2);
        assert_eq!(
            fragments[0],
            [&[0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2][..], b"ab"].concat()
        );
        assert_eq!(fragments[1], [&[0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 1, 2, 0, 0, 0, 1][..], b"c"].concat());
        assert_eq!(split(1, b"", 0), vec![vec![0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0]]);
    }

    #[test]
    fn what_does_not_fit_together_is_an_error() {
        let limits = Limits::default();
        let whole = split(1, b"abcdef", 23);
        for (bytes, why) in [
            (whole[0][..20].to_vec(), "its header takes 21 bytes"),
            (whole[0][..22].to_vec(), "it says 2 bytes and 1 are left"),
            (whole[1].clone(), "without having begun"),
            ([whole[0].clone(), whole[0].clone()].concat(), "begins twice"),
            ([whole[0].clone(), whole[2].clone()].concat(), "piece 2 where 1 belongs"),
        ] {
            let error = Assembler::default().push(&bytes, &limits).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
    }

    #[test]
    fn limits_hold() {
        let limits = Limits { message_bytes: 4, open_bytes: 6, open_messages: 2, ..Limits::default() };
        assert!(push(&split(1, b"abcd", 22), &limits).is_ok());
        assert!(push(&split(1, b"abcde", 22), &limits).unwrap_err().to_string().contains("more than 4 bytes"));
        assert!(push(&split(1, b"abcde", 99), &limits).unwrap_err().to_string().contains("more than 4 bytes"));
        let begun = |id| split(id, b"abcd", 24)[0].clone();
        assert!(push(&[begun(1), begun(2)], &limits).is_ok());
        assert!(push(&[begun(1), begun(2), begun(3)], &limits).unwrap_err().to_string().contains("2 messages"));
        let limits = Limits { open_messages: 9, ..limits };
        assert!(push(&[begun(1), begun(2), begun(3)], &limits).unwrap_err().to_string().contains("more than 6 bytes"));
    }

    proptest! {
        #[test]
        fn interleaved_messages_come_out_whole(
            messages in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 1..6),
            max in 0usize..120,
            order in prop::collection::vec(any::<u8>(), 0..400),
        ) {
            let mut waiting: Vec<_> = messages
                .iter()
                .enumerate()
                .map(|(id, message)| split(id as u64, message, max).into_iter().map(move |piece| (id, piece)).peekable())
                .collect();
            let (mut assembler, mut out) = (Assembler::default(), vec![None; messages.len()]);
            let mut order = order.into_iter();
            while !waiting.is_empty() {
                let turn = usize::from(order.next().unwrap_or(0)) % waiting.len();
                let (id, piece) = waiting[turn].next().expect("none without a piece is kept");
                for whole in assembler.push(&piece, &Limits::default()).expect("in order") {
                    out[id] = Some(whole);
                }
                if waiting[turn].peek().is_none() {
                    drop(waiting.remove(turn));
                }
            }
            prop_assert_eq!(assembler.held, 0);
            prop_assert_eq!(out, messages.into_iter().map(Some).collect::<Vec<_>>());
        }
    }
}

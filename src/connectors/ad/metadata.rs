//! The directory's own version accounting, `replPropertyMetaData` (MS-ADTS 3.1.1.1.9, MS-DRSR 5.166).
//!
//! Header of 16 bytes: `version u32, reserved u32, count u32, reserved u32`; then 48 bytes per attribute: `attid u32,
//! version u32, time u64, originating invocation id 16, originating usn u64, local usn u64`, all little-endian. Linked
//! values (`member`) are not in it. It tells how often an attribute was written, never who wrote it.

use std::collections::BTreeMap;

use super::attributes;

/// Attribute id → version. `None` when the blob is not what MS-DRSR describes.
pub fn versions(blob: &[u8]) -> Option<BTreeMap<u32, u32>> {
    let word = |at: usize| -> Option<u32> {
        let bytes = blob.get(at..at.checked_add(4)?)?;
        Some(u32::from_le_bytes(bytes.try_into().ok()?))
    };
    if word(0)? != 1 {
        return None;
    }
    let count = usize::try_from(word(8)?).ok()?;
    if blob.len() != count.checked_mul(48)?.checked_add(16)? {
        return None;
    }
    (0..count).map(|index| Some((word(16 + index * 48)?, word(20 + index * 48)?))).collect()
}

/// The versions of what we write, by our attribute names.
pub fn named(blob: &[u8]) -> BTreeMap<String, u32> {
    let Some(versions) = versions(blob) else { return BTreeMap::new() };
    attributes::USER
        .iter()
        .filter_map(|attribute| Some((attribute.name.to_owned(), *versions.get(&attribute.attid)?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn blob(entries: &[(u32, u32)]) -> Vec<u8> {
        let count = u32::try_from(entries.len()).expect("few");
        let mut out: Vec<u8> = [1, 0, count, 0].iter().flat_map(|word: &u32| word.to_le_bytes()).collect();
        for (attid, version) in entries {
            out.extend(attid.to_le_bytes());
            out.extend(version.to_le_bytes());
            out.extend([7; 40]);
        }
        out
    }

    #[test]
    fn versions_are_read_by_name() {
        let named = named(&blob(&[(0xc, 4), (0x9005a, 2), (0xffff, 9)]));
        assert_eq!(named.get("title"), Some(&4));
        assert_eq!(named.get("password"), Some(&2));
        assert_eq!(named.len(), 2);
    }

    proptest! {
        #[test]
        fn every_entry_is_found(entries in proptest::collection::btree_map(any::<u32>(), any::<u32>(), 0..40)) {
            let list: Vec<_> = entries.iter().map(|(attid, version)| (*attid, *version)).collect();
            prop_assert_eq!(versions(&blob(&list)), Some(entries));
        }

        #[test]
        fn no_bytes_break_it(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = versions(&bytes);
        }
    }
}

//! The Merkle tree of RFC 6962, section 2.1, with SHA-256: hashes, roots, inclusion and consistency proofs.
//!
//! The tree itself is not kept here: whoever holds it hands out the hashes of complete subtrees ([`Nodes`]), and the
//! functions ask for those that they need. Verification needs no tree at all.

use sha2::{Digest, Sha256};

/// SHA-256, 32 bytes.
pub type Hash = [u8; 32];

/// RFC 6962: `SHA-256(0x00 || entry)`.
pub fn leaf_hash(entry: &[u8]) -> Hash {
    Sha256::new().chain_update([0]).chain_update(entry).finalize().into()
}

/// RFC 6962: `SHA-256(0x01 || left || right)`.
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    Sha256::new().chain_update([1]).chain_update(left).chain_update(right).finalize().into()
}

/// The root of a tree without leaves: `SHA-256()`.
pub fn empty_root() -> Hash {
    Sha256::digest([]).into()
}

/// Hashes of complete subtrees of some tree.
pub trait Nodes {
    type Error;

    /// The hash over the leaves from `index << level` up to, not including, `(index + 1) << level`.
    ///
    /// # Errors
    /// Where that part of the tree cannot be had.
    fn node(&mut self, level: u8, index: u64) -> Result<Hash, Self::Error>;
}

/// `MTH(D[0:size])`.
///
/// # Errors
/// As [`Nodes::node`].
pub fn root<N: Nodes>(nodes: &mut N, size: u64) -> Result<Hash, N::Error> {
    if size == 0 { Ok(empty_root()) } else { range(nodes, 0, size) }
}

/// `PATH(index, D[0:size])`: sibling hashes from the leaf's up to the root's child. `index` is below `size`.
///
/// # Errors
/// As [`Nodes::node`].
pub fn inclusion<N: Nodes>(nodes: &mut N, index: u64, size: u64) -> Result<Vec<Hash>, N::Error> {
    let (mut low, mut high) = (0, size);
    let mut path = Vec::new();
    while high - low > 1 {
        let middle = low + split(high - low);
        if index < middle {
            path.push(range(nodes, middle, high)?);
            high = middle;
        } else {
            path.push(range(nodes, low, middle)?);
            low = middle;
        }
    }
    path.reverse();
    Ok(path)
}

/// `PROOF(old, D[0:size])`: that the tree of `size` leaves begins with the tree of `old` leaves. Empty where `old` is 0
/// or equals `size`; `old` is never above `size`.
///
/// # Errors
/// As [`Nodes::node`].
pub fn consistency<N: Nodes>(nodes: &mut N, old: u64, size: u64) -> Result<Vec<Hash>, N::Error> {
    if old == 0 || old == size {
        return Ok(Vec::new());
    }
    let (mut low, mut high) = (0, size);
    let mut path = Vec::new();
    // The old tree's own right edge: once the subtree at hand is whole in the old tree, its hash is the last one needed.
    let mut whole = true;
    while old != high {
        let middle = low + split(high - low);
        if old <= middle {
            path.push(range(nodes, middle, high)?);
            high = middle;
        } else {
            path.push(range(nodes, low, middle)?);
            low = middle;
            whole = false;
        }
    }
    if !whole {
        path.push(range(nodes, low, high)?);
    }
    path.reverse();
    Ok(path)
}

/// Whether the leaf stands at `index` in the tree of `size` leaves with this root (RFC 9162, section 2.1.3.2).
pub fn includes(leaf: &Hash, index: u64, size: u64, path: &[Hash], root: &Hash) -> bool {
    if index >= size {
        return false;
    }
    let (mut place, mut last) = (index, size - 1);
    let mut hash = *leaf;
    for sibling in path {
        if last == 0 {
            return false;
        }
        if place & 1 == 1 || place == last {
            hash = node_hash(sibling, &hash);
            while place & 1 == 0 && place != 0 {
                place >>= 1;
                last >>= 1;
            }
        } else {
            hash = node_hash(&hash, sibling);
        }
        place >>= 1;
        last >>= 1;
    }
    last == 0 && hash == *root
}

/// Whether the tree of `size` leaves begins with the tree of `old` leaves (RFC 9162, section 2.1.4.2).
pub fn consistent((old, old_root): (u64, &Hash), (size, root): (u64, &Hash), path: &[Hash]) -> bool {
    if old > size {
        return false;
    }
    if old == size {
        return path.is_empty() && old_root == root;
    }
    if old == 0 {
        return path.is_empty() && *old_root == empty_root();
    }
    let mut hashes = path.iter();
    // Where the old tree is one complete subtree, its root begins the proof and is left out.
    let first = if old.is_power_of_two() { Some(old_root) } else { hashes.next() };
    let Some(first) = first else { return false };
    let (mut place, mut last) = (old - 1, size - 1);
    while place & 1 == 1 {
        place >>= 1;
        last >>= 1;
    }
    let (mut from_old, mut from_new) = (*first, *first);
    for sibling in hashes {
        if last == 0 {
            return false;
        }
        if place & 1 == 1 || place == last {
            from_old = node_hash(sibling, &from_old);
            from_new = node_hash(sibling, &from_new);
            while place & 1 == 0 && place != 0 {
                place >>= 1;
                last >>= 1;
            }
        } else {
            from_new = node_hash(&from_new, sibling);
        }
        place >>= 1;
        last >>= 1;
    }
    last == 0 && from_old == *old_root && from_new == *root
}

/// `MTH(D[low:high])`, for the ranges that proofs are made of: `low` is a multiple of the range's largest power of two.
fn range<N: Nodes>(nodes: &mut N, low: u64, high: u64) -> Result<Hash, N::Error> {
    let width = high - low;
    if width.is_power_of_two() {
        let level = u8::try_from(width.trailing_zeros()).unwrap_or(u8::MAX);
        return nodes.node(level, low >> level);
    }
    let middle = low + split(width);
    Ok(node_hash(&range(nodes, low, middle)?, &range(nodes, middle, high)?))
}

/// The largest power of two below `width`, which is at least 2.
fn split(width: u64) -> u64 {
    1 << (63 - (width - 1).leading_zeros())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;

    /// All leaves; subtrees hashed on demand.
    struct Whole(Vec<Hash>);

    impl Nodes for Whole {
        type Error = Infallible;

        fn node(&mut self, level: u8, index: u64) -> Result<Hash, Infallible> {
            if level == 0 {
                return Ok(self.0[usize::try_from(index).unwrap()]);
            }
            Ok(node_hash(&self.node(level - 1, index * 2)?, &self.node(level - 1, index * 2 + 1)?))
        }
    }

    fn whole(size: u64) -> Whole {
        Whole((0..size).map(|index| leaf_hash(&index.to_be_bytes())).collect())
    }

    /// `MTH` as the RFC words it, by nothing that is shared with the code above but the two hash functions.
    fn mth(leaves: &[Hash]) -> Hash {
        match leaves {
            [] => Sha256::digest([]).into(),
            [one] => *one,
            many => {
                let k = many.len().next_power_of_two() / 2;
                node_hash(&mth(&many[..k]), &mth(&many[k..]))
            }
        }
    }

    #[test]
    fn proofs_hold_and_nothing_else_does() {
        let mut nodes = whole(70);
        for size in 0..70 {
            let head = root(&mut nodes, size).unwrap();
            assert_eq!(head, mth(&nodes.0[..usize::try_from(size).unwrap()]));
            for index in 0..size {
                let path = inclusion(&mut nodes, index, size).unwrap();
                let leaf = nodes.node(0, index).unwrap();
                assert!(includes(&leaf, index, size, &path, &head));
                assert!(!includes(&leaf, index ^ 1, size, &path, &head) || size == 1);
                assert!(!includes(&leaf_hash(b"other"), index, size, &path, &head));
                let mut longer = path.clone();
                longer.push(head);
                assert!(!includes(&leaf, index, size, &longer, &head));
                assert!(path.is_empty() || !includes(&leaf, index, size, &path[1..], &head));
            }
            for old in 0..=size {
                let before = root(&mut nodes, old).unwrap();
                let path = consistency(&mut nodes, old, size).unwrap();
                assert!(consistent((old, &before), (size, &head), &path), "{old} {size}");
                assert!(!consistent((old, &leaf_hash(b"other")), (size, &head), &path));
                let mut longer = path.clone();
                longer.push(head);
                assert!(!consistent((old, &before), (size, &head), &longer));
                assert!(path.is_empty() || !consistent((old, &before), (size, &head), &path[1..]));
            }
        }
    }
}

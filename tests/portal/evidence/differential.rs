//! The tree beside two others: the crate ct-merkle, and Go's own `golang.org/x/mod/sumdb/tlog`. Every root, every inclusion
//! and every consistency proof of trees up to 300 leaves, byte for byte.

use std::convert::Infallible;
use std::process::Command;

use ct_merkle::mem_backed_tree::MemoryBackedTree;
use sha2::{Digest, Sha256};
use tenure::evidence::tree::{Hash, Nodes, consistency, consistent, includes, inclusion, leaf_hash, node_hash, root};

const LARGEST: u64 = 300;

/// Complete subtrees by level, from the leaves.
struct Levels(Vec<Vec<Hash>>);

impl Levels {
    fn new() -> Self {
        let mut levels = vec![(0..LARGEST).map(|leaf| leaf_hash(entry(leaf).as_bytes())).collect::<Vec<Hash>>()];
        while levels.last().unwrap().len() > 1 {
            let above =
                levels.last().unwrap().as_chunks::<2>().0.iter().map(|[left, right]| node_hash(left, right)).collect();
            levels.push(above);
        }
        Self(levels)
    }
}

impl Nodes for Levels {
    type Error = Infallible;

    fn node(&mut self, level: u8, index: u64) -> Result<Hash, Infallible> {
        Ok(self.0[usize::from(level)][usize::try_from(index).unwrap()])
    }
}

fn entry(leaf: u64) -> String {
    format!("entry {leaf}")
}

#[test]
fn every_proof_is_that_of_a_second_crate() {
    let mut ours = Levels::new();
    let mut theirs = MemoryBackedTree::<Sha256, String>::new();
    let mut old_roots = vec![root(&mut ours, 0).unwrap()];
    let mut cases = 0;
    for size in 1..=LARGEST {
        theirs.push(entry(size - 1));
        let head = root(&mut ours, size).unwrap();
        assert_eq!(theirs.root().as_bytes()[..], head[..], "{size}");
        for index in 0..size {
            let path = inclusion(&mut ours, index, size).unwrap();
            assert_eq!(
                theirs.prove_inclusion(usize::try_from(index).unwrap()).as_bytes(),
                path.as_flattened(),
                "{index} of {size}"
            );
            assert!(includes(&ours.0[0][usize::try_from(index).unwrap()], index, size, &path, &head));
            cases += 1;
        }
        for old in 1..size {
            let path = consistency(&mut ours, old, size).unwrap();
            let added = usize::try_from(size - old).unwrap();
            assert_eq!(theirs.prove_consistency(added).as_bytes(), path.as_flattened(), "{old} to {size}");
            assert!(consistent((old, &old_roots[usize::try_from(old).unwrap()]), (size, &head), &path));
            cases += 1;
        }
        old_roots.push(head);
    }
    assert_eq!(cases, 45_150 + 44_850);
}

#[test]
fn every_proof_is_that_of_go() {
    let mut ours = Levels::new();
    let mut all = Sha256::new();
    for size in 1..=LARGEST {
        all.update(root(&mut ours, size).unwrap());
        for index in 0..size {
            all.update(inclusion(&mut ours, index, size).unwrap().as_flattened());
        }
        for old in 1..=size {
            all.update(consistency(&mut ours, old, size).unwrap().as_flattened());
        }
    }
    let program = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/portal/evidence/tlog.go");
    let output = Command::new("go")
        .args(["run", program, &LARGEST.to_string()])
        // Debian's package golang-golang-x-mod-dev, without a network.
        .env("GO111MODULE", "off")
        .env("GOPATH", "/usr/share/gocode")
        .env("GOCACHE", std::env::temp_dir().join("tenure-go-cache"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), hex::encode(all.finalize()));
}

//! Security descriptors as the directory sends them, and what they let an account do (MS-DTYP 2.4.4 to 2.4.6, MS-ADTS 5.1.3).
//!
//! Samba and Windows compute `allowedAttributesEffective` and its like, but not for extended rights, not for objects that are
//! yet to be made, and not for lists that we may not write: the descriptor itself says it all, on both.

use uuid::Uuid;

/// Access mask bits (MS-ADTS 5.1.3.2).
pub const CREATE_CHILD: u32 = 0x1;
pub const DELETE_CHILD: u32 = 0x2;
pub const LIST: u32 = 0x4;
pub const READ: u32 = 0x10;
pub const WRITE: u32 = 0x20;
pub const CONTROL: u32 = 0x100;

/// SE_DACL_PROTECTED: nothing is inherited from above.
const PROTECTED: u16 = 0x1000;
const CONTAINER_INHERIT: u8 = 0x2;
const INHERIT_ONLY: u8 = 0x8;

/// One entry of an access list.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    allows: bool,
    flags: u8,
    mask: u32,
    /// The attribute, property set, class of children or extended right that it speaks of; all of them where absent.
    object: Option<Uuid>,
    /// The class of objects that it is inherited by; every class where absent.
    heirs: Option<Uuid>,
    trustee: Vec<u8>,
}

/// The access list of one object. Without a list everything is allowed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Descriptor {
    list: Option<Vec<Entry>>,
    /// Inheritance from above is blocked here.
    pub protected: bool,
}

/// What is asked of a descriptor: a bit, and which attribute, class or right it is wanted for.
#[derive(Debug, Clone)]
pub struct Wanted {
    pub bit: u32,
    /// Any of these in an entry speaks of what is wanted: the attribute's own id and its property set's.
    pub objects: Vec<Uuid>,
}

impl Descriptor {
    /// Reads a self-relative descriptor; `None` where the bytes are none.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let control = u16::from_le_bytes(bytes.get(2..4)?.try_into().ok()?);
        let at = usize::try_from(number(bytes, 16)?).ok()?;
        let protected = control & PROTECTED != 0;
        if at == 0 {
            return Some(Self { list: None, protected });
        }
        let list = bytes.get(at..)?;
        let count = u16::from_le_bytes(list.get(4..6)?.try_into().ok()?);
        let (mut entries, mut rest) = (Vec::new(), list.get(8..)?);
        for _ in 0..count {
            let size = usize::from(u16::from_le_bytes(rest.get(2..4)?.try_into().ok()?));
            let (own, after) = rest.split_at_checked(size)?;
            entries.extend(entry(own)?);
            rest = after;
        }
        Some(Self { list: Some(entries), protected })
    }

    /// Whether a holder of these SIDs may do it on the object itself.
    pub fn allows(&self, sids: &[Vec<u8>], wanted: &Wanted) -> bool {
        self.decides(sids, wanted, |entry| entry.flags & INHERIT_ONLY == 0)
    }

    /// Whether a holder of these SIDs may do it on an object of `class` that is made below this one, by what it inherits.
    pub fn allows_on_heirs(&self, sids: &[Vec<u8>], wanted: &Wanted, class: Uuid) -> bool {
        let inherited =
            |entry: &Entry| entry.flags & CONTAINER_INHERIT != 0 && entry.heirs.is_none_or(|heirs| heirs == class);
        self.decides(sids, wanted, inherited)
    }

    /// The first entry that speaks of it decides; where none does, it is not allowed.
    fn decides(&self, sids: &[Vec<u8>], wanted: &Wanted, counts: impl Fn(&Entry) -> bool) -> bool {
        let Some(list) = &self.list else { return true };
        let speaks = |entry: &&Entry| {
            counts(entry)
                && entry.mask & wanted.bit != 0
                && entry.object.is_none_or(|object| wanted.objects.contains(&object))
                && sids.contains(&entry.trustee)
        };
        list.iter().find(speaks).is_some_and(|entry| entry.allows)
    }
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

/// One entry; `Some(None)` for the kinds that grant and refuse nothing here (conditional ones, callbacks).
fn entry(bytes: &[u8]) -> Option<Option<Entry>> {
    let (kind, flags) = (*bytes.first()?, *bytes.get(1)?);
    let (allows, by_object) = match kind {
        0 => (true, false),
        1 => (false, false),
        5 => (true, true),
        6 => (false, true),
        _ => return Some(None),
    };
    let mask = specific(number(bytes, 4)?);
    let (mut at, mut object, mut heirs) = (8, None, None);
    if by_object {
        let present = number(bytes, 8)?;
        at = 12;
        for (bit, place) in [(1, &mut object), (2, &mut heirs)] {
            if present & bit != 0 {
                *place = Some(Uuid::from_bytes_le(bytes.get(at..at + 16)?.try_into().ok()?));
                at += 16;
            }
        }
    }
    let parts = usize::from(*bytes.get(at + 1)?);
    let trustee = bytes.get(at..at + 8 + parts * 4)?.to_vec();
    Some(Some(Entry { allows, flags, mask, object, heirs, trustee }))
}

/// Generic rights as those of a directory object (MS-ADTS 5.1.3.2).
fn specific(mask: u32) -> u32 {
    let generic = [(0x1000_0000, 0xF_01FF), (0x2000_0000, 0x2_0004), (0x4000_0000, 0x2_0028), (0x8000_0000, 0x2_0094)];
    generic.into_iter().fold(mask, |mask, (bit, means)| if mask & bit != 0 { mask | means } else { mask })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TITLE: Uuid = Uuid::from_u128(0xbf96_7a55_0de6_11d0_a285_00aa_0030_49e2);
    const USER: Uuid = Uuid::from_u128(0xbf96_7aba_0de6_11d0_a285_00aa_0030_49e2);
    const GROUP: Uuid = Uuid::from_u128(0xbf96_7a9c_0de6_11d0_a285_00aa_0030_49e2);

    fn sid(rid: u32) -> Vec<u8> {
        [[1, 1, 0, 0, 0, 0, 0, 5].as_slice(), &rid.to_le_bytes()].concat()
    }

    fn ace(allows: bool, flags: u8, mask: u32, (object, heirs): (Option<Uuid>, Option<Uuid>), trustee: u32) -> Vec<u8> {
        let kind = match (allows, object.is_some() || heirs.is_some()) {
            (true, false) => 0,
            (false, false) => 1,
            (true, true) => 5,
            (false, true) => 6,
        };
        let mut body = mask.to_le_bytes().to_vec();
        if kind > 1 {
            body.extend((u32::from(object.is_some()) | u32::from(heirs.is_some()) << 1).to_le_bytes());
            body.extend(object.iter().chain(&heirs).flat_map(|id| id.to_bytes_le()));
        }
        body.extend(sid(trustee));
        let size = u16::try_from(body.len() + 4).unwrap();
        [[kind, flags].as_slice(), &size.to_le_bytes(), &body].concat()
    }

    fn descriptor(control: u16, aces: &[Vec<u8>]) -> Descriptor {
        let body = aces.concat();
        let mut bytes = vec![1, 0];
        bytes.extend((control | 0x8004).to_le_bytes());
        bytes.extend([0; 12]);
        bytes.extend(20_u32.to_le_bytes());
        bytes.extend([4, 0]);
        bytes.extend(u16::try_from(body.len() + 8).unwrap().to_le_bytes());
        bytes.extend(u16::try_from(aces.len()).unwrap().to_le_bytes());
        bytes.extend([0, 0]);
        bytes.extend(body);
        Descriptor::parse(&bytes).unwrap()
    }

    fn write(object: Uuid) -> Wanted {
        Wanted { bit: WRITE, objects: vec![object] }
    }

    #[test]
    fn an_inherit_only_entry_counts_for_the_class_below_and_nothing_else() {
        let one = descriptor(0, &[ace(true, 0x0a, WRITE, (Some(TITLE), Some(USER)), 7)]);
        let sids = [sid(7)];
        assert!(one.allows_on_heirs(&sids, &write(TITLE), USER));
        assert!(!one.allows_on_heirs(&sids, &write(TITLE), GROUP));
        assert!(!one.allows(&sids, &write(TITLE)));
        assert!(!one.allows_on_heirs(&[sid(8)], &write(TITLE), USER));
        assert!(!one.allows_on_heirs(&sids, &write(USER), USER));
    }

    #[test]
    fn a_refusal_that_comes_first_decides() {
        let both =
            descriptor(0x1000, &[ace(false, 0, WRITE, (Some(TITLE), None), 7), ace(true, 0, WRITE, (None, None), 7)]);
        assert!(!both.allows(&[sid(7)], &write(TITLE)));
        assert!(both.allows(&[sid(7)], &write(USER)));
        assert!(both.protected);
    }

    #[test]
    fn everything_holds_each_single_right() {
        let all = descriptor(0, &[ace(true, 2, 0x1000_0000, (None, None), 7)]);
        for bit in [CREATE_CHILD, DELETE_CHILD, LIST, READ, WRITE, CONTROL] {
            assert!(all.allows(&[sid(7)], &Wanted { bit, objects: vec![] }));
        }
    }

    proptest! {
        #[test]
        fn no_bytes_break_the_reader(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Descriptor::parse(&bytes);
        }
    }
}

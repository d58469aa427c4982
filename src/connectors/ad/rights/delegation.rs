//! What Tenure needs in a directory, feature by feature: the table that `doctor` checks and `docs/operating.md` spells out.

use uuid::Uuid;

use super::descriptor::{CONTROL, CREATE_CHILD, DELETE_CHILD, WRITE};

/// The classes' ids in every directory's schema.
pub const USER_CLASS: Uuid = Uuid::from_u128(0xbf96_7aba_0de6_11d0_a285_00aa_0030_49e2);
pub const GROUP_CLASS: Uuid = Uuid::from_u128(0xbf96_7a9c_0de6_11d0_a285_00aa_0030_49e2);
/// User-Force-Change-Password, "Reset Password" (MS-ADTS 5.1.3.2.1).
pub const RESET_PASSWORD: Uuid = Uuid::from_u128(0x0029_9570_246d_11d0_a768_00aa_006e_0529);

/// Whose rights an entry gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum On {
    /// The organisational unit itself.
    Unit,
    /// Accounts in it and below.
    Accounts,
}

/// One right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Right {
    /// Create accounts in the unit.
    Create,
    /// Take accounts out of the unit, which a move to another is.
    TakeOut,
    Write(&'static str),
    /// The attribute that the site chose for the mark of what is created.
    WriteMark,
    ResetPassword,
}

impl Right {
    pub fn on(self) -> On {
        match self {
            Self::Create | Self::TakeOut => On::Unit,
            _ => On::Accounts,
        }
    }

    /// The bit in the access mask, with its letters in SDDL and in `dsacls`.
    pub fn bit(self) -> (u32, &'static str, &'static str) {
        match self {
            Self::Create => (CREATE_CHILD, "CC", "CC"),
            Self::TakeOut => (DELETE_CHILD, "DC", "DC"),
            Self::Write(_) | Self::WriteMark => (WRITE, "WP", "WP"),
            Self::ResetPassword => (CONTROL, "CR", "CA"),
        }
    }
}

/// One thing that Tenure does, and the rights that it takes.
#[derive(Debug)]
pub struct Feature {
    /// As its heading in `docs/operating.md`.
    pub name: &'static str,
    pub rights: &'static [Right],
}

use Right::{Create, ResetPassword, TakeOut, Write, WriteMark};

/// What is needed in each organisational unit that people's accounts are in.
pub const FEATURES: &[Feature] = &[
    Feature { name: "Create accounts", rights: &[Create, WriteMark] },
    Feature {
        name: "Keep accounts up to date",
        rights: &[
            Write("sAMAccountName"),
            Write("userPrincipalName"),
            Write("givenName"),
            Write("sn"),
            Write("displayName"),
            Write("mail"),
            Write("employeeID"),
            Write("department"),
            Write("title"),
            Write("company"),
            Write("physicalDeliveryOfficeName"),
            Write("telephoneNumber"),
            Write("description"),
            Write("manager"),
        ],
    },
    Feature { name: "Rename and move accounts", rights: &[Write("cn"), Write("name"), TakeOut] },
    Feature {
        name: "Enable, disable and end accounts",
        rights: &[Write("userAccountControl"), Write("accountExpires")],
    },
    Feature { name: "Reset passwords", rights: &[ResetPassword, Write("pwdLastSet")] },
    Feature { name: "Unlock accounts", rights: &[Write("lockoutTime")] },
];

/// The remaining features have checks of their own.
pub const READ_ACCOUNTS: &str = "Read accounts and groups";
pub const CHANGES: &str = "Follow changes (DirSync)";
pub const DELETIONS: &str = "See deletions (Deleted Objects)";
pub const MEMBERSHIPS: &str = "Change group memberships";
pub const POLICIES: &str = "Read password policies";

#[cfg(test)]
mod tests {
    use super::super::super::attributes::{Form, USER};
    use super::*;

    #[test]
    fn every_attribute_that_is_written_is_in_one_feature() {
        let mut written: Vec<&str> = FEATURES
            .iter()
            .flat_map(|feature| feature.rights)
            .filter_map(|right| if let Write(name) = right { Some(*name) } else { None })
            .collect();
        written.sort_unstable();
        let table = USER.iter().filter(|line| !matches!(line.form, Form::Parent | Form::Password));
        // A rename writes the name in both its forms.
        let mut wanted: Vec<&str> = table.map(|line| line.ldap).chain(["name"]).collect();
        wanted.sort_unstable();
        assert_eq!(written, wanted);
    }

    #[test]
    fn the_guide_has_a_part_for_every_feature_and_names_every_attribute() {
        let guide = include_str!("../../../../docs/operating.md");
        let others = [READ_ACCOUNTS, CHANGES, DELETIONS, MEMBERSHIPS, POLICIES];
        for name in FEATURES.iter().map(|feature| feature.name).chain(others) {
            assert!(guide.contains(&format!("#### {name}\n")), "docs/operating.md has no part “{name}”");
        }
        for right in FEATURES.iter().flat_map(|feature| feature.rights) {
            if let Write(name) = right {
                assert!(guide.contains(name), "docs/operating.md does not give the right to write {name}");
            }
        }
        assert!(guide.contains(&RESET_PASSWORD.to_string()) && guide.contains(&USER_CLASS.to_string()));
    }
}

//! The permission matrix: who may do what, and to which objects. One row per operation, one column per role.
//!
//! A person's permissions are the union of their roles' columns. Which roles somebody has stands in [`super::roles`];
//! what each reach means on an object stands in [`super::scope`], once, as SQL: a page's check and a list's filter are
//! the same words. The table is rendered as text for auditors by [`text`], and a snapshot test keeps it.

use std::fmt::Write as _;

use super::Role;

/// How far a role's permission goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Not at all.
    Never,
    /// Themselves and what is theirs.
    Own,
    /// Everybody but themselves.
    Others,
    /// Those who report to them, directly or through others; never a restricted request.
    Team,
    /// What they own in the catalogue.
    Owned,
    /// Requests that they asked for.
    Asker,
    /// Requests that they are a party of, decided about, or are asked to decide about.
    Involved,
    /// Requests with an open stage that waits for them or for somebody they stand in for, and that they are no party of.
    Decider,
    /// Secrets that are for them to read.
    Reader,
    /// Every request that is not restricted.
    Unrestricted,
    /// Every object.
    Any,
}

impl Reach {
    fn word(self) -> &'static str {
        match self {
            Self::Never => "-",
            Self::Own => "own",
            Self::Others => "others",
            Self::Team => "team",
            Self::Owned => "owned",
            Self::Asker => "asker",
            Self::Involved => "involved",
            Self::Decider => "decider",
            Self::Reader => "reader",
            Self::Unrestricted => "open",
            Self::Any => "any",
        }
    }
}

/// Everything that somebody can do. The names are the words of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operation {
    AskJoiner,
    AskLeaver,
    AskImmediateLeaver,
    AskAccess,
    AskPasswordReset,
    AskUnlock,
    SeeRequest,
    Decide,
    Comment,
    Cancel,
    ChangeAnswers,
    Assign,
    Prioritise,
    RetryStep,
    SkipStep,
    Replan,
    RevealSecret,
    SeeQueue,
    SearchPeople,
    SeePerson,
    SeePersonFully,
    SeeTeam,
    SeeCatalogue,
    SeeHolders,
    SeeSettings,
    ProposeSetting,
    ReleaseSetting,
    SeeHistory,
    TakeReport,
    SeeAdoption,
    LinkAccount,
    SeeOutbox,
    SeeSystem,
    CheckSystem,
    SendMailAgain,
    EndSession,
    MakeToken,
    Delegate,
    DelegateFor,
    SwitchAdoption,
    ImportPeople,
    ChangePerson,
    ManageSignIns,
    GiveRole,
    ProposeErasure,
    DecideErasure,
    SeeErasures,
}

use Operation as O;
use Reach::{
    Any as ANY, Asker as ASKER, Decider as DECIDER, Involved as INVOLVED, Never as NO, Others as OTHERS, Own as OWN,
    Owned as OWNED, Reader as READER, Team as TEAM, Unrestricted as OPEN,
};

/// The matrix. The last column is for work that nobody asked for in person: periodic tasks and the command line.
///
/// An auditor reads and asks for nothing, not even for themselves (see [`super::roles`]): what they need, the desk asks
/// for. Routes without a stage (reset, unlock, immediate leaver) never reach the one who asks.
#[rustfmt::skip]
const MATRIX: &[(Operation, [Reach; 9])] = &[
    //                       employee  manager  owner    desk     lead     security auditor  admin    routine
    (O::AskJoiner,          [NO,       ANY,     NO,      ANY,     ANY,     NO,      NO,      NO,      NO ]),
    (O::AskLeaver,          [NO,       TEAM,    NO,      OTHERS,  OTHERS,  NO,      NO,      NO,      NO ]),
    (O::AskImmediateLeaver, [NO,       NO,      NO,      OTHERS,  OTHERS,  OTHERS,  NO,      NO,      NO ]),
    (O::AskAccess,          [OWN,      TEAM,    NO,      ANY,     ANY,     NO,      NO,      NO,      ANY]),
    (O::AskPasswordReset,   [NO,       NO,      NO,      OTHERS,  OTHERS,  NO,      NO,      NO,      NO ]),
    (O::AskUnlock,          [NO,       NO,      NO,      OTHERS,  OTHERS,  NO,      NO,      NO,      NO ]),
    (O::SeeRequest,         [INVOLVED, TEAM,    NO,      OPEN,    ANY,     OPEN,    OPEN,    OPEN,    ANY]),
    (O::Decide,             [DECIDER,  DECIDER, DECIDER, DECIDER, DECIDER, DECIDER, NO,      NO,      NO ]),
    (O::Comment,            [INVOLVED, TEAM,    NO,      OPEN,    ANY,     NO,      NO,      NO,      NO ]),
    (O::Cancel,             [ASKER,    NO,      NO,      OPEN,    ANY,     NO,      NO,      NO,      ANY]),
    (O::ChangeAnswers,      [ASKER,    NO,      NO,      NO,      NO,      NO,      NO,      NO,      NO ]),
    (O::Assign,             [NO,       NO,      NO,      OPEN,    ANY,     NO,      NO,      NO,      NO ]),
    (O::Prioritise,         [NO,       NO,      NO,      OPEN,    ANY,     NO,      NO,      NO,      NO ]),
    (O::RetryStep,          [NO,       NO,      NO,      OPEN,    ANY,     NO,      NO,      NO,      NO ]),
    (O::SkipStep,           [NO,       NO,      NO,      OPEN,    ANY,     NO,      NO,      NO,      NO ]),
    (O::Replan,             [NO,       NO,      NO,      OPEN,    ANY,     NO,      NO,      NO,      ANY]),
    (O::RevealSecret,       [READER,   NO,      NO,      NO,      NO,      NO,      NO,      NO,      NO ]),
    (O::SeeQueue,           [NO,       NO,      NO,      ANY,     ANY,     NO,      NO,      NO,      NO ]),
    (O::SearchPeople,       [ANY,      ANY,     ANY,     ANY,     ANY,     ANY,     ANY,     ANY,     NO ]),
    (O::SeePerson,          [ANY,      ANY,     ANY,     ANY,     ANY,     ANY,     ANY,     ANY,     NO ]),
    (O::SeePersonFully,     [OWN,      TEAM,    NO,      ANY,     ANY,     ANY,     ANY,     ANY,     NO ]),
    (O::SeeTeam,            [NO,       ANY,     NO,      NO,      NO,      NO,      NO,      NO,      NO ]),
    (O::SeeCatalogue,       [ANY,      ANY,     ANY,     ANY,     ANY,     ANY,     ANY,     ANY,     NO ]),
    (O::SeeHolders,         [NO,       NO,      OWNED,   ANY,     ANY,     ANY,     ANY,     ANY,     NO ]),
    (O::SeeSettings,        [NO,       NO,      NO,      ANY,     ANY,     ANY,     ANY,     ANY,     NO ]),
    (O::ProposeSetting,     [NO,       NO,      NO,      NO,      NO,      NO,      NO,      ANY,     NO ]),
    (O::ReleaseSetting,     [NO,       NO,      NO,      NO,      NO,      NO,      NO,      ANY,     NO ]),
    (O::SeeHistory,         [NO,       NO,      NO,      NO,      NO,      ANY,     ANY,     ANY,     NO ]),
    (O::TakeReport,         [NO,       NO,      NO,      NO,      NO,      ANY,     ANY,     ANY,     ANY]),
    (O::SeeAdoption,        [NO,       NO,      NO,      NO,      ANY,     NO,      ANY,     ANY,     NO ]),
    (O::LinkAccount,        [NO,       NO,      NO,      NO,      OTHERS,  NO,      NO,      OTHERS,  ANY]),
    (O::SeeOutbox,          [NO,       NO,      NO,      NO,      ANY,     NO,      ANY,     ANY,     NO ]),
    (O::SeeSystem,          [NO,       NO,      NO,      ANY,     ANY,     NO,      ANY,     ANY,     NO ]),
    (O::CheckSystem,        [NO,       NO,      NO,      NO,      NO,      NO,      NO,      ANY,     NO ]),
    (O::SendMailAgain,      [NO,       NO,      NO,      NO,      ANY,     NO,      NO,      ANY,     NO ]),
    (O::EndSession,         [OWN,      OWN,     OWN,     OWN,     OWN,     OWN,     OWN,     OWN,     NO ]),
    (O::MakeToken,          [OWN,      OWN,     OWN,     OWN,     OWN,     OWN,     OWN,     OWN,     NO ]),
    (O::Delegate,           [OWN,      OWN,     OWN,     OWN,     OWN,     OWN,     NO,      NO,      NO ]),
    (O::DelegateFor,        [NO,       NO,      NO,      NO,      OTHERS,  NO,      NO,      NO,      NO ]),
    (O::SwitchAdoption,     [NO,       NO,      NO,      NO,      NO,      NO,      NO,      ANY,     ANY]),
    (O::ImportPeople,       [NO,       NO,      NO,      NO,      NO,      NO,      NO,      ANY,     ANY]),
    (O::ChangePerson,       [NO,       NO,      NO,      NO,      NO,      NO,      NO,      OTHERS,  ANY]),
    (O::ManageSignIns,      [NO,       NO,      NO,      NO,      NO,      NO,      NO,      OTHERS,  ANY]),
    (O::GiveRole,           [NO,       NO,      NO,      NO,      NO,      NO,      NO,      OTHERS,  ANY]),
    (O::ProposeErasure,     [NO,       NO,      NO,      NO,      NO,      NO,      NO,      OTHERS,  ANY]),
    (O::DecideErasure,      [NO,       NO,      NO,      NO,      NO,      OTHERS,  NO,      OTHERS,  NO ]),
    (O::SeeErasures,        [NO,       NO,      NO,      NO,      NO,      ANY,     ANY,     ANY,     ANY]),
];

const COLUMNS: [Role; 8] = [
    Role::Employee,
    Role::Manager,
    Role::Owner,
    Role::Desk,
    Role::DeskLead,
    Role::Security,
    Role::Auditor,
    Role::Administrator,
];

impl Operation {
    /// Every operation, in the table's order.
    pub fn all() -> impl Iterator<Item = Self> {
        MATRIX.iter().map(|(operation, _)| *operation)
    }

    fn row(self) -> &'static [Reach; 9] {
        // A test proves that every operation has its row; without one nobody may.
        MATRIX.iter().find(|(operation, _)| *operation == self).map_or(&[NO; 9], |(_, row)| row)
    }

    /// How far that role may go.
    pub fn reach(self, role: Role) -> Reach {
        COLUMNS.iter().position(|column| *column == role).map_or(NO, |column| self.row()[column])
    }

    /// Whether periodic work and the command line may.
    pub fn by_routine(self) -> bool {
        self.row()[8] == Reach::Any
    }

    /// What these roles reach together, without "never", each once.
    pub fn reaches(self, roles: &[Role]) -> Vec<Reach> {
        let mut reaches: Vec<Reach> = Vec::new();
        for reach in roles.iter().map(|role| self.reach(*role)) {
            if reach != NO && !reaches.contains(&reach) {
                reaches.push(reach);
            }
        }
        reaches
    }

    /// Whether these roles may do it to anything at all: what navigation and menus ask.
    pub fn may(self, roles: &[Role]) -> bool {
        !self.reaches(roles).is_empty()
    }

    /// Changes nothing, so the session's row need not be held while it is done. Taking a report only leaves its record.
    pub fn reads(self) -> bool {
        matches!(
            self,
            O::SeeRequest
                | O::SeeQueue
                | O::SearchPeople
                | O::SeePerson
                | O::SeePersonFully
                | O::SeeTeam
                | O::SeeCatalogue
                | O::SeeHolders
                | O::SeeSettings
                | O::SeeHistory
                | O::TakeReport
                | O::SeeAdoption
                | O::SeeOutbox
                | O::SeeSystem
                | O::SeeErasures
        )
    }

    /// The scope that an API token needs for it; None: not with a token at all.
    pub fn scope(self) -> Option<&'static str> {
        match self {
            O::SearchPeople | O::SeePerson | O::SeePersonFully => Some("people:read"),
            O::SeeCatalogue => Some("catalogue:read"),
            O::SeeHolders => Some("grants:read"),
            O::SeeHistory => Some("evidence:read"),
            O::SeeRequest => Some("requests:read"),
            O::AskJoiner
            | O::AskLeaver
            | O::AskImmediateLeaver
            | O::AskAccess
            | O::AskPasswordReset
            | O::AskUnlock
            | O::Comment
            | O::Cancel
            | O::ChangeAnswers => Some("requests:write"),
            O::Decide => Some("decisions:write"),
            _ => None,
        }
    }

    /// Why not, in words for the one who was refused.
    pub fn refusal(self) -> &'static str {
        match self {
            O::AskJoiner => "New colleagues are asked for by managers and the service desk.",
            O::AskLeaver => "A leaver is asked for by their manager or the service desk, never by themselves.",
            O::AskImmediateLeaver => {
                "An immediate leaver is asked for by the service desk or security, and never for oneself."
            }
            O::AskAccess => "You can ask for access for yourself and for those who report to you.",
            O::AskPasswordReset | O::AskUnlock => {
                "Resets and unlocks are done by the service desk, and never for oneself."
            }
            O::Decide => {
                "Only those whom policy asks can decide about this, and nobody decides about their own request."
            }
            O::Cancel => "A request is cancelled by whoever asked for it, or by the service desk.",
            O::ChangeAnswers => "The answers are changed by whoever gave them.",
            O::RevealSecret => "This password is for somebody else to read.",
            O::SeePersonFully => "You see accounts and access of yourself and of those who report to you.",
            O::ProposeSetting | O::ReleaseSetting => {
                "Settings are proposed by one administrator and released by another."
            }
            O::ProposeErasure => "Erasing is proposed by an administrator, and never about oneself.",
            O::DecideErasure => "Erasing is approved by security or an administrator, and never about oneself.",
            O::DelegateFor => "Who stands in for somebody is set by themselves, or by the desk’s lead for who cannot.",
            O::LinkAccount | O::GiveRole | O::ManageSignIns | O::ChangePerson => {
                "That is for an administrator, and never for oneself."
            }
            _ => "Your role does not allow that.",
        }
    }
}

/// The matrix as auditors read it.
pub fn text() -> String {
    let mut out = format!("{:<20}", "");
    for role in COLUMNS {
        let _ = write!(out, "{:<14}", role.as_str());
    }
    out.push_str("routine\n");
    for (operation, row) in MATRIX {
        let _ = write!(out, "{:<20}", format!("{operation:?}"));
        for reach in &row[..8] {
            let _ = write!(out, "{:<14}", reach.word());
        }
        let _ = writeln!(out, "{}", row[8].word());
    }
    out.push_str(
        "\n\
         -         not at all\n\
         own       themselves and what is theirs\n\
         others    everybody but themselves\n\
         team      those who report to them, directly or through others; never a restricted request\n\
         owned     what they own in the catalogue\n\
         asker     requests that they asked for\n\
         involved  requests that they are a party of, decided about, or are asked to decide about\n\
         decider   an open stage waits for them or for whom they stand in; never as a party of the request\n\
         reader    secrets that are for them to read\n\
         open      every request that is not restricted\n\
         any       everything\n\
         \n\
         A person has the union of their roles' columns. Everybody is an employee; a manager is who has reports; an owner is\n\
         who owns an entitlement; a desk lead is also desk. An auditor has the auditor's column alone.\n",
    );
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_auditor_only_reads() {
        for operation in Operation::all().filter(|operation| !operation.reads()) {
            let reach = operation.reach(Role::Auditor);
            let own_affairs = matches!(operation, O::EndSession | O::MakeToken);
            assert!(reach == NO || (own_affairs && reach == OWN), "{operation:?}");
        }
    }

    #[test]
    fn nobody_reaches_decisions_but_as_decider() {
        for role in COLUMNS {
            assert!(matches!(O::Decide.reach(role), NO | DECIDER), "{role:?}");
        }
    }
}

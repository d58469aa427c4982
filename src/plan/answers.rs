//! The kinds of request, their typed answers, and who is concerned by them.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    access, joiner, leaver, list_change, mailbox_access, mailbox_change, mailing_list, password_reset, shared_mailbox,
    unlock,
};
use crate::ids::PersonId;

/// The kinds of request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RequestKind {
    Joiner,
    Leaver,
    Access,
    PasswordReset,
    Unlock,
    /// A shared mailbox, a room or a piece of equipment is made.
    SharedMailbox,
    /// A right on somebody's or a shared mailbox, or on a folder of it.
    MailboxAccess,
    MailboxChange,
    /// A distribution list, a mail-enabled security group or a dynamic list is made.
    MailingList,
    ListChange,
    /// Made by a routine: the last grant that supported an access has ended.
    Expiry,
}

impl RequestKind {
    pub const ASKABLE: [RequestKind; 10] = [
        Self::Joiner,
        Self::Leaver,
        Self::Access,
        Self::PasswordReset,
        Self::Unlock,
        Self::SharedMailbox,
        Self::MailboxAccess,
        Self::MailboxChange,
        Self::MailingList,
        Self::ListChange,
    ];

    /// Only where there is an Exchange organisation.
    pub fn needs_exchange(self) -> bool {
        matches!(
            self,
            Self::SharedMailbox | Self::MailboxAccess | Self::MailboxChange | Self::MailingList | Self::ListChange
        )
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Joiner => "joiner",
            Self::Leaver => "leaver",
            Self::Access => "access",
            Self::PasswordReset => "password_reset",
            Self::Unlock => "unlock",
            Self::SharedMailbox => "shared_mailbox",
            Self::MailboxAccess => "mailbox_access",
            Self::MailboxChange => "mailbox_change",
            Self::MailingList => "mailing_list",
            Self::ListChange => "list_change",
            Self::Expiry => "expiry",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ASKABLE.into_iter().chain([Self::Expiry]).find(|kind| kind.as_str() == text)
    }
}

/// Typed answers of any kind; kept with the request as JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "answers", rename_all = "snake_case")]
pub enum Answers {
    Joiner(joiner::Answers),
    Leaver(leaver::Answers),
    Access(access::Answers),
    PasswordReset(password_reset::Answers),
    Unlock(unlock::Answers),
    SharedMailbox(shared_mailbox::Answers),
    MailboxAccess(mailbox_access::Answers),
    MailboxChange(mailbox_change::Answers),
    MailingList(mailing_list::Answers),
    ListChange(list_change::Answers),
}

impl Answers {
    pub fn kind(&self) -> RequestKind {
        match self {
            Self::Joiner(_) => RequestKind::Joiner,
            Self::Leaver(_) => RequestKind::Leaver,
            Self::Access(_) => RequestKind::Access,
            Self::PasswordReset(_) => RequestKind::PasswordReset,
            Self::Unlock(_) => RequestKind::Unlock,
            Self::SharedMailbox(_) => RequestKind::SharedMailbox,
            Self::MailboxAccess(_) => RequestKind::MailboxAccess,
            Self::MailboxChange(_) => RequestKind::MailboxChange,
            Self::MailingList(_) => RequestKind::MailingList,
            Self::ListChange(_) => RequestKind::ListChange,
        }
    }

    /// The person it is about: for a mailbox or a list who answers for it. A joiner's is not there yet.
    pub fn subject(&self) -> Option<PersonId> {
        match self {
            Self::Joiner(_) => None,
            Self::Leaver(answers) => Some(answers.person),
            Self::Access(answers) => Some(answers.person),
            Self::PasswordReset(answers) => Some(answers.person),
            Self::Unlock(answers) => Some(answers.person),
            Self::SharedMailbox(answers) => Some(answers.owner),
            Self::MailboxAccess(answers) => Some(answers.person),
            Self::MailboxChange(answers) => Some(answers.owner),
            Self::MailingList(answers) => Some(answers.owner),
            Self::ListChange(answers) => Some(answers.owner),
        }
    }

    /// Whoever gains by it besides whom it is about: they decide nothing in it either.
    pub fn others_concerned(&self) -> Concerned {
        let mut people = Vec::new();
        let recipients: Vec<&crate::mirror::mail::Recipient> = match self {
            Self::SharedMailbox(answers) => answers.full_access.iter().chain(&answers.send_as).collect(),
            Self::Leaver(answers) => {
                let successors = [&answers.delegate, &answers.forward_to, &answers.lists_to];
                people.extend(successors.into_iter().flatten().map(|successor| successor.person));
                Vec::new()
            }
            Self::MailboxChange(mailbox_change::Answers { forward: Some(mailbox_change::Forward::To(to)), .. }) => {
                vec![to]
            }
            // On a distribution list is everybody now and then; what a security group opens is access.
            Self::MailingList(answers) => {
                let members = answers.members.iter().filter(|_| answers.list_type == "security");
                members.chain(&answers.owners).chain(&answers.moderators).collect()
            }
            Self::ListChange(answers) => {
                let members = answers.add.iter().filter(|_| answers.list.kind == "security");
                people.extend(answers.new_owner);
                members.chain(&answers.owners).chain(answers.moderators.iter().flatten()).collect()
            }
            _ => Vec::new(),
        };
        Concerned { recipients: recipients.iter().map(|recipient| recipient.id).collect(), people }
    }

    /// Whether whom it is about decides nothing in it. Whose mailbox or list others ask to change is asked first; not where
    /// security looks at it as well.
    pub fn subject_is_party(&self) -> bool {
        match self {
            Self::MailboxChange(answers) => answers.is_sensitive(),
            Self::ListChange(_) => false,
            _ => true,
        }
    }

    /// Seen by the parties, the deciders and the desk lead only.
    pub fn restricted(&self) -> bool {
        match self {
            Self::Leaver(answers) => answers.immediate,
            // Who is on legal hold is not everybody's to know.
            Self::MailboxChange(answers) => answers.litigation_hold.is_some(),
            _ => false,
        }
    }

    /// The name under which routes and service levels list it; an immediate leaver is not decided beforehand.
    pub fn route_kind(&self) -> &'static str {
        match self {
            Self::Leaver(answers) if answers.immediate => "leaver_immediate",
            Self::MailboxChange(answers) if answers.is_sensitive() => "mailbox_change_sensitive",
            other => other.kind().as_str(),
        }
    }
}

/// Who gains by a request besides whom it is about.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Concerned {
    pub people: Vec<PersonId>,
    /// Mailboxes and lists by id: whoever they belong to, reads them or is on them.
    pub recipients: Vec<Uuid>,
}

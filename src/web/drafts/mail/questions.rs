//! What each form about mail asks, as tables.

use crate::plan::RequestKind;

/// How a question is answered.
pub enum By {
    Line,
    Number,
    Lines,
    Text,
    /// Value, words, hint.
    One(&'static [(&'static str, &'static str, &'static str)]),
    Many(&'static [(&'static str, &'static str, &'static str)]),
    /// A role on the calendar.
    Role,
    Day,
    Person,
    Mailbox,
    List,
    /// Several people, mailboxes or lists.
    Recipients,
    /// The organisation; asked only where there are several.
    Organisation,
}

/// One question.
pub struct Question {
    pub name: &'static str,
    pub label: &'static str,
    pub hint: &'static str,
    pub by: By,
    pub optional: bool,
}

/// Questions under a heading; without one they are always there.
pub struct Part {
    pub title: &'static str,
    pub questions: &'static [Question],
}

const fn ask(name: &'static str, label: &'static str, hint: &'static str, by: By) -> Question {
    Question { name, label, hint, by, optional: false }
}

const fn may(name: &'static str, label: &'static str, hint: &'static str, by: By) -> Question {
    Question { name, label, hint, by, optional: true }
}

const SEVERAL: &str = "One a line: a user name, an employee number or an address";
const AS_IS: (&str, &str, &str) = ("", "As it is", "");
const YES_NO: By = By::One(&[AS_IS, ("yes", "Yes", ""), ("no", "No", "")]);
const REASON: Question = may("reason", "Anything the desk should know?", "", By::Text);
const ORGANISATION: Question = ask("system", "Where?", "", By::Organisation);

const SHARED: &[Part] = &[
    Part {
        title: "",
        questions: &[
            ORGANISATION,
            ask(
                "type",
                "What is it?",
                "",
                By::One(&[
                    ("shared", "A shared mailbox", "Several people read and answer it, under its own address."),
                    ("room", "A room", "It is invited to meetings and answers by itself."),
                    ("equipment", "Equipment", "A car, a projector: booked as a room is."),
                    ("user", "A person’s own", "For somebody who has an account, but no mailbox."),
                ]),
            ),
            ask("name", "Name", "As people see it in the address list; a person’s is known", By::Line),
            ask("address", "Address", "What stands before the @ is enough; empty for a person’s own", By::Line),
            ask("owner", "Who answers for it?", "Decides who may use it; a person for their own", By::Person),
            may("full_access", "Who opens it?", SEVERAL, By::Recipients),
            may("send_as", "Who sends as it?", SEVERAL, By::Recipients),
        ],
    },
    Part {
        title: "Booking, for rooms and equipment",
        questions: &[
            may(
                "accepts",
                "Invitations",
                "",
                By::One(&[("yes", "Accepted by itself where it is free", ""), ("no", "Only noted as tentative", "")]),
            ),
            may("capacity", "Places", "How many people the room holds", By::Number),
            may("window_days", "Days ahead that it can be booked", "", By::Number),
        ],
    },
    Part {
        title: "A person’s earlier mailbox",
        questions: &[may(
            "reconnect",
            "It becomes",
            "",
            By::One(&[
                ("no", "A new, empty mailbox", ""),
                ("yes", "The one that they had before", "With its messages, where the database still keeps it."),
            ]),
        )],
    },
    Part { title: "", questions: &[REASON] },
];

const ACCESS: &[Part] = &[Part {
    title: "",
    questions: &[
        ask("person", "Who gets access?", "", By::Person),
        ask("mailbox", "To which mailbox?", "", By::Mailbox),
        may(
            "rights",
            "What may they do?",
            "",
            By::Many(&[
                ("full_access", "Open it and read everything (full access)", ""),
                ("send_as", "Send as it", "Messages show the mailbox alone as the sender."),
                ("send_on_behalf", "Send on behalf of it", "Messages show both names."),
            ]),
        ),
        may("calendar", "On its calendar", "", By::Role),
        may(
            "automapping",
            "Outlook",
            "With full access",
            By::One(&[("yes", "Opens the mailbox by itself", ""), ("no", "Does not; they add it themselves", "")]),
        ),
        may("until", "Until", "The last day; empty: until it is taken away", By::Day),
        may("owner", "Who answers for the mailbox?", "Only where nobody is known to", By::Person),
        REASON,
    ],
}];

const CHANGE: &[Part] = &[
    Part {
        title: "",
        questions: &[
            ask("mailbox", "Which mailbox?", "What you leave empty below stays as it is", By::Mailbox),
            may("owner", "Who answers for it?", "Only where nobody is known to", By::Person),
        ],
    },
    Part {
        title: "Name and addresses",
        questions: &[
            may("name", "Name", "", By::Line),
            may("address", "Primary address", "The one before it stays as a further one", By::Line),
            may("add_addresses", "Further addresses to add", "One a line", By::Lines),
            may("remove_addresses", "Addresses to remove", "One a line", By::Lines),
            may("hidden", "Hidden from address lists", "", YES_NO),
        ],
    },
    Part {
        title: "Forwarding",
        questions: &[
            may(
                "forward",
                "Messages",
                "",
                By::One(&[AS_IS, ("yes", "Are also sent on", ""), ("no", "Are not sent on any more", "")]),
            ),
            may("forward_to", "To", "Somebody here, or an address outside", By::Mailbox),
            may("forward_until", "Until", "The last day; empty: until it is changed", By::Day),
        ],
    },
    Part {
        title: "Answer while away",
        questions: &[
            may("auto_reply", "An answer", "", By::One(&[AS_IS, ("yes", "Is sent", ""), ("no", "Is not sent", "")])),
            may("auto_reply_text", "What it says", "", By::Text),
            may("auto_reply_from", "From", "", By::Day),
            may("auto_reply_until", "Until", "The last day; empty: until it is switched off", By::Day),
        ],
    },
    Part {
        title: "Type, size, archive, legal hold",
        questions: &[
            may(
                "type",
                "It becomes",
                "",
                By::One(&[
                    AS_IS,
                    ("user", "a person’s mailbox", ""),
                    ("shared", "a shared mailbox", ""),
                    ("room", "a room", ""),
                    ("equipment", "equipment", ""),
                ]),
            ),
            may("quota_gb", "Size in gigabytes", "0: as the database has it", By::Number),
            may("archive", "Archive", "", YES_NO),
            may("hold", "Legal hold", "Nothing is deleted for good while it lasts", YES_NO),
            may("hold_days", "Days that the hold keeps", "Empty: until it is lifted", By::Number),
        ],
    },
    Part {
        title: "Take it away",
        questions: &[may(
            "remove",
            "The mailbox",
            "",
            By::Many(&[("yes", "Is taken away", "Not while it is on legal hold. A person’s account stays.")]),
        )],
    },
    Part { title: "", questions: &[REASON] },
];

const LIST: &[Part] = &[
    Part {
        title: "",
        questions: &[
            ORGANISATION,
            ask(
                "type",
                "What is it?",
                "",
                By::One(&[
                    ("distribution", "A distribution list", "Messages go to everybody on it."),
                    ("security", "A mail-enabled security group", "It can also be given access to things."),
                    ("dynamic", "A dynamic list", "Everybody with a mailbox in certain departments, at any time."),
                ]),
            ),
            ask("name", "Name", "As people see it in the address list", By::Line),
            ask("address", "Address", "What stands before the @ is enough", By::Line),
            may("description", "What is it for?", "", By::Line),
            ask("owner", "Who answers for it?", "Decides who may join", By::Person),
            may("members", "Who is on it?", SEVERAL, By::Recipients),
            may("departments", "Departments", "For a dynamic list; one a line", By::Lines),
        ],
    },
    Part {
        title: "Who may send, moderation, further owners",
        questions: &[
            may(
                "internal_only",
                "Messages from outside",
                "",
                By::One(&[("yes", "Are refused", ""), ("no", "Are taken", "")]),
            ),
            may("senders", "Only these may send", SEVERAL, By::Recipients),
            may(
                "moderated",
                "Messages",
                "",
                By::One(&[("no", "Go out at once", ""), ("yes", "Wait until somebody has looked at them", "")]),
            ),
            may("moderators", "Who looks at them?", SEVERAL, By::Recipients),
            may("owners", "Who else may change it in Outlook?", SEVERAL, By::Recipients),
            may("hidden", "Address list", "", By::Many(&[("yes", "Hidden from address lists", "")])),
        ],
    },
    Part { title: "", questions: &[REASON] },
];

const LIST_CHANGE: &[Part] = &[
    Part {
        title: "",
        questions: &[
            ask("list", "Which list?", "What you leave empty below stays as it is", By::List),
            may("owner", "Who answers for it?", "Only where nobody is known to", By::Person),
            may("add", "Who joins?", SEVERAL, By::Recipients),
            may("remove", "Who leaves it?", SEVERAL, By::Recipients),
        ],
    },
    Part {
        title: "Hand it over, name",
        questions: &[
            may("new_owner", "Who answers for it from now on?", "They own it in Outlook as well", By::Person),
            may("owners", "Who may change it in Outlook", "Everybody who may from then on. One a line", By::Recipients),
            may("name", "Name", "", By::Line),
            may("hidden", "Hidden from address lists", "", YES_NO),
        ],
    },
    Part {
        title: "Who may send, moderation",
        questions: &[
            may("internal_only", "Messages from outside are refused", "", YES_NO),
            may(
                "restricted",
                "Who may send",
                "",
                By::One(&[AS_IS, ("yes", "Only those named below", ""), ("no", "Everybody", "")]),
            ),
            may("senders", "These", SEVERAL, By::Recipients),
            may(
                "moderated",
                "Messages",
                "",
                By::One(&[AS_IS, ("yes", "Wait until somebody has looked at them", ""), ("no", "Go out at once", "")]),
            ),
            may("moderators", "Who looks at them?", SEVERAL, By::Recipients),
        ],
    },
    Part {
        title: "Delete it",
        questions: &[may("delete", "The list", "", By::Many(&[("yes", "Is deleted, with its address", "")]))],
    },
    Part { title: "", questions: &[REASON] },
];

/// What becomes of a leaver's mail; a part of the leaver's form where there is an Exchange organisation.
const LEAVER: &[Part] = &[Part {
    title: "",
    questions: &[
        may(
            "mailbox",
            "Their mailbox",
            "",
            By::One(&[
                ("convert", "Stays as a shared mailbox", "Hidden from address lists; nobody signs in to it."),
                ("keep", "Stays as it is", "Where it is on legal hold, or somebody else sees to it."),
            ]),
        ),
        may("delegate", "Who opens it from then on?", "", By::Person),
        may("forward_to", "Who gets what is still sent to it?", "", By::Person),
        may("forward_until", "Forwarded until", "The last day; empty: until it is changed", By::Day),
        may("auto_reply", "What should whoever writes get as an answer?", "", By::Text),
        may("lists_to", "Who takes over the lists that they own?", "", By::Person),
    ],
}];

/// The parts of a kind's form.
pub fn parts(kind: RequestKind) -> &'static [Part] {
    match kind {
        RequestKind::SharedMailbox => SHARED,
        RequestKind::MailboxAccess => ACCESS,
        RequestKind::MailboxChange => CHANGE,
        RequestKind::MailingList => LIST,
        RequestKind::ListChange => LIST_CHANGE,
        RequestKind::Leaver => LEAVER,
        _ => &[],
    }
}

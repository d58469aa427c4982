//! The words for states, the same everywhere: each name of a state as the database writes it, with its colour and shape.
//! An unknown name is shown as it is, in grey: a page never fails over a word.

use super::parts::Badge;

fn plain(state: &str) -> Badge {
    Badge::quiet(state.replace('_', " "))
}

/// A request (`draft`, `deciding`, `applying`, …).
pub fn request(state: &str) -> Badge {
    match state {
        "draft" => Badge::quiet("draft"),
        "open" => Badge::info("open"),
        "deciding" => Badge::warn("waiting for approval"),
        "applying" => Badge::info("being applied"),
        "done" => Badge::ok("done"),
        "waiting_for_requester" => Badge::quiet("waiting for requester"),
        "sent_back" => Badge::warn("sent back"),
        "rejected" => Badge::bad("rejected"),
        "cancelled" => Badge::quiet("cancelled"),
        "lapsed" => Badge::quiet("lapsed"),
        "needs_person" => Badge::bad("needs a person"),
        other => plain(other),
    }
}

/// A request being applied, with how many of its steps are through: "being applied 2/5".
pub fn request_progress(state: &str, done: u32, all: u32) -> Badge {
    match state {
        "applying" if all > 0 => Badge::info(format!("being applied {done}/{all}")),
        other => request(other),
    }
}

/// An item has the words of a request, but "approved" while its steps are due later.
pub fn item(state: &str) -> Badge {
    match state {
        "approved" => Badge::ok("approved"),
        other => request(other),
    }
}

/// A step (`waiting`, `ready`, `running`, …).
pub fn step(state: &str) -> Badge {
    match state {
        "planned" => Badge::quiet("planned"),
        "waiting" => Badge::quiet("waiting"),
        "ready" => Badge::info("next"),
        "running" => Badge::info("running"),
        "applied" => Badge::ok("applied"),
        "unchanged" => Badge::ok("was so already"),
        "retrying" => Badge::warn("trying again"),
        "drifted" => Badge::bad("changed meanwhile"),
        "blocked" => Badge::bad("needs a person"),
        "skipped" => Badge::quiet("left out"),
        "undone" => Badge::quiet("undone"),
        "superseded" => Badge::quiet("planned anew"),
        other => plain(other),
    }
}

/// An account in a target system.
pub fn account(state: &str) -> Badge {
    match state {
        "enabled" | "active" => Badge::ok("active"),
        "disabled" => Badge::quiet("disabled"),
        "locked" => Badge::bad("locked"),
        "expired" => Badge::warn("expired"),
        "must_change" => Badge::warn("must set a password"),
        "gone" => Badge::quiet("gone"),
        other => plain(other),
    }
}

/// A person's employment as seen today.
pub fn person(state: &str) -> Badge {
    match state {
        "active" => Badge::ok("active"),
        "expected" | "future" => Badge::info("joins"),
        "leaving" => Badge::warn("leaves"),
        "left" => Badge::quiet("has left"),
        "withdrawn" => Badge::quiet("did not come"),
        other => plain(other),
    }
}

/// A mail in the outbox.
pub fn mail(state: &str) -> Badge {
    match state {
        "queued" | "waiting" => Badge::info("queued"),
        "sending" => Badge::info("being sent"),
        "sent" | "delivered" => Badge::ok("accepted"),
        "retrying" => Badge::warn("trying again"),
        "failed" => Badge::bad("not delivered"),
        other => plain(other),
    }
}

/// One try at sending a mail.
pub fn mail_try(outcome: &str) -> Badge {
    match outcome {
        "accepted" => Badge::ok("accepted"),
        "later" => Badge::warn("not now"),
        "refused" => Badge::bad("refused"),
        "sending" => Badge::info("being sent"),
        "unknown" => Badge::warn("answer unknown"),
        other => plain(other),
    }
}

/// A connector, the worker, the mail server, the database.
pub fn health(state: &str) -> Badge {
    match state {
        "up" | "ok" => Badge::ok("works"),
        "slow" | "behind" => Badge::warn("behind"),
        "observing" => Badge::info("observes only"),
        "down" => Badge::bad("does not answer"),
        "off" => Badge::quiet("off"),
        other => plain(other),
    }
}

/// The risk of an entitlement.
pub fn risk(risk: &str) -> Badge {
    match risk {
        "high" | "critical" => Badge::bad(format!("{risk} risk")),
        "medium" => Badge::warn("medium risk"),
        "low" => Badge::quiet("low risk"),
        other => plain(other),
    }
}

/// A priority from 1 (critical) to 4 (low).
pub fn priority(priority: u8) -> Badge {
    match priority {
        1 => Badge::bad("1 critical"),
        2 => Badge::warn("2 high"),
        3 => Badge::quiet("3 normal"),
        _ => Badge::quiet("4 low"),
    }
}

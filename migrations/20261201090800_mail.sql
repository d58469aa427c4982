-- Mail on its way. Written by src/mail.
set local lock_timeout = '5s';

create table outbox (
    id uuid primary key,
    person uuid references person (id),
    address text not null,
    -- submitted, please_decide, decided, done, failed
    template text not null,
    request bigint,
    subject text not null,
    -- What the templates are filled from; the mail itself is made when it is sent.
    letter jsonb not null,
    -- RFC 5322 Message-ID; and the thread's first, for References.
    message_id text not null unique,
    thread_id text,
    created_at timestamptz not null default now(),
    due_at timestamptz not null default now(),
    lease_until timestamptz,
    tries integer not null default 0,
    -- The mail server's own words at the last failure.
    error text,
    sent_at timestamptz,
    -- Given up: after five days of trying, or refused for good.
    failed_at timestamptz
);
create index outbox_due on outbox (due_at) where sent_at is null and failed_at is null;
create index outbox_created on outbox (created_at desc, id desc);
create index outbox_request on outbox (request);

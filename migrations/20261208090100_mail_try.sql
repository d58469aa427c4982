-- Each try at sending a mail, and what came of it. Written by src/mail.
set local lock_timeout = '5s';

create table mail_try (
    id uuid primary key,
    mail uuid not null references outbox (id),
    -- Before the mail server is spoken to.
    began_at timestamptz not null default now(),
    outcome text check (outcome in ('accepted', 'later', 'refused')),
    said text
);
create index mail_try_mail on mail_try (mail, began_at desc, id desc);
comment on column mail_try.id is 'In the order in which they were begun.';
comment on column mail_try.mail is 'What was sent.';
comment on column mail_try.began_at is 'When it was begun, before the mail server was spoken to.';
comment on column mail_try.outcome is 'accepted, later: it is tried again, refused: for good; null: under way, or the worker stopped before it knew.';
comment on column mail_try.said is 'The mail server''s own words, or why it could not be reached; null once forgotten.';

-- Who holds what, why, until when. Written by src/grants.
set local lock_timeout = '5s';

create table access_grant (
    id uuid primary key,
    person uuid not null references person (id),
    entitlement uuid not null references entitlement (id),
    -- Which of the person's accounts holds it.
    account uuid not null,
    -- rule: birthright. request: asked for and decided. before_tenure: found at adoption.
    reason text not null check (reason in ('rule', 'request', 'before_tenure', 'review')),
    -- The rule's name, or plain words.
    reason_text text not null default '',
    -- The item whose step gave it.
    item uuid references item (id),
    starts_at timestamptz not null,
    -- The last day as asked for, local to the person's site, and the instant it ends.
    until_on date,
    until_at timestamptz,
    ended_at timestamptz,
    -- due, request, leaver, found_gone
    ended_why text,
    -- The request that takes the access away after the last grant's end.
    ended_by_item uuid references item (id),
    constraint access_grant_until check ((until_on is null) = (until_at is null))
);
create index access_grant_person on access_grant (person) where ended_at is null;
create index access_grant_entitlement on access_grant (entitlement) where ended_at is null;
create index access_grant_due on access_grant (until_at) where ended_at is null and until_at is not null;
create unique index access_grant_once on access_grant (person, entitlement, account, reason, coalesce(item, '00000000-0000-0000-0000-000000000000'))
    where ended_at is null;

-- Checks of a target system's connection: asked for by an administrator, answered by a worker. Written by src/checks.
set local lock_timeout = '5s';

create table connection_check (
    -- UUIDv7; its records have the subject 'system:<key>' and name it.
    id uuid primary key,
    -- What is looked at.
    system text not null references target_system (key),
    -- Who asked, and when.
    asked_by uuid not null references person (id),
    asked_at timestamptz not null,
    -- Organisational units to be checked beside those in scope, as `tenure doctor --unit` has them.
    units text[] not null default '{}',
    -- Which worker is at it, and until when it is believed to be; null: none yet, or it is answered.
    worker text,
    lease_until timestamptz,
    -- How many workers began it: a worker that dies leaves it to the next, but not for ever.
    attempt integer not null default 0,
    -- When the last of them began.
    started_at timestamptz,
    -- When it was answered.
    finished_at timestamptz,
    -- What was found: [{"state": "well" | "doubtful" | "ill", "text": …, "mend": [commands]}]; null until it is answered.
    findings jsonb,
    constraint connection_check_answered check ((finished_at is null) = (findings is null))
);
-- One at a time for each system.
create unique index connection_check_one on connection_check (system) where finished_at is null;
create index connection_check_system on connection_check (system, asked_at desc);

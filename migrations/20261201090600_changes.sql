-- Doing: steps, attempts, what is being touched, secrets on their way. Written by src/changes.
set local lock_timeout = '5s';

create table step (
    id uuid primary key,
    request uuid not null references request (id),
    item uuid not null references item (id),
    plan_number integer not null,
    ordinal integer not null,
    -- Its name within the request's plan ("account", "all-hamburg"); `after` names these.
    name text not null,
    system text not null references target_system (key),
    kind text not null,
    -- target::Key as JSON.
    key jsonb not null,
    -- target::Difference as JSON.
    difference jsonb not null,
    label text not null,
    why text not null default '',
    -- Steps of the same request, by name, that must be done first; they may belong to another item.
    after text[] not null default '{}',
    not_before timestamptz,
    -- The grant that this step settles into or ends: plan::GrantEffect as JSON.
    grant_effect jsonb,
    -- Who may read the password that this step sets, and from when; null: nobody, it is made and forgotten.
    secret_reader uuid references person (id),
    secret_from timestamptz,
    state text not null check (state in ('waiting', 'ready', 'running', 'applied', 'unchanged', 'retrying', 'drifted',
                                         'blocked', 'skipped', 'undone', 'superseded')),
    -- The attempt's number is the fence: every write by a worker repeats it.
    attempt integer not null default 0,
    -- Failures in a row; reset by success and by a person's retry.
    failures integer not null default 0,
    due_at timestamptz,
    lease_until timestamptz,
    worker text,
    -- The immutable id, once known: what later steps' references resolve to.
    resolved uuid,
    -- Plain words: why it waits, stopped or was skipped.
    told text,
    -- States as seen, target::State as JSON; null where absent.
    before jsonb,
    after_state jsonb,
    native jsonb,
    -- Where it was done; later steps of the request prefer it.
    server jsonb,
    settled_at timestamptz,
    unique (item, plan_number, ordinal)
);
create unique index step_name on step (request, name) where state <> 'superseded';
create index step_due on step (due_at, id) where state in ('ready', 'retrying');
create index step_leased on step (lease_until) where state = 'running';
create index step_blocked on step (request) where state in ('blocked', 'drifted');
create index step_request on step (request, item, ordinal);

create table attempt (
    step uuid not null references step (id),
    number integer not null,
    worker text not null,
    server text,
    started_at timestamptz not null default now(),
    before jsonb,
    -- Whether something was sent to the target.
    sent boolean not null default false,
    outcome text check (outcome in ('applied', 'unchanged', 'refused', 'retry', 'unknown', 'drifted', 'superseded')),
    after_state jsonb,
    native jsonb,
    -- As the target gave it, and as we tell it.
    error_given text,
    error_told text,
    ended_at timestamptz,
    primary key (step, number)
);

-- What is being touched right now. Two workers must not touch one object at once.
create table busy (
    resource text primary key,
    step uuid not null references step (id),
    attempt integer not null,
    lease_until timestamptz not null
);
create index busy_step on busy (step);

-- A generated password between its making and its being read. Sealed to the worker's key, then to the reader's.
create table secret (
    id uuid primary key,
    step uuid not null unique references step (id),
    request uuid not null references request (id),
    -- HPKE (RFC 9180) to the worker's public key; null once forgotten.
    sealed bytea,
    -- Who may read it.
    reader uuid not null references person (id),
    -- Not before this instant (a joiner's first day).
    readable_from timestamptz not null,
    -- Set once the step is done: what is not in the directory is not shown.
    usable_at timestamptz,
    expires_at timestamptz not null,
    revealed_at timestamptz,
    created_at timestamptz not null default now()
);
create index secret_reader on secret (reader);
create index secret_request on secret (request);

-- One reader's page asking for one secret: the public half of a key pair whose private half is in a short-lived cookie.
create table delivery (
    id uuid primary key,
    secret uuid not null references secret (id),
    person uuid not null references person (id),
    public_key bytea not null check (octet_length(public_key) = 32),
    -- HPKE to that key, written by the worker; null before, and after it was read.
    sealed bytea,
    asked_at timestamptz not null default now(),
    ready_at timestamptz,
    revealed_at timestamptz,
    expires_at timestamptz not null
);
create index delivery_waiting on delivery (asked_at) where ready_at is null and revealed_at is null;
create index delivery_secret on delivery (secret);

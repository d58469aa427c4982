-- Asking and deciding. Written by src/requests.
set local lock_timeout = '5s';

-- Numbers without gaps: taken under this row's lock at submit.
create table request_counter (
    one boolean primary key default true check (one),
    last bigint not null
);
insert into request_counter (last) values (0);

-- A form in the middle of being filled in.
create table draft (
    id uuid primary key,
    person uuid not null references person (id),
    kind text not null,
    -- Raw answers as typed, field name → text or list of texts: nothing typed is lost, valid or not.
    answers jsonb not null default '{}',
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);
create index draft_person on draft (person, updated_at desc);

create table request (
    id uuid primary key,
    -- Shown as REQ-000123.
    number bigint not null unique,
    -- joiner, leaver, access, password_reset, unlock, expiry
    kind text not null,
    -- Derived from the items; a test proves that the stored one agrees.
    state text not null check (state in ('deciding', 'applying', 'waiting_for_requester', 'sent_back', 'needs_person',
                                         'done', 'rejected', 'cancelled', 'lapsed')),
    -- One line for lists.
    title text not null,
    -- Whom it is about. For a joiner the person is made, as expected, with the request.
    subject uuid references person (id),
    -- Null: a routine asked (a grant's time is over).
    asked_by uuid references person (id),
    asked_at timestamptz not null,
    -- Typed answers as JSON, as the API gives them.
    answers jsonb not null,
    -- The form's nonce (the draft's id, the API's idempotency key): a second submit of the same finds the first.
    nonce text not null unique,
    -- 1 critical, 2 high, 3 normal, 4 low
    priority smallint not null default 3 check (priority between 1 and 4),
    -- Seen by the parties, the deciders and the desk lead only.
    restricted boolean not null default false,
    assignee uuid references person (id),
    -- HMAC key of this request's digests; kept over replans; erasable.
    digest_key bytea,
    first_response_at timestamptz,
    respond_by timestamptz,
    resolve_by timestamptz,
    settled_at timestamptz,
    -- Grows with each change: what live pages compare.
    version bigint not null default 1
);
create index request_asked_by on request (asked_by, number desc);
create index request_subject on request (subject, number desc);
create index request_open on request (resolve_by, number) where settled_at is null;
create index request_state on request (state, number desc);
create index request_assignee on request (assignee, number desc) where settled_at is null;

-- Nobody is both party and decider of one request: the key allows one role, decisions point at 'decider'.
create table request_role (
    request uuid not null references request (id),
    person uuid not null references person (id),
    role text not null check (role in ('party', 'decider')),
    primary key (request, person),
    unique (request, person, role)
);
create index request_role_person on request_role (person, request);

create table item (
    id uuid primary key,
    request uuid not null references request (id),
    ordinal integer not null,
    label text not null,
    state text not null check (state in ('deciding', 'approved', 'applying', 'sent_back', 'needs_person',
                                         'done', 'rejected', 'cancelled', 'lapsed')),
    -- The entitlement it is about; null for accounts.
    entitlement uuid references entitlement (id),
    sox boolean not null default false,
    -- Counts plans of this item, from 1.
    plan_number integer not null default 1,
    -- HMAC-SHA256(request.digest_key, JCS(effect)), hex: what a decision is bound to.
    digest text not null,
    -- The canonical effect itself: ordered steps without labels, reasons, row ids or times of planning. Erasable.
    effect bytea,
    -- What the plan was made from: {"mirror": {system: position}, "settings": {kind: {version, digest}}}. In evidence, not in the digest.
    basis jsonb not null,
    -- Plain words for the last thing that stopped it.
    why text,
    -- Set when the target showed neither from nor to: planned again once the mirror has looked after this instant.
    replan_after timestamptz,
    settled_at timestamptz,
    unique (request, ordinal)
);

create table stage (
    id uuid primary key,
    item uuid not null references item (id),
    plan_number integer not null,
    ordinal integer not null,
    -- manager, owner, desk, security
    role text not null,
    name text not null,
    -- How many of those who may must agree; null: all of them.
    needed integer check (needed > 0),
    -- Why policy asks them.
    reason text not null,
    state text not null check (state in ('waiting', 'open', 'approved', 'rejected', 'sent_back', 'superseded')),
    opened_at timestamptz,
    closed_at timestamptz,
    unique (item, plan_number, ordinal)
);
create index stage_open on stage (role, item) where state = 'open';

-- Who may decide a stage that names persons (manager, owner). Desk and security are roles and have no rows here.
create table stage_decider (
    stage uuid not null references stage (id),
    person uuid not null references person (id),
    primary key (stage, person)
);
create index stage_decider_person on stage_decider (person);

create table decision (
    id uuid primary key,
    stage uuid not null references stage (id),
    item uuid not null references item (id),
    request uuid not null,
    person uuid not null,
    -- For whom, where a delegate decides; else the person themselves.
    stands_for uuid not null,
    role text not null generated always as ('decider') stored,
    verdict text not null check (verdict in ('approve', 'reject', 'send_back')),
    -- The digest they saw; equal to the item's at that moment.
    digest text not null,
    comment text not null default '',
    session uuid,
    decided_at timestamptz not null,
    foreign key (request, person, role) references request_role (request, person, role),
    foreign key (request, stands_for, role) references request_role (request, person, role),
    -- One voice per stage, also for whoever has two hats.
    constraint decision_once unique (stage, stands_for),
    constraint decision_once_by_person unique (stage, person)
);
create index decision_item on decision (item);
create index decision_person on decision (person, decided_at desc);

create table comment (
    id uuid primary key,
    request uuid not null references request (id),
    person uuid not null references person (id),
    body text not null check (body <> '' and length(body) <= 10000),
    written_at timestamptz not null
);
create index comment_request on comment (request, written_at);

-- Names taken by requests in flight, so that two joiners do not plan the same one.
create table reservation (
    system text not null,
    -- user_name, upn, mail, cn:<parent dn>
    namespace text not null,
    -- Case-folded as the target compares.
    value text not null,
    request uuid not null references request (id),
    taken_at timestamptz not null default now(),
    primary key (system, namespace, value)
);
create index item_replan on item (replan_after) where replan_after is not null;
create index reservation_request on reservation (request);

-- What can be asked for, who owns it, and the rules, as immutable versions. Written by src/catalog.
set local lock_timeout = '5s';

create table target_system (
    -- 'ad:corp.example.com'
    key text primary key,
    family text not null,
    name text not null,
    -- observe_only: plans, compares and reports, and refuses to write.
    mode text not null default 'managed' check (mode in ('managed', 'observe_only')),
    created_at timestamptz not null default now()
);

create table entitlement (
    id uuid primary key,
    system text not null references target_system (key),
    kind text not null check (kind in ('group_membership')),
    -- The group's immutable id in its system (AD: objectGUID).
    native_id uuid not null,
    name text not null,
    description text not null default '',
    owner uuid references person (id),
    risk text not null default 'normal' check (risk in ('low', 'normal', 'high')),
    -- In scope of SOX: its owner always decides, and who decides does not execute by hand.
    sox boolean not null default false,
    -- False: given by rules only, cannot be asked for.
    requestable boolean not null default true,
    folded text not null default '',
    created_at timestamptz not null default now(),
    unique (system, native_id)
);
create index entitlement_owner on entitlement (owner);
create index entitlement_name on entitlement (name, id);
create index entitlement_folded_trgm on entitlement using gin (folded gin_trgm_ops);

-- Rules as data. A version is never changed: a newer one replaces it. Plans name the versions they were made from.
create table setting_version (
    id bigint generated always as identity primary key,
    -- routes, naming, birthright, service_levels
    kind text not null,
    version integer not null,
    -- SHA-256 of the body's canonical JSON, hex.
    digest text not null,
    body jsonb not null,
    note text not null default '',
    proposed_by uuid references person (id),
    released_by uuid references person (id),
    released_at timestamptz not null default now(),
    unique (kind, version)
);
create trigger setting_version_immutable before update or delete on setting_version
    for each row execute function evidence_refuse();

-- Who may: roles, ways to sign in, sessions, tokens, delegations. Written by src/access.
set local lock_timeout = '5s';

-- Roles that are given. Employee, manager and owner are not: they follow from employment, org chart and catalogue.
create table role_holding (
    person uuid not null references person (id),
    role text not null check (role in ('desk', 'desk_lead', 'security', 'auditor', 'administrator')),
    since timestamptz not null default now(),
    given_by uuid references person (id),
    primary key (person, role)
);

-- One sign-in per person, however many ways (credentials) lead to it.
create table sign_in (
    person uuid primary key references person (id),
    user_name text not null,
    -- Case-folded, NFKC: what is compared.
    user_name_folded text not null unique,
    disabled_at timestamptz,
    created_at timestamptz not null default now()
);

create table credential (
    id uuid primary key,
    person uuid not null references sign_in (person),
    -- password now; ad, oidc, totp, passkey find their place here later.
    kind text not null check (kind in ('password')),
    -- password: PHC string (argon2id).
    secret text not null,
    created_at timestamptz not null default now(),
    last_used_at timestamptz,
    unique (person, kind)
);

create table session (
    id uuid primary key,
    -- SHA-256 of the cookie's token; the token itself is nowhere.
    token_sha256 bytea not null unique check (octet_length(token_sha256) = 32),
    person uuid not null references sign_in (person),
    -- Secret of the forms' CSRF tokens in this session.
    csrf bytea not null,
    started_at timestamptz not null default now(),
    last_seen_at timestamptz not null default now(),
    expires_at timestamptz not null,
    address text,
    user_agent text,
    ended_at timestamptz,
    -- signed_out, idle, expired, disabled, role_changed, ended_by_owner
    ended_why text
);
create index session_person on session (person) where ended_at is null;

-- Failed sign-ins per account name and per address, with growing delays. Unknown names are counted as known ones are.
create table sign_in_throttle (
    -- 'name:…' or 'address:…'
    key text primary key,
    failures integer not null,
    last_failure_at timestamptz not null,
    blocked_until timestamptz not null
);
create index sign_in_throttle_age on sign_in_throttle (last_failure_at);

create table api_token (
    id uuid primary key,
    person uuid not null references sign_in (person),
    -- What the person calls it.
    name text not null,
    token_sha256 bytea not null unique check (octet_length(token_sha256) = 32),
    -- 'requests:read', 'requests:write', 'decisions:write'
    scopes text[] not null,
    created_at timestamptz not null default now(),
    expires_at timestamptz not null,
    revoked_at timestamptz,
    last_used_at timestamptz
);
create index api_token_person on api_token (person);

-- Who decides for whom while they are away. The delegate's decisions say so.
create table delegation (
    id uuid primary key,
    person uuid not null references person (id),
    delegate uuid not null references person (id),
    from_day date not null,
    last_day date not null,
    created_at timestamptz not null default now(),
    ended_at timestamptz,
    constraint delegation_days check (last_day >= from_day),
    constraint delegation_not_self check (person <> delegate)
);
create index delegation_delegate on delegation (delegate) where ended_at is null;

-- In whose place that person decides today, by the day where the one who is away works.
create function stands_in_for(stand_in uuid) returns setof uuid language sql stable as $$
    select d.person from delegation d
     where d.delegate = stand_in and d.ended_at is null
       and (now() at time zone coalesce((select s.zone from employment e join site s on s.id = e.site
                                          where e.person = d.person order by e.first_day desc limit 1), 'UTC'))::date
           between d.from_day and d.last_day
$$;

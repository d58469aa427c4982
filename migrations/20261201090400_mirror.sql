-- What the target systems looked like when last seen. Written by src/mirror.
set local lock_timeout = '5s';

create table mirror_cursor (
    system text primary key references target_system (key),
    -- The feed's own cookie (AD: DirSync); null: start with the whole directory.
    cursor bytea,
    -- The server the cookie belongs to.
    server text,
    -- Grows by one with each batch applied: "the mirror's position" that a plan names.
    position bigint not null default 0,
    looked_at timestamptz,
    -- When ids were last compared in full, which finds deletions that the feed does not show.
    compared_at timestamptz,
    -- When the whole directory was last read from its beginning.
    swept_at timestamptz,
    -- When links to persons were last looked for.
    adopted_at timestamptz,
    failing_since timestamptz,
    failure text
);

create table account (
    system text not null references target_system (key),
    -- Immutable id (AD: objectGUID).
    native_id uuid not null,
    -- Whose it is; null until adopted.
    person uuid references person (id),
    -- unknown: nobody has said yet. person: the everyday account. admin: a second, privileged one. ignored: looked at, not ours.
    kind text not null default 'unknown' check (kind in ('unknown', 'person', 'admin', 'service', 'shared', 'ignored')),
    -- employee_number, mail, name, request, hand
    linked_by_rule text,
    linked_by uuid references person (id),
    linked_at timestamptz,
    -- When what it held already became grants "before Tenure"; null: that is still to be done.
    adopted_at timestamptz,
    -- What the target said, in columns where pages look or sort, the whole state beside them.
    user_name text not null,
    upn text,
    display_name text not null,
    mail text,
    employee_number text,
    dn text not null,
    enabled boolean not null,
    locked boolean not null default false,
    -- Nested in a protected group: delegated rights do not reach it.
    protected boolean not null default false,
    must_change_password boolean not null default false,
    password_set_at timestamptz,
    expires_at timestamptz,
    -- lastLogonTimestamp: may lag up to 14 days.
    last_sign_in_at timestamptz,
    -- target::State as JSON, connector's attribute names.
    attributes jsonb not null,
    -- target::Native as JSON.
    native jsonb not null default '{}',
    seen_at timestamptz not null default now(),
    gone_at timestamptz,
    primary key (system, native_id),
    constraint account_link_has_reason check ((person is null) or (linked_by_rule is not null))
);
create index account_person on account (person);
create index account_unlinked on account (system, user_name) where person is null and gone_at is null;
create index account_to_adopt on account (system, native_id) where person is not null and adopted_at is null;
create index account_user_name on account (system, lower(user_name));
create index account_upn on account (lower(upn));
create index account_mail on account (lower(mail));
create index account_employee_number on account (employee_number);

create table directory_group (
    system text not null references target_system (key),
    native_id uuid not null,
    name text not null,
    description text not null default '',
    dn text not null,
    attributes jsonb not null,
    native jsonb not null default '{}',
    seen_at timestamptz not null default now(),
    gone_at timestamptz,
    primary key (system, native_id)
);

create table membership (
    system text not null,
    group_id uuid not null,
    -- An account or another group, by immutable id; a member that is neither (yet) is kept all the same.
    member_id uuid not null,
    -- When it was first seen here.
    seen_since timestamptz not null default now(),
    primary key (system, group_id, member_id),
    foreign key (system, group_id) references directory_group (system, native_id)
);
create index membership_member on membership (system, member_id);

-- Exchange: mailboxes, lists and rights in the mirror; what can be held in the catalogue is no longer groups alone.
set local lock_timeout = '5s';

-- What plans need to know of a target system beyond its name: catalog::SystemFacts as JSON, as its worker is configured.
-- Nothing secret.
alter table target_system add column facts jsonb not null default '{}';

-- group_membership, list_membership: of the group or list. mailbox_permission: `right_name` on the mailbox or list.
-- folder_permission: `right_name` is folder and role, "calendar/Editor".
alter table entitlement drop constraint entitlement_kind_check;
alter table entitlement add constraint entitlement_kind_check
    check (kind in ('group_membership', 'list_membership', 'mailbox_permission', 'folder_permission'));
alter table entitlement add column right_name text not null default '';
alter table entitlement add constraint entitlement_right_name check
    ((right_name = '') = (kind in ('group_membership', 'list_membership')));
alter table entitlement drop constraint entitlement_system_native_id_key;
alter table entitlement add constraint entitlement_once unique (system, native_id, kind, right_name);

create table mailbox (
    system text not null references target_system (key),
    -- The recipient's immutable id; on premises the directory object's objectGUID.
    native_id uuid not null,
    -- The directory account that it belongs to; null where there is none (or none is told).
    directory_id uuid,
    -- user, shared, room, equipment; remote, remote_shared: on premises the stub of one that is Online.
    type text not null,
    display_name text not null,
    alias text not null,
    -- The primary address, lower case.
    address text not null,
    -- Every smtp address, the primary one included, lower case.
    addresses text[] not null,
    -- target::State as JSON, connector's attribute names.
    attributes jsonb not null,
    -- target::Native as JSON.
    native jsonb not null default '{}',
    seen_at timestamptz not null default now(),
    gone_at timestamptz,
    primary key (system, native_id)
);
create index mailbox_directory_id on mailbox (directory_id);
create index mailbox_address on mailbox (address);
create index mailbox_addresses on mailbox using gin (addresses);
create index mailbox_name on mailbox (lower(display_name), native_id);

create table mailing_list (
    system text not null references target_system (key),
    -- On premises the group's objectGUID.
    native_id uuid not null,
    -- distribution, security, dynamic
    type text not null,
    display_name text not null,
    alias text not null,
    -- The primary address, lower case.
    address text not null,
    -- Every smtp address, the primary one included, lower case.
    addresses text[] not null,
    -- Recipients who own it, by immutable id.
    owners uuid[] not null default '{}',
    -- target::State as JSON, connector's attribute names.
    attributes jsonb not null,
    -- target::Native as JSON.
    native jsonb not null default '{}',
    seen_at timestamptz not null default now(),
    gone_at timestamptz,
    primary key (system, native_id)
);
create index mailing_list_addresses on mailing_list using gin (addresses);
create index mailing_list_owners on mailing_list using gin (owners);
create index mailing_list_name on mailing_list (lower(display_name), native_id);

create table list_member (
    system text not null,
    list_id uuid not null,
    -- A recipient by immutable id; one that is neither mailbox nor list (a contact) is kept all the same.
    member_id uuid not null,
    -- When it was first seen here.
    seen_since timestamptz not null default now(),
    primary key (system, list_id, member_id),
    foreign key (system, list_id) references mailing_list (system, native_id)
);
create index list_member_member on list_member (system, member_id);

-- Who holds which right on a mailbox or a list, as last seen.
create table mail_right (
    system text not null references target_system (key),
    kind text not null check (kind in ('mailbox_permission', 'folder_permission')),
    -- The mailbox or list.
    object_id uuid not null,
    trustee_id uuid not null,
    -- full_access, send_as, send_on_behalf; for a folder its name: calendar.
    right_name text not null,
    -- target::State as JSON: a folder's role.
    attributes jsonb not null default '{}',
    -- When it was first seen here.
    seen_since timestamptz not null default now(),
    primary key (system, object_id, trustee_id, kind, right_name)
);
create index mail_right_trustee on mail_right (system, trustee_id);

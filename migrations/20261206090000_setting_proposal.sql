-- Settings are proposed by one administrator and released by another. Written by src/catalog/proposals.
set local lock_timeout = '5s';

-- A change that somebody is still at; nobody else sees it.
create table setting_draft (
    id uuid primary key,
    -- What it changes: routes, naming, birthright, service_levels, retention, mail; entitlement:<id>, site:<code>, system:<key>.
    subject text not null,
    -- Whose draft it is; one for each person and subject.
    person uuid not null references person (id),
    -- The whole new body, as it would come into force.
    body jsonb not null,
    updated_at timestamptz not null,
    unique (subject, person)
);

create table setting_proposal (
    -- UUIDv7; its records have the subject 'setting:<subject>' and name it.
    id uuid primary key,
    -- As in setting_draft.
    subject text not null,
    -- The version that was in force when it was proposed; 0: none.
    base_version integer not null,
    -- The body that it was compared with.
    base jsonb not null,
    body jsonb not null,
    -- SHA-256 of the body's canonical JSON, hex: what a release is bound to.
    digest text not null,
    -- Why, as the proposer wrote it.
    note text not null,
    -- When it comes into force once it is released; null: at once.
    from_at timestamptz,
    state text not null check (state in ('proposed', 'scheduled', 'in_force', 'rejected', 'withdrawn', 'overtaken')),
    proposed_by uuid not null references person (id),
    proposed_at timestamptz not null,
    -- Who released, rejected or withdrew it; null while it waits.
    decided_by uuid references person (id),
    decided_at timestamptz,
    -- As whoever decided wrote it.
    comment text not null default '',
    -- The site has one administrator: its configuration lets them release what they proposed.
    alone boolean not null default false,
    -- The version that it became.
    version integer,
    constraint setting_proposal_by_two check (
        decided_by is null or decided_by <> proposed_by or alone or state in ('withdrawn')),
    constraint setting_proposal_decided check ((state = 'proposed') = (decided_by is null) and (decided_by is null) = (decided_at is null)),
    constraint setting_proposal_version check ((state = 'in_force') = (version is not null))
);
create index setting_proposal_open on setting_proposal (proposed_at) where state in ('proposed', 'scheduled');
create index setting_proposal_subject on setting_proposal (subject, proposed_at desc);

-- What was proposed never changes, and a state is never taken back, whoever asks for it.
create function setting_proposal_one_way() returns trigger language plpgsql as $$
begin
    if tg_op = 'INSERT' then
        if new.state <> 'proposed' then
            raise exception 'a proposal begins as proposed' using errcode = 'insufficient_privilege';
        end if;
        return new;
    end if;
    if (new.id, new.subject, new.base_version, new.base, new.body, new.digest, new.note, new.from_at, new.proposed_by, new.proposed_at)
           is distinct from
           (old.id, old.subject, old.base_version, old.base, old.body, old.digest, old.note, old.from_at, old.proposed_by, old.proposed_at)
       or (old.state = 'scheduled' and new.state in ('in_force', 'overtaken')
           and (new.decided_by, new.alone) is distinct from (old.decided_by, old.alone))
       or not (new.state = old.state
               or (old.state = 'proposed' and new.state in ('scheduled', 'in_force', 'rejected', 'withdrawn'))
               or (old.state = 'scheduled' and new.state in ('in_force', 'withdrawn', 'overtaken'))) then
        raise exception 'a proposal goes one way: % to % refused', old.state, new.state using errcode = 'insufficient_privilege';
    end if;
    return new;
end $$;
create trigger setting_proposal_one_way before insert or update on setting_proposal
    for each row execute function setting_proposal_one_way();
create trigger setting_proposal_stays before delete on setting_proposal for each row execute function evidence_refuse();

-- A version that a person released was proposed by another, but for a site with one administrator.
alter table setting_version
    -- True: the proposer released it, as the configuration of a site with one administrator allows.
    add column alone boolean not null default false,
    -- The proposal that it was; null for what the command line released.
    add column proposal uuid references setting_proposal (id);
alter table setting_version add constraint setting_version_by_two
    check (proposed_by is null or released_by is null or proposed_by <> released_by or alone);

-- Working days, hours and holidays of the site; null: Monday to Friday, 09:00 to 17:00.
alter table site add column calendar jsonb;
comment on column site.calendar is 'Working days, hours, break and holidays (people::Calendar); null: Monday to Friday, 9 to 5';
-- What an administrator has set beside the configuration: it may only hold back.
alter table target_system add column held_back boolean not null default false;
comment on column target_system.held_back is 'Set to observe only by a released setting: steps of this system wait';

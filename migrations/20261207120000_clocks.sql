-- Service clocks: counted in the working time of a site, and anew from what happened whenever something changes.
set local lock_timeout = '5s';

alter table request
    add column site uuid references site (id),
    add column level_kind text,
    add column waits_for text check (waits_for in ('requester', 'day')),
    add column waits_until timestamptz,
    add column clock_rules text;
comment on column request.site is 'By whose calendar its clocks count: where the person it is about works, else who asked, else the company''s first. Null: asked before there was a choice.';
comment on column request.level_kind is 'Its kind as service levels name it.';
comment on column request.waits_for is 'Why its clocks stand still, as its last clock_event says; null: they run.';
comment on column request.waits_until is 'When they go on by themselves; null: when something happens.';
comment on column request.clock_rules is 'Service levels and calendar that its clocks were last counted by; null: to be counted.';
update request set level_kind = case
    when kind = 'expiry' then 'access'
    when kind = 'leaver' and answers #>> '{answers,immediate}' = 'true' then 'leaver_immediate'
    else kind end;

-- When a request's clocks stood still. What is due follows from these, never the other way round.
create table clock_event (
    id uuid primary key,
    request uuid not null references request (id),
    at timestamptz not null,
    -- requester, day: they stand still from here on, and why; null: they run.
    waits_for text check (waits_for in ('requester', 'day')),
    -- When they go on by themselves.
    until timestamptz
);
create index clock_event_request on clock_event (request, at, id);
comment on column clock_event.id is 'In the order in which they were written.';
comment on column clock_event.request is 'Whose clocks.';
comment on column clock_event.at is 'From when on.';
comment on column clock_event.waits_for is 'requester, day: they stand still, and why; null: they run.';
comment on column clock_event.until is 'When they go on by themselves; null: when something happens.';

-- When somebody was last told of a stage that waits for them, beyond its beginning.
create table stage_told (
    stage uuid not null references stage (id),
    person uuid not null references person (id),
    told_at timestamptz not null,
    primary key (stage, person)
);
comment on column stage_told.stage is 'What waits.';
comment on column stage_told.person is 'Who was reminded of it, or asked because no answer came.';
comment on column stage_told.told_at is 'When; patience with them counts from here.';

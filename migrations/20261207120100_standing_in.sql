-- Standing in: also set by somebody else for who is ill, and by the day where the one who is away works.
set local lock_timeout = '5s';

alter table delegation add column made_by uuid references person (id);
comment on column delegation.made_by is 'Who set it for them; null: they did themselves.';
create index delegation_person on delegation (person) where ended_at is null;

-- The day at that time where that person works; UTC for who has no employment.
create function local_day(who uuid, at timestamptz) returns date language sql stable as $$
    select (at at time zone coalesce(
        (select s.zone from employment e join site s on s.id = e.site where e.person = who
          order by (e.first_day <= business_day() and (e.last_day is null or e.last_day >= business_day())) desc, e.first_day desc
          limit 1), 'UTC'))::date
$$;

-- In whose place that person decides today. Trials and tests have a day of their own (business_day).
create or replace function stands_in_for(stand_in uuid) returns setof uuid language sql stable as $$
    select d.person from delegation d
     where d.delegate = stand_in and d.ended_at is null
       and coalesce(nullif(current_setting('tenure.business_day', true), '')::date, local_day(d.person, now()))
           between d.from_day and d.last_day
$$;

-- The day by which employments count. One place to say it, so that a session may state another (tenure.business_day):
-- trials and tests look at a day of their own, as operations do that are handed "now".
create function business_day() returns date language sql stable as $$
    select coalesce(nullif(current_setting('tenure.business_day', true), '')::date, current_date)
$$;

-- Everybody who reports to that person, directly or through others, now or from a day to come.
create or replace function team_of(lead uuid) returns setof uuid language sql stable as $$
    with recursive team (person) as (
        select e.person from employment e
         where e.manager = lead and (e.last_day is null or e.last_day >= business_day())
        union
        select e.person from employment e join team t on e.manager = t.person
         where e.last_day is null or e.last_day >= business_day()
    )
    select person from team where person <> lead
$$;

-- Whether somebody reports to that person, directly or through others, now or from a day to come: the same as being among
-- `team_of(lead)`, asked from below. A line upwards has a few people, a team may be the whole company.
set local lock_timeout = '5s';

create function is_below(someone uuid, lead uuid) returns boolean language sql stable as $$
    with recursive above (person) as (
        select e.manager from employment e
         where e.person = someone and e.manager is not null and (e.last_day is null or e.last_day >= business_day())
        union
        select e.manager from above a join employment e on e.person = a.person
         where e.manager is not null and (e.last_day is null or e.last_day >= business_day())
    )
    select someone <> lead and exists (select from above where person = lead)
$$;

-- Who is found by what was typed, at most so many by each way: whose names begin with it, or the second, third or fourth word of
-- them, an account, a user name. Until is the end of all that begins so, in the order of bytes. Without indexes the first
-- hundred of a common syllable are quickly met and the only one of a rare name is at the end of a million rows: so they are
-- always used.
create function named_so(typed text, until text, states text[], most bigint) returns setof uuid language sql stable
    set enable_seqscan = off as $$
    (select p.id from person p where p.folded ~>=~ typed and p.folded ~<~ until and p.state = any (states)
      order by p.folded using ~<~ limit most)
    union
    (select p.id from person p
      where split_part(p.folded, ' ', 2) ~>=~ typed and split_part(p.folded, ' ', 2) ~<~ until and p.state = any (states)
      order by split_part(p.folded, ' ', 2) using ~<~ limit most)
    union
    (select p.id from person p
      where split_part(p.folded, ' ', 3) ~>=~ typed and split_part(p.folded, ' ', 3) ~<~ until and p.state = any (states)
      order by split_part(p.folded, ' ', 3) using ~<~ limit most)
    union
    (select p.id from person p
      where split_part(p.folded, ' ', 4) ~>=~ typed and split_part(p.folded, ' ', 4) ~<~ until and p.state = any (states)
      order by split_part(p.folded, ' ', 4) using ~<~ limit most)
    union
    (select p.id from account a join person p on p.id = a.person
      where a.gone_at is null and lower(a.user_name) ~>=~ typed and lower(a.user_name) ~<~ until and p.state = any (states)
      order by lower(a.user_name) using ~<~ limit most)
    union
    (select p.id from sign_in s join person p on p.id = s.person
      where s.user_name_folded ~>=~ typed and s.user_name_folded ~<~ until and p.state = any (states)
      order by s.user_name_folded using ~<~ limit most)
$$;

-- Who has it anywhere in their names, or is spelt much alike: what search shows where few are found otherwise. pg_trgm is
-- called once so that its setting is known before it is used here.
select show_trgm('tenure');
create function named_like(typed text, states text[], most bigint) returns setof uuid language sql stable
    set enable_seqscan = off set pg_trgm.word_similarity_threshold = 0.5 as $$
    (select p.id from person p where p.folded like '%' || typed || '%' and p.state = any (states) limit most)
    union
    (select p.id from person p where length(typed) > 3 and typed <% p.folded and p.state = any (states) limit most)
$$;

-- Whether somebody is a party of a request or decided about it, or a stage of a present plan asks (or asked) them: by name, by
-- a role of theirs, or in the place of somebody who is no party. In lists it is asked of restricted requests alone; its plans
-- are kept by the session.
create function is_involved(in_request uuid, someone uuid, roles text[]) returns boolean language plpgsql stable as $$
begin
    return exists (select from request_role x where x.request = in_request and x.person = someone)
        or exists (
            select from item i
              join stage s on s.item = i.id and s.plan_number = i.plan_number and s.state <> 'superseded'
             where i.request = in_request
               and (s.role = any (roles)
                    or exists (select from stage_decider d
                                where d.stage = s.id
                                  and (d.person = someone
                                       or (d.person in (select stands_in_for(someone))
                                           and not exists (select from request_role y
                                                            where y.request = in_request and y.person = d.person
                                                              and y.role = 'party'))))));
end $$;

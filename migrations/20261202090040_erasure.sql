-- Erasing a person's values: proposed by one, approved by another, carried out by the worker. Written by src/erasure.
set local lock_timeout = '5s';

create table erasure (
    -- UUIDv7; the records of an erasure have the subject 'erasure:<id>'.
    id uuid primary key,
    -- Whose values. The row of the person stays, as everybody else's past refers to it.
    person uuid not null references person (id),
    -- retention: kept as long as the setting says. lawful_request: before that, with the reason.
    basis text not null check (basis in ('retention', 'lawful_request')),
    -- As the proposer wrote it.
    reason text not null default '',
    state text not null check (state in ('proposed', 'approved', 'rejected', 'done')),
    -- Null: the command line, which has no person; then security approves.
    proposed_by uuid references person (id),
    proposed_at timestamptz not null,
    -- Who approved or rejected it; null while it waits.
    decided_by uuid references person (id),
    decided_at timestamptz,
    -- As whoever decided wrote it.
    comment text not null default '',
    -- Why the worker has not carried it out yet, in plain words; null where nothing is in its way.
    held_back text,
    -- When it was carried out.
    done_at timestamptz,
    -- How many values of the evidence were erased by it.
    values_erased bigint,
    constraint erasure_not_about_oneself check (proposed_by is distinct from person and decided_by is distinct from person),
    constraint erasure_by_two check (decided_by is null or decided_by is distinct from proposed_by),
    constraint erasure_decided check ((state = 'proposed') = (decided_by is null) and (decided_by is null) = (decided_at is null)),
    constraint erasure_done check ((state = 'done') = (done_at is not null)),
    constraint erasure_has_reason check (basis <> 'lawful_request' or reason <> '')
);
-- One at a time for a person.
create unique index erasure_open on erasure (person) where state in ('proposed', 'approved');
create index erasure_person on erasure (person, proposed_at desc);

-- Who proposed and who decided is written once, and a state is never taken back, whoever asks for it.
create function erasure_one_way() returns trigger language plpgsql as $$
begin
    if tg_op = 'INSERT' then
        if new.state <> 'proposed' then
            raise exception 'an erasure begins as proposed' using errcode = 'insufficient_privilege';
        end if;
        return new;
    end if;
    if (new.id, new.person, new.basis, new.proposed_by, new.proposed_at)
           is distinct from (old.id, old.person, old.basis, old.proposed_by, old.proposed_at)
       or (old.decided_by is not null
           and (new.decided_by, new.decided_at) is distinct from (old.decided_by, old.decided_at))
       or not (new.state = old.state
               or (old.state = 'proposed' and new.state in ('approved', 'rejected'))
               or (old.state = 'approved' and new.state = 'done'))
       or (old.state = 'proposed' and new.state <> 'rejected' and new.reason <> old.reason) then
        raise exception 'an erasure goes one way: % to % refused', old.state, new.state
            using errcode = 'insufficient_privilege';
    end if;
    return new;
end $$;
create trigger erasure_one_way before insert or update on erasure for each row execute function erasure_one_way();

-- A value and its key can be forgotten, together and for good; nothing else about them ever changes.
create function evidence_only_forgets() returns trigger language plpgsql as $$
begin
    if new.value is null and new.key is null and new.erased_at is not null
       and (new.record, new.path) = (old.record, old.path) and old.value is not null then
        return new;
    end if;
    raise exception 'evidence is insert-only: update on evidence_disclosure refused' using errcode = 'insufficient_privilege';
end $$;
create trigger evidence_disclosure_only_forgets before update on evidence_disclosure
    for each row execute function evidence_only_forgets();

-- The words that name that person and nobody else, as one regular expression. Names, mail, phone, user names, numbers and
-- distinguished names, as they are now and as their own records have them from earlier. A family name alone counts where
-- nobody else bears it; a given name alone never does. What is short or only digits must be the whole value.
create function erasure_pattern(who uuid) returns text language sql stable set search_path = pg_catalog, public, pg_temp as $$
    with theirs as (
        select id from evidence_record where subject = 'person:' || who
        union select r.id from evidence_record r join account a on r.object = a.native_id::text where a.person = who
        union select r.id from evidence_record r join request q on q.number = r.request
               where q.subject = who and q.kind = 'joiner'
    ), past as (
        select d.path, d.value::jsonb #>> '{}' as value
          from theirs r join evidence_disclosure d on d.record = r.id
         where d.value is not null and jsonb_typeof(d.value::jsonb) = 'string'
    ), family as (
        select family_name as value from person where id = who
        union select value from past where path ~ '^/(before/|after/|detail/answers\.)family_name$'
    ), given as (
        select given_name as value from person where id = who
        union select value from past where path ~ '^/(before/|after/|detail/answers\.)given_name$'
    ), named as (
        select unnest(array[display_name, mail, phone, employee_number]) as value from person where id = who
        union select g.value || ' ' || f.value from given g, family f
        union select f.value || ' ' || g.value from given g, family f
        union select f.value || ', ' || g.value from given g, family f
        union select user_name from sign_in where person = who
        union select unnest(array[user_name, upn, display_name, mail, employee_number, dn]) from account where person = who
        union select value from past
               where path ~* '^/(before|after)/(display_name|mail|phone|user_name|employee_number|employeeid|employeenumber|samaccountname|userprincipalname|displayname|distinguishedname|dn|cn|name|telephonenumber|mobile)$'
                  or path ~ '^/detail/answers\.(display_name|mail|phone|user_name|employee_number)$'
        union select f.value from family f
               where length(f.value) >= 4
                 and not exists (select from person o where o.id <> who and o.state <> 'erased'
                                    and (lower(o.family_name) = lower(f.value) or lower(o.given_name) = lower(f.value)))
    ), written as (
        select distinct w as value from named,
               unnest(array[value, replace(value, '\', '\\'), lower(value), upper(value)]) w
         where trim(value) <> '' and not exists (select from family f where f.value = named.value)
        union select named.value from named join family f on f.value = named.value where length(named.value) >= 4
    ), escaped as (
        select value, regexp_replace(value, '([.^$*+?()\[\]{}|\\])', '\\\1', 'g') as part from written
    )
    select coalesce(string_agg(
               case when value ~ '^[0-9]+$' and length(value) >= 5
                    then '(?<![[:alnum:]:.-])' || part || '(?![[:alnum:]:.-])'
                    when value ~ '^[0-9]+$' or length(value) < 4 then '^"?' || part || '"?$'
                    else '(?<![[:alnum:]])' || part || '(?![[:alnum:]])' end, '|' order by length(value) desc, value),
           '(?!)')
      from escaped
$$;

-- Text without the words that the pattern finds.
create function forgotten(value text, pattern text) returns text language sql immutable set search_path = pg_catalog, public, pg_temp as $$
    select regexp_replace(value, pattern, 'erased person', 'g')
$$;

-- JSON of the same shape without them.
create function forgotten(value jsonb, pattern text) returns jsonb language plpgsql immutable set search_path = pg_catalog, public, pg_temp as $$
begin
    return case jsonb_typeof(value)
        when 'string' then to_jsonb(forgotten(value #>> '{}', pattern))
        when 'array' then coalesce((select jsonb_agg(forgotten(part, pattern) order by at)
                                      from jsonb_array_elements(value) with ordinality as parts (part, at)), '[]')
        when 'object' then coalesce((select jsonb_object_agg(name, forgotten(part, pattern))
                                       from jsonb_each(value) as parts (name, part)), '{}')
        else value end;
end $$;

-- JSON of the same shape with every text in it gone: what a sighting or a difference leaves.
create function blanked(value jsonb) returns jsonb language plpgsql immutable set search_path = pg_catalog, public, pg_temp as $$
begin
    return case jsonb_typeof(value)
        when 'string' then '"erased"'::jsonb
        when 'array' then case when jsonb_array_length(value) = 0 then value else '["erased"]'::jsonb end
        when 'object' then coalesce((select jsonb_object_agg(name, blanked(part))
                                       from jsonb_each(value) as parts (name, part)), '{}')
        else value end;
end $$;

-- A step's difference with its values gone; which attributes it changed stays.
create function blanked_difference(value jsonb) returns jsonb language sql immutable set search_path = pg_catalog, public, pg_temp as $$
    select case when value ? 'changes' then jsonb_set(value, '{changes}', coalesce(
        (select jsonb_agg(change || jsonb_build_object('from', blanked(change -> 'from'), 'to', blanked(change -> 'to')) order by at)
           from jsonb_array_elements(value -> 'changes') with ordinality as changes (change, at)), '[]')) else value end
$$;

-- The one way to forget what evidence holds aside. It wants an erasure of exactly this person that two people made, and
-- works out by itself what is theirs; nothing that the caller passes widens it. Returns how many values it erased.
create function erase_evidence(erasure_id uuid) returns bigint
    language plpgsql security definer set search_path = pg_catalog, public, pg_temp as $$
declare
    who uuid;
    pattern text;
    numbers bigint[];
    objects text[];
    erased bigint;
begin
    select e.person into who from erasure e
     where e.id = erasure_id and e.state = 'approved' and e.decided_by is not null
       and e.decided_by is distinct from e.proposed_by and e.decided_by <> e.person
       for update;
    if who is null then
        raise exception 'no approved erasure %', erasure_id using errcode = 'insufficient_privilege';
    end if;
    pattern := erasure_pattern(who);
    numbers := array(select q.number from request q where q.subject = who);
    objects := array(select a.native_id::text from account a where a.person = who);
    with theirs as (
        select r.id, r.actor,
               r.subject = 'person:' || who
               or r.subject in (select 'account:' || a.system || '/' || a.native_id from account a where a.person = who)
               or r.request = any (numbers)
               or r.object = any (objects)
               or split_part(r.object, '/', 2) = any (objects) as about,
               r.actor = who as own, r.actor = who or r.on_behalf_of = who as voice
          from evidence_record r
    )
    update evidence_disclosure d set value = null, key = null, erased_at = now()
      from theirs r
     where r.id = d.record and d.value is not null
       and ((r.about and (d.path <> '/actor/address' or r.actor is not distinct from who))
            or (r.own and d.path = '/actor/address')
            or (r.voice and d.path = '/reason')
            or d.value ~ pattern
            or exists (select from evidence_record s join evidence_disclosure n on n.record = s.id
                        where s.id = d.record and s.subject = 'sign_in' and n.value ~ pattern));
    get diagnostics erased = row_count;
    update decision d set comment = ''
     where d.comment <> ''
       and (d.person = who or d.stands_for = who or d.comment ~ pattern
            or d.request in (select q.id from request q where q.subject = who));
    return erased;
end $$;
revoke execute on function erase_evidence(uuid) from public;

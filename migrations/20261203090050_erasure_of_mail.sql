-- Erasing a person finds their mailbox's names and addresses as well.
set local lock_timeout = '5s';

create or replace function erasure_pattern(who uuid) returns text language sql stable set search_path = pg_catalog, public, pg_temp as $$
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
        union select unnest(m.addresses || array[m.alias, m.display_name]) from mailbox m
                join account a on a.native_id = m.directory_id where a.person = who
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

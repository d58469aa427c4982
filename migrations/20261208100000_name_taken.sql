-- Whether a name of a namespace (user_name, upn, mail, cn:<parent>) is somebody's or something's, or reserved by another request
-- than `own`. What that request has itself made is not in its way. Each namespace is an index; the session keeps the plans, since
-- planning all of it together took a hundred times as long as looking.
set local lock_timeout = '5s';

create function name_taken(in_system text, in_namespace text, in_value text, own uuid) returns boolean
    language plpgsql stable as $$
begin
    if exists (select from reservation r
                where r.system = in_system and r.namespace = in_namespace and r.value = in_value
                  and r.request is distinct from own) then
        return true;
    end if;
    if in_namespace = 'user_name' then
        -- sAMAccountName is one namespace for users and groups (MS-ADTS 3.1.1.5.2.2).
        return exists (select from account a
                        where a.system = in_system and lower(a.user_name) = in_value and a.gone_at is null
                          and not exists (select from step s where s.request = own and s.resolved = a.native_id))
            or exists (select from directory_group g
                        where g.system = in_system and g.gone_at is null
                          and lower(g.attributes->>'sAMAccountName') = in_value);
    elsif in_namespace = 'upn' then
        return upn_taken(in_value, own);
    elsif in_namespace = 'mail' then
        return upn_taken(in_value, own)
            or exists (select from account a
                        where lower(a.mail) = in_value and a.gone_at is null
                          and not exists (select from step s where s.request = own and s.resolved = a.native_id))
            or exists (select from mailbox m
                        where m.addresses @> array[in_value] and m.gone_at is null
                          and not exists (select from step s where s.request = own and s.resolved = m.native_id))
            or exists (select from mailing_list l
                        where l.addresses @> array[in_value] and l.gone_at is null
                          and not exists (select from step s where s.request = own and s.resolved = l.native_id));
    elsif in_namespace like 'cn:%' then
        return exists (select from account a
                        where a.system = in_system and lower(a.attributes->>'cn') = in_value
                          and lower(a.attributes->>'parent') = substr(in_namespace, 4) and a.gone_at is null
                          and not exists (select from step s where s.request = own and s.resolved = a.native_id));
    end if;
    return false;
end $$;

-- Whether an account of any system signs in by that name.
create function upn_taken(in_value text, own uuid) returns boolean language plpgsql stable as $$
begin
    return exists (select from account a
                    where lower(a.upn) = in_value and a.gone_at is null
                      and not exists (select from step s where s.request = own and s.resolved = a.native_id));
end $$;

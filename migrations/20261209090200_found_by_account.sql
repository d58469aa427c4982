-- People are found by how an account of theirs begins; accounts that are nobody's were gone through one by one, and a directory has
-- thousands that begin alike.
set local lock_timeout = '5s';

drop index account_user_name_prefix;
create index account_user_name_prefix on account (lower(user_name) text_pattern_ops)
    where gone_at is null and person is not null;

create or replace function named_so(typed text, until text, states text[], most bigint) returns setof uuid language sql stable
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
      where a.gone_at is null and a.person is not null
        and lower(a.user_name) ~>=~ typed and lower(a.user_name) ~<~ until and p.state = any (states)
      order by lower(a.user_name) using ~<~ limit most)
    union
    (select p.id from sign_in s join person p on p.id = s.person
      where s.user_name_folded ~>=~ typed and s.user_name_folded ~<~ until and p.state = any (states)
      order by s.user_name_folded using ~<~ limit most)
$$;

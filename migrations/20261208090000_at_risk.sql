-- From when on a request's clocks are at risk, in working time, beside what is due.
set local lock_timeout = '5s';

alter table request
    add column respond_at_risk timestamptz,
    add column resolve_at_risk timestamptz;
comment on column request.respond_at_risk is 'From when on its first response is at risk; null: it stands still and nobody can say, or it was not counted yet.';
comment on column request.resolve_at_risk is 'From when on its resolution is at risk; null: it stands still and nobody can say, or it was not counted yet.';

-- What is at risk now: by the resolution, and by the first response while nobody has answered. What has ended stands in the expression
-- and not in a condition, because what is known of an expression comes only from a whole index, and how many are at risk decides the
-- way; it takes little room, being null.
create index request_at_risk on request ((case when settled_at is null
    then least(case when first_response_at is null then respond_at_risk end, resolve_at_risk) end));

-- What is open is counted anew by the routine.
update request set clock_rules = null where settled_at is null;

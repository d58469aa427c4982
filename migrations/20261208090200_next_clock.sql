-- The queue's order: the clock that runs out first, the response while nobody has answered; what has no clock last.
set local lock_timeout = '5s';

create index request_next_due on request
    (coalesce(least(case when first_response_at is null then respond_by end, resolve_by), 'infinity'), number) where settled_at is null;
drop index request_next_clock;

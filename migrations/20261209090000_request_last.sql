-- A request's row is written last, with its number: nobody else gets a number from then until the commit, so its items are there
-- by then. What refers to it is checked at the commit.
set local lock_timeout = '5s';

alter table request_role alter constraint request_role_request_fkey deferrable initially deferred;
alter table item alter constraint item_request_fkey deferrable initially deferred;
alter table step alter constraint step_request_fkey deferrable initially deferred;

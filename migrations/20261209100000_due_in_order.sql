-- A worker asks for the step that is due longest, ten times a second and after each run: one index in that order answers it, where two
-- gave it everything that is due, to be sorted. The queue counts what is open by its state: by a plan that serves any state, all that is
-- open was gone through.
set local lock_timeout = '5s';

create index step_next on step (coalesce(due_at, lease_until), id) where state in ('ready', 'retrying', 'running');
drop index step_due;
drop index step_leased;

create index request_open_state on request (state) where settled_at is null;

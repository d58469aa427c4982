-- The accounts that steps are making now: looked up each time the mirror has seen a change, among millions of steps that are done.
set local lock_timeout = '5s';

create index step_making on step (system)
    where kind = 'user' and key ? 'new' and state in ('ready', 'running', 'retrying', 'drifted', 'blocked');

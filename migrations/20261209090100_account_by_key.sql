-- Whose key begins with the system is the primary key alone: while PostgreSQL knows nothing of the table yet, every index that
-- begins with it seems as good, and a plan that is kept would read a whole system for each account.
set local lock_timeout = '5s';

drop index account_user_name;
create index account_user_name on account (lower(user_name), system);

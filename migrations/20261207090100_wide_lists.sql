-- Indexes for lists, counts and searching that stay as fast with a million rows. Not made `concurrently`: that waits for everybody who
-- waits for the migrator's lock, and would never end where two migrate at once. Reading goes on meanwhile, writing waits: at a
-- million people a few minutes.
set local lock_timeout = '5s';

-- The queue's order: what breaches next, what has no clock last.
create index request_next_clock on request (coalesce(resolve_by, 'infinity'), number) where settled_at is null;
-- The queue by priority.
create index request_by_priority on request (priority, number) where settled_at is null;
-- Searching requests by the words of their titles.
create index request_title_trgm on request using gin (title gin_trgm_ops);
-- The few that the change history leaves out while they are open.
create index request_hidden on request (number) where restricted and settled_at is null;
-- What waits for a role, the longest first.
create index stage_waits on stage (role, opened_at, item) where state = 'open';
-- Whether a stage that names somebody is still open: most of those that name them are not.
create index stage_waiting on stage (id) where state = 'open';
-- Searching people by how their names begin; letters are compared as bytes.
create index person_folded_prefix on person (folded text_pattern_ops);
-- Searching people by how an account of theirs begins.
create index account_user_name_prefix on account (lower(user_name) text_pattern_ops) where gone_at is null;
-- Searching people by how their user name begins.
create index sign_in_user_name_prefix on sign_in (user_name_folded text_pattern_ops);
-- Lists of those who join, who have left, by name.
create index person_state on person (state, display_name, id);
-- Who reports to somebody, read from the index alone.
create index employment_below on employment (manager, person, last_day);
-- Whether a name is taken below a place in the directory.
create index account_cn on account (system, lower(attributes->>'parent'), lower(attributes->>'cn')) where gone_at is null;
-- Whether a group has the account name that somebody is to get.
create index directory_group_account_name on directory_group (system, lower(attributes->>'sAMAccountName')) where gone_at is null;
-- The change history, newest first; with the request, so that what is hidden is known and the rest counted from the index alone.
create index evidence_record_latest on evidence_record (at desc, id desc) include (request);
-- Searching people by how the next words of their names begin: a family name is seldom the first.
create index person_word_2 on person (split_part(folded, ' ', 2) text_pattern_ops);
create index person_word_3 on person (split_part(folded, ' ', 3) text_pattern_ops);
create index person_word_4 on person (split_part(folded, ' ', 4) text_pattern_ops);

-- What these take the place of.
drop index request_open;
drop index stage_open;
drop index employment_manager;
drop index evidence_record_at;

-- Which rules link accounts to persons by themselves. Written by src/mirror.
set local lock_timeout = '5s';

create table adoption_rule (
    -- As in account.linked_by_rule, which may be user_name from now on too.
    rule text primary key check (rule in ('employee_number', 'mail', 'name', 'user_name')),
    -- True: each new account that it finds a person for is linked at once. False: only tried, and linked by somebody.
    automatic boolean not null,
    -- When somebody last switched it; null: as it came.
    changed_at timestamptz
);
insert into adoption_rule (rule, automatic)
values ('employee_number', true), ('mail', true), ('name', true), ('user_name', false);

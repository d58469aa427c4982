-- Who exists: sites, departments, persons and their employments. Written by src/people.
set local lock_timeout = '5s';

create extension if not exists pg_trgm;

create table site (
    id uuid primary key,
    -- The name used in imports, forms and rules ("Hamburg").
    code text not null unique check (code <> ''),
    name text not null,
    -- IANA zone: local dates are stored, instants derived from them here ("Europe/Berlin").
    zone text not null,
    country text not null default ''
);

create table department (
    id uuid primary key,
    name text not null unique check (name <> '')
);

create table person (
    id uuid primary key,
    -- The employer's number; how most accounts are matched. Null where HR gave none.
    employee_number text check (employee_number <> ''),
    given_name text not null,
    family_name text not null,
    -- As people know them; the order of names is the person's own.
    display_name text not null check (display_name <> ''),
    mail text,
    phone text,
    -- BCP 47; English only for now, stored for later.
    language text not null default 'en',
    -- expected: asked for or imported, first day ahead. withdrawn: was expected, will not come. erased: values removed.
    state text not null check (state in ('expected', 'active', 'left', 'withdrawn', 'erased')),
    -- Where the row came from: import, request, seed.
    source text not null,
    -- Names, number, mail and user name, lower case without accents: what search looks through.
    folded text not null default '',
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);
create unique index person_employee_number_key on person (employee_number) where state not in ('withdrawn', 'erased');
create index person_folded_trgm on person using gin (folded gin_trgm_ops);
create index person_display_name on person (display_name, id);
create index person_mail on person (lower(mail));

create table employment (
    id uuid primary key,
    person uuid not null references person (id),
    type text not null check (type in ('employee', 'contractor', 'intern')),
    site uuid not null references site (id),
    department uuid not null references department (id),
    title text not null,
    manager uuid references person (id),
    -- Local dates at the site; the last day is worked, access ends with it.
    first_day date not null,
    last_day date,
    -- import, request, seed
    source text not null,
    created_at timestamptz not null default now(),
    constraint employment_days check (last_day is null or last_day >= first_day),
    constraint employment_not_own_manager check (manager is distinct from person)
);
create index employment_person on employment (person, first_day desc);
create index employment_manager on employment (manager);
create index employment_last_day on employment (last_day) where last_day is not null;

-- Everybody who reports to that person, directly or through others, now or from a day to come.
create function team_of(lead uuid) returns setof uuid language sql stable as $$
    with recursive team (person) as (
        select e.person from employment e where e.manager = lead and (e.last_day is null or e.last_day >= current_date)
        union
        select e.person from employment e join team t on e.manager = t.person
         where e.last_day is null or e.last_day >= current_date
    )
    select person from team where person <> lead
$$;

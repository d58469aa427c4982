-- People's files on their way in through the browser. Written by src/people.
set local lock_timeout = '5s';

-- A file that somebody looks at before it is applied; gone once it is applied, thrown away or a week old.
create table import_draft (
    -- Random in time order; part of the page's address.
    id uuid primary key,
    -- Who brought it; nobody else sees it.
    person uuid not null references person (id),
    -- The file's name as the browser told it; "pasted text" where it was none.
    name text not null check (name <> ''),
    -- The whole file as text, as it came.
    content text not null,
    -- Our field → which column of the file, from 0; fields that are not there are not read.
    mapping jsonb not null,
    -- When it was brought.
    created_at timestamptz not null default now(),
    -- When its columns were last chosen; a week later it is thrown away.
    updated_at timestamptz not null default now()
);
create index import_draft_person on import_draft (person, updated_at desc);

-- Which field a header meant the last time somebody chose; the next file's columns are guessed by it.
create table import_column (
    -- The header, lower case, letters and digits alone.
    header text primary key,
    -- Our field; empty: leave the column out.
    field text not null,
    -- When it was last chosen.
    chosen_at timestamptz not null default now()
);

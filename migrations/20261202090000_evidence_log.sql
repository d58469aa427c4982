-- The signed log over the evidence records. Written by src/evidence; the proof itself lies outside the database: published
-- tiles and checkpoints, the signer's head, witnesses, timestamps.
set local lock_timeout = '5s';

-- One row per log (origin). A second one begins only when an administrator says why the first cannot go on.
create table evidence_log (
    id integer primary key,
    -- As in its checkpoints; ends with '/' and the id.
    origin text not null unique,
    started_at timestamptz not null,
    -- Why a new log was begun, and the last signed checkpoint of the one before. Null for the first.
    reason text,
    previous_checkpoint text,
    -- Leaves given their place: the fence against a second sequencer.
    leaves bigint not null default 0,
    -- The newest signed and published checkpoint; for pages and doctor, never for proof.
    size bigint not null default 0,
    checkpoint text,
    signed_at timestamptz,
    -- Why the log does not go on, where it does not.
    trouble text,
    trouble_since timestamptz,
    constraint evidence_log_after_another check ((id = 1) = (reason is null) and (id = 1) = (previous_checkpoint is null))
);

-- Which place a record has in a log. Insert-only.
create table evidence_leaf (
    log integer not null references evidence_log (id),
    leaf_index bigint not null check (leaf_index >= 0),
    record_id uuid not null references evidence_record (id),
    primary key (log, leaf_index),
    unique (log, record_id)
);
create trigger evidence_leaf_insert_only before update or delete on evidence_leaf
    for each row execute function evidence_refuse();
create trigger evidence_leaf_no_truncate before truncate on evidence_leaf
    for each statement execute function evidence_refuse();

-- Timestamps of outside authorities for the log's state. Insert-only; the token files are what counts.
create table evidence_anchor (
    id uuid primary key,
    log integer not null references evidence_log (id),
    -- The checkpoint's size.
    size bigint not null,
    -- The authority's name; its file names in the published log.
    authority text not null,
    -- The time that the token states.
    at timestamptz not null,
    -- SHA-256 of the token's file, hex.
    digest text not null,
    -- The heartbeat: the record that puts the token's digest into the log.
    record_id uuid not null references evidence_record (id),
    made_at timestamptz not null default now()
);
create index evidence_anchor_log on evidence_anchor (log, made_at desc);
create index evidence_anchor_record on evidence_anchor (record_id);
create trigger evidence_anchor_insert_only before update or delete on evidence_anchor
    for each row execute function evidence_refuse();
create trigger evidence_anchor_no_truncate before truncate on evidence_anchor
    for each statement execute function evidence_refuse();

-- How each witness and authority stands: for pages, metrics and the next submission, never for proof.
create table evidence_outside (
    log integer not null references evidence_log (id),
    kind text not null check (kind in ('timestamp', 'cosignature')),
    -- The authority's or witness's name.
    name text not null,
    -- The size that it last vouched for, when by its own clock, and the SHA-256 of what it gave.
    size bigint,
    at timestamptz,
    digest text,
    -- What went wrong last, and since when; null while it goes well.
    trouble text,
    trouble_since timestamptz,
    primary key (log, kind, name)
);

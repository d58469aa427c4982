-- What happened, provably. Written by src/evidence; the application's role may insert and select, nothing else.
set local lock_timeout = '5s';

-- One row per subject: its lock orders the subject's records, its number makes a gap visible.
create table evidence_subject (
    subject text primary key,
    seq bigint not null
);

create table evidence_record (
    -- UUIDv7, made by the program; also inside the canonical bytes.
    id uuid primary key,
    at timestamptz not null,
    -- Past-tense noun of the domain, e.g. 'approval.granted'; listed in docs/auditors.md.
    action text not null,
    -- What the record is about, pseudonymous: 'request:482', 'person:…', 'account:…'.
    subject text not null,
    seq bigint not null,
    -- The columns below repeat parts of the canonical bytes for filtering; the bytes are what counts.
    actor uuid,
    -- 'person', 'routine:worker', 'import', …
    via text not null,
    on_behalf_of uuid,
    request bigint,
    item integer,
    step uuid,
    attempt integer,
    system text,
    kind text,
    object text,
    -- RFC 8785 canonical JSON as hashed; verification never canonicalises again.
    canonical bytea not null check (octet_length(canonical) <= 65535),
    unique (subject, seq)
);
create index evidence_record_request on evidence_record (request, id) where request is not null;
create index evidence_record_at on evidence_record (at desc, id desc);
create index evidence_record_action on evidence_record (action, at desc, id desc);
create index evidence_record_object on evidence_record (object, at desc) where object is not null;
create index evidence_record_actor on evidence_record (actor, at desc) where actor is not null;

-- Personal values stand in a record as commitments HMAC-SHA256(key, value); value and key lie here and can be erased.
create table evidence_disclosure (
    record uuid not null references evidence_record (id),
    -- JSON pointer into the record, e.g. '/after/displayName'.
    path text not null,
    -- Canonical JSON of the value. Null after erasure.
    value text,
    -- 32 random bytes. Null after erasure.
    key bytea check (octet_length(key) = 32),
    erased_at timestamptz,
    primary key (record, path),
    constraint evidence_disclosure_whole check ((value is null) = (key is null) and (value is null) = (erased_at is not null))
);

create function evidence_refuse() returns trigger language plpgsql as $$
begin
    raise exception 'evidence is insert-only: % on % refused', tg_op, tg_table_name using errcode = 'insufficient_privilege';
end $$;
create trigger evidence_record_insert_only before update or delete on evidence_record
    for each row execute function evidence_refuse();
create trigger evidence_record_no_truncate before truncate on evidence_record
    for each statement execute function evidence_refuse();
create trigger evidence_disclosure_no_truncate before truncate on evidence_disclosure
    for each statement execute function evidence_refuse();

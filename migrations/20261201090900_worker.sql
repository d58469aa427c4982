-- Periodic work: who does it, when it last ran. Written by src/worker.
set local lock_timeout = '5s';

create table routine (
    name text primary key,
    -- Several workers: the one holding the lease runs it.
    lease_until timestamptz,
    worker text,
    started_at timestamptz,
    finished_at timestamptz,
    failure text,
    runs bigint not null default 0
);

-- Workers alive: what the system page and readiness show.
create table worker_heartbeat (
    worker text primary key,
    started_at timestamptz not null default now(),
    beat_at timestamptz not null default now(),
    version text not null,
    -- The worker's public key for secrets (X25519), so that the web tier can say whether one is there at all.
    public_key bytea
);

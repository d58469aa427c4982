# A private PostgreSQL cluster: own data, own port, never the machine's.

# Where the newest installed server (15 or later) keeps its programs.
postgres_bin() {
    local bin version best='' newest=14
    for bin in /usr/lib/postgresql/*/bin /usr/pgsql-*/bin; do
        [ -x "$bin/postgres" ] && [ -x "$bin/initdb" ] || continue
        version=$("$bin/postgres" --version | sed 's/[^0-9]*\([0-9]*\).*/\1/')
        if [ "$version" -gt "$newest" ]; then best=$bin newest=$version; fi
    done
    printf '%s' "$best"
}

# initdb refuses root: everything of the cluster belongs to this user.
postgres_user() { id -u postgres >/dev/null 2>&1 && echo postgres || echo nobody; }
as_postgres() { (cd / && exec setpriv --reuid "$(postgres_user)" --regid "$(id -g "$(postgres_user)")" --clear-groups env -i PATH="$PATH" LANG=C.UTF-8 LC_ALL=C.UTF-8 "$@"); }

postgres_running() { [ -f "$LAB_DATA/postgres/postmaster.pid" ] && as_postgres "$(postgres_bin)/pg_ctl" -s -D "$LAB_PLACE/postgres" status >/dev/null 2>&1; }

postgres_make() {
    local bin place=$LAB_PLACE/postgres
    bin=$(postgres_bin)
    [ -n "$bin" ] || die "no PostgreSQL 15 or later was found." "apt-get install --no-install-recommends postgresql"
    rm -rf "$place"
    install -d -m 700 -o "$(postgres_user)" "$place"
    as_postgres "$bin/initdb" -D "$place" -U postgres -E UTF8 --locale-provider=icu --icu-locale=und --locale=C.UTF-8 \
        --auth-local=peer --auth-host=scram-sha-256 --no-sync >"$LAB_DATA/initdb.log" 2>&1 ||
        { tail -n 5 "$LAB_DATA/initdb.log" >&2; die "the database cluster could not be made (log: $LAB_DATA/initdb.log)."; }
    as_postgres tee -a "$place/postgresql.conf" >/dev/null <<CONF
listen_addresses = '$LAB_ADDRESS'
port = $LAB_DATABASE_PORT
unix_socket_directories = '$place'
max_connections = 200
shared_buffers = 128MB
timezone = 'UTC'
log_destination = 'stderr'
logging_collector = off
CONF
    # The peer check lets the cluster's own user be its administrator; everybody else comes with a password.
    as_postgres tee "$place/pg_ident.conf" >/dev/null <<CONF
lab $(postgres_user) postgres
CONF
    as_postgres tee "$place/pg_hba.conf" >/dev/null <<CONF
local all postgres peer map=lab
host all all 127.0.0.0/8 scram-sha-256
CONF
    if [ "$LAB" = test ]; then
        as_postgres tee -a "$place/postgresql.conf" >/dev/null <<CONF
# Tests kill the server, never the machine: what is written need not be forced to disk. It must be written, though, before a
# commit is acknowledged: synchronous_commit stays on.
fsync = off
full_page_writes = off
max_connections = 400
# As the portal's own connections have it (src/db.rs); the tests' databases are opened by others.
jit = off
CONF
    fi
}

postgres_start() {
    postgres_running && return 0
    lab_needs_free "$LAB_DATABASE_PORT" "the lab's PostgreSQL"
    as_postgres "$(postgres_bin)/pg_ctl" -s -w -t 60 -D "$LAB_PLACE/postgres" -l "$LAB_PLACE/postgres/server.log" start >/dev/null 9>&- ||
        { tail -n 5 "$LAB_DATA/postgres/server.log" >&2; die "PostgreSQL did not start (log: $LAB_DATA/postgres/server.log)."; }
}

# postgres_stop [fast|immediate]
postgres_stop() {
    postgres_running || return 0
    as_postgres "$(postgres_bin)/pg_ctl" -s -w -t 60 -D "$LAB_PLACE/postgres" -m "${1:-fast}" stop
}

postgres_sql() { as_postgres "$(postgres_bin)/psql" -q -X -v ON_ERROR_STOP=1 -h "$LAB_PLACE/postgres" -p "$LAB_DATABASE_PORT" -U postgres "$@"; }

# tenure_owner migrates (and makes the tests' databases), tenure_app serves and works; neither is a superuser.
postgres_roles() {
    local owner app
    [ -s "$LAB_DATA/secrets/database-owner" ] || (umask 077 && secret >"$LAB_DATA/secrets/database-owner")
    [ -s "$LAB_DATA/secrets/database-app" ] || (umask 077 && secret >"$LAB_DATA/secrets/database-app")
    owner=$(cat "$LAB_DATA/secrets/database-owner") app=$(cat "$LAB_DATA/secrets/database-app")
    postgres_sql -d postgres >/dev/null <<SQL
create role tenure_app login password '$app';
create role tenure_owner login createdb password '$owner' in role tenure_app;
create database tenure owner tenure_owner;
SQL
    postgres_sql -d tenure -c 'revoke create on schema public from public; alter schema public owner to tenure_owner' >/dev/null
}

postgres_up() {
    if [ ! -f "$LAB_DATA/postgres/ready" ]; then
        step "PostgreSQL: making a cluster"
        postgres_stop immediate 2>/dev/null || true
        postgres_make
        postgres_start
        postgres_roles
        as_postgres touch "$LAB_PLACE/postgres/ready"
    fi
    postgres_start
}

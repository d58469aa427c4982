# SQL as the compiler knows it: written by a build against a migrated database, compared with what is committed.

# queries_write FOLDER COMMAND…: the cargo command, with macros expanded anew against a database of its own.
queries_write() {
    local folder=$1 file url=${DATABASE_OWNER_URL%/*}/tenure_build
    shift
    psql -q -X -v ON_ERROR_STOP=1 "$DATABASE_OWNER_URL" -c 'set client_min_messages = warning' -c 'drop database if exists tenure_build' -c 'create database tenure_build'
    for file in migrations/*.sql; do psql -q -X -v ON_ERROR_STOP=1 -1 -f "$file" "$url" >/dev/null; done
    rm -rf "$folder"
    mkdir -p "$folder"
    # Cargo does not know that the macros read a database: touching the crates' roots makes it look again.
    find src tests -name '*.rs' \( -name lib.rs -o -name main.rs \) -exec touch {} +
    SQLX_OFFLINE=false SQLX_OFFLINE_DIR=$folder DATABASE_URL=$url "$@"
}

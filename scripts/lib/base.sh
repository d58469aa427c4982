# Shell functions shared by everything under scripts/: messages, waiting, processes with pid files, the lab's places.
# Sourced with `set -euo pipefail` in force; the caller has set ROOT to the clone's top.

say() { printf '%s\n' "$*"; }
step() { printf '  %s\n' "$*"; }
die() {
    printf '\n%s: %s\n' "${PROGRAM:-$(basename "$0")}" "$1" >&2
    shift
    for line in "$@"; do printf '  %s\n' "$line" >&2; done
    exit 1
}

# wait_for SECONDS COMMAND…: until the command succeeds; fails when the time is over.
wait_for() {
    local until=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        [ "$SECONDS" -lt "$until" ] || return 1
        sleep 0.1
    done
}

answers() { (exec 3<>"/dev/tcp/$1/$2") 2>/dev/null; }

# Who listens on an address, for messages; empty where it cannot be told.
listener() { ss -Hltnp "sport = :$2" 2>/dev/null | grep -F -e "$1:$2 " -e "0.0.0.0:$2 " -e "*:$2 " | sed -n 's/.*users:(("\([^"]*\)",pid=\([0-9]*\).*/\1, process \2/p' | head -n 1; }

# need_free ADDRESS PORT WHO WAY_OUT…: refuses to go on where somebody else listens.
need_free() {
    answers "$1" "$2" || return 0
    local who
    who=$(listener "$1" "$2")
    die "$1:$2 is taken${who:+ by $who}; $3 wants to listen there." "${@:4}"
}
lab_needs_free() {
    need_free "$LAB_ADDRESS" "$1" "$2" "Is the same lab running from another clone? Stop it there: scripts/lab down $LAB" \
        "Or make this one on another address: scripts/lab reset $LAB; TENURE_LAB_ADDRESS=127.0.0.31 scripts/lab up $LAB"
}

# A process is known by its pid and its start time, so that a pid given to somebody else meanwhile is never signalled.
started_at() { sed 's/^.*) //' "/proc/$1/stat" 2>/dev/null | cut -d' ' -f20; }
note_process() { printf '%s %s\n' "$2" "$(started_at "$2")" >"$1"; }
running() {
    local pid at
    [ -s "$1" ] && read -r pid at <"$1" && [ -n "$at" ] && [ "$(started_at "$pid")" = "$at" ]
}
# The session (see setsid) that a noted process leads, whether or not the process itself still lives.
session_of() { cut -d' ' -f1 "$1"; }
session_empty() { [ -z "$(ps -o pid= -s "$1" 2>/dev/null)" ]; }
# stop_process FILE SECONDS: TERM, then KILL for what is left of its session.
stop_process() {
    local file=$1 sid
    [ -s "$file" ] || return 0
    sid=$(session_of "$file")
    if running "$file"; then
        kill -TERM "$sid" 2>/dev/null || true
        wait_for "$2" session_empty "$sid" || kill -KILL -- "-$sid" 2>/dev/null || true
        wait_for 5 session_empty "$sid" || true
    fi
    rm -f "$file"
}

secret() { openssl rand -hex 16; }

# An instance of the lab: its own loopback address, its own data.
lab_places() {
    LAB=$1
    case $LAB in
    demo) LAB_ADDRESS=127.0.0.11 ;;
    test) LAB_ADDRESS=127.0.0.12 ;;
    bench) LAB_ADDRESS=127.0.0.13 ;;
    # A directory laid out differently, for scripts/second-site; no Exchange belongs to it.
    second) LAB_ADDRESS=127.0.0.14 ;;
    *) die "there is no lab called '$LAB'." "Instances: demo, test, bench; second is scripts/second-site's." ;;
    esac
    LAB_DATABASE_PORT=15432
    LAB_MAIL_PORT=2525
    LAB_STAMP_PORT=3161
    LAB_WITNESS_PORT=8090
    LAB_EXCHANGE_PORT=8444
    LAB_DATA=$ROOT/.lab/$LAB
    # The address is in certificates and settings: data that exist keep theirs.
    if [ -s "$LAB_DATA/address" ]; then read -r LAB_ADDRESS <"$LAB_DATA/address"; else LAB_ADDRESS=${TENURE_LAB_ADDRESS:-$LAB_ADDRESS}; fi
}

# The demo's data outlives a restart of the machine; tests and measurements live in memory where there is enough.
# Neither lies in the clone: the database's user may not be allowed to enter it.
lab_make_place() {
    local base=/var/tmp place
    if [ "$LAB" != demo ] && [ "$(df -Pk /dev/shm 2>/dev/null | awk 'NR==2{print $4}')" -gt 1500000 ] 2>/dev/null; then base=/dev/shm; fi
    mkdir -p "$ROOT/.lab"
    if [ -L "$LAB_DATA" ] && [ ! -d "$LAB_DATA" ]; then rm -f "$LAB_DATA"; fi
    if [ ! -d "$LAB_DATA" ]; then
        lab_prune "$base"
        place=$(mktemp -d "$base/tenure-lab-$LAB.XXXXXX")
        chmod 755 "$place"
        printf '%s\n' "$ROOT" >"$place/clone"
        printf '%s\n' "$LAB_ADDRESS" >"$place/address"
        ln -sfn "$place" "$LAB_DATA"
    fi
    install -d -m 700 "$LAB_DATA/secrets"
    install -d -m 755 "$LAB_DATA/mail" "$LAB_DATA/evidence"
    lab_give_back
}

# Data of clones that no longer exist.
lab_prune() {
    local place clone name
    for place in "$1"/tenure-lab-*; do
        [ -f "$place/clone" ] && [ -O "$place" ] || continue
        read -r clone <"$place/clone"
        name=${place##*/tenure-lab-}
        [ "$(readlink -f "$clone/.lab/${name%.*}" 2>/dev/null)" = "$place" ] && continue
        if running "$place/directory.pid" || running "$place/exchange.pid" || running "$place/mail.pid" || running "$place/timestamps.pid" || running "$place/witness.pid" || [ -f "$place/postgres/postmaster.pid" ]; then continue; fi
        rm -rf "$place"
    done
}

# Under sudo: what the person needs to read belongs to the person.
lab_give_back() {
    [ -n "${SUDO_UID:-}" ] || return 0
    chown -h "$SUDO_UID:${SUDO_GID:-$SUDO_UID}" "$ROOT/.lab" "$LAB_DATA"
    chown -R "$SUDO_UID:${SUDO_GID:-$SUDO_UID}" "$LAB_DATA/secrets" "$LAB_DATA/mail" "$LAB_DATA/evidence"
    [ ! -e "$LAB_DATA/tenure.toml" ] || chown "$SUDO_UID:${SUDO_GID:-$SUDO_UID}" "$LAB_DATA/tenure.toml"
}

# Configuration of a Tenure that works with this lab, made anew at each start of the lab.
lab_write_config() {
    local web=127.0.0.1
    [ "$LAB" = demo ] || web=$LAB_ADDRESS
    [ -s "$LAB_DATA/secrets/worker-key" ] || (umask 077 && openssl rand -hex 32 >"$LAB_DATA/secrets/worker-key")
    [ -s "$LAB_DATA/secrets/demo-password" ] || (umask 077 && printf 'walk-in-%s' "$(openssl rand -hex 3)" >"$LAB_DATA/secrets/demo-password")
    (umask 077 && cat >"$LAB_DATA/tenure.toml") <<CONF
# Written by scripts/lab; changes are lost at its next start. Each key can be overridden: TENURE_WEB__LISTEN=127.0.0.1:9000

[database]
url = "postgres://tenure_app:$(cat "$LAB_DATA/secrets/database-app")@$LAB_ADDRESS:$LAB_DATABASE_PORT/tenure"
owner_url = "postgres://tenure_owner:$(cat "$LAB_DATA/secrets/database-owner")@$LAB_ADDRESS:$LAB_DATABASE_PORT/tenure"

[web]
listen = "$web:8080"
base_url = "http://$web:8080"
company = "Example Corp"
insecure_http = true

[worker]
key_file = "$LAB_PLACE/secrets/worker-key"
listen = "$web:8081"

[[target]]
family = "ad"
key = "ad:corp.example.com"
urls = ["ldaps://$LAB_ADDRESS:636"]
bind_dn = "CN=svc-tenure,OU=Service,$DIRECTORY_BASE"
password_file = "$LAB_PLACE/secrets/svc-tenure"
ca_file = "$LAB_PLACE/ca.pem"
base_dn = "$DIRECTORY_BASE"
$(exchange_config)
[mail]
url = "smtp://$LAB_ADDRESS:$LAB_MAIL_PORT"
from = "Tenure <tenure@example.com>"

[evidence]
log_dir = "$LAB_PLACE/evidence/log"
signer_dir = "$LAB_PLACE/evidence/signer"

[[evidence.timestamp_authority]]
name = "lab"
url = "http://$LAB_ADDRESS:$LAB_STAMP_PORT"
roots_file = "$LAB_PLACE/timestamps/tsa.pem"
$(witness_config)
[telemetry]
format = "text"
# Without a line per page, so that the address stays in sight.
filter = "info,sqlx=warn,ldap3=warn,tenure::web::guard=warn"

[demo]
enabled = true
password = "$(cat "$LAB_DATA/secrets/demo-password")"
CONF
}

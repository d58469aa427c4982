# What stands outside the log: a timestamp authority (openssl behind HTTP, lab/timestamps.py) and, in the demo, a witness.

timestamps_up() {
    running "$LAB_DATA/timestamps.pid" && return 0
    lab_needs_free "$LAB_STAMP_PORT" "the lab's timestamp authority"
    install -d -m 755 "$LAB_DATA/timestamps"
    setsid /usr/bin/python3 "$ROOT/lab/timestamps.py" --listen "$LAB_ADDRESS:$LAB_STAMP_PORT" --dir "$LAB_PLACE/timestamps" \
        </dev/null >"$LAB_DATA/timestamps.log" 2>&1 9>&- &
    note_process "$LAB_DATA/timestamps.pid" $!
    wait_for 20 answers "$LAB_ADDRESS" "$LAB_STAMP_PORT" ||
        { tail -n 5 "$LAB_DATA/timestamps.log" >&2; die "the timestamp authority did not start (log: $LAB_DATA/timestamps.log)."; }
}
timestamps_stop() { stop_process "$LAB_DATA/timestamps.pid" 5; }

# witness_up PROGRAM: a witness of its own folder and key, which knows the log's key. The log's key must be there
# (`tenure demo seed` makes it). Names the witness in tenure.toml.
witness_up() {
    local place log
    place=$LAB_DATA/evidence/witness log=$LAB_DATA/evidence/signer/log.vkey
    if [ ! -s "$place.vkey" ]; then
        rm -rf "$place"
        run "$1" witness keygen --dir "$place" --name witness.example.com/demo >"$place.vkey.new"
        mv "$place.vkey.new" "$place.vkey"
    fi
    cp "$log" "$place/logs/tenure.vkey"
    if ! running "$LAB_DATA/evidence/witness.pid"; then
        lab_needs_free "$LAB_WITNESS_PORT" "the demo's witness"
        setsid "$1" witness --dir "$place" --listen "$LAB_ADDRESS:$LAB_WITNESS_PORT" \
            </dev/null >"$LAB_DATA/evidence/witness.log" 2>&1 9>&- &
        note_process "$LAB_DATA/evidence/witness.pid" $!
        wait_for 20 answers "$LAB_ADDRESS" "$LAB_WITNESS_PORT" ||
            { tail -n 5 "$LAB_DATA/evidence/witness.log" >&2; die "the witness did not start (log: $LAB_DATA/evidence/witness.log)."; }
    fi
    grep -q '^\[\[evidence.witness' "$LAB_DATA/tenure.toml" || witness_config >>"$LAB_DATA/tenure.toml"
}
witness_stop() { stop_process "$LAB_DATA/evidence/witness.pid" 5; }

# The witness's part of tenure.toml; nothing before there is one.
witness_config() {
    [ -s "$LAB_DATA/evidence/witness.vkey" ] || return 0
    printf '\n[[evidence.witness]]\nurl = "http://%s:%s"\nkey = "%s"\n' "$LAB_ADDRESS" "$LAB_WITNESS_PORT" "$(cat "$LAB_DATA/evidence/witness.vkey")"
}

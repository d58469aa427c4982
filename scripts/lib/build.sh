# Rust: the toolchain, the two cargo tools that tests need, and running things so that Ctrl-C reaches all of them.

need_cargo() {
    # rustup's usual place, for shells that have not read its profile.
    if ! command -v cargo >/dev/null && [ -x "$HOME/.cargo/bin/cargo" ]; then PATH=$HOME/.cargo/bin:$PATH; fi
    command -v cargo >/dev/null || die "Rust is missing (1.94 or later)." "Install it as https://rustup.rs says, then start again."
    local version
    version=$(rustc --version | sed 's/^rustc 1\.\([0-9]*\)\..*/\1/')
    [ "$version" -ge 94 ] 2>/dev/null || die "$(rustc --version) is too old; Tenure needs 1.94 or later." "rustup update stable"
}

TOOLS=${XDG_CACHE_HOME:-$HOME/.cache}/tenure/tools
# need_tool CRATE: a cargo subcommand, from the PATH or kept outside the clone, built once per machine.
need_tool() {
    PATH=$PATH:$TOOLS/bin
    command -v "$1" >/dev/null && return 0
    say "Installing $1 into $TOOLS (once per machine, some minutes)"
    cargo install --quiet --locked --debug --root "$TOOLS" "$1" || die "$1 could not be installed." "By hand: cargo install --locked $1"
}

# run COMMAND…: in a process group of its own, waited for; a signal to this script ends that group first (see stop_group).
GROUP=''
run() {
    local rc=0
    set -m
    "$@" </dev/null &
    GROUP=$!
    set +m
    wait "$GROUP" || rc=$?
    GROUP=''
    return "$rc"
}
stop_group() {
    [ -n "$GROUP" ] || return 0
    kill -TERM -- "-$GROUP" 2>/dev/null || return 0
    wait_for "${1:-20}" group_gone "$GROUP" || kill -KILL -- "-$GROUP" 2>/dev/null || true
    wait "$GROUP" 2>/dev/null || true
}
group_gone() { ! kill -0 -- "-$1" 2>/dev/null || [ -z "$(ps -o stat= -g "$1" 2>/dev/null | grep -v '^Z')" ]; }

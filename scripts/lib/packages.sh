# Debian and Ubuntu packages: which are missing, and installing them without starting anybody's services.

LAB_PACKAGES="postgresql samba samba-ad-dc samba-ad-provision samba-dsdb-modules samba-vfs-modules winbind ldap-utils openssl python3-aiosmtpd python3-venv python3-gssapi procps curl"
# python3-yaml reads docker-compose.yml in the tests, where no engine is.
BUILD_PACKAGES="gcc libc6-dev pkg-config curl ca-certificates git python3-yaml"
BENCH_PACKAGES="wrk"
BROWSER_PACKAGES="chromium chromium-driver"
# What docs/operating.md has an administrator run at a directory: deleted objects are shown to an account by ldbmodify.
GUIDE_PACKAGES="ldb-tools"
# What an auditor checks a bundle with: the tests do the same.
AUDITOR_PACKAGES="golang-go golang-golang-x-mod-dev python3 openssl"

installed() { [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }

# Those of the given packages that are neither installed nor made unnecessary by what is there already.
missing_packages() {
    local package
    for package in "$@"; do
        installed "$package" && continue
        case $package in
        postgresql) [ -n "$(postgres_bin)" ] && continue ;;
        samba-ad-dc | samba-ad-provision)
            # One package in Debian 12, several in other releases.
            [ -z "$(apt-cache search --names-only "^$package\$" 2>/dev/null)" ] && have_indexes && continue ;;
        golang-go) command -v go >/dev/null && continue ;;
        gcc | pkg-config | curl | git | openssl | python3) command -v "$package" >/dev/null && continue ;;
        procps) command -v ps >/dev/null && continue ;;
        chromium) command -v chromium google-chrome >/dev/null && continue ;;
        chromium-driver) command -v chromedriver >/dev/null && continue ;;
        esac
        printf '%s ' "$package"
    done
}
have_indexes() { [ -n "$(apt-cache search --names-only '^samba$' 2>/dev/null)" ]; }

need_packages() {
    local missing
    missing=$(missing_packages "$@")
    [ -n "$missing" ] || return 0
    if ! command -v apt-get >/dev/null; then
        die "these packages are missing: $missing" "This is not Debian or Ubuntu: install their equivalents, or use docker compose up."
    fi
    local command="apt-get update && apt-get install --no-install-recommends $missing"
    if [ "$(id -u)" != 0 ]; then
        sudo -n true 2>/dev/null || die "these packages are missing, and installing them needs root:" "sudo sh -c '$command'"
        say "Installing with sudo: $missing"
        sudo -n env ROOT="$ROOT" bash -c 'set -euo pipefail; . "$ROOT/scripts/lib/base.sh"; . "$ROOT/scripts/lib/packages.sh"; install_packages "$@"' - $missing
        return
    fi
    say "Installing packages: $missing"
    install_packages $missing
}

# PostgreSQL's package would make a cluster on 5432 and Samba's would serve on every interface: both are told not to.
install_packages() {
    local policy=/usr/sbin/policy-rc.d clusters=/etc/postgresql-common/createcluster.conf log rc=0 kept
    log=$(mktemp /tmp/tenure-apt.XXXXXX)
    kept=$(mktemp -d /tmp/tenure-kept.XXXXXX)
    [ ! -e "$policy" ] || cp -p "$policy" "$kept/policy"
    [ ! -e "$clusters" ] || cp -p "$clusters" "$kept/clusters"
    mkdir -p "${clusters%/*}"
    printf 'create_main_cluster = false\n' >"$clusters"
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
    {
        have_indexes || apt-get update
        DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends -o Dpkg::Options::=--force-confold "$@" ||
            { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends -o Dpkg::Options::=--force-confold "$@"; }
    } >"$log" 2>&1 </dev/null || rc=$?
    if [ -e "$kept/policy" ]; then mv -f "$kept/policy" "$policy"; else rm -f "$policy"; fi
    if [ -e "$kept/clusters" ]; then mv -f "$kept/clusters" "$clusters"; else rm -f "$clusters"; fi
    rmdir "$kept"
    if [ "$rc" != 0 ]; then
        tail -n 15 "$log" >&2
        die "the packages could not be installed (the whole log: $log)." "By hand: apt-get update && apt-get install --no-install-recommends $*"
    fi
    rm -f "$log"
}

# python_made FILE: names in PYTHON_VENV the place of that list's Python packages, and says whether they are there. Made once for
# all clones of this machine; the place's name changes with what is in it.
python_made() {
    local wanted
    wanted=$( (cat "$1"; /usr/bin/python3 --version) | sha256sum | cut -c1-12)
    PYTHON_VENV=${TENURE_LAB_TOOLS:-/var/tmp}/tenure-lab-python-$wanted
    [ -f "$PYTHON_VENV/ready" ] && [ -O "$PYTHON_VENV" ]
}

# need_python FILE WHAT: makes them where they are not there.
need_python() {
    python_made "$1" && return 0
    say "Fetching Python packages (once): $2"
    local log=$PYTHON_VENV.log
    (
        flock -w 300 7
        python_made "$1" && exit 0
        rm -rf "$PYTHON_VENV"
        (umask 022 && /usr/bin/python3 -m venv "$PYTHON_VENV" && "$PYTHON_VENV/bin/pip" install --disable-pip-version-check --no-input \
            --require-hashes --only-binary :all: -r "$1") >"$log" 2>&1 && touch "$PYTHON_VENV/ready"
    ) 7>"$PYTHON_VENV.lock" 8>&- 9>&- || { tail -n 5 "$log" >&2; die "the Python packages for $2 could not be installed (log: $log)."; }
}

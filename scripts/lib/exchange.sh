# The stand-in Exchange (lab/exchange): on premises and Online in one process, behind the lab's own certificate.

exchange_python() {
    python_made "$ROOT/lab/exchange/requirements.txt" || { EXCHANGE_VENV=$PYTHON_VENV; return 1; }
    EXCHANGE_VENV=$PYTHON_VENV
}
exchange_tools() {
    need_python "$ROOT/lab/exchange/requirements.txt" "the lab's Exchange"
    exchange_python
}

# A lab made before there was an Exchange in it goes on without one.
exchange_possible() { [ -s "$LAB_DATA/secrets/svc-exchange" ] && [ -s "$LAB_DATA/secrets/exchange-online.pem" ]; }

exchange_answers() { curl -fsS --max-time 3 --cacert "$LAB_DATA/ca.pem" "https://$LAB_ADDRESS:$LAB_EXCHANGE_PORT/healthz"; }

# exchange_up: the directory must answer.
exchange_up() {
    running "$LAB_DATA/exchange.pid" && return 0
    exchange_possible || { step "Exchange: none, this lab is older than it (scripts/lab reset $LAB makes a new one)"; return 0; }
    exchange_tools
    lab_needs_free "$LAB_EXCHANGE_PORT" "the lab's Exchange"
    setsid "$EXCHANGE_VENV/bin/python" -B "$ROOT/lab/exchange/server.py" --listen "$LAB_ADDRESS:$LAB_EXCHANGE_PORT" --place "$LAB_PLACE" \
        --ldap "ldaps://$LAB_ADDRESS" --keytab "$LAB_PLACE/directory/exchange.keytab" </dev/null >"$LAB_DATA/exchange.log" 2>&1 9>&- &
    note_process "$LAB_DATA/exchange.pid" $!
    wait_for 20 answers "$LAB_ADDRESS" "$LAB_EXCHANGE_PORT" ||
        { tail -n 5 "$LAB_DATA/exchange.log" >&2; die "the stand-in Exchange did not start (log: $LAB_DATA/exchange.log)."; }
}
exchange_stop() { stop_process "$LAB_DATA/exchange.pid" 5; }

# The tenant's names are the lab's own inventions.
EXCHANGE_TENANT=6f1d2c3b-4a59-4e68-9f70-8192a3b4c5d6
EXCHANGE_CLIENT=0f9e8d7c-6b5a-4948-8372-615f4e3d2c1b

exchange_env() {
    exchange_possible || return 0
    exchange_python || true
    local base=https://$LAB_ADDRESS:$LAB_EXCHANGE_PORT
    cat <<ENV
export EXCHANGE_URL='$base/PowerShell/'
export EXCHANGE_USER='CORP\\svc-exchange'
export EXCHANGE_PASSWORD_FILE='$LAB_PLACE/secrets/svc-exchange'
export EXCHANGE_KERBEROS_USER='svc-exchange@CORP.EXAMPLE.COM'
export EXCHANGE_KDC='$LAB_ADDRESS:88'
export EXCHANGE_SERVICE='HTTP/ex01.corp.example.com'
export EXCHANGE_CA_FILE='$LAB_PLACE/ca.pem'
export EXCHANGE_ONLINE_URL='$base'
export EXCHANGE_ONLINE_AUTHORITY='$base'
export EXCHANGE_ONLINE_TENANT='$EXCHANGE_TENANT'
export EXCHANGE_ONLINE_CLIENT_ID='$EXCHANGE_CLIENT'
export EXCHANGE_ONLINE_CERT_FILE='$LAB_PLACE/secrets/exchange-online.pem'
export EXCHANGE_ONLINE_KEY_FILE='$LAB_PLACE/secrets/exchange-online.key'
export EXCHANGE_LAB_URL='$base/lab'
export TENURE_LAB_PYTHON='$EXCHANGE_VENV/bin/python'
ENV
}

# The two targets of tenure.toml.
exchange_config() {
    exchange_possible || return 0
    local base=https://$LAB_ADDRESS:$LAB_EXCHANGE_PORT
    cat <<CONF

[[target]]
family = "exchange_on_premises"
key = "exchange:onprem"
directory = "ad:corp.example.com"
mail_domain = "example.com"
joiner_mailbox = "mailbox"
url = "$base/PowerShell/"
auth = "basic"
user = "CORP\\\\svc-exchange"
password_file = "$LAB_PLACE/secrets/svc-exchange"
ca_file = "$LAB_PLACE/ca.pem"
organizational_unit = "OU=Mail,$DIRECTORY_BASE"
remote_routing_domain = "example.mail.onmicrosoft.com"

[[target]]
family = "exchange_online"
key = "exchange:online"
name = "Exchange Online"
directory = "ad:corp.example.com"
mail_domain = "example.com"
licence_group = "M365-Licence"
tenant = "$EXCHANGE_TENANT"
client_id = "$EXCHANGE_CLIENT"
certificate_file = "$LAB_PLACE/secrets/exchange-online.pem"
key_file = "$LAB_PLACE/secrets/exchange-online.key"
base = "$base"
authority = "$base"
ca_file = "$LAB_PLACE/ca.pem"
CONF
}

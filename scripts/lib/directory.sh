# A genuine Active Directory domain controller (Samba) for corp.example.com, on the lab's own address, filled with the company.
# LAB_INTERFACES: where it listens, if not on a loopback address of its own.

DIRECTORY_REALM=CORP.EXAMPLE.COM DIRECTORY_DOMAIN=CORP DIRECTORY_LOADER=lab/company/load.py
DIRECTORY_BASE='DC=corp,DC=example,DC=com'
DIRECTORY_PORTS='88 389 464 636 3268 3269'

# The lab's own authority and the controller's certificate, with the names that a client checks.
directory_certificates() {
    local place=$LAB_DATA/directory/tls
    mkdir -p "$place"
    chmod 700 "$place"
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 -subj "/CN=Tenure lab authority ($LAB)" \
        -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign \
        -keyout "$place/authority.key" -out "$place/authority.pem" 2>"$place/openssl.log"
    openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=dc1.${DIRECTORY_REALM,,}" \
        -keyout "$place/key.pem" -out "$place/request.pem" 2>>"$place/openssl.log"
    printf '%s\n' 'basicConstraints=critical,CA:FALSE' 'keyUsage=critical,digitalSignature' 'extendedKeyUsage=serverAuth' \
        "subjectAltName=DNS:dc1.${DIRECTORY_REALM,,},DNS:${DIRECTORY_REALM,,},DNS:localhost,IP:$LAB_ADDRESS" >"$place/extensions"
    openssl x509 -req -days 3650 -in "$place/request.pem" -CA "$place/authority.pem" -CAkey "$place/authority.key" -CAcreateserial \
        -extfile "$place/extensions" -out "$place/certificate.pem" 2>>"$place/openssl.log"
    # The stand-in Exchange's own, and the certificate that its tenant knows an application by.
    openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=ex01.corp.example.com" \
        -keyout "$place/exchange.key" -out "$place/request.pem" 2>>"$place/openssl.log"
    sed -i "s/^subjectAltName=.*/subjectAltName=DNS:ex01.corp.example.com,DNS:exchange,DNS:localhost,IP:$LAB_ADDRESS/" "$place/extensions"
    openssl x509 -req -days 3650 -in "$place/request.pem" -CA "$place/authority.pem" -CAkey "$place/authority.key" -CAcreateserial \
        -extfile "$place/extensions" -out "$place/exchange.pem" 2>>"$place/openssl.log"
    (umask 077 && openssl req -x509 -newkey rsa:2048 -nodes -days 3650 -subj "/CN=Tenure lab application" \
        -keyout "$LAB_DATA/secrets/exchange-online.key" -out "$LAB_DATA/secrets/exchange-online.pem" 2>>"$place/openssl.log")
    rm -f "$place/authority.key" "$place/request.pem" "$place/extensions"
    chmod 600 "$place"/*
    install -m 644 "$place/authority.pem" "$LAB_DATA/ca.pem"
}

directory_make() {
    local place=$LAB_PLACE/directory secrets=$LAB_DATA/secrets name
    rm -rf "$place"
    mkdir -p "$place"
    chmod 700 "$place"
    for name in administrator svc-tenure svc-exchange; do (umask 077 && printf 'Lab-%s' "$(secret)" >"$secrets/$name"); done
    samba-tool domain provision --targetdir="$place" --realm="$DIRECTORY_REALM" --domain="$DIRECTORY_DOMAIN" --server-role=dc \
        --dns-backend=SAMBA_INTERNAL --adminpass="$(cat "$secrets/administrator")" --host-name=dc1 --host-ip="$LAB_ADDRESS" \
        --option="interfaces=${LAB_INTERFACES:-$LAB_ADDRESS/8}" --option="bind interfaces only=yes" >"$LAB_DATA/provision.log" 2>&1 ||
        { tail -n 5 "$LAB_DATA/provision.log" >&2; die "the domain could not be made (log: $LAB_DATA/provision.log)."; }
    directory_certificates
    sed -i "/^\[global\]/a\\
	server services = rpc, ldap, cldap, kdc\\
	pid directory = $place/run\\
	ncalrpc dir = $place/run/ncalrpc\\
	log file = $place/samba.log\\
	max log size = 5000\\
	prefork children = 2\\
	tls enabled = yes\\
	tls keyfile = $place/tls/key.pem\\
	tls certfile = $place/tls/certificate.pem\\
	tls cafile = $place/tls/authority.pem" "$place/etc/smb.conf"
    mkdir -p "$place/run"
    # Locked accounts stay locked until somebody unlocks them.
    samba-tool domain passwordsettings set -s "$place/etc/smb.conf" -H "$place/private/sam.ldb" --complexity=on --min-pwd-length=12 \
        --max-pwd-age=90 --account-lockout-threshold=5 --reset-account-lockout-after=30 --account-lockout-duration=0 >>"$LAB_DATA/provision.log" 2>&1 ||
        { tail -n 5 "$LAB_DATA/provision.log" >&2; die "the domain's password policy could not be set (log: $LAB_DATA/provision.log)."; }
    local loaded
    loaded=$(/usr/bin/python3 -B "$ROOT/$DIRECTORY_LOADER" "$place/etc/smb.conf" "$secrets" 2>>"$LAB_DATA/provision.log") ||
        { tail -n 5 "$LAB_DATA/provision.log" >&2; die "the company could not be loaded into the domain (log: $LAB_DATA/provision.log)."; }
    step "directory: $loaded"
}

directory_answers() { LDAPTLS_CACERT=$LAB_DATA/ca.pem ldapsearch -x -o nettimeout=3 -H "ldaps://$LAB_ADDRESS" -b '' -s base dnsHostName; }

directory_needs_free() {
    running "$LAB_DATA/directory.pid" && return 0
    local port
    for port in $DIRECTORY_PORTS; do lab_needs_free "$port" "the lab's domain controller"; done
}

directory_start() {
    running "$LAB_DATA/directory.pid" && return 0
    directory_needs_free
    setsid samba -s "$LAB_PLACE/directory/etc/smb.conf" -F -M prefork </dev/null >"$LAB_DATA/directory.log" 2>&1 9>&- &
    note_process "$LAB_DATA/directory.pid" $!
    wait_for 60 directory_answers || { tail -n 5 "$LAB_DATA/directory.log" "$LAB_DATA/directory/samba.log" >&2; die "the domain controller did not answer within a minute (logs: $LAB_DATA/directory.log, $LAB_DATA/directory/samba.log)."; }
}
directory_stop() { stop_process "$LAB_DATA/directory.pid" 15; }

# Five wrong passwords, as in life.
directory_lock_out() {
    local number account try
    for number in $(sed -n 's/.*"locked": \[\(.*\)\].*/\1/p' "$ROOT/lab/company/directory.json" | tr -d '",'); do
        account=$(awk -F, -v n="$number" '$1==n{print $13}' "$ROOT/lab/company/people.csv")
        for try in 1 2 3 4 5; do
            LDAPTLS_CACERT=$LAB_DATA/ca.pem ldapwhoami -x -H "ldaps://$LAB_ADDRESS" -D "CORP\\$account" -w "wrong $try" >/dev/null 2>&1 || true
        done
    done
}

directory_up() {
    running "$LAB_DATA/directory.pid" && return 0
    if [ ! -f "$LAB_DATA/directory/ready" ]; then
        step "directory: making a domain (some 15 seconds)"
        directory_make
        directory_start
        directory_lock_out
        touch "$LAB_DATA/directory/ready"
    fi
    directory_start
}

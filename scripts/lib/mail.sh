# A mail server that keeps everything it gets, one .eml per message, in .lab/NAME/mail.

mail_up() {
    running "$LAB_DATA/mail.pid" && return 0
    lab_needs_free "$LAB_MAIL_PORT" "the lab's mail server"
    setsid /usr/bin/python3 "$ROOT/lab/mail.py" "$LAB_ADDRESS" "$LAB_MAIL_PORT" "$LAB_DATA/mail" \
        </dev/null >"$LAB_DATA/mail.log" 2>&1 9>&- &
    note_process "$LAB_DATA/mail.pid" $!
    wait_for 20 answers "$LAB_ADDRESS" "$LAB_MAIL_PORT" ||
        { tail -n 5 "$LAB_DATA/mail.log" >&2; die "the mail server did not start (log: $LAB_DATA/mail.log)."; }
}
mail_stop() { stop_process "$LAB_DATA/mail.pid" 5; }

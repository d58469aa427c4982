//! No state change without a record: in every test of this suite each transaction of the application that changes a table
//! must also write an evidence record, or it cannot commit.
//!
//! A deferred constraint trigger on every table asks at commit whether the transaction wrote a record. What may change
//! without one stands in [`WITHOUT`], each with its reason. The schema's owner, as which tests set their stage, is not asked.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::{Executor, PgConnection, PgPool};

/// Tables that the application may change without a record, and why nobody needs proof of it.
pub const WITHOUT: &[(&str, &str)] = &[
    ("draft", "answers before they are asked for; what is submitted is recorded"),
    ("setting_draft", "a change before it is proposed; the proposal is recorded"),
    ("import_draft", "a file before it is applied; each person that it changes is recorded"),
    ("import_column", "how headers of files were read the last time"),
    ("routine", "whose turn a periodic task is"),
    ("worker_heartbeat", "that a worker lives"),
    ("busy", "which object a worker is at"),
    ("sign_in_throttle", "how long somebody who mistypes has to wait; refused sign-ins are recorded"),
    ("delivery", "a password sealed for its reader; that it was asked for and revealed is recorded"),
    ("mail_try", "how each try at sending a letter ended; what it tells is recorded"),
    ("mirror_cursor", "how far a target's feed was read"),
    ("directory_group", "what the target shows"),
    ("membership", "what the target shows"),
    ("mailbox", "what the target shows"),
    ("mailing_list", "what the target shows"),
    ("list_member", "what the target shows"),
    ("mail_right", "what the target shows"),
];

/// Columns of other tables that may change by themselves.
pub const COLUMNS: &[(&str, &[&str], &str)] = &[
    ("session", &["last_seen_at"], "that somebody is still there"),
    ("api_token", &["last_used_at"], "that a token is in use"),
    ("credential", &["last_used_at"], "that it is in use"),
    ("erasure", &["held_back"], "what still stands in its way; proposal, decision and erasure are recorded"),
    (
        "request",
        &["clock_rules", "respond_at_risk", "resolve_at_risk"],
        "by which rules its clocks were counted; a clock that moved is recorded",
    ),
    ("step", &["due_at"], "when it is tried next; its attempts and their outcomes are recorded"),
    (
        "connection_check",
        &["worker", "lease_until", "attempt", "started_at"],
        "which worker is at it; that it was asked and answered is recorded",
    ),
    (
        "outbox",
        &["due_at", "lease_until", "tries", "error", "sent_at", "failed_at"],
        "how far a letter has come; what it tells is recorded",
    ),
];

/// Tables of which only these columns, when changed, need a record, and what the others are.
pub const ONLY: &[(&str, &[&str], &str)] = &[
    ("account", &["person", "kind", "linked_by_rule", "linked_by"], "what the target shows"),
    ("secret", &["reader", "readable_from", "revealed_at"], "a sealed password on its way, within an attempt"),
];

/// Asks from now on.
pub async fn demand(owner: &mut PgConnection) {
    let exempt = WITHOUT.iter().map(|(table, _)| format!("'{table}'")).collect::<Vec<_>>().join(", ");
    let columns = COLUMNS
        .iter()
        .map(|(table, columns, _)| {
            let without = columns.iter().map(|column| format!("- '{column}'")).collect::<String>();
            format!(
                "if tg_table_name = '{table}' and tg_op = 'UPDATE' and to_jsonb(new) {without} = to_jsonb(old) {without} then return null; end if;"
            )
        })
        .collect::<String>();
    let only = ONLY
        .iter()
        .map(|(table, columns, _)| {
            let same = columns
                .iter()
                .map(|column| format!("to_jsonb(new) -> '{column}' is not distinct from to_jsonb(old) -> '{column}'"))
                .collect::<Vec<_>>()
                .join(" and ");
            format!("if tg_table_name = '{table}' and (tg_op <> 'UPDATE' or ({same})) then return null; end if;")
        })
        .collect::<String>();
    let text = format!(
        "create function test_recorded() returns trigger language plpgsql as $$
         begin
             perform set_config('tenure.recorded', txid_current()::text, true);
             return null;
         end $$;
         create trigger test_recorded after insert on evidence_record for each row execute function test_recorded();
         create function test_demand() returns trigger language plpgsql as $$
         begin
             if current_user <> 'tenure_app' then return null; end if;
             {only}
             {columns}
             if tg_op = 'UPDATE' and to_jsonb(new) = to_jsonb(old) then return null; end if;
             if coalesce(current_setting('tenure.recorded', true), '') <> txid_current()::text then
                 raise exception 'no record: % on % %', tg_op, tg_table_name, coalesce(to_jsonb(new), to_jsonb(old));
             end if;
             return null;
         end $$;
         do $$
         declare name text;
         begin
             for name in select tablename from pg_tables where schemaname = 'public'
                 and tablename not like 'evidence%' and tablename <> '_sqlx_migrations' and tablename not in ({exempt})
             loop
                 execute format('create constraint trigger test_demand after insert or update or delete on %I
                                 deferrable initially deferred for each row execute function test_demand()', name);
             end loop;
         end $$;"
    );
    owner.execute(sqlx::raw_sql(sqlx::AssertSqlSafe(text))).await.unwrap();
}

/// A row's state in a word, by table: what moves when something happens.
const STATES: &[(&str, &str)] = &[
    ("person", "r ->> 'state'"),
    ("request", "r ->> 'state'"),
    ("item", "r ->> 'state'"),
    ("stage", "r ->> 'state'"),
    ("step", "r ->> 'state'"),
    ("erasure", "r ->> 'state'"),
    ("attempt", "coalesce(r ->> 'outcome', 'begun')"),
    ("decision", "r ->> 'verdict'"),
    (
        "secret",
        "case when r ->> 'revealed_at' is not null then 'revealed' when r ->> 'sealed' is null then 'expired'
              when r ->> 'usable_at' is not null then 'usable' else 'kept' end",
    ),
    ("access_grant", "case when r ->> 'ended_at' is null then 'held' else 'ended' end"),
    ("session", "coalesce('ended ' || (r ->> 'ended_why'), 'open')"),
    ("api_token", "case when r ->> 'revoked_at' is null then 'valid' else 'revoked' end"),
    ("delegation", "case when r ->> 'ended_at' is null then 'made' else 'ended' end"),
    ("sign_in", "case when r ->> 'disabled_at' is null then 'open' else 'disabled' end"),
    ("account", "case when r ->> 'person' is null then r ->> 'kind' else 'linked' end"),
    ("role_holding", "r ->> 'role'"),
    ("target_system", "r ->> 'mode'"),
];

/// A password is kept within an attempt, whose intention is recorded before; accounts are found by looking.
fn needs_none(table: &str, was: &str) -> bool {
    matches!((table, was), ("secret" | "account", "–"))
}

/// Notes every move of a state from now on, with its transaction, and every record.
pub async fn watch(owner: &PgPool) {
    let cases = STATES.iter().map(|(table, word)| format!("when '{table}' then {word} ")).collect::<String>();
    let triggers = STATES
        .iter()
        .map(|(table, _)| {
            format!(
                "create trigger test_move after insert or update or delete on {table}
                 for each row execute function test_move();"
            )
        })
        .collect::<String>();
    let text = format!(
        "create table test_moved (txid bigint, tbl text, was text, is_now text);
         create table test_acted (txid bigint, action text);
         create function test_state(tbl text, r jsonb) returns text language sql as $$
             select case when r is null then null else case tbl {cases} end end $$;
         create function test_move() returns trigger language plpgsql security definer as $$
         declare was text := test_state(tg_table_name, case when tg_op = 'INSERT' then null else to_jsonb(old) end);
                 is_now text := test_state(tg_table_name, case when tg_op = 'DELETE' then null else to_jsonb(new) end);
         begin
             if current_setting('role') = 'tenure_app' and was is distinct from is_now then
                 insert into test_moved
                 values (txid_current(), tg_table_name, coalesce(was, '–'), coalesce(is_now, 'gone'));
             end if;
             return null;
         end $$;
         create function test_act() returns trigger language plpgsql security definer as $$
         begin
             insert into test_acted values (txid_current(), new.action);
             return null;
         end $$;
         create trigger test_act after insert on evidence_record for each row execute function test_act();
         {triggers}"
    );
    owner.execute(sqlx::raw_sql(sqlx::AssertSqlSafe(text))).await.unwrap();
}

/// Every move that was seen, as `(table, from, to)`, with the actions recorded in each of its transactions.
pub async fn moves(owner: &PgPool) -> BTreeMap<(String, String, String), Vec<BTreeSet<String>>> {
    let rows: Vec<(String, String, String, Vec<String>)> = sqlx::query_as(
        "select distinct m.tbl, m.was, m.is_now,
                array(select distinct a.action from test_acted a where a.txid = m.txid order by 1)
           from test_moved m order by 1, 2, 3, 4",
    )
    .fetch_all(owner)
    .await
    .unwrap();
    let mut moves: BTreeMap<_, Vec<BTreeSet<String>>> = BTreeMap::new();
    for (table, was, now, actions) in rows {
        assert!(!actions.is_empty() || needs_none(&table, &was), "{table}: {was} → {now} left no record");
        moves.entry((table, was, now)).or_default().push(actions.into_iter().collect());
    }
    moves
}

/// The words that a table's column may hold, as its constraint says.
pub async fn words(owner: &PgPool, table: &str, column: &str) -> Vec<String> {
    sqlx::query_scalar(
        "select (regexp_matches(pg_get_constraintdef(c.oid), $q$'([a-z_]+)'::text$q$, 'g'))[1]
           from pg_constraint c
          where c.conrelid = $1::text::regclass and c.contype = 'c'
            and pg_get_constraintdef(c.oid) like 'CHECK ((' || $2 || ' = ANY %'",
    )
    .bind(table)
    .bind(column)
    .fetch_all(owner)
    .await
    .unwrap()
}

/// What each table holds, as a digest; columns that may change by themselves left out, and the log's own tables.
pub async fn look(owner: &PgPool) -> BTreeMap<String, String> {
    let tables: Vec<String> = sqlx::query_scalar(
        "select tablename::text from pg_tables where schemaname = 'public' and tablename not like 'test%'
            and tablename not like 'evidence%' and tablename <> '_sqlx_migrations'",
    )
    .fetch_all(owner)
    .await
    .unwrap();
    let parts: Vec<String> = tables
        .iter()
        .map(|table| {
            let without = COLUMNS
                .iter()
                .filter(|(of, ..)| of == table)
                .flat_map(|(_, columns, _)| columns.iter().map(|column| format!(" - '{column}'")))
                .collect::<String>();
            format!(
                "select '{table}', coalesce(md5(string_agg(r, ' ' order by r)), '')
                   from (select (to_jsonb(t){without})::text as r from \"{table}\" t) rows"
            )
        })
        .collect();
    let rows: Vec<(String, String)> =
        sqlx::query_as(sqlx::AssertSqlSafe(parts.join(" union all "))).fetch_all(owner).await.unwrap();
    rows.into_iter().collect()
}

/// The tables in which two looks differ.
pub fn changed(before: &BTreeMap<String, String>, after: &BTreeMap<String, String>) -> Vec<String> {
    after.iter().filter(|(table, digest)| before.get(*table) != Some(digest)).map(|(table, _)| table.clone()).collect()
}

//! No state change without a record: in every test of this suite each transaction of the application that changes a table
//! must also write an evidence record, or it cannot commit.
//!
//! A deferred constraint trigger on every table asks at commit whether the transaction wrote a record. What may change
//! without one stands in [`WITHOUT`], each with its reason. The schema's owner, as which tests set their stage, is not asked.

use sqlx::{Executor, PgConnection};

/// Tables that the application may change without a record, and why nobody needs proof of it.
pub const WITHOUT: &[(&str, &str)] = &[
    ("draft", "answers before they are asked for; what is submitted is recorded"),
    ("routine", "whose turn a periodic task is"),
    ("worker_heartbeat", "that a worker lives"),
    ("busy", "which object a worker is at"),
    ("sign_in_throttle", "how long somebody who mistypes has to wait; refused sign-ins are recorded"),
    ("secret", "a sealed password on its way; that it was asked for and revealed is recorded"),
    ("delivery", "the same, sealed for its reader"),
    ("mirror_cursor", "how far a target's feed was read"),
    ("account", "what the target shows; who it belongs to is recorded with the link"),
    ("directory_group", "what the target shows"),
    ("membership", "what the target shows"),
];

/// Columns of other tables that may change by themselves.
pub const COLUMNS: &[(&str, &[&str], &str)] = &[
    ("session", &["last_seen_at"], "that somebody is still there"),
    ("api_token", &["last_used_at"], "that a token is in use"),
    ("credential", &["last_used_at"], "that it is in use"),
    ("erasure", &["held_back"], "what still stands in its way; proposal, decision and erasure are recorded"),
    ("step", &["due_at"], "when it is tried next; its attempts and their outcomes are recorded"),
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

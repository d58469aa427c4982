//! A company of any size: requests that were really submitted and decided, copied set by set with people of their own.

use sqlx::{AssertSqlSafe, PgPool, Row as _};

use crate::site::Site;

/// Two requests as the product wrote them, and the number that copies count from.
#[derive(sqlx::FromRow)]
pub struct Template {
    /// Waits for its decision.
    open: i64,
    /// Was decided.
    decided: i64,
    last: i64,
}

/// One in this many copies is open.
const OPEN: i64 = 20;

/// The requests to copy; those of an earlier run where the lab was kept, so that its copies are counted on.
pub async fn template(site: &Site, owner: &PgPool) -> Template {
    sqlx::query("create table if not exists bench_template (open bigint, decided bigint, last bigint)")
        .execute(owner)
        .await
        .unwrap();
    let kept = sqlx::query_as("select * from bench_template").fetch_optional(owner).await.unwrap();
    if let Some(template) = kept {
        return template;
    }
    let open = site.joiner("Offen", "Vorlage", &[]).await.0;
    let decided = site.joiner("Erledigt", "Vorlage", &[]).await;
    site.reject("desk", decided, 1).await;
    let template = Template { open, decided: decided.0, last: decided.0 };
    sqlx::query("insert into bench_template values ($1, $2, $3)")
        .bind(template.open)
        .bind(template.decided)
        .bind(template.last)
        .execute(owner)
        .await
        .unwrap();
    template
}

/// Copies until there are that many people and requests beside those of the lab.
pub async fn grow(owner: &PgPool, template: &Template, people: i64, requests: i64) {
    let mut tx = owner.begin().await.unwrap();
    // The rows are copies of what was checked when it was written; asking every trigger again takes minutes.
    sqlx::query("set local session_replication_role = replica").execute(&mut *tx).await.unwrap();
    people_until(&mut tx, people).await;
    let had: i64 = sqlx::query_scalar("select last from request_counter").fetch_one(&mut *tx).await.unwrap();
    let from = had - template.last + 1;
    let own = "select id from request where number = any ($1)";
    let items = format!("select id from item where request in ({own})");
    for (table, rows) in [
        ("request", "number = any ($1)".to_owned()),
        ("request_role", format!("request in ({own})")),
        ("item", format!("request in ({own})")),
        ("stage", format!("item in ({items})")),
        ("stage_decider", format!("stage in (select id from stage where item in ({items}))")),
        ("decision", format!("request in ({own})")),
        ("step", format!("request in ({own})")),
        ("evidence_record", "request = any ($1)".to_owned()),
    ] {
        copy(&mut tx, template, (table, &rows), (from, requests, people)).await;
    }
    sqlx::query("update request_counter set last = greatest(last, $1)")
        .bind(template.last + requests)
        .execute(&mut *tx)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    sqlx::query("vacuum analyze").execute(owner).await.unwrap();
}

/// People with an employment and an account each; ten report to each, the first ten to the lab's manager.
async fn people_until(tx: &mut sqlx::PgConnection, people: i64) {
    let there: i64 =
        sqlx::query_scalar("select count(*) from person where source = 'bench'").fetch_one(&mut *tx).await.unwrap();
    for text in [
        "with base as (select *, row_number() over (order by id) - 1 as at, count(*) over () as many
                         from person where source <> 'bench' and state = 'active'),
              made as (select k, a.given_name, b.family_name || ' ' || translate(k::text, '0123456789', 'abcdefghij') as family_name
                         from generate_series($1::bigint, $2) k
                         join base a on a.at = k % a.many join base b on b.at = (k / b.many) % b.many)
         insert into person (id, employee_number, given_name, family_name, display_name, language, state, source, folded)
         select md5('person/' || k)::uuid, 'B' || k, given_name, family_name, given_name || ' ' || family_name, 'en', 'active',
                'bench', lower(concat_ws(' ', given_name, family_name, given_name, family_name, 'B' || k)) from made",
        "insert into employment (id, person, type, site, department, title, manager, first_day, source)
         select md5('employment/' || k)::uuid, md5('person/' || k)::uuid, e.type, e.site, e.department, e.title,
                case when k <= 10 then e.person else md5('person/' || k / 10)::uuid end, e.first_day, 'bench'
           from generate_series($1::bigint, $2) k
           cross join (select e.* from employment e join sign_in s on s.person = e.person where s.user_name = 'manager') e",
        "insert into account (system, native_id, person, kind, linked_by_rule, linked_at, adopted_at, user_name, upn,
                              display_name, mail, employee_number, dn, enabled, attributes)
         select t.key, md5('account/' || k)::uuid, p.id, 'person', 'employee_number', now(), now(),
                left(lower(p.given_name), 1) || replace(lower(p.family_name), ' ', ''), 'b' || k || '@bench.example.com',
                p.display_name, 'b' || k || '@bench.example.com', p.employee_number,
                'CN=' || p.display_name || ',OU=Bench', true, jsonb_build_object('cn', p.display_name, 'parent', 'OU=Bench')
           from generate_series($1::bigint, $2) k
           join person p on p.id = md5('person/' || k)::uuid
           cross join (select key from target_system where family = 'ad' order by created_at, key limit 1) t",
    ] {
        sqlx::query(text).bind(there + 1).bind(people).execute(&mut *tx).await.unwrap();
    }
}

/// Copies the rows of one table once for each number, with ids that follow from the original's and the number.
async fn copy(
    tx: &mut sqlx::PgConnection,
    template: &Template,
    (table, rows): (&str, &str),
    (from, to, people): (i64, i64, i64),
) {
    let columns = sqlx::query(
        "select attname, atttypid::regtype::text as type from pg_attribute
          where attrelid = $1::regclass and attnum > 0 and not attisdropped and attgenerated = ''",
    )
    .bind(table)
    .fetch_all(&mut *tx)
    .await
    .unwrap();
    let last = template.last;
    let (mut names, mut values) = (Vec::new(), Vec::new());
    for column in &columns {
        let (name, kind): (String, String) = (column.get("attname"), column.get("type"));
        values.push(match (table, name.as_str(), kind.as_str()) {
            ("request", "number", _) | ("evidence_record", "request", _) => format!("{last} + k"),
            ("request", "nonce", _) => "t.nonce || '/' || k".to_owned(),
            ("request", "subject", _) => format!("md5('person/' || 1 + k % {people})::uuid"),
            ("evidence_record", "subject", _) => format!("'request:' || {last} + k"),
            (_, "id" | "request" | "item" | "stage", "uuid") => format!("md5(t.{name}::text || '/' || k)::uuid"),
            // What was decided was so over the last year.
            (_, _, "timestamp with time zone") => {
                format!("t.\"{name}\" - case when k % {OPEN} = 0 then interval '0' else make_interval(mins => (k * 5 % 525600)::int) end")
            }
            _ => format!("t.\"{name}\""),
        });
        names.push(format!("\"{name}\""));
    }
    // Each row of the open request goes to one number in twenty, each of the decided one to the others.
    let which = match table {
        "request" => "t.number",
        "evidence_record" => "t.request",
        "request_role" | "item" | "decision" | "step" => "(select number from request where id = t.request)",
        "stage" => "(select r.number from request r join item i on i.request = r.id where i.id = t.item)",
        _ => {
            "(select r.number from request r join item i on i.request = r.id join stage s on s.item = i.id where s.id = t.stage)"
        }
    };
    let text = format!(
        "insert into {table} ({}) select {} from (select t.*, {which} as original from {table} t where {rows}) t
           join generate_series($2::bigint, $3) k on (t.original = $4) = (k % {OPEN} = 0)",
        names.join(", "),
        values.join(", ")
    );
    sqlx::query(AssertSqlSafe(text))
        .bind([template.open, template.decided].as_slice())
        .bind(from)
        .bind(to)
        .bind(template.open)
        .execute(tx)
        .await
        .unwrap();
}

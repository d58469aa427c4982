-- Decisions that do not come: reminded, asked one step higher as well, finally lapsed.

alter table stage
    add column reminded_at timestamptz,
    add column escalated_at timestamptz;
comment on column stage.reminded_at is 'When whoever is asked was reminded last; null: not yet.';
comment on column stage.escalated_at is 'When somebody above was asked as well; null: not yet.';

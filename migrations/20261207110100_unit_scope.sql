-- The organisational units of a directory that Tenure works in. Written by src/catalog.
set local lock_timeout = '5s';

alter table target_system
    -- catalog::UnitScope as JSON: {"units": [DN], "excluded": [DN]}; without units everything below the base. Canonical DNs.
    add column scope jsonb not null default '{}',
    -- When it last changed: accounts are looked through once more for links.
    add column scope_at timestamptz;
comment on column target_system.scope is 'Organisational units that Tenure works in, and those below that it does not: catalog::UnitScope';
comment on column target_system.scope_at is 'When the units last changed: rules of adoption look once more';

-- Whether a name lies in a scope: the same answer as catalog::UnitScope::covers, for names as the mirror has them (canonical).
-- A comma in a value is escaped there, and so is an equals sign: what follows an escaped comma is never a unit's name.
create function in_scope(dn text, scope jsonb) returns boolean language sql immutable parallel safe as $$
    select (coalesce(jsonb_array_length(scope -> 'units'), 0) = 0
            or exists (select from jsonb_array_elements_text(scope -> 'units') unit
                        where lower(dn) = lower(unit) or right(lower(dn), length(lower(unit)) + 1) = ',' || lower(unit)))
       and not exists (select from jsonb_array_elements_text(coalesce(scope -> 'excluded', '[]')) unit
                        where lower(dn) = lower(unit) or right(lower(dn), length(lower(unit)) + 1) = ',' || lower(unit))
$$;

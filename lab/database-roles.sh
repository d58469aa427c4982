#!/bin/sh
# Run once by the official PostgreSQL image: the schema's owner and the application's role, neither a superuser.
set -eu
psql -q -v ON_ERROR_STOP=1 -U "$POSTGRES_USER" -d postgres <<SQL
create role tenure_app login password '$(cat /passwords/app)';
create role tenure_owner login password '$(cat /passwords/owner)' in role tenure_app;
create database tenure owner tenure_owner;
\connect tenure
revoke create on schema public from public;
alter schema public owner to tenure_owner;
SQL

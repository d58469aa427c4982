-- Letters that belong to no request: about settings, and tests of a wording. Written by src/mail.
set local lock_timeout = '5s';

alter table outbox
    -- A test of a wording, sent by an administrator to themselves.
    add column test boolean not null default false;
comment on column outbox.test is 'A test of a wording, sent by an administrator to themselves';
comment on column outbox.template is 'submitted, please_decide, decided, done, failed, setting_proposed, setting_answered';

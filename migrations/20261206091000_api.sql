-- What a program sent with its Idempotency-Key (the nonce), so that the same key with something else is refused.
alter table request add column sent_sha256 bytea;
comment on column request.sent_sha256 is
    'SHA-256 of the kind and answers that a program sent with its Idempotency-Key; null for forms and once erased';

comment on column api_token.scopes is
    'people:read, catalogue:read, grants:read, requests:read, requests:write, decisions:write, evidence:read: see access::token';

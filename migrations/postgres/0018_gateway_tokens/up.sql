-- Who may use the HTTP API of the signing gateway: SHA-256 of the secret, and whom it may send for.
CREATE TABLE gateway_tokens (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    token_hash BYTEA NOT NULL,
    may_sign_for TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    revoked_at BIGINT
);

-- What was handed in under which idempotency key; without an answer while it is under way.
CREATE TABLE gateway_submissions (
    token_id TEXT NOT NULL REFERENCES gateway_tokens (id),
    idempotency_key TEXT NOT NULL,
    request_hash TEXT NOT NULL,
    answer TEXT,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (token_id, idempotency_key)
);

CREATE INDEX gateway_submissions_age ON gateway_submissions (created_at);

-- Certificates for managed mailboxes from another authority that speaks ACME. state: placing, waiting (for the challenge
-- mail), processing, valid or invalid. The URLs are those of the other authority.
CREATE TABLE vp_orders (
    id TEXT NOT NULL PRIMARY KEY,
    account_id TEXT NOT NULL REFERENCES accounts (id),
    requested_by TEXT NOT NULL,
    mailbox TEXT NOT NULL,
    state TEXT NOT NULL,
    request BYTEA NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    order_url TEXT,
    authorization_url TEXT,
    answered_at BIGINT,
    chain_pem TEXT,
    serial TEXT,
    not_after BIGINT,
    revoked_at BIGINT,
    problem TEXT
);
CREATE INDEX vp_orders_by_account ON vp_orders (account_id, created_at);

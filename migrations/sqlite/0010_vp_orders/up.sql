-- Certificates for managed mailboxes from another authority that speaks ACME. state: placing, waiting (for the challenge
-- mail), processing, valid or invalid. The URLs are those of the other authority.
CREATE TABLE vp_orders (
    id TEXT NOT NULL PRIMARY KEY,
    account_id TEXT NOT NULL REFERENCES accounts (id),
    requested_by TEXT NOT NULL,
    mailbox TEXT NOT NULL,
    state TEXT NOT NULL,
    request BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    order_url TEXT,
    authorization_url TEXT,
    answered_at INTEGER,
    chain_pem TEXT,
    serial TEXT,
    not_after INTEGER,
    revoked_at INTEGER,
    problem TEXT
) STRICT;
CREATE INDEX vp_orders_by_account ON vp_orders (account_id, created_at);

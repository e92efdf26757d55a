-- Who the signing gateway signs as: one row per key, from the order to the end of the certificate.
-- state: ordered, valid, refused, revoked. The key itself is in the gateway's key store under key_id.
CREATE TABLE identities (
    id TEXT NOT NULL PRIMARY KEY,
    mailbox TEXT NOT NULL,
    key_id TEXT NOT NULL UNIQUE,
    state TEXT NOT NULL,
    certificate_request BYTEA NOT NULL,
    problem TEXT,
    tier TEXT,
    serial TEXT,
    chain_pem TEXT,
    not_before BIGINT,
    not_after BIGINT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);

CREATE INDEX identities_mailbox ON identities (mailbox, state);

-- At most one order per mailbox is under way, whichever process has placed it.
CREATE UNIQUE INDEX identities_one_order ON identities (mailbox) WHERE state = 'ordered';

-- External account keys (RFC 8555 section 7.3.4): each binds one ACME account to one of our accounts. The MAC key is
-- sealed by the program before it comes here.
CREATE TABLE acme_external_keys (
    id TEXT NOT NULL PRIMARY KEY,
    account_id TEXT NOT NULL REFERENCES accounts (id),
    name TEXT NOT NULL,
    sealed BYTEA NOT NULL,
    created_by TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT,
    used_at BIGINT,
    revoked_at BIGINT
);

-- thumbprint: RFC 7638, base64url. principal_id: as whom the account orders, and who stands in the audit log.
CREATE TABLE acme_accounts (
    id TEXT NOT NULL PRIMARY KEY,
    account_id TEXT NOT NULL REFERENCES accounts (id),
    principal_id TEXT NOT NULL REFERENCES principals (id),
    external_key_id TEXT NOT NULL UNIQUE REFERENCES acme_external_keys (id),
    jwk TEXT NOT NULL,
    thumbprint TEXT NOT NULL UNIQUE,
    contacts TEXT NOT NULL,
    terms_agreed_at BIGINT,
    state TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);

-- order_id: the order that finalizing has placed. replaces: the certificate that RFC 9773 section 5 names.
CREATE TABLE acme_orders (
    id TEXT NOT NULL PRIMARY KEY,
    acme_account_id TEXT NOT NULL REFERENCES acme_accounts (id),
    mailbox TEXT NOT NULL,
    tier TEXT NOT NULL,
    order_id TEXT UNIQUE REFERENCES orders (id),
    replaces TEXT REFERENCES certificates (id),
    problem TEXT,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX acme_orders_of_account ON acme_orders (acme_account_id, created_at);

-- One authorization of one order, with its one challenge (RFC 8823). reply_tag stands in the reply address;
-- token_part1 is sealed by the program. client_ready_at: when the client said that it has replied.
CREATE TABLE acme_authorizations (
    id TEXT NOT NULL PRIMARY KEY,
    acme_account_id TEXT NOT NULL REFERENCES acme_accounts (id),
    acme_order_id TEXT NOT NULL UNIQUE REFERENCES acme_orders (id),
    mailbox TEXT NOT NULL,
    state TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    reply_tag TEXT NOT NULL UNIQUE,
    token_part1 BYTEA,
    token_part2 TEXT NOT NULL,
    message_id TEXT,
    mailed_at BIGINT,
    client_ready_at BIGINT,
    validated_at BIGINT,
    evidence_id TEXT REFERENCES evidence (id),
    problem TEXT
);
CREATE INDEX acme_authorizations_of_mailbox ON acme_authorizations (mailbox, mailed_at);
CREATE INDEX acme_authorizations_of_account ON acme_authorizations (acme_account_id, created_at);

-- Nonces that were used, until they would have expired anyway.
CREATE TABLE acme_used_nonces (
    nonce TEXT NOT NULL PRIMARY KEY,
    expires_at BIGINT NOT NULL
);
CREATE INDEX acme_used_nonces_by_end ON acme_used_nonces (expires_at);

-- What all nodes on one database share, sealed by the program.
CREATE TABLE acme_secrets (
    name TEXT NOT NULL PRIMARY KEY,
    sealed BYTEA NOT NULL,
    created_at BIGINT NOT NULL
);

-- Proofs that count for one order only (BR 3.2.2.4: a Random Value is not used for another certificate request).
CREATE TABLE evidence_for_order (
    evidence_id TEXT NOT NULL PRIMARY KEY REFERENCES evidence (id),
    order_id TEXT NOT NULL REFERENCES orders (id)
);

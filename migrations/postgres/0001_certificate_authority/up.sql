-- Who certificates are issued to: a person or an organization.
CREATE TABLE accounts (
    id TEXT NOT NULL PRIMARY KEY,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    created_at BIGINT NOT NULL
);

-- Who calls: operators and officers of the CA (no account), subscribers and gateways of one account.
CREATE TABLE principals (
    id TEXT NOT NULL PRIMARY KEY,
    account_id TEXT REFERENCES accounts (id),
    role TEXT NOT NULL,
    name TEXT NOT NULL,
    created_at BIGINT NOT NULL
);

-- Only the SHA-256 of a token is kept.
CREATE TABLE api_tokens (
    id TEXT NOT NULL PRIMARY KEY,
    principal_id TEXT NOT NULL REFERENCES principals (id),
    token_hash BYTEA NOT NULL UNIQUE,
    created_at BIGINT NOT NULL,
    expires_at BIGINT,
    revoked_at BIGINT
);

-- One validation being worked on by officers; the subject is the JSON of the fact to be proved.
CREATE TABLE cases (
    id TEXT NOT NULL PRIMARY KEY,
    account_id TEXT NOT NULL REFERENCES accounts (id),
    kind TEXT NOT NULL,
    subject TEXT NOT NULL,
    state TEXT NOT NULL,
    opened_by TEXT NOT NULL,
    opened_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);

-- Documents are sealed by the program before they come here; sha256 is that of the plain bytes.
CREATE TABLE case_documents (
    id TEXT NOT NULL PRIMARY KEY,
    case_id TEXT NOT NULL REFERENCES cases (id),
    account_id TEXT NOT NULL REFERENCES accounts (id),
    name TEXT NOT NULL,
    media_type TEXT NOT NULL,
    sha256 BYTEA NOT NULL,
    sealed BYTEA NOT NULL,
    added_by TEXT NOT NULL,
    added_at BIGINT NOT NULL
);

-- What an officer found, by which method, with which documents.
CREATE TABLE case_evidence (
    id TEXT NOT NULL PRIMARY KEY,
    case_id TEXT NOT NULL REFERENCES cases (id),
    account_id TEXT NOT NULL REFERENCES accounts (id),
    method TEXT NOT NULL,
    documents TEXT NOT NULL,
    note TEXT NOT NULL,
    recorded_by TEXT NOT NULL,
    collected_at BIGINT NOT NULL
);

-- At most one decision of an officer on a case: two approvals are two officers.
CREATE TABLE case_decisions (
    id TEXT NOT NULL PRIMARY KEY,
    case_id TEXT NOT NULL REFERENCES cases (id),
    principal_id TEXT NOT NULL REFERENCES principals (id),
    decision TEXT NOT NULL,
    reason TEXT NOT NULL,
    decided_at BIGINT NOT NULL,
    UNIQUE (case_id, principal_id)
);

-- Dated, attributable proofs; rows are never changed.
CREATE TABLE evidence (
    id TEXT NOT NULL PRIMARY KEY,
    account_id TEXT NOT NULL REFERENCES accounts (id),
    fact_kind TEXT NOT NULL,
    subject TEXT NOT NULL,
    fact TEXT NOT NULL,
    method TEXT NOT NULL,
    br_version TEXT NOT NULL,
    collected_at BIGINT NOT NULL,
    recorded_by TEXT NOT NULL,
    approved_by TEXT NOT NULL,
    documents TEXT NOT NULL,
    case_id TEXT REFERENCES cases (id),
    created_at BIGINT NOT NULL
);

-- Only hashes of the link token and of the confirmation code are kept.
CREATE TABLE challenges (
    id TEXT NOT NULL PRIMARY KEY,
    account_id TEXT NOT NULL REFERENCES accounts (id),
    requested_by TEXT NOT NULL,
    fact_kind TEXT NOT NULL,
    subject TEXT NOT NULL,
    sent_to TEXT NOT NULL,
    link_hash BYTEA NOT NULL UNIQUE,
    code_hash BYTEA NOT NULL,
    sent_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    attempts BIGINT NOT NULL,
    state TEXT NOT NULL,
    answered_at BIGINT,
    evidence_id TEXT REFERENCES evidence (id)
);

-- crl_number is the number last given out; it only grows.
CREATE TABLE issuers (
    id TEXT NOT NULL PRIMARY KEY,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    key_id TEXT NOT NULL,
    certificate BYTEA NOT NULL,
    parent_id TEXT REFERENCES issuers (id),
    created_at BIGINT NOT NULL,
    crl_number BIGINT NOT NULL
);

-- certificate_id has no foreign key, since certificates.order_id points the other way.
CREATE TABLE orders (
    id TEXT NOT NULL PRIMARY KEY,
    account_id TEXT NOT NULL REFERENCES accounts (id),
    requested_by TEXT NOT NULL,
    idempotency_key TEXT,
    mailbox TEXT NOT NULL,
    tier TEXT NOT NULL,
    generation TEXT NOT NULL,
    certificate_request BYTEA NOT NULL,
    state TEXT NOT NULL,
    certificate_id TEXT,
    problem TEXT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    UNIQUE (account_id, idempotency_key)
);

-- The row is there before anything is signed (state recorded), with the bytes that will be signed.
CREATE TABLE certificates (
    id TEXT NOT NULL PRIMARY KEY,
    issuer_id TEXT NOT NULL REFERENCES issuers (id),
    serial TEXT NOT NULL,
    account_id TEXT NOT NULL REFERENCES accounts (id),
    order_id TEXT NOT NULL REFERENCES orders (id),
    tier TEXT NOT NULL,
    generation TEXT NOT NULL,
    profile_sha256 BYTEA NOT NULL,
    mailbox TEXT NOT NULL,
    subject TEXT NOT NULL,
    tbs BYTEA NOT NULL,
    tbs_sha256 BYTEA NOT NULL,
    state TEXT NOT NULL,
    certificate BYTEA,
    not_before BIGINT NOT NULL,
    not_after BIGINT NOT NULL,
    recorded_at BIGINT NOT NULL,
    signed_at BIGINT,
    revoked_at BIGINT,
    revocation_reason TEXT,
    UNIQUE (issuer_id, serial)
);

-- Which proofs a certificate rests on.
CREATE TABLE certificate_evidence (
    certificate_id TEXT NOT NULL REFERENCES certificates (id),
    evidence_id TEXT NOT NULL REFERENCES evidence (id),
    PRIMARY KEY (certificate_id, evidence_id)
);

CREATE TABLE crls (
    issuer_id TEXT NOT NULL REFERENCES issuers (id),
    number BIGINT NOT NULL,
    this_update BIGINT NOT NULL,
    next_update BIGINT NOT NULL,
    der BYTEA NOT NULL,
    PRIMARY KEY (issuer_id, number)
);

-- A hash chain; appended to in the transaction that a row describes.
CREATE TABLE audit_log (
    sequence BIGINT NOT NULL PRIMARY KEY,
    at BIGINT NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    details TEXT NOT NULL,
    previous_hash BYTEA NOT NULL,
    hash BYTEA NOT NULL
);

-- Signed heads of the chain.
CREATE TABLE audit_checkpoints (
    sequence BIGINT NOT NULL PRIMARY KEY,
    at BIGINT NOT NULL,
    head_hash BYTEA NOT NULL,
    key_id TEXT NOT NULL,
    signature BYTEA NOT NULL
);

CREATE INDEX principals_by_account_id ON principals (account_id);
CREATE INDEX api_tokens_by_principal_id ON api_tokens (principal_id);
CREATE INDEX challenges_by_account_id ON challenges (account_id);
CREATE INDEX cases_by_account_id ON cases (account_id);
CREATE INDEX cases_by_state ON cases (state);
CREATE INDEX case_documents_by_case_id ON case_documents (case_id);
CREATE INDEX case_evidence_by_case_id ON case_evidence (case_id);
CREATE INDEX evidence_by_account_id ON evidence (account_id);
CREATE INDEX orders_by_state ON orders (state);
CREATE INDEX certificates_by_account_id ON certificates (account_id);
CREATE INDEX certificates_by_mailbox ON certificates (mailbox);
CREATE INDEX certificates_by_order_id ON certificates (order_id);
CREATE INDEX certificates_by_state ON certificates (state);

-- Authorizations of a domain ahead of any order (RFC 8555 section 7.4.1), each with the challenges http-01 and dns-01. The
-- tokens are published, so they are no secrets. looked_at: how often we looked. challenge: the one that was answered.
CREATE TABLE acme_domain_authorizations (
    id TEXT NOT NULL PRIMARY KEY,
    acme_account_id TEXT NOT NULL REFERENCES acme_accounts (id),
    domain TEXT NOT NULL,
    state TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    http_token TEXT NOT NULL,
    dns_token TEXT NOT NULL,
    looked_at BIGINT NOT NULL,
    challenge TEXT,
    validated_at BIGINT,
    evidence_id TEXT REFERENCES evidence (id),
    problem TEXT
);
CREATE INDEX acme_domain_authorizations_of_account ON acme_domain_authorizations (acme_account_id, created_at);

-- Evidence that no longer counts before its time, because whoever gave it took it back (RFC 8555 section 7.5.2).
CREATE TABLE evidence_retractions (
    evidence_id TEXT NOT NULL PRIMARY KEY REFERENCES evidence (id),
    retracted_at BIGINT NOT NULL
);

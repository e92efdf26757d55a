-- Certificates of delegated OCSP responders (BR 4.9.9), recorded before they are signed like all others.
-- certificate: NULL until it was signed, checked and stored. The key is in the key store under key_id.
CREATE TABLE ocsp_responders (
    id TEXT NOT NULL PRIMARY KEY,
    issuer_id TEXT NOT NULL REFERENCES issuers (id),
    serial TEXT NOT NULL,
    key_id TEXT NOT NULL UNIQUE,
    tbs BYTEA NOT NULL,
    tbs_sha256 BYTEA NOT NULL,
    certificate BYTEA,
    not_before BIGINT NOT NULL,
    not_after BIGINT NOT NULL,
    recorded_at BIGINT NOT NULL,
    UNIQUE (issuer_id, serial)
);

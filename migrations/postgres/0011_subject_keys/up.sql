-- The keys that certificates were recorded for, by the SHA-256 of their SubjectPublicKeyInfo: whose they are, and whether
-- they are known to be compromised (BR 6.1.1.3). A key belongs to the account that it was first certified for.
CREATE TABLE subject_keys (
    spki_sha256 BYTEA NOT NULL PRIMARY KEY,
    account_id TEXT NOT NULL REFERENCES accounts (id),
    first_claimed_at BIGINT NOT NULL,
    last_claimed_at BIGINT NOT NULL,
    compromised_at BIGINT,
    compromised_serial TEXT
);

-- NULL in certificates from before, and from programs that do not know the column; filled when an authority is opened.
ALTER TABLE certificates ADD COLUMN spki_sha256 BYTEA;
CREATE INDEX certificates_by_key ON certificates (spki_sha256);
CREATE INDEX certificates_without_key ON certificates (id) WHERE spki_sha256 IS NULL;

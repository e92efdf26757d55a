-- Which shard of its issuer's revocation lists a certificate names; 0 for the complete list only.
ALTER TABLE certificates ADD COLUMN crl_shard INTEGER NOT NULL DEFAULT 0;
-- Which certificates a list speaks of; 0 for all.
ALTER TABLE crls ADD COLUMN shard INTEGER NOT NULL DEFAULT 0;

-- The shards that certificates may name, and by which URL; rows are never changed.
CREATE TABLE crl_shards (
    issuer_id TEXT NOT NULL REFERENCES issuers (id),
    shard INTEGER NOT NULL,
    url TEXT NOT NULL,
    PRIMARY KEY (issuer_id, shard, url)
);

-- The list of each shard whose number was taken last, signed or not: its content was decided after that of all before.
CREATE TABLE crls_begun (
    issuer_id TEXT NOT NULL REFERENCES issuers (id),
    shard INTEGER NOT NULL,
    number BIGINT NOT NULL,
    begun_at BIGINT NOT NULL,
    PRIMARY KEY (issuer_id, shard)
);

CREATE INDEX crls_by_shard ON crls (issuer_id, shard, number);
-- The content of a shard, read from the index alone, and when it changed last.
CREATE INDEX certificates_on_shards ON certificates
    (issuer_id, crl_shard, serial, not_after, revoked_at, revocation_reason)
    WHERE revoked_at IS NOT NULL;
CREATE INDEX certificates_by_shard_and_revocation ON certificates (issuer_id, crl_shard, revoked_at)
    WHERE revoked_at IS NOT NULL;

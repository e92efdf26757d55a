-- When the last revocation of an issuer was, asked twice a minute, is read from the end of this index alone:
CREATE INDEX certificates_by_revocation ON certificates (issuer_id, revoked_at) WHERE revoked_at IS NOT NULL;

-- What is asked for with every issuance and every CRL must not read all certificates.
-- The seats of an account:
CREATE INDEX certificates_by_account_and_tier ON certificates (account_id, tier);
DROP INDEX certificates_by_account_id;
-- The content of a CRL, read from the index alone:
CREATE INDEX certificates_on_lists ON certificates (issuer_id, serial, not_after, revoked_at, revocation_reason)
    WHERE revoked_at IS NOT NULL;
-- Keys that are known to be compromised:
CREATE INDEX certificates_by_revocation_reason ON certificates (revocation_reason) WHERE revocation_reason IS NOT NULL;

DROP INDEX certificates_by_revocation_reason;
DROP INDEX certificates_on_lists;
CREATE INDEX certificates_by_account_id ON certificates (account_id);
DROP INDEX certificates_by_account_and_tier;

-- Policies that other domains have for mail to them (RFC 8461), which hold until they expire.
-- policy_id: of the TXT record that led to it. policy: the file.
CREATE TABLE mta_sts_policies (
    domain TEXT NOT NULL PRIMARY KEY,
    policy_id TEXT NOT NULL,
    policy TEXT NOT NULL,
    fetched_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX mta_sts_policies_expires_at ON mta_sts_policies (expires_at);

-- Policies that other domains have for mail to them (RFC 8461), which hold until they expire.
-- policy_id: of the TXT record that led to it. policy: the file.
CREATE TABLE mta_sts_policies (
    domain TEXT NOT NULL PRIMARY KEY,
    policy_id TEXT NOT NULL,
    policy TEXT NOT NULL,
    fetched_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT;
CREATE INDEX mta_sts_policies_expires_at ON mta_sts_policies (expires_at);

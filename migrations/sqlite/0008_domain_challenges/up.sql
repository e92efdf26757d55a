-- Challenges to show control of a domain in the DNS or on its website (TLS BR 3.2.2.4.7, 3.2.2.4.18). The value is to be
-- published, so it is no secret. looked_at: how often we looked.
CREATE TABLE domain_challenges (
    id TEXT NOT NULL PRIMARY KEY,
    account_id TEXT NOT NULL REFERENCES accounts (id),
    requested_by TEXT NOT NULL,
    domain TEXT NOT NULL,
    method TEXT NOT NULL,
    value TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    looked_at INTEGER NOT NULL,
    state TEXT NOT NULL,
    problem TEXT,
    evidence_id TEXT REFERENCES evidence (id)
) STRICT;
CREATE INDEX domain_challenges_by_account ON domain_challenges (account_id, created_at);

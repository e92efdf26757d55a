-- What CAA records said of a domain (BR 4.2.2.1). decision: permitted or refused. found_at: the domain whose records decided,
-- NULL when there are none. records, iodef: JSON. proof: secure, insecure or failed (an acceptable failure).
CREATE TABLE caa_checks (
    id TEXT NOT NULL PRIMARY KEY,
    domain TEXT NOT NULL,
    issuers TEXT NOT NULL,
    checked_at INTEGER NOT NULL,
    decision TEXT NOT NULL,
    found_at TEXT,
    records TEXT NOT NULL,
    iodef TEXT NOT NULL,
    proof TEXT NOT NULL,
    reason TEXT NOT NULL
) STRICT;
CREATE INDEX caa_checks_by_domain ON caa_checks (domain, checked_at);

-- Why a certificate could be issued without asking its domain again: a check, or the operator's reason for checking none.
CREATE TABLE certificate_permissions (
    certificate_id TEXT NOT NULL PRIMARY KEY REFERENCES certificates (id),
    caa_check_id TEXT REFERENCES caa_checks (id),
    not_checked_because TEXT,
    CHECK ((caa_check_id IS NULL) <> (not_checked_because IS NULL))
) STRICT;

-- Lists of employees that organizations hand in as Enterprise RA (BR 1.3.2.1); decided once, by an officer.
-- The file itself is sealed; state: open, approved, rejected.
CREATE TABLE rosters (
    id TEXT NOT NULL PRIMARY KEY,
    account_id TEXT NOT NULL REFERENCES accounts (id),
    organization_identifier TEXT NOT NULL,
    state TEXT NOT NULL,
    file_sha256 BLOB NOT NULL,
    sealed BLOB NOT NULL,
    opened_by TEXT NOT NULL,
    opened_at INTEGER NOT NULL,
    decided_by TEXT,
    decided_at INTEGER,
    reason TEXT
) STRICT;

-- What a roster asks for, row by row; subject is the JSON of the employment. Removals have no line in the file.
CREATE TABLE roster_rows (
    roster_id TEXT NOT NULL REFERENCES rosters (id),
    number INTEGER NOT NULL,
    line INTEGER,
    outcome TEXT NOT NULL,
    mailbox TEXT NOT NULL,
    subject TEXT NOT NULL,
    PRIMARY KEY (roster_id, number)
) STRICT;

-- Evidence that no longer counts before its time, because its roster says that the person has left.
CREATE TABLE evidence_withdrawals (
    evidence_id TEXT NOT NULL PRIMARY KEY REFERENCES evidence (id),
    roster_id TEXT NOT NULL REFERENCES rosters (id),
    withdrawn_at INTEGER NOT NULL
) STRICT;

CREATE INDEX rosters_by_account_id ON rosters (account_id);

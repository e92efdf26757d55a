-- What anybody reports about a certificate (BR 4.9.3), and how far it came.
CREATE TABLE problem_reports (
    id TEXT NOT NULL PRIMARY KEY,
    issuer_id TEXT NOT NULL REFERENCES issuers (id),
    serial TEXT NOT NULL,
    received_at BIGINT NOT NULL,
    cause TEXT NOT NULL,
    text TEXT NOT NULL,
    contact TEXT,
    source TEXT NOT NULL,
    state TEXT NOT NULL,
    findings TEXT,
    answered_by TEXT,
    answered_at BIGINT,
    closed_at BIGINT
);

CREATE INDEX problem_reports_by_state ON problem_reports (state, received_at);
CREATE INDEX problem_reports_by_serial ON problem_reports (issuer_id, serial);

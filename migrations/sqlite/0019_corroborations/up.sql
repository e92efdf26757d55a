-- What remote network perspectives saw (BR 4.2.2.2, TLS BR 3.2.2.9), and whether that was enough. subject: domain-control or
-- caa. standard: public (what the TLS BR asked for at made_at) or private. outcome: corroborated, or the reason why not.
CREATE TABLE corroborations (
    id TEXT NOT NULL PRIMARY KEY,
    subject TEXT NOT NULL,
    domain TEXT NOT NULL,
    made_at INTEGER NOT NULL,
    standard TEXT NOT NULL,
    needed_perspectives INTEGER NOT NULL,
    needed_registries INTEGER NOT NULL,
    asked INTEGER NOT NULL,
    corroborating INTEGER NOT NULL,
    outcome TEXT NOT NULL
) STRICT;
CREATE INDEX corroborations_by_domain ON corroborations (domain, made_at);

-- One answer. answered_at: by the clock of the perspective, NULL when it gave none. saw: in words.
CREATE TABLE corroboration_answers (
    corroboration_id TEXT NOT NULL REFERENCES corroborations (id),
    perspective TEXT NOT NULL,
    registry TEXT NOT NULL,
    network TEXT,
    answered_at INTEGER,
    corroborates INTEGER NOT NULL,
    saw TEXT NOT NULL,
    PRIMARY KEY (corroboration_id, perspective)
) STRICT;

-- What corroborates a proof of control of a domain, and what a CAA check. A proof that is not here was made from one network.
CREATE TABLE evidence_corroborations (
    evidence_id TEXT NOT NULL PRIMARY KEY REFERENCES evidence (id),
    corroboration_id TEXT NOT NULL REFERENCES corroborations (id)
) STRICT;

CREATE TABLE caa_corroborations (
    caa_check_id TEXT NOT NULL PRIMARY KEY REFERENCES caa_checks (id),
    corroboration_id TEXT NOT NULL REFERENCES corroborations (id)
) STRICT;

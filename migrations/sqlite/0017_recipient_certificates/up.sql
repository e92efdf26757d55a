-- Certificates of others that signed mail has brought, or that an operator has added, to encrypt mail to.
-- fingerprint: SHA-256 of the certificate. state: offered, approved, rejected. chain_pem: the certificate first.
-- capabilities: what its holder has said it can open, as words.
CREATE TABLE recipient_certificates (
    mailbox TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    state TEXT NOT NULL,
    chain_pem TEXT NOT NULL,
    capabilities TEXT NOT NULL,
    not_after INTEGER NOT NULL,
    first_seen_at INTEGER NOT NULL,
    last_seen_at INTEGER NOT NULL,
    PRIMARY KEY (mailbox, fingerprint)
) STRICT;

-- Which notices of a certificate's end were sent, so that none is sent twice.
CREATE TABLE expiry_notices (
    certificate_id TEXT NOT NULL REFERENCES certificates (id),
    days_before BIGINT NOT NULL,
    claimed_at BIGINT NOT NULL,
    PRIMARY KEY (certificate_id, days_before)
);

CREATE INDEX certificates_by_not_after ON certificates (not_after);

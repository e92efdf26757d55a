DROP INDEX certificates_by_not_after;
DROP TABLE expiry_notices;

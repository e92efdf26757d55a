DROP INDEX certificates_without_key;
DROP INDEX certificates_by_key;
ALTER TABLE certificates DROP COLUMN spki_sha256;
DROP TABLE subject_keys;

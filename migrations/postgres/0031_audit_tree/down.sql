ALTER TABLE audit_checkpoints DROP COLUMN note;
DROP TABLE audit_tiles;

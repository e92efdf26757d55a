ALTER TABLE certificates DROP COLUMN key_use;
ALTER TABLE orders DROP COLUMN key_use;

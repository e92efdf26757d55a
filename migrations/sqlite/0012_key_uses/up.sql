-- What the key of a certificate is for (BR 7.1.2.3 e): sign, encrypt or both. Certificates from before are for both.
ALTER TABLE orders ADD COLUMN key_use TEXT NOT NULL DEFAULT 'both';
ALTER TABLE certificates ADD COLUMN key_use TEXT NOT NULL DEFAULT 'both';

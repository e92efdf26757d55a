DROP INDEX certificates_by_shard_and_revocation;
DROP INDEX certificates_on_shards;
DROP INDEX crls_by_shard;
DROP TABLE crls_begun;
DROP TABLE crl_shards;
ALTER TABLE crls DROP COLUMN shard;
ALTER TABLE certificates DROP COLUMN crl_shard;

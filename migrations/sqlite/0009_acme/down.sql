DROP TABLE evidence_for_order;
DROP TABLE acme_secrets;
DROP TABLE acme_used_nonces;
DROP TABLE acme_authorizations;
DROP TABLE acme_orders;
DROP TABLE acme_accounts;
DROP TABLE acme_external_keys;

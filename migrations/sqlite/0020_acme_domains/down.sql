DROP TABLE evidence_retractions;
DROP TABLE acme_domain_authorizations;

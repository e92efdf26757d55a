DROP TABLE domain_challenges;

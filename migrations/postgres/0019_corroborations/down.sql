DROP TABLE caa_corroborations;
DROP TABLE evidence_corroborations;
DROP TABLE corroboration_answers;
DROP TABLE corroborations;

DROP TABLE gateway_submissions;
DROP TABLE gateway_tokens;

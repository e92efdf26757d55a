-- Which queued messages a program has handed in by HTTP with one request, and with which token: only that one may ask
-- what became of them. Goes with the message.
CREATE TABLE queue_submissions (
    message_id TEXT NOT NULL PRIMARY KEY REFERENCES queue_messages (id) ON DELETE CASCADE,
    submission_id TEXT NOT NULL,
    token_id TEXT NOT NULL
) STRICT;

CREATE INDEX queue_submissions_submission ON queue_submissions (submission_id);

DROP TABLE queue_submissions;

DROP TABLE queue_secrets;
DROP TABLE queue_nodes;
DROP TABLE queue_recipients;
DROP TABLE queue_messages;

DROP TABLE recipient_certificates;

-- Mail that the gateway has taken charge of (queue mode). A row is written before 250 is said.
-- body_object, body_offset, body_octets: where the octets to send lie in the object storage; they never change.
-- open_recipients: how many are neither delivered, bounced nor dropped; the body is needed until there is none.
-- kept_until: until when the body is kept all the same, as evidence of what was sent.
CREATE TABLE queue_messages (
    id TEXT NOT NULL PRIMARY KEY,
    received_at BIGINT NOT NULL,
    reverse_path TEXT NOT NULL,
    parameters TEXT NOT NULL,
    smtputf8 BOOLEAN NOT NULL,
    body_object TEXT NOT NULL,
    body_offset BIGINT NOT NULL,
    body_octets BIGINT NOT NULL,
    open_recipients BIGINT NOT NULL,
    kept_until BIGINT NOT NULL
);

CREATE INDEX queue_messages_object ON queue_messages (body_object);
CREATE INDEX queue_messages_done ON queue_messages (kept_until) WHERE open_recipients = 0;

-- state: queued, held, delivered, bounced, dropped.
-- lease_node: the node that is delivering to this recipient; it counts while that node is alive.
CREATE TABLE queue_recipients (
    message_id TEXT NOT NULL REFERENCES queue_messages (id) ON DELETE CASCADE,
    number BIGINT NOT NULL,
    address TEXT NOT NULL,
    parameters TEXT NOT NULL,
    state TEXT NOT NULL,
    attempts BIGINT NOT NULL,
    next_attempt_at BIGINT NOT NULL,
    delay_notice_sent BOOLEAN NOT NULL,
    lease_node TEXT,
    last_reply TEXT,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (message_id, number)
);

CREATE INDEX queue_recipients_due ON queue_recipients (next_attempt_at) WHERE state = 'queued';

-- Gateways that share this queue. Whoever has not said that it is alive in time loses its leases.
CREATE TABLE queue_nodes (
    id TEXT NOT NULL PRIMARY KEY,
    alive_until BIGINT NOT NULL
);

-- One row: what tells our own Received fields from imitations.
CREATE TABLE queue_secrets (
    name TEXT NOT NULL PRIMARY KEY,
    octets BYTEA NOT NULL
);

-- Mail that the gateway has taken charge of (queue mode). A row is written before 250 is said.
-- body_object, body_offset, body_octets: where the octets to send lie in the object storage; they never change.
-- open_recipients: how many are neither delivered, bounced nor dropped; the body is needed until there is none.
-- kept_until: until when the body is kept all the same, as evidence of what was sent.
CREATE TABLE queue_messages (
    id TEXT NOT NULL PRIMARY KEY,
    received_at INTEGER NOT NULL,
    reverse_path TEXT NOT NULL,
    parameters TEXT NOT NULL,
    smtputf8 INTEGER NOT NULL,
    body_object TEXT NOT NULL,
    body_offset INTEGER NOT NULL,
    body_octets INTEGER NOT NULL,
    open_recipients INTEGER NOT NULL,
    kept_until INTEGER NOT NULL
) STRICT;

CREATE INDEX queue_messages_object ON queue_messages (body_object);
CREATE INDEX queue_messages_done ON queue_messages (kept_until) WHERE open_recipients = 0;

-- state: queued, held, delivered, bounced, dropped.
-- lease_node: the node that is delivering to this recipient; it counts while that node is alive.
CREATE TABLE queue_recipients (
    message_id TEXT NOT NULL REFERENCES queue_messages (id) ON DELETE CASCADE,
    number INTEGER NOT NULL,
    address TEXT NOT NULL,
    parameters TEXT NOT NULL,
    state TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    next_attempt_at INTEGER NOT NULL,
    delay_notice_sent INTEGER NOT NULL,
    lease_node TEXT,
    last_reply TEXT,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (message_id, number)
) STRICT;

CREATE INDEX queue_recipients_due ON queue_recipients (next_attempt_at) WHERE state = 'queued';

-- Gateways that share this queue. Whoever has not said that it is alive in time loses its leases.
CREATE TABLE queue_nodes (
    id TEXT NOT NULL PRIMARY KEY,
    alive_until INTEGER NOT NULL
) STRICT;

-- One row: what tells our own Received fields from imitations.
CREATE TABLE queue_secrets (
    name TEXT NOT NULL PRIMARY KEY,
    octets BLOB NOT NULL
) STRICT;

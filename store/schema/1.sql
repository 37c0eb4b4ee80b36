-- Instants are milliseconds since 1970, 0 for never; intervals are seconds. Empty blobs are NULL.

CREATE TABLE session (
  id              INTEGER PRIMARY KEY AUTOINCREMENT, -- given by the broker; AUTOINCREMENT remembers the highest
  client_id       TEXT    NOT NULL,
  user_name       TEXT    NOT NULL,
  expiry_interval INTEGER NOT NULL,
  disconnected_at INTEGER NOT NULL
) STRICT;

CREATE TABLE subscription (
  session      INTEGER NOT NULL,
  topic_filter TEXT    NOT NULL,
  id           INTEGER NOT NULL, -- Subscription Identifier, 0 for none
  options      INTEGER NOT NULL, -- the byte in SUBSCRIBE
  PRIMARY KEY (session, topic_filter)
) STRICT, WITHOUT ROWID;

-- Messages that wait in queues, each once.
CREATE TABLE message (
  id             INTEGER PRIMARY KEY,
  shared         INTEGER NOT NULL, -- 1: more than one row of queue refers to it, or has done
  expiry         INTEGER NOT NULL,
  qos            INTEGER NOT NULL,
  retain         INTEGER NOT NULL,
  topic_name     TEXT    NOT NULL,
  publisher_id   TEXT    NOT NULL,
  publisher_user TEXT    NOT NULL,
  properties     BLOB,
  payload        BLOB
) STRICT;
CREATE INDEX message_shared ON message (id) WHERE shared = 1;

CREATE TABLE queue (
  session          INTEGER NOT NULL,
  seq              INTEGER NOT NULL,
  message          INTEGER NOT NULL,
  packet_id        INTEGER NOT NULL, -- 0: not in flight
  qos              INTEGER NOT NULL,
  retain           INTEGER NOT NULL,
  released         INTEGER NOT NULL, -- 1: PUBREC has come
  subscription_ids BLOB,             -- varints
  PRIMARY KEY (session, seq)
) STRICT, WITHOUT ROWID;

-- Packet Identifiers of QoS 2 messages from the client whose PUBREL has not come.
CREATE TABLE held (
  session   INTEGER NOT NULL,
  packet_id INTEGER NOT NULL,
  PRIMARY KEY (session, packet_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE will (
  client_id       TEXT    PRIMARY KEY,
  user_name       TEXT    NOT NULL,
  delay_interval  INTEGER NOT NULL,
  due             INTEGER NOT NULL,
  expiry_interval INTEGER NOT NULL,
  expiry          INTEGER NOT NULL,
  qos             INTEGER NOT NULL,
  retain          INTEGER NOT NULL,
  topic_name      TEXT    NOT NULL,
  publisher_id    TEXT    NOT NULL,
  publisher_user  TEXT    NOT NULL,
  properties      BLOB,
  payload         BLOB
) STRICT;

CREATE TABLE retained (
  topic_name     TEXT    PRIMARY KEY,
  expiry         INTEGER NOT NULL,
  qos            INTEGER NOT NULL,
  retain         INTEGER NOT NULL,
  publisher_id   TEXT    NOT NULL,
  publisher_user TEXT    NOT NULL,
  properties     BLOB,
  payload        BLOB
) STRICT;

CREATE TABLE streams (
    name       TEXT PRIMARY KEY NOT NULL,
    title      TEXT NOT NULL DEFAULT '',
    open       INTEGER NOT NULL,
    -- SHA-256 of the stream key. NULL: only the publish key may publish it.
    key_hash   BLOB UNIQUE,
    -- Most bit/s one viewer gets. NULL: what the stream has.
    max_rate   INTEGER,
    created_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE api_keys (
    kid        TEXT PRIMARY KEY NOT NULL,
    kind       TEXT NOT NULL CHECK (kind IN ('hs256', 'eddsa')),
    -- The MAC secret or the 32-byte public key.
    key        BLOB NOT NULL,
    -- JSON array of stream names. NULL: all streams.
    streams    TEXT,
    created_ms INTEGER NOT NULL,
    revoked_ms INTEGER
) STRICT, WITHOUT ROWID;

-- One row per place granted: the accounting record. Ids begin with the time of the join, so new rows go to the end
-- of every index here: a random id cost three times the pages, and ids double as the order of pages of accounts.
CREATE TABLE sessions (
    id          BLOB PRIMARY KEY NOT NULL,
    viewer      TEXT NOT NULL DEFAULT '',
    stream      TEXT NOT NULL,
    edge        TEXT NOT NULL,
    joined_ms   INTEGER,
    expires_ms  INTEGER,
    -- First request at the edge. NULL: none yet.
    started_ms  INTEGER,
    updated_ms  INTEGER NOT NULL DEFAULT 0,
    ended_ms    INTEGER,
    why         TEXT,
    media_bytes INTEGER NOT NULL DEFAULT 0,
    other_bytes INTEGER NOT NULL DEFAULT 0,
    -- The incarnation at the edge that reports now (its start), and what of the totals is its.
    since_ms    INTEGER NOT NULL DEFAULT 0,
    media_since INTEGER NOT NULL DEFAULT 0,
    other_since INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

CREATE INDEX sessions_by_viewer ON sessions (viewer, id) WHERE viewer <> '';
CREATE INDEX sessions_by_stream ON sessions (stream, id);
CREATE INDEX sessions_open ON sessions (edge, id) WHERE why IS NULL;

-- What a running server is asked to do, and what came of it.
CREATE TABLE command (
  id       INTEGER PRIMARY KEY AUTOINCREMENT,
  asked_at INTEGER NOT NULL,
  kind     TEXT NOT NULL,
  args     TEXT NOT NULL,                  -- JSON object
  ended_at INTEGER,
  result   TEXT                            -- JSON object, once ended
) STRICT;
CREATE INDEX command_pending ON command (id) WHERE ended_at IS NULL;

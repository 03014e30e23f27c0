-- What is asked for about users (milonga.privacy). A regulation stays as a record; the ids it names do not.
CREATE TABLE regulation (
  id          INTEGER PRIMARY KEY AUTOINCREMENT,
  kind        TEXT NOT NULL,
  source      INTEGER REFERENCES source (id),  -- NULL: all
  users       INTEGER NOT NULL,
  created_at  INTEGER NOT NULL,
  status      TEXT NOT NULL,
  upto        TEXT,                            -- JSON object: partition -> last offset; NULL until it is begun
  delivery_at INTEGER,
  log_at      INTEGER,
  ended_at    INTEGER,
  counts      TEXT NOT NULL DEFAULT '{}',      -- JSON object
  files       TEXT NOT NULL DEFAULT '[]',      -- JSON array: that could not be read
  trouble     TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX regulation_open ON regulation (id) WHERE ended_at IS NULL;

-- Ids in the clear, of deletions alone, and only until they have ended.
CREATE TABLE doomed_user (
  regulation INTEGER NOT NULL REFERENCES regulation (id),
  user       TEXT NOT NULL,
  PRIMARY KEY (regulation, user)
) STRICT, WITHOUT ROWID;

CREATE TABLE suppression (
  source     INTEGER NOT NULL,                 -- 0: all
  digest     BLOB NOT NULL,                    -- milonga.privacy.digest
  regulation INTEGER NOT NULL,
  PRIMARY KEY (source, digest)
) STRICT, WITHOUT ROWID;

CREATE TABLE privacy (
  salt    BLOB NOT NULL,
  version INTEGER NOT NULL                     -- counts the changes of suppression
) STRICT;
INSERT INTO privacy VALUES (randomblob(32), 0);

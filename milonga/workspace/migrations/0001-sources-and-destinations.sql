-- Ids are never used again (AUTOINCREMENT): the log and the outcomes go on naming them after a removal.
CREATE TABLE source (
  id         INTEGER PRIMARY KEY AUTOINCREMENT,
  name       TEXT NOT NULL,
  created_at INTEGER NOT NULL,             -- unix milliseconds, as every time here
  removed_at INTEGER
) STRICT;
CREATE UNIQUE INDEX source_name ON source (name) WHERE removed_at IS NULL;

CREATE TABLE write_key (
  id     INTEGER PRIMARY KEY AUTOINCREMENT,
  key    TEXT NOT NULL UNIQUE,
  source INTEGER NOT NULL REFERENCES source (id)
) STRICT;

CREATE TABLE destination (
  id         INTEGER PRIMARY KEY AUTOINCREMENT,
  name       TEXT NOT NULL,
  kind       TEXT NOT NULL,
  source     INTEGER NOT NULL REFERENCES source (id),
  removed_at INTEGER
) STRICT;
CREATE UNIQUE INDEX destination_name ON destination (name) WHERE removed_at IS NULL;

-- One row for each version of a destination's settings; never overwritten.
CREATE TABLE settings (
  destination INTEGER NOT NULL REFERENCES destination (id),
  version     INTEGER NOT NULL,
  at          INTEGER NOT NULL,
  by          TEXT NOT NULL,
  plain       TEXT NOT NULL,               -- JSON object of all settings but the secret ones
  changed     TEXT NOT NULL,               -- JSON array: names of what differs from the version before
  PRIMARY KEY (destination, version)
) STRICT, WITHOUT ROWID;

-- The secret settings of a version that are not empty, sealed (secrets.py).
CREATE TABLE secret (
  destination INTEGER NOT NULL,
  version     INTEGER NOT NULL,
  name        TEXT NOT NULL,
  key_id      TEXT NOT NULL,               -- which key sealed it
  sealed      BLOB,                        -- NULL once the destination was removed
  PRIMARY KEY (destination, version, name),
  FOREIGN KEY (destination, version) REFERENCES settings (destination, version)
) STRICT, WITHOUT ROWID;

CREATE TABLE state_change (
  id          INTEGER PRIMARY KEY AUTOINCREMENT,
  destination INTEGER NOT NULL REFERENCES destination (id),
  at          INTEGER NOT NULL,
  state       TEXT NOT NULL,
  by          TEXT NOT NULL,
  reason      TEXT NOT NULL,
  log_end     TEXT NOT NULL                -- JSON object: partition -> the log's newest offset at that moment
) STRICT;
CREATE INDEX state_change_destination ON state_change (destination, id);

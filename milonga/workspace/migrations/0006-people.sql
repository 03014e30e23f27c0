-- Who may use the console and the API (docs/console.md). Secrets are here as SHA-256 only, passwords as argon2id.
CREATE TABLE console_user (
  id         INTEGER PRIMARY KEY AUTOINCREMENT,
  name       TEXT NOT NULL COLLATE NOCASE UNIQUE,
  role       TEXT NOT NULL,
  password   TEXT,                         -- argon2id in PHC form; NULL until it is chosen
  disabled   INTEGER NOT NULL DEFAULT 0,
  created_at INTEGER NOT NULL
) STRICT;

-- Good for one password, for a while. Not restored from a backup.
CREATE TABLE console_link (
  digest  BLOB PRIMARY KEY,
  user    INTEGER REFERENCES console_user (id) ON DELETE CASCADE,  -- NULL: the first administrator is yet to be named
  made_at INTEGER NOT NULL,
  ends_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Not restored from a backup.
CREATE TABLE console_session (
  id      INTEGER PRIMARY KEY AUTOINCREMENT,
  digest  BLOB NOT NULL UNIQUE,
  user    INTEGER NOT NULL REFERENCES console_user (id) ON DELETE CASCADE,
  made_at INTEGER NOT NULL,
  used_at INTEGER NOT NULL,
  address TEXT NOT NULL,
  agent   TEXT NOT NULL
) STRICT;
CREATE INDEX console_session_user ON console_session (user, used_at);

CREATE TABLE api_token (
  id         INTEGER PRIMARY KEY AUTOINCREMENT,
  name       TEXT NOT NULL COLLATE NOCASE UNIQUE,
  digest     BLOB NOT NULL UNIQUE,
  begins     TEXT NOT NULL,                -- first characters, to tell tokens apart by
  role       TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  created_by TEXT NOT NULL,
  ends_at    INTEGER,
  used_at    INTEGER
) STRICT;

-- Who changed what, written with the change itself.
CREATE TABLE audit (
  id      INTEGER PRIMARY KEY AUTOINCREMENT,
  at      INTEGER NOT NULL,
  by      TEXT NOT NULL,
  what    TEXT NOT NULL,
  name    TEXT NOT NULL,
  changes TEXT NOT NULL                    -- JSON object: field -> [before, after]; secrets as ***
) STRICT;
CREATE INDEX audit_at ON audit (at, id);
CREATE INDEX audit_by ON audit (by, at, id);

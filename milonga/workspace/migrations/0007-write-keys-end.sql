-- A write key can have an end, so that it is exchanged with an overlap. created_at: NULL for those from before.
ALTER TABLE write_key ADD COLUMN created_at INTEGER;
ALTER TABLE write_key ADD COLUMN ends_at INTEGER;

-- When a request last named it, to the minute; of those that were used at all. Written by the collector.
CREATE TABLE key_use (
  key     INTEGER PRIMARY KEY REFERENCES write_key (id) ON DELETE CASCADE,
  used_at INTEGER NOT NULL
) STRICT;

-- What a user set about a source: a JSON object of what differs from the defaults. No history is kept.
ALTER TABLE source ADD COLUMN settings TEXT NOT NULL DEFAULT '{}';

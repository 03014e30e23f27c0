-- What a version says about the delivery, whatever the kind: a JSON object of what differs from the defaults.
ALTER TABLE settings ADD COLUMN delivery TEXT NOT NULL DEFAULT '{}';

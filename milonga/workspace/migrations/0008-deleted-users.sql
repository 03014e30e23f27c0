-- Who was deleted, as digests (milonga.privacy.digest): so that a restored backup does not bring anybody back.
CREATE TABLE deleted_user (
  regulation INTEGER NOT NULL REFERENCES regulation (id),
  digest     BLOB NOT NULL,
  PRIMARY KEY (regulation, digest)
) STRICT, WITHOUT ROWID;

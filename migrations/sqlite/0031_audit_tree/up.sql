-- The Merkle tree over the audit log in tiles of 256 hashes (c2sp.org/tlog-tiles): the hashes at level 8 * level of the
-- tree from 256 * number on. The last tile of a level grows until it is full; no hash in it ever changes.
CREATE TABLE audit_tiles (
    level INTEGER NOT NULL,
    number INTEGER NOT NULL,
    hashes BLOB NOT NULL CHECK (length(hashes) BETWEEN 32 AND 8192 AND length(hashes) % 32 = 0),
    PRIMARY KEY (level, number)
) STRICT;

-- The checkpoint as a signed note (c2sp.org/tlog-checkpoint). NULL in checkpoints from before there was a tree.
ALTER TABLE audit_checkpoints ADD COLUMN note TEXT;

//! The Merkle tree over the log (RFC 6962 section 2.1): a short proof that one row is in it, or that an old log is the
//! beginning of a newer one, without showing any other row.
//!
//! Leaf `n` holds the bytes that the hash of row `n + 1` covers. The tree is kept in tiles of 256 hashes
//! (c2sp.org/tlog-tiles) and follows the log: it grows when a checkpoint is signed, not when a row is written.

use std::cell::RefCell;

use migrations::AnyConnection;
use tlog_tiles::tlog::{Error as TreeError, Hash, HashReader, record_hash, tree_hash};
use tlog_tiles::{Tile, prove_record, prove_tree};

use super::{FIRST_SEQUENCE, PAGE, canonical};
use crate::error::Error;
use crate::store;
use crate::store::audit::AuditRow;
use crate::store::audit_tiles::TileRow;

/// The right edge of the tree: all that is needed to add leaves and to know the root.
#[derive(Clone, Debug, Default)]
pub(super) struct Edge {
    size: u64,
    /// The last tile of each level from the leaves up; it may be empty where the one before has just become full.
    last: Vec<TileRow>,
}

impl Edge {
    /// As it was stored last.
    pub(super) fn stored(conn: &mut AnyConnection) -> Result<Self, Error> {
        let mut last = Vec::new();
        let mut size = 0;
        for level in 0..LEVELS {
            let Some(row) = store::audit_tiles::last(conn, level)? else {
                break;
            };
            let hashes = row.hashes.len() / HASH_OCTETS;
            if level == 0 {
                // Sequence numbers are `i64` and begin at one.
                size = u64::try_from(row.number).unwrap_or(0) * TILE_WIDTH + hashes as u64;
            }
            last.push(match hashes as u64 == TILE_WIDTH {
                false => row,
                true => TileRow {
                    level,
                    number: row.number + 1,
                    hashes: Vec::new(),
                },
            });
        }
        Ok(Self { size, last })
    }

    /// How many leaves there are, which is the sequence number of the last row among them.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// Adds the next row as a leaf, and returns the tiles that this made full.
    pub(super) fn push(&mut self, row: &AuditRow) -> Vec<TileRow> {
        self.size += 1;
        let mut full = Vec::new();
        let mut hash = record_hash(&canonical(row));
        for level in 0.. {
            if self.last.len() == level {
                self.last.push(TileRow {
                    level: level as i64,
                    number: 0,
                    hashes: Vec::new(),
                });
            }
            let tile = &mut self.last[level];
            tile.hashes.extend_from_slice(&hash.0);
            if tile.hashes.len() < HASH_OCTETS * TILE_WIDTH as usize {
                break;
            }
            hash = Tile::subtree_hash(&tile.hashes);
            let next = TileRow {
                level: tile.level,
                number: tile.number + 1,
                hashes: Vec::new(),
            };
            full.push(std::mem::replace(tile, next));
        }
        full
    }

    /// The tiles that are not full.
    fn growing(&self) -> impl Iterator<Item = &TileRow> {
        self.last.iter().filter(|tile| !tile.hashes.is_empty())
    }

    /// The hash that stands for the whole tree.
    pub(super) fn root(&self) -> Result<Hash, Error> {
        tree_hash(self.size, self).map_err(Error::AuditTree)
    }
}

/// The root is computed from whole subtrees only, all of which are at the right edge.
impl HashReader for Edge {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<Hash>, TreeError> {
        let hash = |index: &u64| {
            let tile = Tile::from_index(TILE_HEIGHT, *index);
            let stored = self.last.get(usize::from(tile.level()));
            match stored.filter(|stored| u64::try_from(stored.number) == Ok(tile.level_index())) {
                Some(stored) => tile.hash_at_index(&stored.hashes, *index),
                None => Err(TreeError::IndexesNotInTree),
            }
        };
        indexes.iter().map(hash).collect()
    }
}

/// Lets the stored tree follow the log by one page of rows. Returns the edge, and whether that was all.
pub(super) fn grow(conn: &mut AnyConnection) -> Result<(Edge, bool), Error> {
    let mut edge = Edge::stored(conn)?;
    let rows = store::audit::page(conn, sequence_of(edge.size()), PAGE)?;
    let is_all = (rows.len() as i64) < PAGE;
    if rows.is_empty() {
        return Ok((edge, is_all));
    }
    for row in &rows {
        if row.sequence != sequence_of(edge.size()) + 1 {
            return Err(Error::AuditDamaged {
                sequence: sequence_of(edge.size()) + 1,
                reason: "the row is missing".to_owned(),
            });
        }
        for full in edge.push(row) {
            store::audit_tiles::put(conn, &full)?;
        }
    }
    for tile in edge.growing() {
        store::audit_tiles::put(conn, tile)?;
    }
    Ok((edge, is_all))
}

/// The hashes that lead from a row to the root of the tree of the first `size` rows (RFC 6962 section 2.1.1).
pub(super) fn inclusion(conn: &mut AnyConnection, sequence: i64, size: u64) -> Result<Vec<Hash>, Error> {
    let index = u64::try_from(sequence - FIRST_SEQUENCE).map_err(|_| Error::NotFound {
        kind: "row of the audit log",
        id: sequence.to_string(),
    })?;
    with_reader(conn, |reader| prove_record(size, index, reader))
}

/// The hashes that show the tree of the first `old` rows to be the beginning of that of the first `size` (RFC 6962
/// section 2.1.2).
pub(super) fn consistency(conn: &mut AnyConnection, old: u64, size: u64) -> Result<Vec<Hash>, Error> {
    with_reader(conn, |reader| prove_tree(size, old, reader))
}

fn with_reader<T>(
    conn: &mut AnyConnection,
    prove: impl FnOnce(&Stored<'_>) -> Result<T, TreeError>,
) -> Result<T, Error> {
    let reader = Stored {
        conn: RefCell::new(conn),
        failure: RefCell::new(None),
    };
    let outcome = prove(&reader);
    match reader.failure.into_inner() {
        Some(failure) => Err(failure.into()),
        None => outcome.map_err(Error::AuditTree),
    }
}

/// Reads hashes out of stored tiles.
struct Stored<'a> {
    conn: RefCell<&'a mut AnyConnection>,
    /// Why the database could not be read; the trait has no place for it.
    failure: RefCell<Option<diesel::result::Error>>,
}

impl HashReader for Stored<'_> {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<Hash>, TreeError> {
        let hash = |index: &u64| {
            let tile = Tile::from_index(TILE_HEIGHT, *index);
            let number = i64::try_from(tile.level_index()).map_err(|_| TreeError::IndexesNotInTree)?;
            let mut conn = self.conn.borrow_mut();
            match store::audit_tiles::find(*conn, i64::from(tile.level()), number) {
                Ok(Some(stored)) => tile.hash_at_index(&stored.hashes, *index),
                Ok(None) => Err(TreeError::IndexesNotInTree),
                Err(failure) => {
                    *self.failure.borrow_mut() = Some(failure);
                    Err(TreeError::IndexesNotInTree)
                }
            }
        };
        indexes.iter().map(hash).collect()
    }
}

/// The sequence number of the last row of a tree.
pub(super) fn sequence_of(size: u64) -> i64 {
    // A tree never has more leaves than there are sequence numbers.
    i64::try_from(size).unwrap_or(i64::MAX)
}

/// c2sp.org/tlog-tiles: a tile has 2^8 hashes.
const TILE_HEIGHT: u8 = 8;
const TILE_WIDTH: u64 = 1 << TILE_HEIGHT;
const HASH_OCTETS: usize = tlog_tiles::HASH_SIZE;
/// Eight levels of tiles hold 2^64 rows.
const LEVELS: i64 = 8;

#[cfg(test)]
mod tests {
    use tlog_tiles::check_record;
    use tlog_tiles::tlog::{EMPTY_HASH, node_hash};

    use super::*;

    fn row(sequence: i64) -> AuditRow {
        AuditRow {
            sequence,
            at: 1_800_000_000,
            actor: "nobody".to_owned(),
            action: "order-placed".to_owned(),
            details: "{}".to_owned(),
            previous_hash: vec![0; 32],
            hash: Vec::new(),
        }
    }

    /// RFC 6962 section 2.1, word by word: split at the largest power of two that is smaller.
    fn defined_root(leaves: &[Hash]) -> Hash {
        match leaves {
            [] => EMPTY_HASH,
            [leaf] => *leaf,
            leaves => {
                let split = leaves.len().next_power_of_two() / 2;
                node_hash(defined_root(&leaves[..split]), defined_root(&leaves[split..]))
            }
        }
    }

    #[test]
    fn the_root_of_the_edge_is_the_root_that_is_defined() {
        let mut edge = Edge::default();
        let mut leaves = Vec::new();
        assert_eq!(edge.root().unwrap(), EMPTY_HASH);
        for sequence in 1..=1100 {
            edge.push(&row(sequence));
            leaves.push(record_hash(&canonical(&row(sequence))));
            if sequence < 20 || (sequence + 2) % 256 < 4 || sequence % 97 == 0 {
                assert_eq!(edge.root().unwrap(), defined_root(&leaves), "of {sequence} rows");
            }
        }
        assert_eq!(edge.size(), 1100);
    }

    #[test]
    fn a_proof_is_for_one_row_at_one_place_in_one_tree() {
        let leaf = record_hash(&canonical(&row(1)));
        let other = record_hash(&canonical(&row(2)));
        let root = node_hash(leaf, other);
        check_record(&vec![other], 2, root, 0, leaf).unwrap();
        check_record(&vec![other], 2, root, 1, leaf).unwrap_err();
        check_record(&vec![other], 2, root, 0, other).unwrap_err();
        check_record(&vec![leaf], 2, root, 0, leaf).unwrap_err();
        check_record(&vec![other], 3, root, 0, leaf).unwrap_err();
    }
}

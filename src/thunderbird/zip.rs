//! A ZIP archive of a few files as they are, which is all that an add-on needs (PKWARE's APPNOTE 6.3, sections 4.3.7,
//! 4.3.12 and 4.3.16). Times are fixed, so the same files give the same archive.

/// The archive. Names are ASCII; files are stored without compression.
///
/// # Panics
///
/// If files or archive are too large for the 32-bit format, which those of this executable never are.
pub(super) fn archive(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = Vec::new();
    let mut directory = Vec::new();
    for (name, content) in files {
        let offset = length(archive.len());
        let mut about = Vec::new();
        // Version 1.0, no flags, stored, midnight of 1 January 1980.
        for value in [10u16, 0, 0, 0, 0x21] {
            about.extend_from_slice(&value.to_le_bytes());
        }
        for value in [checksum(content), length(content.len()), length(content.len())] {
            about.extend_from_slice(&value.to_le_bytes());
        }
        about.extend_from_slice(&short(name.len()).to_le_bytes());
        about.extend_from_slice(&[0; 2]); // no extra field

        archive.extend_from_slice(b"PK\x03\x04");
        archive.extend_from_slice(&about);
        archive.extend_from_slice(name.as_bytes());
        archive.extend_from_slice(content);

        directory.extend_from_slice(b"PK\x01\x02");
        directory.extend_from_slice(&10u16.to_le_bytes()); // made by version 1.0
        directory.extend_from_slice(&about);
        directory.extend_from_slice(&[0; 10]); // no comment, first disk, no attributes
        directory.extend_from_slice(&offset.to_le_bytes());
        directory.extend_from_slice(name.as_bytes());
    }
    let (offset, size, count) = (length(archive.len()), length(directory.len()), short(files.len()));
    archive.extend_from_slice(&directory);
    archive.extend_from_slice(b"PK\x05\x06\0\0\0\0");
    archive.extend_from_slice(&count.to_le_bytes());
    archive.extend_from_slice(&count.to_le_bytes());
    archive.extend_from_slice(&size.to_le_bytes());
    archive.extend_from_slice(&offset.to_le_bytes());
    archive.extend_from_slice(&[0; 2]); // no comment
    archive
}

fn length(length: usize) -> u32 {
    u32::try_from(length).expect("the add-on has some kilobytes")
}

fn short(length: usize) -> u16 {
    u16::try_from(length).expect("the add-on has a few files of short names")
}

/// CRC-32 as in section 4.4.7, bit by bit: it is computed once over some kilobytes.
fn checksum(content: &[u8]) -> u32 {
    !content.iter().fold(u32::MAX, |sum, octet| {
        (0..8).fold(sum ^ u32::from(*octet), |sum, _| {
            (sum >> 1) ^ if sum & 1 == 1 { 0xedb8_8320 } else { 0 }
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_the_one_of_zip() {
        // The check value of CRC-32/ISO-HDLC.
        assert_eq!(checksum(b"123456789"), 0xcbf4_3926);
        assert_eq!(checksum(b""), 0);
    }

    #[test]
    fn an_archive_ends_in_a_directory_of_its_files() {
        let made = archive(&[("a.txt", b"hello"), ("b/c.txt", b"")]);
        assert_eq!(&made[..4], b"PK\x03\x04");
        let end = made.len() - 22;
        assert_eq!(&made[end..end + 4], b"PK\x05\x06");
        assert_eq!(made[end + 8..end + 12], [2, 0, 2, 0]);
        let directory = u32::from_le_bytes(made[end + 16..end + 20].try_into().unwrap());
        let directory = usize::try_from(directory).unwrap();
        assert_eq!(&made[directory..directory + 4], b"PK\x01\x02");
        assert_eq!(made, archive(&[("a.txt", b"hello"), ("b/c.txt", b"")]));
    }
}

//! Compression of stored documents. AWS charges for every kilobyte written, and a small document has little to repeat, so each
//! document is compressed as if it followed a dictionary of what all of them contain. The dictionary itself is not stored.

use std::io::Write;

use flate2::write::DeflateEncoder;
use flate2::{Compression, Decompress, FlushDecompress, Status};

/// The first byte of a packed document: the dictionary that it was compressed with.
const FORMAT: u8 = 1;

/// Text that documents have in common, the most frequent last. It is part of the stored format: a changed dictionary is a new
/// one, with a number of its own.
const DICTIONARY: &[u8] = include_bytes!("dictionary.txt");

/// The size up to which the best compression takes no time worth mentioning.
const SMALL_DOCUMENT: usize = 64 * 1024;

/// Compresses a document.
pub(super) fn pack(document: &[u8]) -> Vec<u8> {
    let level = match document.len() <= SMALL_DOCUMENT {
        true => Compression::best(),
        false => Compression::fast(),
    };
    // Writing to memory cannot fail.
    let packed = try_pack(document, level).unwrap_or_default();
    [&[FORMAT], packed.as_slice()].concat()
}

fn try_pack(document: &[u8], level: Compression) -> std::io::Result<Vec<u8>> {
    let mut encoder = DeflateEncoder::new(Vec::new(), level);
    encoder.write_all(DICTIONARY)?;
    // Ends at the boundary of a byte.
    encoder.flush()?;
    let start = encoder.get_ref().len();
    encoder.write_all(document)?;
    Ok(encoder.finish()?.split_off(start))
}

/// Decompresses a document.
pub(super) fn unpack(packed: &[u8]) -> Result<Vec<u8>, String> {
    let (format, packed) = packed.split_first().ok_or("it is empty")?;
    if *format != FORMAT {
        return Err(format!(
            "its format is {format}, and this program reads format {FORMAT}"
        ));
    }
    let damaged = || "it is damaged".to_owned();
    let mut stream = Decompress::new(false);
    let mut document = Vec::with_capacity(DICTIONARY.len() + 4 * packed.len());
    let start = stored_block(DICTIONARY);
    let primed = stream.decompress_vec(&start, &mut document, FlushDecompress::None);
    if primed.is_err() || document != DICTIONARY {
        return Err(damaged());
    }
    loop {
        let read = stream.total_in() - start.len() as u64;
        let rest = usize::try_from(read)
            .ok()
            .and_then(|read| packed.get(read..));
        let rest = rest.ok_or_else(damaged)?;
        let written = document.len();
        document.reserve(document.capacity().max(1024));
        let status = stream.decompress_vec(rest, &mut document, FlushDecompress::Finish);
        match status {
            Ok(Status::StreamEnd) => return Ok(document.split_off(DICTIONARY.len())),
            Ok(Status::Ok | Status::BufError) if document.len() > written => {}
            Ok(_) | Err(_) => return Err(damaged()),
        }
    }
}

/// Decompresses a text document.
pub(super) fn unpack_text(packed: &[u8]) -> Result<String, String> {
    String::from_utf8(unpack(packed)?).map_err(|error| format!("it is damaged: {error}"))
}

/// An uncompressed block of a DEFLATE stream (RFC 1951, section 3.2.4). A decoder that reads it knows its content as the
/// encoder did after it had compressed the same bytes.
fn stored_block(content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).unwrap_or_default();
    let mut block = vec![0];
    block.extend(length.to_le_bytes());
    block.extend((!length).to_le_bytes());
    block.extend(content);
    block
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use sha2::{Digest, Sha256};

    /// Documents that were stored with a dictionary are unreadable without it.
    #[test]
    fn dictionary_of_stored_documents_is_unchanged() {
        assert!(u16::try_from(DICTIONARY.len()).is_ok());
        let hash = hex::encode(&Sha256::digest(DICTIONARY)[..8]);
        assert_eq!(hash, "98cd3e3877332721");
    }

    #[test]
    fn damaged_document_is_refused() {
        let packed = pack(br#"{"v":3,"data":{"module":"Leads"}}"#);
        for end in 0..packed.len() {
            assert!(unpack(&packed[..end]).is_err(), "{end}");
        }
        let mut other = packed;
        other[0] = 0x78;
        let error = unpack(&other).expect_err("zlib");
        assert!(error.contains("its format is 120"), "{error}");
    }

    #[test]
    fn large_document_round_trips() {
        let mut random = fastrand::Rng::with_seed(7);
        for size in [1, 60_000, 3_000_000] {
            let noise: Vec<u8> = (0..size).map(|_| random.u8(..)).collect();
            assert!(unpack(&pack(&noise)) == Ok(noise));
            let zeros = vec![0; size];
            assert!(unpack(&pack(&zeros)) == Ok(zeros));
        }
    }

    proptest! {
        #[test]
        fn any_document_round_trips(document in proptest::collection::vec(any::<u8>(), 0..2_000)) {
            prop_assert_eq!(unpack(&pack(&document)), Ok(document));
        }

        #[test]
        fn any_bytes_are_unpacked_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..2_000)) {
            let _ = unpack(&bytes);
        }
    }
}

//! Compression, told by its magic bytes.

use std::io::{self, BufReader, Cursor, Read};

use xz2::stream::{CONCATENATED, Stream};

/// What `xz -9` needs to decompress is 65 MiB; a stream that wants more than this is not honest.
const XZ_MEMORY_LIMIT_B: u64 = 512 << 20;
const BUFFER_B: usize = 256 << 10;

/// Reads `raw` through the decompressor that its first bytes ask for: gzip, xz, zstd or none.
///
/// Streams of several members are read to the end. A truncated one ends in an error.
pub(crate) fn decompress<'a>(mut raw: impl Read + 'a) -> io::Result<Box<dyn Read + 'a>> {
    let mut head = Vec::with_capacity(6);
    raw.by_ref().take(6).read_to_end(&mut head)?;
    let magic: &[u8] = &head.clone();
    let whole = BufReader::with_capacity(BUFFER_B, Cursor::new(head).chain(raw));
    Ok(match magic {
        [0x1f, 0x8b, ..] => Box::new(flate2::bufread::MultiGzDecoder::new(whole)),
        [0xfd, b'7', b'z', b'X', b'Z', 0] => {
            let stream = Stream::new_stream_decoder(XZ_MEMORY_LIMIT_B, CONCATENATED)?;
            Box::new(xz2::bufread::XzDecoder::new_stream(whole, stream))
        }
        // A zstd stream may begin with a skippable frame: `pzstd` does.
        [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => {
            Box::new(zstd::Decoder::with_buffer(whole)?)
        }
        _ => Box::new(whole),
    })
}

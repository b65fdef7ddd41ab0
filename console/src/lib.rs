//! The operations console, as the files that a browser loads.
//!
//! Promises: the program builds with and without npm. Without it, [`BUILT`] is false and there is a
//! notice in place of the console. What this crate will not do: serve anything, know who is asking.

use std::borrow::Cow;
use std::io::Read;

use flate2::read::GzDecoder;

include!(concat!(env!("OUT_DIR"), "/files.rs"));

/// What is shown in place of the console when it was not built.
pub const NOTICE: &str = include_str!("notice.html");

/// A file of the console.
#[derive(Clone, Copy, Debug)]
pub struct File {
    /// Where it is: `index.html`, `assets/…`.
    pub path: &'static str,
    /// Its media type.
    pub content_type: &'static str,
    /// Changes with its contents.
    pub tag: &'static str,
    /// Its bytes under gzip.
    pub gzipped: &'static [u8],
}

impl File {
    /// Its bytes, for who cannot read gzip.
    pub fn bytes(&self) -> Cow<'static, [u8]> {
        let mut bytes = Vec::new();
        match GzDecoder::new(self.gzipped).read_to_end(&mut bytes) {
            Ok(_) => bytes.into(),
            // It was packed by the build; there is nothing better to give.
            Err(_) => self.gzipped.into(),
        }
    }
}

/// Finds a file by its path.
pub fn find(path: &str) -> Option<&'static File> {
    FILES.iter().find(|file| file.path == path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_built_console_has_its_page_and_every_file_unpacks() {
        assert_eq!(find("index.html").is_some(), BUILT);
        for file in FILES {
            assert_eq!(file.gzipped[..2], [0x1f, 0x8b], "{}", file.path);
            assert_ne!(file.bytes()[..2], [0x1f, 0x8b], "{}", file.path);
        }
        assert!(find("../Cargo.toml").is_none());
    }
}

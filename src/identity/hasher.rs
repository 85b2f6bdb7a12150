//! Tokens from canonical bytes: 128-bit XXH3, or keyed BLAKE3 truncated to 128 bits.

use std::fmt;
use std::path::Path;

use serde::Serialize;
use xxhash_rust::xxh3::xxh3_128;

use crate::error::{Error, Result};
use crate::store;

const MIN_KEY: usize = 32;
/// BLAKE3 key-derivation contexts; changing one changes every token.
const TOKEN_CONTEXT: &str = "batchwright 2026-11 token key v1";
const ID_CONTEXT: &str = "batchwright 2026-11 key id v1";
const CHECK_MESSAGE: &[u8] = b"batchwright key check";

/// Turns canonical bytes into a token.
#[derive(Clone)]
pub struct Tokenizer(Inner);

#[derive(Clone)]
enum Inner {
    Xxh3,
    Blake3 { key: [u8; 32], id: String },
}

/// What the manifest says of a key: which one it was, and a value to check it by. Neither reveals it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KeyFacts {
    /// 64 bits derived from the key material, in hex.
    pub key_id: String,
    /// The token of a fixed message under the key, in hex.
    pub key_check: String,
}

impl fmt::Debug for Tokenizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Inner::Xxh3 => "Tokenizer(xxh3)",
            Inner::Blake3 { .. } => "Tokenizer(blake3, key hidden)",
        })
    }
}

impl Tokenizer {
    pub fn xxh3() -> Self {
        Tokenizer(Inner::Xxh3)
    }

    /// Derives the token key from a file of at least 32 bytes.
    ///
    /// # Errors
    /// A key file that can't be read, is too short, or that others can read.
    pub fn blake3(key_file: &Path) -> Result<Self> {
        let material = store::read_secret(key_file)?;
        if material.len() < MIN_KEY {
            return Err(Error::pipeline(
                format!("identity.key_file {}", key_file.display()),
                format!("it holds {} bytes", material.len()),
                format!("put at least {MIN_KEY} random bytes into it"),
            ));
        }
        Ok(Self::from_material(&material))
    }

    fn from_material(material: &[u8]) -> Self {
        let id = blake3::derive_key(ID_CONTEXT, material);
        Tokenizer(Inner::Blake3 {
            key: blake3::derive_key(TOKEN_CONTEXT, material),
            id: id[..8].iter().map(|b| format!("{b:02x}")).collect(),
        })
    }

    /// The token of canonical bytes.
    pub fn token(&self, bytes: &[u8]) -> u128 {
        match &self.0 {
            Inner::Xxh3 => xxh3_128(bytes),
            Inner::Blake3 { key, .. } => {
                let mut head = [0; 16];
                head.copy_from_slice(&blake3::keyed_hash(key, bytes).as_bytes()[..16]);
                u128::from_le_bytes(head)
            }
        }
    }

    /// `None` for XXH3, which has no key.
    pub fn key_facts(&self) -> Option<KeyFacts> {
        match &self.0 {
            Inner::Xxh3 => None,
            Inner::Blake3 { id, .. } => {
                Some(KeyFacts { key_id: id.clone(), key_check: format!("{:032x}", self.token(CHECK_MESSAGE)) })
            }
        }
    }
}

#[cfg(test)]
pub(super) fn test_tokenizer() -> Tokenizer {
    Tokenizer::from_material(&[7; 32])
}

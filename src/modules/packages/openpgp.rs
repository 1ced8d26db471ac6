//! OpenPGP public keys as far as package managers need them (RFC 9580): armour, packets, fingerprints.
//!
//! With this no host needs gpg: its keyrings for apt are plain sequences of packets.

use anyhow::{Context as _, bail, ensure};
use sha1::Digest as _;

use crate::host::script::{decode_base64, hex};

/// A public key with its subkeys, names and signatures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Key {
    /// Fingerprints in upper case: the key's own, then its subkeys'.
    pub(super) fingerprints: Vec<String>,
    /// All its packets.
    pub(super) packets: Vec<u8>,
}

impl Key {
    /// Whether this key, or a subkey, is the one of this id: a fingerprint, or its last 16 or 8 digits.
    pub(super) fn is(&self, id: &str) -> bool {
        self.fingerprints.iter().any(|fingerprint| fingerprint.ends_with(id))
    }

    /// The key's own fingerprint.
    pub(super) fn fingerprint(&self) -> &str {
        self.fingerprints.first().map_or("", String::as_str)
    }

    /// The last 16 digits of it.
    pub(super) fn id(&self) -> &str {
        let fingerprint = self.fingerprint();
        &fingerprint[fingerprint.len().saturating_sub(16)..]
    }
}

/// The keys in these bytes, armoured or not.
///
/// # Errors
/// What is no key.
pub(super) fn keys(bytes: &[u8]) -> anyhow::Result<Vec<Key>> {
    let text = std::str::from_utf8(bytes).unwrap_or_default();
    let packets = if text.contains("-----BEGIN PGP") { dearmour(text)? } else { bytes.to_vec() };
    ensure!(
        !packets.starts_with(b"KBXf") && packets.get(8..12) != Some(b"KBXf"),
        "it is a keybox of gpg, not a keyring"
    );
    let mut keys: Vec<Key> = Vec::new();
    let mut rest = packets.as_slice();
    while !rest.is_empty() {
        let packet = Packet::read(rest)?;
        match packet.tag {
            6 => keys.push(Key { fingerprints: vec![fingerprint(packet.body)?], packets: Vec::new() }),
            14 => {
                if let Some(key) = keys.last_mut() {
                    key.fingerprints.push(fingerprint(packet.body)?);
                }
            }
            _ => {}
        }
        let key = keys.last_mut().context("it does not begin with a public key")?;
        key.packets.extend_from_slice(&rest[..packet.size]);
        rest = &rest[packet.size..];
    }
    ensure!(!keys.is_empty(), "it holds no public key");
    Ok(keys)
}

fn dearmour(text: &str) -> anyhow::Result<Vec<u8>> {
    let mut out = Vec::new();
    let (mut inside, mut header, mut body) = (false, false, String::new());
    for line in text.lines().map(str::trim) {
        if line.starts_with("-----BEGIN PGP") {
            ensure!(line.starts_with("-----BEGIN PGP PUBLIC KEY BLOCK"), "`{line}` is no public key");
            (inside, header) = (true, true);
            body.clear();
        } else if line.starts_with("-----END PGP") {
            inside = false;
            out.extend(decode_base64(&body).context("its armour holds no base64")?);
        } else if inside && header {
            // Lines `Version: …` up to an empty one; some armours have neither.
            header = line.contains(": ");
            if !header {
                body.push_str(line);
            }
        } else if inside && !(line.starts_with('=') && line.len() == 5) {
            body.push_str(line);
        }
    }
    ensure!(!inside, "its armour has no end");
    Ok(out)
}

struct Packet<'a> {
    tag: u8,
    body: &'a [u8],
    /// With its head.
    size: usize,
}

impl<'a> Packet<'a> {
    fn read(bytes: &'a [u8]) -> anyhow::Result<Self> {
        let first = *bytes.first().context("it ends too early")?;
        ensure!(first & 0x80 != 0, "it is no OpenPGP data");
        let byte = |at: usize| bytes.get(at).copied().map(usize::from).context("it ends too early");
        let number = |at: usize, count: usize| (at..at + count).try_fold(0, |n, at| anyhow::Ok((n << 8) | byte(at)?));
        let (tag, head, length) = if first & 0x40 == 0 {
            let (head, length) = match first & 3 {
                0 => (2, byte(1)?),
                1 => (3, number(1, 2)?),
                2 => (5, number(1, 4)?),
                _ => bail!("a packet of unknown length"),
            };
            ((first >> 2) & 0x0f, head, length)
        } else {
            let (head, length) = match byte(1)? {
                short @ 0..=191 => (2, short),
                high @ 192..=223 => (3, ((high - 192) << 8) + byte(2)? + 192),
                255 => (6, number(2, 4)?),
                _ => bail!("a packet in parts"),
            };
            (first & 0x3f, head, length)
        };
        let body = bytes.get(head..head + length).context("it ends too early")?;
        Ok(Self { tag, body, size: head + length })
    }
}

/// RFC 9580 5.5.4.
fn fingerprint(body: &[u8]) -> anyhow::Result<String> {
    let length = body.len();
    Ok(match body.first() {
        Some(4) => {
            let head = u16::try_from(length)?.to_be_bytes();
            hex(&sha1::Sha1::new().chain_update([0x99]).chain_update(head).chain_update(body).finalize())
        }
        Some(version @ (5 | 6)) => {
            let head = u32::try_from(length)?.to_be_bytes();
            hex(&sha2::Sha256::new().chain_update([0x95 + version]).chain_update(head).chain_update(body).finalize())
        }
        other => bail!("a key of version {other:?} is not known"),
    }
    .to_ascii_uppercase())
}

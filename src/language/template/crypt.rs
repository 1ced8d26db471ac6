//! SHA-crypt, the `$5$` and `$6$` password hashes of glibc's crypt(3).
//!
//! Source: "Unix crypt using SHA-256 and SHA-512", Ulrich Drepper, version 0.6.

use sha2::{Digest, Sha256, Sha512};

const ALPHABET: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// Rounds where none are asked for (crypt(3)); passlib, and so Ansible, writes others out.
const DEFAULT_ROUNDS: u32 = 5_000;

/// A random salt of crypt's alphabet.
pub fn salt(length: usize) -> String {
    let bytes = std::iter::repeat_with(uuid::Uuid::new_v4).flat_map(|id| {
        let all = *id.as_bytes();
        // Bytes 6 and 8 hold the version and variant, which are no chance.
        all.into_iter().enumerate().filter(|(i, _)| *i != 6 && *i != 8).map(|(_, byte)| byte).collect::<Vec<_>>()
    });
    bytes.take(length).map(|byte| char::from(ALPHABET[usize::from(byte & 63)])).collect()
}

/// The hash of a password.
///
/// # Errors
/// A salt with characters that crypt does not know.
pub fn sha_crypt(password: &str, salt: &str, rounds: Option<u32>, long: bool) -> Result<String, String> {
    if !salt.bytes().all(|byte| ALPHABET.contains(&byte)) {
        return Err("invalid characters in the salt".into());
    }
    let salt = &salt[..salt.len().min(16)];
    let count = rounds.unwrap_or(DEFAULT_ROUNDS).clamp(1_000, 999_999_999);
    let digest = if long { run::<Sha512>(password, salt, count) } else { run::<Sha256>(password, salt, count) };
    let text = if long { encode_512(&digest) } else { encode_256(&digest) };
    let id = if long { '6' } else { '5' };
    let written = if count == DEFAULT_ROUNDS { String::new() } else { format!("rounds={count}$") };
    Ok(format!("${id}${written}{salt}${text}"))
}

/// The digest, by the numbered steps of the specification.
fn run<D: Digest>(password: &str, salt: &str, rounds: u32) -> Vec<u8> {
    let (key, salt) = (password.as_bytes(), salt.as_bytes());
    // 4-8: digest B.
    let b = D::new().chain_update(key).chain_update(salt).chain_update(key).finalize().to_vec();
    // 1-3, 9-12: digest A.
    let mut a = D::new().chain_update(key).chain_update(salt);
    a.update(repeat(&b, key.len()));
    let mut bits = key.len();
    while bits > 0 {
        if bits & 1 == 1 {
            a.update(&b);
        } else {
            a.update(key);
        }
        bits >>= 1;
    }
    let a = a.finalize().to_vec();
    // 13-16: sequence P.
    let mut dp = D::new();
    for _ in 0..key.len() {
        dp.update(key);
    }
    let p = repeat(&dp.finalize(), key.len());
    // 17-20: sequence S.
    let mut ds = D::new();
    for _ in 0..16 + usize::from(a[0]) {
        ds.update(salt);
    }
    let s = repeat(&ds.finalize(), salt.len());
    // 21: the rounds.
    let mut c = a;
    for round in 0..rounds {
        let mut digest = D::new();
        if round & 1 == 1 {
            digest.update(&p);
        } else {
            digest.update(&c);
        }
        if round % 3 != 0 {
            digest.update(&s);
        }
        if round % 7 != 0 {
            digest.update(&p);
        }
        if round & 1 == 1 {
            digest.update(&c);
        } else {
            digest.update(&p);
        }
        c = digest.finalize().to_vec();
    }
    c
}

fn repeat(bytes: &[u8], length: usize) -> Vec<u8> {
    bytes.iter().copied().cycle().take(length).collect()
}

fn push(out: &mut String, high: u8, middle: u8, low: u8, characters: usize) {
    let mut bits = u32::from(high) << 16 | u32::from(middle) << 8 | u32::from(low);
    for _ in 0..characters {
        out.push(char::from(ALPHABET[(bits & 63) as usize]));
        bits >>= 6;
    }
}

/// 22e: the order in which the bytes of SHA-512 are written.
fn encode_512(d: &[u8]) -> String {
    let mut out = String::new();
    let (mut x, mut y, mut z) = (0, 21, 42);
    for _ in 0..21 {
        push(&mut out, d[x], d[y], d[z], 4);
        (x, y, z) = (y + 1, z + 1, x + 1);
    }
    push(&mut out, 0, 0, d[63], 2);
    out
}

/// 22e: that of SHA-256.
fn encode_256(d: &[u8]) -> String {
    let mut out = String::new();
    let (mut x, mut y, mut z) = (0, 10, 20);
    for _ in 0..10 {
        push(&mut out, d[x], d[y], d[z], 4);
        (x, y, z) = (z + 1, x + 1, y + 1);
    }
    push(&mut out, 0, d[31], d[30], 3);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `openssl passwd` and passlib give.
    #[test]
    fn hashes_are_those_of_crypt() {
        assert_eq!(
            sha_crypt("Hello world!", "saltstring", None, true).unwrap(),
            "$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1"
        );
        assert_eq!(
            sha_crypt("Hello world!", "saltstringsaltstring", Some(10_000), true).unwrap(),
            "$6$rounds=10000$saltstringsaltst$OW1/O6BYHV6BcXZu8QVeXbDWra3Oeqh0sbHbbMCVNSnCM/UrjmM0Dp8vOuZeHBy/YTBmSK6H9qs/y3RnOaw5v."
        );
        assert_eq!(
            sha_crypt("Hello world!", "saltstring", None, false).unwrap(),
            "$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5"
        );
        assert_eq!(salt(16).len(), 16);
    }
}

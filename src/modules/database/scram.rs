//! Whether a password is the one that PostgreSQL keeps a verifier of.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use md5::Digest as _;
use sha2::Sha256;

use crate::host::script::hex;

/// Whether `kept` (of `pg_authid`) is a verifier of this user's password, or this very text.
///
/// RFC 5802 and 7677 for `SCRAM-SHA-256$ITERATIONS:SALT$STORED:SERVER`; `md5` and the hash of password and name otherwise.
pub(super) fn verifies(kept: &str, user: &str, password: &str) -> bool {
    if kept == password {
        return true;
    }
    if let Some(hash) = kept.strip_prefix("md5") {
        return hash == hex(&md5::Md5::digest(format!("{password}{user}")));
    }
    stored_key(kept).is_some_and(|(iterations, salt, stored)| {
        let mut salted = [0; 32];
        pbkdf2::pbkdf2_hmac::<Sha256>(password.as_bytes(), &salt, iterations, &mut salted);
        let Ok(mut client) = Hmac::<Sha256>::new_from_slice(&salted) else { return false };
        client.update(b"Client Key");
        Sha256::digest(client.finalize().into_bytes()).as_slice() == stored
    })
}

fn stored_key(kept: &str) -> Option<(u32, Vec<u8>, Vec<u8>)> {
    let (head, keys) = kept.strip_prefix("SCRAM-SHA-256$")?.split_once('$')?;
    let (iterations, salt) = head.split_once(':')?;
    let (stored, _) = keys.split_once(':')?;
    Some((iterations.parse().ok()?, STANDARD.decode(salt).ok()?, STANDARD.decode(stored).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verifiers_of_postgresql_are_understood() {
        // md5 of `pencil` and the name `user`, as PostgreSQL 13 kept it.
        let kept = format!("md5{}", hex(&md5::Md5::digest("penciluser")));
        assert!(verifies(&kept, "user", "pencil") && !verifies(&kept, "other", "pencil"));
        // The exchange of RFC 7677 3: user `user`, password `pencil`.
        let kept = "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=";
        assert!(verifies(kept, "user", "pencil"));
        assert!(!verifies(kept, "user", "pen"));
    }
}

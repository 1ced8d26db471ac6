//! Ansible's vault: AES-256-CTR with HMAC-SHA-256, keys by PBKDF2 (formats 1.1 and 1.2).

use aes::Aes256;
use aes::cipher::{KeyIvInit as _, StreamCipher as _};
use anyhow::{Context as _, bail};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::host::Secret;
use crate::host::script::hex;

const HEADER: &str = "$ANSIBLE_VAULT;";
const ITERATIONS: u32 = 10_000;

/// Passwords by vault id.
#[derive(Debug, Default)]
pub struct Vault {
    secrets: Vec<(String, Secret)>,
}

struct Keys {
    cipher: [u8; 32],
    mac: [u8; 32],
    iv: [u8; 16],
}

fn keys(password: &Secret, salt: &[u8]) -> Keys {
    let mut derived = [0u8; 80];
    pbkdf2::pbkdf2_hmac::<Sha256>(password.expose().as_bytes(), salt, ITERATIONS, &mut derived);
    let mut keys = Keys { cipher: [0; 32], mac: [0; 32], iv: [0; 16] };
    keys.cipher.copy_from_slice(&derived[..32]);
    keys.mac.copy_from_slice(&derived[32..64]);
    keys.iv.copy_from_slice(&derived[64..]);
    keys
}

fn unhex(text: &str) -> anyhow::Result<Vec<u8>> {
    anyhow::ensure!(text.len().is_multiple_of(2), "an odd number of hexadecimal digits");
    (0..text.len())
        .step_by(2)
        .map(|i| {
            let pair = text.get(i..i + 2).context("not hexadecimal")?;
            u8::from_str_radix(pair, 16).context("not hexadecimal")
        })
        .collect()
}

impl Vault {
    /// With these passwords; the id is `default` where none is named.
    pub fn new(secrets: Vec<(String, Secret)>) -> Self {
        Self { secrets }
    }

    /// Whether a text is vaulted.
    pub fn is_vaulted(text: &[u8]) -> bool {
        text.trim_ascii_start().starts_with(HEADER.as_bytes())
    }

    /// The plain text.
    ///
    /// # Errors
    /// No password fits, or the text is damaged.
    pub fn decrypt(&self, text: &str) -> anyhow::Result<String> {
        String::from_utf8(self.decrypt_bytes(text)?).context("the vaulted value is no UTF-8 text")
    }

    /// The plain bytes.
    ///
    /// # Errors
    /// No password fits, or the text is damaged.
    pub fn decrypt_bytes(&self, text: &str) -> anyhow::Result<Vec<u8>> {
        let mut lines = text.trim().lines().map(str::trim);
        let header: Vec<&str> = lines.next().unwrap_or_default().split(';').collect();
        let (id, cipher) = match header[..] {
            ["$ANSIBLE_VAULT", "1.1", cipher] => (None, cipher),
            ["$ANSIBLE_VAULT", "1.2", cipher, id] => (Some(id), cipher),
            _ => bail!("not a vault that is understood"),
        };
        if cipher != "AES256" {
            bail!("the vault's cipher `{cipher}` is not supported");
        }
        if self.secrets.is_empty() {
            bail!("Attempting to decrypt but no vault secrets found");
        }
        let body: String = lines.collect();
        let inner = String::from_utf8(unhex(&body)?).context("damaged vault text")?;
        let mut parts = inner.lines();
        let mut part = || unhex(parts.next().context("damaged vault text")?);
        let (salt, tag, data) = (part()?, part()?, part()?);
        // The password of the same id first, then all others, as Ansible tries them.
        let mut order: Vec<&(String, Secret)> = self.secrets.iter().collect();
        order.sort_by_key(|(name, _)| Some(name.as_str()) != id);
        for (_, password) in order {
            let keys = keys(password, &salt);
            let mut mac = Hmac::<Sha256>::new_from_slice(&keys.mac).context("a key of the right size")?;
            mac.update(&data);
            if mac.verify_slice(&tag).is_err() {
                continue;
            }
            let mut data = data;
            let mut cipher = ctr::Ctr128BE::<Aes256>::new((&keys.cipher).into(), (&keys.iv).into());
            cipher.apply_keystream(&mut data);
            let padding = usize::from(*data.last().context("damaged vault text")?);
            anyhow::ensure!(padding <= 16 && padding <= data.len(), "damaged vault text");
            data.truncate(data.len() - padding);
            return Ok(data);
        }
        bail!("Decryption failed (no vault secrets were found that could decrypt)")
    }

    /// Text vaulted under the password of an id (the first, where none is named), in lines of 80 characters.
    ///
    /// # Errors
    /// There is no such password.
    pub fn encrypt(&self, plain: &[u8], id: Option<&str>) -> anyhow::Result<String> {
        let found = self.secrets.iter().find(|(name, _)| id.is_none_or(|id| id == name));
        let (name, password) = found.context("there is no vault password to encrypt with")?;
        let mut salt = Vec::with_capacity(32);
        salt.extend_from_slice(uuid::Uuid::new_v4().as_bytes());
        salt.extend_from_slice(uuid::Uuid::new_v4().as_bytes());
        let keys = keys(password, &salt);
        let mut data = plain.to_vec();
        let padding = 16 - data.len() % 16;
        data.extend(std::iter::repeat_n(u8::try_from(padding).unwrap_or(16), padding));
        let mut cipher = ctr::Ctr128BE::<Aes256>::new((&keys.cipher).into(), (&keys.iv).into());
        cipher.apply_keystream(&mut data);
        let mut mac = Hmac::<Sha256>::new_from_slice(&keys.mac).context("a key of the right size")?;
        mac.update(&data);
        let tag = mac.finalize().into_bytes();
        let inner = format!("{}\n{}\n{}", hex(&salt), hex(&tag), hex(&data));
        let body = hex(inner.as_bytes());
        let header =
            if name == "default" { format!("{HEADER}1.1;AES256") } else { format!("{HEADER}1.2;AES256;{name}") };
        let mut out = header;
        for line in body.as_bytes().chunks(80) {
            out.push('\n');
            out.push_str(std::str::from_utf8(line).unwrap_or_default());
        }
        out.push('\n');
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encrypted_comes_back() {
        let vault = Vault::new(vec![("default".into(), Secret::new("a")), ("dev".into(), Secret::new("b"))]);
        for id in [None, Some("dev")] {
            let text = vault.encrypt("grüße\n".as_bytes(), id).expect("encrypted");
            assert_eq!(vault.decrypt(&text).expect("decrypted"), "grüße\n");
        }
        let other = Vault::new(vec![("default".into(), Secret::new("wrong"))]);
        let text = vault.encrypt(b"x", None).expect("encrypted");
        assert!(other.decrypt(&text).expect_err("refused").to_string().contains("Decryption failed"));
    }

    #[test]
    fn a_vault_of_ansible_is_read() {
        // Made by ansible-vault 2.19 of `secret value` under the password `test`.
        let text = include_str!("../../tests/fixtures/vault/ansible-1.1.txt");
        let vault = Vault::new(vec![("default".into(), Secret::new("test"))]);
        assert_eq!(vault.decrypt(text).expect("decrypted"), "secret value");
    }
}

//! Payloads that scripts expect as files: in front of the batch where they are small, else over a channel of their own.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::process::Process;
use super::script::{Script, Upload, quote};

/// Uploads up to this size, in bytes, travel in front of their batch; larger ones on a channel of their own.
pub(super) const IN_BAND: usize = 128 * 1024;

/// Shell functions: `crud_u NAME` stores its stdin (base64) as an upload; `crud_h NAME` ends a script whose upload is missing.
/// `crud_w` says why one could not be stored, `crud_q` that one could not.
pub(super) const PRELUDE: &str = r#"crud_u() { [ -d "$crud_dir" ] || mkdir -m 700 "$crud_dir" || crud_q=1
if command -v base64 >/dev/null 2>&1; then crud_w=$({ base64 -d >"$crud_dir/$1.part"; } 2>&1)
else crud_w=$({ openssl base64 -d >"$crud_dir/$1.part"; } 2>&1); fi && mv "$crud_dir/$1.part" "$crud_dir/$1" || crud_q=1; }
crud_h() { [ -f "$crud_dir/$1" ] || { printf '%s\n' "could not store a payload in $crud_dir on the host: $crud_w" >&2; exit 1; }; }
"#;

/// Text that stores an upload, to stand in front of a batch.
pub(super) fn in_band(upload: &Upload) -> String {
    let base64 = STANDARD.encode(&upload.bytes);
    let name = &upload.sha256;
    let mut text = String::with_capacity(base64.len() + base64.len() / 76 + 160);
    text.push_str(&format!("crud_u {name} <<'{name}'\n"));
    // Lines as `openssl base64` wants them.
    for line in base64.as_bytes().chunks(76) {
        text.push_str(std::str::from_utf8(line).unwrap_or_default());
        text.push('\n');
    }
    text.push_str(&format!("{name}\n"));
    text
}

/// Text in front of a script that makes it end where one of its uploads could not be stored.
pub(super) fn guard(script: &Script) -> String {
    let mut text = String::new();
    for upload in &script.uploads {
        text.push_str(&format!("crud_h {}\n", upload.sha256));
    }
    text
}

/// The script that stores an upload from its stdin: size and, where the host can, hash are compared before it gets its name.
pub(super) fn receiver(directory: &str, upload: &Upload) -> String {
    format!(
        "umask 077; d={directory}; f=$d/{name}; [ -d $d ] || mkdir -m 700 $d || exit 1; cat >$f.part || {{ rm -f $f.part; exit 1; }}\n\
         [ \"$(wc -c <$f.part | tr -d ' ')\" = {size} ] || {{ echo 'it came incomplete' >&2; exit 1; }}\n\
         if command -v sha256sum >/dev/null 2>&1; then echo '{name}  '$f.part | sha256sum -c >/dev/null 2>&1 || \
         {{ echo 'its hash differs' >&2; exit 1; }}; fi\n\
         mv $f.part $f && echo stored",
        name = upload.sha256,
        size = upload.bytes.len(),
    )
}

/// Why an upload over its own channel was not stored.
pub(super) enum Unstored {
    /// The host said why: another way would not help.
    Refused(String),
    /// The channel failed.
    Channel,
}

/// Sends an upload to a started [`receiver`].
pub(super) async fn send(process: Process, upload: &Upload) -> Result<(), Unstored> {
    let channel = |_: std::io::Error| Unstored::Channel;
    let (mut input, mut output, mut errors, _child) = process.split().map_err(|_| Unstored::Channel)?;
    let give = async {
        // A receiver that gave up closes its stdin: what it says tells more than the broken pipe.
        let _ = input.write_all(&upload.bytes).await;
        let _ = input.shutdown().await;
        drop(input);
    };
    let (mut answer, mut said) = (String::new(), vec![]);
    let (read, complained, ()) = tokio::join!(output.read_to_string(&mut answer), errors.read_to_end(&mut said), give);
    read.map_err(channel)?;
    complained.map_err(channel)?;
    if answer.trim_end().ends_with("stored") {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&said).trim().to_owned();
    Err(if said.is_empty() { Unstored::Channel } else { Unstored::Refused(said) })
}

/// Text that notes for `crud_h` why an upload is missing.
pub(super) fn note(reason: &str) -> String {
    format!("crud_w={}\n", quote(reason))
}

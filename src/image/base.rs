//! The first layer of every image: the few files that a static binary expects from a system.

use anyhow::Result;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{Layer, LayerBuilder};

/// The number of the unprivileged user `nonroot` that services run as.
pub const NONROOT: u32 = 65532;

/// Where the certificates lie that the service trusts.
pub const CERTIFICATES: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Users, groups, name resolution, Mozilla's root certificates, `/tmp`, and `/data` that the service may write to.
/// It is the same for all services, so an engine that had one image gets it no second time.
pub fn layer() -> Result<Layer> {
    LayerBuilder::new()
        .file("/etc/passwd", 0o644, passwd())
        .file("/etc/group", 0o644, format!("root:x:0:\nnogroup:x:65534:\nnonroot:x:{NONROOT}:\n"))
        .file("/etc/nsswitch.conf", 0o644, "passwd: files\ngroup: files\nhosts: files dns\n")
        .file(CERTIFICATES, 0o644, certificates())
        .directory("/tmp", 0o1777, 0)
        .directory("/home/nonroot", 0o700, NONROOT)
        .directory("/data", 0o750, NONROOT)
        .build("crudctl: base files")
}

fn passwd() -> String {
    format!(
        "root:x:0:0:root:/root:/sbin/nologin\nnobody:x:65534:65534:nobody:/nonexistent:/sbin/nologin\n\
         nonroot:x:{NONROOT}:{NONROOT}:nonroot:/home/nonroot:/sbin/nologin\n"
    )
}

/// Mozilla's roots as one PEM bundle. They come with this binary rather than from the build machine, so that the layer does not depend on it.
fn certificates() -> String {
    let mut bundle = String::new();
    for certificate in webpki_root_certs::TLS_SERVER_ROOT_CERTS {
        bundle.push_str("-----BEGIN CERTIFICATE-----\n");
        let encoded = STANDARD.encode(certificate);
        for start in (0..encoded.len()).step_by(64) {
            bundle.push_str(&encoded[start..encoded.len().min(start + 64)]);
            bundle.push('\n');
        }
        bundle.push_str("-----END CERTIFICATE-----\n");
    }
    bundle
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bundle_has_every_root_in_lines_of_64() {
        let bundle = certificates();
        let count = webpki_root_certs::TLS_SERVER_ROOT_CERTS.len();
        assert!(count > 100);
        assert_eq!(bundle.matches("-----BEGIN CERTIFICATE-----\n").count(), count);
        assert!(bundle.lines().all(|line| line.len() <= 64));
    }

    #[test]
    fn the_layer_is_the_same_each_time() {
        assert_eq!(layer().unwrap().digest, layer().unwrap().digest);
    }
}

//! TLS to a server: which certificates are trusted, and the client's own.

use std::sync::Arc;

use anyhow::Context as _;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

/// Whom a connection trusts, and who it says it is.
#[derive(Debug, Clone, Default)]
pub(in crate::modules) struct Trust {
    /// Take any certificate.
    pub(in crate::modules) anyone: bool,
    /// Certificates in PEM that are trusted, in place of the built-in ones.
    pub(in crate::modules) roots: Option<Vec<u8>>,
    /// The client's certificate and key, in PEM.
    pub(in crate::modules) client: Option<(Vec<u8>, Vec<u8>)>,
}

impl Trust {
    /// The configuration of such connections.
    ///
    /// # Errors
    /// Certificates or keys that are none.
    pub(super) fn config(&self) -> anyhow::Result<Arc<ClientConfig>> {
        let provider = Arc::new(ring::default_provider());
        let builder =
            ClientConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions()?;
        let builder = if self.anyone {
            builder.dangerous().with_custom_certificate_verifier(Arc::new(Anyone(provider)))
        } else {
            builder.with_root_certificates(self.roots()?)
        };
        let mut config = match &self.client {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => {
                let chain = CertificateDer::pem_slice_iter(certificate)
                    .collect::<Result<Vec<_>, _>>()
                    .context("`client_cert` is not PEM")?;
                let key = PrivateKeyDer::from_pem_slice(key).context("`client_key` is not PEM")?;
                builder.with_client_auth_cert(chain, key).context("the client's certificate and key don't fit")?
            }
        };
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }

    fn roots(&self) -> anyhow::Result<RootCertStore> {
        let mut store = RootCertStore::empty();
        match &self.roots {
            None => {
                store.add_parsable_certificates(webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().cloned());
            }
            Some(pem) => {
                let all = CertificateDer::pem_slice_iter(pem)
                    .collect::<Result<Vec<_>, _>>()
                    .context("the file of trusted certificates is not PEM")?;
                let (added, _) = store.add_parsable_certificates(all);
                anyhow::ensure!(added > 0, "the file of trusted certificates holds none");
            }
        }
        Ok(store)
    }
}

/// `validate_certs: false`: who answers is not checked, only that the connection is not tampered with.
#[derive(Debug)]
struct Anyone(Arc<CryptoProvider>);

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

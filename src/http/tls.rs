//! The TLS settings that all clients share. The system's root certificates are read once, when the first server is verified.

use std::sync::{Arc, OnceLock};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

/// The verifier of all clients.
fn verifier() -> Arc<SystemVerifier> {
    static VERIFIER: OnceLock<Arc<SystemVerifier>> = OnceLock::new();
    VERIFIER.get_or_init(Arc::default).clone()
}

/// The settings of a client.
pub(super) fn client_config() -> Result<ClientConfig, Error> {
    let verifier = verifier();
    let provider = verifier.provider.clone();
    let builder =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let mut config = builder
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// Reads the root certificates, which the first connection does otherwise. It also reports why that is not possible.
pub fn read_root_certificates() {
    let _ = verifier().verifier();
}

/// Verifies servers by the system's root certificates, with WebPKI.
#[derive(Debug)]
struct SystemVerifier {
    provider: Arc<CryptoProvider>,
    verifier: OnceLock<Result<Arc<WebPkiServerVerifier>, Error>>,
}

impl Default for SystemVerifier {
    fn default() -> Self {
        let provider = CryptoProvider::get_default().cloned();
        Self {
            provider: provider.unwrap_or_else(|| Arc::new(aws_lc_rs::default_provider())),
            verifier: OnceLock::new(),
        }
    }
}

impl SystemVerifier {
    fn verifier(&self) -> Result<&WebPkiServerVerifier, Error> {
        let verifier = self.verifier.get_or_init(|| {
            let roots = root_certificates()?;
            let builder =
                WebPkiServerVerifier::builder_with_provider(roots.into(), self.provider.clone());
            builder
                .build()
                .map_err(|error| Error::General(error.to_string()))
        });
        verifier.as_deref().map_err(Clone::clone)
    }
}

impl ServerCertVerifier for SystemVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verifier = self.verifier()?;
        verifier.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, cert, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, cert, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

/// The system's root certificates.
fn root_certificates() -> Result<RootCertStore, Error> {
    let mut roots = RootCertStore::empty();
    if let Some(bundle) = bundle() {
        let read = rustls_native_certs::load_certs_from_paths(Some(&bundle), None);
        roots.add_parsable_certificates(read.certs);
    }
    if roots.is_empty() {
        let read = rustls_native_certs::load_native_certs();
        roots.add_parsable_certificates(read.certs);
        if let (true, Some(error)) = (roots.is_empty(), read.errors.first()) {
            return Err(Error::General(format!(
                "no root certificate can be read: {error}"
            )));
        }
    }
    match roots.is_empty() {
        true => Err(Error::General(
            "the system has no root certificates; install ca-certificates".to_owned(),
        )),
        false => Ok(roots),
    }
}

/// The file in which Linux distributions collect the root certificates. Their folders hold the same ones, in hundreds of files.
/// `SSL_CERT_FILE` and `SSL_CERT_DIR` select others.
fn bundle() -> Option<std::path::PathBuf> {
    let is_selected =
        ["SSL_CERT_FILE", "SSL_CERT_DIR"].map(|name| std::env::var_os(name).is_some());
    match cfg!(target_os = "linux") && is_selected == [false, false] {
        true => openssl_probe::probe().cert_file,
        false => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder may hold certificates that the bundle does not have, such as one that the system made for itself.
    #[test]
    fn certificates_are_found_if_system_has_some() {
        let all = rustls_native_certs::load_native_certs();
        let mut expected = RootCertStore::empty();
        expected.add_parsable_certificates(all.certs);
        let found = root_certificates().map_or(0, |roots| roots.len());
        assert!(found <= expected.len(), "{found} of {}", expected.len());
        assert_eq!(found == 0, expected.is_empty());
    }

    #[test]
    fn clients_share_one_verifier() {
        assert!(Arc::ptr_eq(&verifier(), &verifier()));
        assert!(client_config().is_ok());
    }
}

//! Certificates from files.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::config::Tls;

/// Why they cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file.
    #[error("{0}: {1}; it must hold PEM")]
    File(PathBuf, pem::Error),
    /// Certificate and key do not go together, or are of a kind we cannot use.
    #[error("certificate and key cannot be used: {0}")]
    Pair(#[from] rustls::Error),
}

/// HTTP/2 is offered, HTTP/1.1 as well.
pub fn load(tls: &Tls) -> Result<Arc<ServerConfig>, TlsError> {
    let chain = CertificateDer::pem_file_iter(&tls.cert)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| TlsError::File(tls.cert.clone(), error))?;
    let key = PrivateKeyDer::from_pem_file(&tls.key).map_err(|error| TlsError::File(tls.key.clone(), error))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    // Full-size records are cheapest; the first bytes of a playlist fit one packet anyway.
    config.max_fragment_size = None;
    // A client knows best whether its hardware does AES.
    config.ignore_client_order = false;
    Ok(Arc::new(config))
}

//! Certificates from files, and from the same files when they are renewed.
//!
//! Invariant: a pair that cannot be used never replaces one that can.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

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

/// A server's certificate and key, as they last were.
#[derive(Debug)]
pub struct Certificate {
    files: Tls,
    pair: RwLock<Arc<CertifiedKey>>,
    seen: Mutex<[Stamp; 2]>,
}

/// What tells a renewed file from the one that was read.
type Stamp = Option<(SystemTime, u64)>;

impl Certificate {
    /// Reads both files.
    pub fn load(files: &Tls) -> Result<Arc<Self>, TlsError> {
        let seen = Mutex::new(stamps(files));
        Ok(Arc::new(Self { files: files.clone(), pair: RwLock::new(read(files)?), seen }))
    }

    /// HTTP/2 is offered, HTTP/1.1 as well.
    pub fn server_config(self: &Arc<Self>) -> Result<Arc<ServerConfig>, TlsError> {
        let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(self.clone());
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        // Full-size records are cheapest; the first bytes of a playlist fit one packet anyway.
        config.max_fragment_size = None;
        // A client knows best whether its hardware does AES.
        config.ignore_client_order = false;
        Ok(Arc::new(config))
    }

    /// Looks at the files every minute. Runs until it is dropped.
    pub async fn keep_fresh(self: Arc<Self>) {
        let mut clock = tokio::time::interval(LOOK_EVERY);
        loop {
            clock.tick().await;
            self.look();
        }
    }

    /// Reads the files again if they have changed: once per change, so that a mistake is logged once.
    fn look(&self) {
        let now = stamps(&self.files);
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if *seen == now {
            return;
        }
        *seen = now;
        match read(&self.files) {
            Ok(pair) => {
                *self.pair.write().unwrap_or_else(PoisonError::into_inner) = pair;
                tracing::info!(cert = %self.files.cert.display(), "the certificate was renewed");
            }
            Err(error) => tracing::error!(%error, "the certificate's files changed: the one before stays in use"),
        }
    }

    fn pair(&self) -> Arc<CertifiedKey> {
        self.pair.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.pair())
    }
}

fn read(files: &Tls) -> Result<Arc<CertifiedKey>, TlsError> {
    let chain = CertificateDer::pem_file_iter(&files.cert)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| TlsError::File(files.cert.clone(), error))?;
    if chain.is_empty() {
        return Err(TlsError::File(files.cert.clone(), pem::Error::NoItemsFound));
    }
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|error| TlsError::File(files.key.clone(), error))?;
    Ok(Arc::new(CertifiedKey::from_der(chain, key, &default_provider())?))
}

fn stamps(files: &Tls) -> [Stamp; 2] {
    let stamp = |path: &Path| {
        let data = std::fs::metadata(path).ok()?;
        Some((data.modified().ok()?, data.len()))
    };
    [stamp(&files.cert), stamp(&files.key)]
}

const LOOK_EVERY: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::tests::write_certificate;

    #[test]
    fn a_renewed_pair_is_taken_and_a_broken_one_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let files = write_certificate(dir.path());
        let certificate = Certificate::load(&files).unwrap();
        let served = || certificate.pair().cert[0].clone();
        let first = served();
        certificate.look();
        assert_eq!(served(), first);
        std::fs::write(&files.cert, "half of a fi").unwrap();
        certificate.look();
        assert_eq!(served(), first);
        // A renewed certificate whose key is still the old one is none.
        let old_key = std::fs::read(&files.key).unwrap();
        write_certificate(dir.path());
        let new_key = std::fs::read(&files.key).unwrap();
        std::fs::write(&files.key, [old_key, b"\n".to_vec()].concat()).unwrap();
        certificate.look();
        assert_eq!(served(), first);
        std::fs::write(&files.key, new_key).unwrap();
        certificate.look();
        assert_ne!(served(), first);
    }
}

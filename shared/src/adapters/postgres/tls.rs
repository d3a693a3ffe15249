//! Whom to trust.
//!
//! Built in are the roots of Amazon RDS, which are in no public set, and the public roots, by which RDS Proxy and others
//! are certified. There is no way to trust less, and none to go without.

use rustls::{
    ClientConfig, RootCertStore,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, pem::PemObject},
};
use std::{
    fs, io,
    path::Path,
    sync::{Arc, OnceLock},
};

/// Where they come from and when they end is written beside them.
const RDS_ROOTS: &[u8] = include_bytes!("roots/amazon-rds.pem");

/// The certificate authorities that are trusted for every secret.
#[derive(Debug, Clone)]
pub(super) struct Roots {
    /// Those of the file.
    own: Vec<CertificateDer<'static>>,
    /// All of them. Those of RDS take longer to read than all else at the start, so the first login has them read.
    all: OnceLock<RootCertStore>,
}

impl Roots {
    /// Those that are built in, and those of a file.
    pub(super) fn load(file: Option<&Path>) -> io::Result<Self> {
        let own = file.map(|file| {
            fs::read(file).ok().and_then(|pem| certificates(&pem)).ok_or_else(|| {
                io::Error::other(format!(
                    "RELATCH_CA_FILE: {} holds no certificate in PEM that can be read",
                    file.display()
                ))
            })
        });
        Ok(Self { own: own.transpose()?.unwrap_or_default(), all: OnceLock::new() })
    }

    /// A client that trusts these, and the secret's own authority if it has one; `None` if that is no certificate.
    pub(super) fn trust(&self, authority: Option<&str>) -> Option<ClientConfig> {
        let mut store = self.all().clone();
        if let Some(pem) = authority {
            store.add_parsable_certificates(certificates(pem.as_bytes())?);
        }
        let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
        Some(builder.with_safe_default_protocol_versions().ok()?.with_root_certificates(store).with_no_client_auth())
    }

    fn all(&self) -> &RootCertStore {
        self.all.get_or_init(|| {
            let mut store = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
            store.add_parsable_certificates(certificates(RDS_ROOTS).unwrap_or_default());
            store.add_parsable_certificates(self.own.iter().cloned());
            store
        })
    }
}

/// The certificates in a PEM text; `None` if there is none, or one of them is broken.
fn certificates(pem: &[u8]) -> Option<Vec<CertificateDer<'static>>> {
    CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>().ok().filter(|found| !found.is_empty())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn every_built_in_root_is_usable() {
        let roots = certificates(RDS_ROOTS).unwrap();
        let (added, ignored) = RootCertStore::empty().add_parsable_certificates(roots);
        assert!(added > 80, "{added}");
        assert_eq!(ignored, 0);
    }

    #[test]
    fn a_broken_authority_is_not_passed_over() {
        let roots = Roots::load(None).unwrap();
        assert!(roots.trust(None).is_some());
        assert!(roots.trust(Some("")).is_none());
        assert!(roots.trust(Some("-----BEGIN CERTIFICATE-----\nAAAA")).is_none());
        assert!(Roots::load(Some(Path::new("/nowhere"))).is_err());
    }
}

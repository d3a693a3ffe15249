//! Whom to trust.
//!
//! Built in are the roots of Amazon RDS, which are in no public set, and the public roots, by which RDS Proxy and others
//! are certified. A database of RDS is certified by RDS itself, so for a name of RDS's no public root counts: none of
//! some 150 authorities can vouch for another server there. What the deployment or the secret adds counts everywhere.
//! There is no way to trust more, and none to go without.

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
    /// Those that count for any server, and those that count for RDS's. RDS's roots take longer to read than all else at
    /// the start, so the first login has them read.
    stores: OnceLock<[RootCertStore; 2]>,
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
        Ok(Self { own: own.transpose()?.unwrap_or_default(), stores: OnceLock::new() })
    }

    /// A client that trusts what counts for a server of this name, and the secret's own authority if it has one; `None`
    /// if that is no certificate.
    pub(super) fn trust(&self, server: &str, authority: Option<&str>) -> Option<ClientConfig> {
        let mut store = self.store(server).clone();
        if let Some(pem) = authority {
            store.add_parsable_certificates(certificates(pem.as_bytes())?);
        }
        let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
        Some(builder.with_safe_default_protocol_versions().ok()?.with_root_certificates(store).with_no_client_auth())
    }

    fn store(&self, server: &str) -> &RootCertStore {
        let [any, of_rds] = self.stores.get_or_init(|| {
            let mut of_rds = RootCertStore::empty();
            of_rds.add_parsable_certificates(certificates(RDS_ROOTS).unwrap_or_default());
            of_rds.add_parsable_certificates(self.own.iter().cloned());
            let mut any = of_rds.clone();
            any.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
            [any, of_rds]
        });
        if is_certified_by_rds(server) { of_rds } else { any }
    }
}

/// Whether a name is one of RDS's that RDS certifies itself. RDS Proxy has certificates of AWS Certificate Manager, and so
/// had Aurora Serverless v1, which is gone. Source: "Rotating your SSL/TLS certificate" in the Amazon Aurora user guide.
/// Of other names below `rds.amazonaws.com`, and of China, whose roots are not built in, it is not known.
fn is_certified_by_rds(server: &str) -> bool {
    let server = server.trim_end_matches('.').to_ascii_lowercase();
    let Some(name) = server.strip_suffix(".rds.amazonaws.com") else { return false };
    // The database's name, then its account's, then the region: `app.cluster-c1a2b3.eu-central-1`.
    matches!(name.split('.').collect::<Vec<_>>()[..], [_, account, _]
        if !account.contains('-') || account.starts_with("cluster-"))
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
    fn no_public_authority_vouches_for_a_database_of_rds() {
        let roots = Roots::load(None).unwrap();
        let public = |server| {
            let trusted = &roots.store(server).roots;
            webpki_roots::TLS_SERVER_ROOTS.iter().filter(|root| trusted.contains(root)).count()
        };
        for (server, counts) in [
            ("app.c1a2b3.eu-central-1.rds.amazonaws.com", false),
            ("APP.C1A2B3.EU-CENTRAL-1.RDS.AMAZONAWS.COM.", false),
            ("app.cluster-c1a2b3.eu-central-1.rds.amazonaws.com", false),
            ("app.cluster-ro-c1a2b3.eu-central-1.rds.amazonaws.com", false),
            ("app.cluster-custom-c1a2b3.us-gov-west-1.rds.amazonaws.com", false),
            ("app.proxy-c1a2b3.eu-central-1.rds.amazonaws.com", true),
            ("more.endpoint.proxy-c1a2b3.eu-central-1.rds.amazonaws.com", true),
            ("app.c1a2b3.rds.cn-north-1.amazonaws.com.cn", true),
            ("app.global-c1a2b3.global.rds.amazonaws.com", true),
            ("app.c1a2b3.eu-central-1.rds.amazonaws.com.example.com", true),
            ("db.example.com", true),
        ] {
            assert_eq!(public(server) > 0, counts, "{server}");
            assert!(roots.store(server).roots.len() > 80, "{server}");
        }
    }

    #[test]
    fn a_broken_authority_is_not_passed_over() {
        let roots = Roots::load(None).unwrap();
        assert!(roots.trust("localhost", None).is_some());
        assert!(roots.trust("localhost", Some("")).is_none());
        assert!(roots.trust("localhost", Some("-----BEGIN CERTIFICATE-----\nAAAA")).is_none());
        assert!(Roots::load(Some(Path::new("/nowhere"))).is_err());
    }
}

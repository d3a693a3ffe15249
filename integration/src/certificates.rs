//! A certificate authority of our own, so that every connection of the local cloud is verified in full.
//!
//! rustls refuses a self-signed certificate that a server presents as its own; therefore an [`Authority`] signs a
//! [`Leaf`] for each server, and clients trust the authority. Leaves that must be refused are made here too.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, chown};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ClientConfig, RootCertStore, ServerConfig};

/// Signs the certificates of the servers in one local cloud.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    /// Makes a new authority with a key of its own.
    ///
    /// # Errors
    /// When the key or the certificate cannot be made.
    pub fn new() -> Result<Self> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "Relatch local cloud");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
        Ok(Self { issuer })
    }

    /// The certificate that clients have to trust, as PEM.
    #[must_use]
    pub fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// The certificate that clients have to trust, as DER.
    #[must_use]
    pub fn der(&self) -> CertificateDer<'static> {
        self.issuer.der().clone()
    }

    /// A server certificate for these host names, valid today.
    ///
    /// For a certificate that a client must refuse, name another host than the one it connects to.
    ///
    /// # Errors
    /// When a host name is not ASCII, or signing fails.
    pub fn leaf(&self, hosts: &[&str]) -> Result<Leaf> {
        self.sign(params_for(hosts)?)
    }

    /// A server certificate for these host names that expired years ago.
    ///
    /// # Errors
    /// As [`Authority::leaf`].
    pub fn expired_leaf(&self, hosts: &[&str]) -> Result<Leaf> {
        let mut params = params_for(hosts)?;
        params.not_before = date_time_ymd(2019, 1, 1);
        params.not_after = date_time_ymd(2020, 1, 1);
        self.sign(params)
    }

    /// What a client needs to verify the servers of this local cloud: this authority and no other.
    ///
    /// # Errors
    /// When rustls does not take the authority or the provider.
    pub fn client_config(&self) -> Result<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.der())?;
        Ok(ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth())
    }

    fn sign(&self, params: CertificateParams) -> Result<Leaf> {
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        Ok(Leaf {
            certificate_pem: certificate.pem(),
            certificate: certificate.der().clone(),
            key_pem: key.serialize_pem(),
            key: key.serialize_der(),
        })
    }
}

/// A server's certificate and its private key.
#[derive(Clone)]
pub struct Leaf {
    certificate_pem: String,
    certificate: CertificateDer<'static>,
    key_pem: String,
    key: Vec<u8>,
}

impl Leaf {
    /// The certificate as PEM.
    #[must_use]
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// The private key as PEM (PKCS #8).
    #[must_use]
    pub fn key_pem(&self) -> &str {
        &self.key_pem
    }

    /// The certificate as DER.
    #[must_use]
    pub fn certificate_der(&self) -> CertificateDer<'static> {
        self.certificate.clone()
    }

    /// The private key as DER (PKCS #8).
    #[must_use]
    pub fn key_der(&self) -> PrivateKeyDer<'static> {
        PrivatePkcs8KeyDer::from(self.key.clone()).into()
    }

    /// Serves TLS 1.2 and 1.3 with this certificate.
    ///
    /// # Errors
    /// When rustls does not take the certificate or the key.
    pub fn server_config(&self) -> Result<ServerConfig> {
        Ok(ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![self.certificate_der()], self.key_der())?)
    }

    /// Writes `server.crt` and `server.key` into `directory`, and gives them to `owner` (user and group id) if there
    /// is one.
    ///
    /// PostgreSQL refuses a key that others can read:
    /// <https://www.postgresql.org/docs/current/ssl-tcp.html#SSL-SETUP>.
    ///
    /// # Errors
    /// When a file cannot be written or given away.
    pub fn write(&self, directory: &Path, owner: Option<(u32, u32)>) -> Result<LeafFiles> {
        let files = LeafFiles { certificate: directory.join("server.crt"), key: directory.join("server.key") };
        for (path, mode, pem) in
            [(&files.certificate, 0o644, &self.certificate_pem), (&files.key, 0o600, &self.key_pem)]
        {
            // The mode applies to new files only, so what may be there must go first.
            if path.exists() {
                fs::remove_file(path)?;
            }
            fs::OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(mode)
                .open(path)
                .and_then(|mut file| file.write_all(pem.as_bytes()))
                .with_context(|| format!("writing {}", path.display()))?;
            if let Some((user, group)) = owner {
                chown(path, Some(user), Some(group)).with_context(|| format!("giving away {}", path.display()))?;
            }
        }
        Ok(files)
    }
}

/// Where [`Leaf::write`] put a leaf.
#[derive(Clone, Debug)]
pub struct LeafFiles {
    /// The certificate, readable by all.
    pub certificate: PathBuf,
    /// The private key, readable by its owner only.
    pub key: PathBuf,
}

fn params_for(hosts: &[&str]) -> Result<CertificateParams> {
    let names: Vec<String> = hosts.iter().map(ToString::to_string).collect();
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name.push(DnType::CommonName, hosts.first().copied().unwrap_or_default());
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    Ok(params)
}

/// The provider is named rather than taken from the process, which may have none or two.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

//! TLS to the database, as requested by the URL.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use eice::workspace::Directory;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

use super::{add_workspace, directory};
use crate::lab::{Database, Postgres, run_ok};

/// Enables TLS with a certificate for `localhost` on the server, and returns its CA certificate as PEM.
fn with_tls(postgres: &mut Postgres) -> String {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let server =
        CertificateParams::new(vec!["localhost".into()]).unwrap().signed_by(&key, &authority).unwrap();
    let data = postgres.folder().join("data");
    fs::write(data.join("server.crt"), server.pem()).unwrap();
    fs::write(data.join("server.key"), key.serialize_pem()).unwrap();
    fs::set_permissions(data.join("server.key"), fs::Permissions::from_mode(0o600)).unwrap();
    for file in ["server.crt", "server.key"] {
        run_ok("chown", [std::path::Path::new("postgres"), &data.join(file)]);
    }
    let settings = fs::read_to_string(data.join("postgresql.conf")).unwrap();
    fs::write(data.join("postgresql.conf"), settings + "\nssl = on\n").unwrap();
    postgres.stop();
    postgres.resume();
    authority.pem()
}

#[tokio::test]
async fn sslmode_sets_trust() {
    let mut postgres = Postgres::start();
    let authority = with_tls(&mut postgres);
    let database = postgres.platform();
    let id = add_workspace(&database, "a", &[]);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    fs::write(&file, authority).unwrap();
    let root = format!("&sslrootcert={}", file.display());
    let url = |host: &str, mode: &str| {
        database.url().replace("127.0.0.1", host).replace("sslmode=disable", &format!("sslmode={mode}"))
    };
    let encrypted = |database: &Database<'_>| {
        database.run("SELECT count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE ssl AND usename IS NOT NULL")
    };
    assert_eq!(encrypted(&database), "0");
    for (url, opens) in [
        (url("localhost", "verify-full") + &root, true),
        (url("127.0.0.1", "verify-ca") + &root, true),
        (url("127.0.0.1", "require"), true),
        (url("localhost", "verify-full"), false),
        (url("127.0.0.1", "verify-full") + &root, false),
    ] {
        let directory = directory(&url);
        let found = directory.find(id).await;
        assert_eq!(found.is_ok(), opens, "{url}: {found:?}");
        if opens {
            assert_ne!(encrypted(&database), "0", "{url}");
        }
    }
}

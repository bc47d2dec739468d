//! Where the database is, and how to get in: a secret.

use std::fmt;
use std::str::FromStr;

use sqlx::postgres::{PgConnectOptions, PgSslMode};

/// The address of a PostgreSQL database with user and password, as
/// `postgres://USER:PASSWORD@HOST:PORT/DATABASE?sslmode=verify-full`. Neither `Debug` nor an error shows anything of it
/// but host, port and database.
///
/// What is absent comes from where every PostgreSQL client takes it: `PGHOST`, `PGUSER`, `PGPASSWORD` and so on, and
/// the password file. Parameters are read as the platform's driver, lib/pq, does: what is no setting of the
/// connection is a run-time parameter of the server, such as `search_path`.
#[derive(Clone)]
pub struct DatabaseUrl(Box<PgConnectOptions>);

/// A text that is no database's address. It says what is wrong without quoting, for the text is a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidDatabaseUrl {
    /// Another kind of address.
    #[error("it must start with postgres:// or postgresql://")]
    Scheme,
    /// Not an address at all.
    #[error(
        "it must read postgres://USER:PASSWORD@HOST:PORT/DATABASE, what is special in a part written as %XX (/ is %2F, \
         @ is %40, # is %23, ? is %3F)"
    )]
    Malformed,
    /// A parameter without a name that it can have.
    #[error("what comes after ? must be parameters, NAME=VALUE, divided by &")]
    Parameter,
    /// A parameter that cannot be honoured, and must not be passed over.
    #[error("its parameter {0} is not supported")]
    Unsupported(&'static str),
    /// Not one of the ways to use TLS.
    #[error("its sslmode must be disable, allow, prefer, require, verify-ca or verify-full")]
    SslMode,
}

/// The parameters that say how to connect.
const SETTINGS: [&str; 18] = [
    "application_name",
    "dbname",
    "host",
    "hostaddr",
    "options",
    "password",
    "port",
    "ssl-ca",
    "ssl-cert",
    "ssl-key",
    "ssl-mode",
    "ssl-root-cert",
    "sslcert",
    "sslkey",
    "sslmode",
    "sslrootcert",
    "statement-cache-capacity",
    "user",
];

/// The parameters of other clients that mean nothing here: times are the directory's own.
const PASSED_OVER: [&str; 5] = [
    "binary_parameters",
    "connect_timeout",
    "disable_prepared_binary_result",
    "fallback_application_name",
    "sslsni",
];

/// The parameters of other clients that mean something which is not done here.
const UNSUPPORTED: [&str; 9] = [
    "channel_binding",
    "gssencmode",
    "krbspn",
    "krbsrvname",
    "passfile",
    "sslinline",
    "sslpassword",
    "target_session_attrs",
    "sslcrl",
];

impl DatabaseUrl {
    /// How to connect. Its `Debug` shows the password.
    pub(super) fn options(&self) -> &PgConnectOptions {
        &self.0
    }

    /// Host, port and database, for people.
    #[must_use]
    pub fn place(&self) -> String {
        let host = match self.0.get_socket() {
            Some(socket) => socket.display().to_string(),
            None => self.0.get_host().to_owned(),
        };
        let database = self.0.get_database().unwrap_or_else(|| self.0.get_username());
        format!("{host}:{}/{database}", self.0.get_port())
    }
}

impl FromStr for DatabaseUrl {
    type Err = InvalidDatabaseUrl;

    fn from_str(text: &str) -> Result<Self, InvalidDatabaseUrl> {
        if !["postgres://", "postgresql://"].iter().any(|scheme| text.starts_with(scheme)) {
            return Err(InvalidDatabaseUrl::Scheme);
        }
        // A fragment would be ignored, and with it a part of an unescaped password.
        if text.contains('#') {
            return Err(InvalidDatabaseUrl::Malformed);
        }
        let (address, query) = text.split_once('?').unwrap_or((text, ""));
        let mut parameters = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').ok_or(InvalidDatabaseUrl::Parameter)?;
            if let Some(name) = UNSUPPORTED.iter().find(|known| **known == name) {
                return Err(InvalidDatabaseUrl::Unsupported(name));
            }
            if matches!(name, "sslmode" | "ssl-mode") && value.parse::<PgSslMode>().is_err() {
                return Err(InvalidDatabaseUrl::SslMode);
            }
            if SETTINGS.contains(&name) || (name.starts_with("options[") && name.ends_with(']')) {
                parameters.push(pair.to_owned());
            } else if !is_parameter(name) {
                return Err(InvalidDatabaseUrl::Parameter);
            } else if !PASSED_OVER.contains(&name) {
                parameters.push(format!("options[{name}]={value}"));
            }
        }
        let url = format!("{address}?{}", parameters.join("&"));
        url.parse().map(|options| Self(Box::new(options))).map_err(|_| InvalidDatabaseUrl::Malformed)
    }
}

/// Whether `name` can be that of a run-time parameter of the server: `search_path`, `my.setting`.
fn is_parameter(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.'))
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DatabaseUrl({}, ..)", self.place())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> InvalidDatabaseUrl {
        text.parse::<DatabaseUrl>().expect_err(text)
    }

    #[test]
    fn url_hides_its_password() {
        let url: DatabaseUrl =
            "postgres://eice:canary-pw@db.internal:6432/molecule?sslmode=require".parse().unwrap();
        assert_eq!(url.place(), "db.internal:6432/molecule");
        assert_eq!(format!("{url:?}"), "DatabaseUrl(db.internal:6432/molecule, ..)");
        assert!(matches!(url.options().get_ssl_mode(), PgSslMode::Require));
        assert_eq!(url.options().get_username(), "eice");
        let socket: DatabaseUrl = "postgresql://u:canary-pw@%2Frun%2Fpostgresql/molecule".parse().unwrap();
        assert_eq!(socket.place(), "/run/postgresql:5432/molecule");
        let parameter: DatabaseUrl =
            "postgres:///molecule?host=/run/postgresql&user=u&password=canary-pw".parse().unwrap();
        assert!(!format!("{parameter:?}").contains("canary"), "{parameter:?}");
    }

    #[test]
    fn unescaped_password_is_not_quoted() {
        for (text, want) in [
            ("canary-pw", InvalidDatabaseUrl::Scheme),
            ("mysql://u:canary-pw@h/d", InvalidDatabaseUrl::Scheme),
            ("POSTGRES_URL=canary-pw", InvalidDatabaseUrl::Scheme),
            ("postgres://u:canary/pw@h/d", InvalidDatabaseUrl::Malformed),
            ("postgres://u:canary#pw@h/d", InvalidDatabaseUrl::Malformed),
            ("postgres://u:1#canary@h/d", InvalidDatabaseUrl::Malformed),
            ("postgres://u:canary?pw@h/d", InvalidDatabaseUrl::Parameter),
            ("postgres://u:1?canary=pw@h/d&x", InvalidDatabaseUrl::Parameter),
            ("postgres://u:1?sslmode=canary@h/d", InvalidDatabaseUrl::SslMode),
            ("postgres://u:p@h/d?canary pw=1", InvalidDatabaseUrl::Parameter),
            ("postgres://u:p@h:canary/d", InvalidDatabaseUrl::Malformed),
            ("postgres://u:p@h/d?port=canary", InvalidDatabaseUrl::Malformed),
            ("postgres://u:p@h/d?hostaddr=canary", InvalidDatabaseUrl::Malformed),
        ] {
            let error = error(text);
            assert_eq!(error, want, "{text}");
            assert!(!format!("{error} {error:?}").contains("canary"), "{error}");
        }
    }

    #[test]
    fn url_parameters_match_lib_pq() {
        let options = |query: &str| {
            let url: DatabaseUrl = format!("postgres://u:p@h/d?{query}").parse().unwrap();
            url.options().get_options().unwrap_or_default().to_owned()
        };
        assert_eq!(options("search_path=tenant%2Cpublic&connect_timeout=10"), "-c search_path=tenant,public");
        assert_eq!(options("options=-c%20geqo%3Doff&work_mem=8MB"), "-c geqo=off -c work_mem=8MB");
        assert_eq!(options("options[geqo]=off&sslmode=disable"), "-c geqo=off");
        assert_eq!(options(""), "");
        let refused = error("postgres://u:p@h/d?channel_binding=require");
        assert_eq!(refused, InvalidDatabaseUrl::Unsupported("channel_binding"));
    }
}

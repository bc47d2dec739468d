//! Parses the arguments of `-L`, `-R` and `-D` like ssh(1).

use std::fmt;
use std::str::FromStr;

use crate::ssh::ForwardAddress;

/// The longest accepted host name or path, in bytes.
const MAX_FIELD: usize = 255;

/// `-L [BIND:]PORT:HOST:HOSTPORT`: listen here, connect from the instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LocalForward {
    pub(crate) listen: ForwardAddress,
    pub(crate) to: ForwardAddress,
}

/// `-R [BIND:]PORT:HOST:HOSTPORT`: listen on the instance, connect from here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RemoteForward {
    pub(crate) listen: ForwardAddress,
    pub(crate) to: ForwardAddress,
}

/// `-D [BIND:]PORT`: a SOCKS server here, which connects from the instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DynamicForward {
    pub(crate) listen: ForwardAddress,
}

/// A forward that cannot be parsed.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidForward {
    #[error("it must be [BIND:]PORT:HOST:HOSTPORT, with a socket's path in place of either half")]
    Shape,
    #[error("it must be [BIND:]PORT")]
    DynamicShape,
    #[error("it names nothing to connect to; a SOCKS server on the instance (-R PORT alone) is not there")]
    RemoteDynamic,
    #[error("{0:?} is not a port")]
    Port(String),
    #[error("it names no host to connect to")]
    NoHost,
    #[error("a name or path in it is longer than {MAX_FIELD} bytes")]
    TooLong,
    #[error("an IPv6 address needs brackets: [::1]")]
    Brackets,
}

impl FromStr for LocalForward {
    type Err = InvalidForward;

    fn from_str(text: &str) -> Result<Self, InvalidForward> {
        let (listen, to) = halves(&fields(text)?)?;
        Ok(Self { listen, to })
    }
}

impl FromStr for RemoteForward {
    type Err = InvalidForward;

    fn from_str(text: &str) -> Result<Self, InvalidForward> {
        let fields = fields(text)?;
        if fields.len() < 3 && listener(&fields).is_ok() && !fields.iter().any(Field::is_path) {
            return Err(InvalidForward::RemoteDynamic);
        }
        let (listen, to) = halves(&fields)?;
        Ok(Self { listen, to })
    }
}

impl FromStr for DynamicForward {
    type Err = InvalidForward;

    fn from_str(text: &str) -> Result<Self, InvalidForward> {
        match fields(text)?.as_slice() {
            listen @ ([_] | [_, _]) if !listen.iter().any(Field::is_path) => {
                Ok(Self { listen: listener(listen)? })
            }
            _ => Err(InvalidForward::DynamicShape),
        }
    }
}

impl fmt::Display for LocalForward {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "-L {} to {}", self.listen, self.to)
    }
}

impl fmt::Display for RemoteForward {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "-R {} to {}", self.listen, self.to)
    }
}

impl fmt::Display for DynamicForward {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "-D {}", self.listen)
    }
}

/// The text between two colons, or in brackets.
struct Field<'a> {
    text: &'a str,
    is_bracketed: bool,
}

impl Field<'_> {
    fn is_path(&self) -> bool {
        !self.is_bracketed && self.text.contains('/')
    }

    fn port(&self) -> Result<u16, InvalidForward> {
        let digits = !self.is_bracketed && self.text.bytes().all(|byte| byte.is_ascii_digit());
        let port = self.text.parse().ok().filter(|_| digits);
        port.ok_or_else(|| InvalidForward::Port(self.text.chars().take(MAX_FIELD).collect()))
    }
}

fn fields(text: &str) -> Result<Vec<Field<'_>>, InvalidForward> {
    let mut fields = Vec::new();
    let mut rest = text;
    loop {
        let (field, after) = match rest.strip_prefix('[') {
            Some(inside) => {
                let (text, after) = inside.split_once(']').ok_or(InvalidForward::Brackets)?;
                (Field { text, is_bracketed: true }, after)
            }
            None => {
                let end = rest.find(':').unwrap_or(rest.len());
                (Field { text: &rest[..end], is_bracketed: false }, &rest[end..])
            }
        };
        if field.text.len() > MAX_FIELD {
            return Err(InvalidForward::TooLong);
        }
        fields.push(field);
        match after.strip_prefix(':') {
            Some(next) => rest = next,
            None if after.is_empty() => return Ok(fields),
            None => return Err(InvalidForward::Brackets),
        }
    }
}

/// Returns the listening address and the target.
fn halves(fields: &[Field<'_>]) -> Result<(ForwardAddress, ForwardAddress), InvalidForward> {
    let (listen, to) = match fields {
        [listen @ .., path] if path.is_path() => (listen, ForwardAddress::Socket(path.text.to_owned())),
        [listen @ .., host, port] if !listen.is_empty() => {
            // Five or more fields are an IPv6 address without brackets.
            if listen.len() > 2 {
                return Err(InvalidForward::Brackets);
            }
            (listen, ForwardAddress::Tcp { host: host.text.to_owned(), port: port.port()? })
        }
        _ => return Err(InvalidForward::Shape),
    };
    match &to {
        ForwardAddress::Tcp { host, .. } if host.is_empty() => Err(InvalidForward::NoHost),
        ForwardAddress::Tcp { port: 0, .. } => Err(InvalidForward::Port("0".into())),
        _ => Ok((listener(listen)?, to)),
    }
}

/// Returns the listening address: loopback without an address, every address for `*` or an empty one.
fn listener(fields: &[Field<'_>]) -> Result<ForwardAddress, InvalidForward> {
    match fields {
        [path] if path.is_path() => Ok(ForwardAddress::Socket(path.text.to_owned())),
        [port] => Ok(ForwardAddress::Tcp { host: "localhost".into(), port: port.port()? }),
        [bind, port] => {
            let host = if bind.text == "*" { "" } else { bind.text };
            Ok(ForwardAddress::Tcp { host: host.to_owned(), port: port.port()? })
        }
        _ => Err(InvalidForward::Shape),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn local(text: &str) -> Result<String, InvalidForward> {
        text.parse::<LocalForward>().map(|forward| forward.to_string())
    }

    #[test]
    fn forwards_parse_like_ssh() {
        let read = |text| local(text).unwrap();
        assert_eq!(read("8080:db:5432"), "-L localhost:8080 to db:5432");
        assert_eq!(read("0:db:5432"), "-L localhost:0 to db:5432");
        assert_eq!(read("*:8080:db:5432"), "-L *:8080 to db:5432");
        assert_eq!(read(":8080:db:5432"), "-L *:8080 to db:5432");
        assert_eq!(read("10.0.0.1:8080:db:5432"), "-L 10.0.0.1:8080 to db:5432");
        assert_eq!(read("[::1]:8080:[fd00::2]:80"), "-L [::1]:8080 to [fd00::2]:80");
        assert_eq!(read("2375:/run/docker.sock"), "-L localhost:2375 to /run/docker.sock");
        assert_eq!(
            read("::2375:/run/docker.sock".strip_prefix(':').unwrap()),
            "-L *:2375 to /run/docker.sock"
        );
        assert_eq!(read("/tmp/s:db:5432"), "-L /tmp/s to db:5432");
        assert_eq!(read("./s:/run/docker.sock"), "-L ./s to /run/docker.sock");
        let remote: RemoteForward = "0:localhost:3000".parse().unwrap();
        assert_eq!(remote.to_string(), "-R localhost:0 to localhost:3000");
        let dynamic: DynamicForward = "[::]:1080".parse().unwrap();
        assert_eq!(dynamic.to_string(), "-D [::]:1080");
        assert_eq!("1080".parse::<DynamicForward>().unwrap().to_string(), "-D localhost:1080");
    }

    #[test]
    fn invalid_forward_has_reason() {
        assert_eq!(local("8080"), Err(InvalidForward::Shape));
        assert_eq!(local(""), Err(InvalidForward::Shape));
        assert_eq!(local("8080:db"), Err(InvalidForward::Shape));
        assert_eq!(local("8080::80"), Err(InvalidForward::NoHost));
        assert_eq!(local("8080:db:0"), Err(InvalidForward::Port("0".into())));
        assert_eq!(local("8080:db:65536"), Err(InvalidForward::Port("65536".into())));
        assert_eq!(local("+1:db:80"), Err(InvalidForward::Port("+1".into())));
        assert_eq!(local("http:db:80"), Err(InvalidForward::Port("http".into())));
        assert_eq!(local("80:fd00::2:80"), Err(InvalidForward::Brackets));
        assert_eq!(local("[::1:80:db:80"), Err(InvalidForward::Brackets));
        assert_eq!(local("[::1]80:db:80"), Err(InvalidForward::Brackets));
        assert_eq!(local(&format!("80:{}:80", "a".repeat(256))), Err(InvalidForward::TooLong));
        assert_eq!("8080".parse::<RemoteForward>(), Err(InvalidForward::RemoteDynamic));
        assert_eq!("*:8080".parse::<RemoteForward>(), Err(InvalidForward::RemoteDynamic));
        assert_eq!("8080:db:80".parse::<DynamicForward>(), Err(InvalidForward::DynamicShape));
        assert_eq!("/tmp/s".parse::<DynamicForward>(), Err(InvalidForward::DynamicShape));
    }
}

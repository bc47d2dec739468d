//! Percent-encoding, both ways, and queries as lists of decoded parameters.

use super::error::{Malformed, VerifyError};

/// The maximum length of a query, in bytes. A session token has 1 to 4 KiB before it is encoded.
pub const MAX_QUERY_LEN: usize = 32 * 1024;

/// The maximum number of parameters in a query. A presigned openTunnel has 11.
pub const MAX_QUERY_PARAMS: usize = 256;

/// A decoded query parameter. Bytes, because a percent escape may encode any byte.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Param {
    pub(crate) name: Vec<u8>,
    pub(crate) value: Vec<u8>,
}

impl Param {
    /// Returns the name and the value.
    pub(crate) fn pair(&self) -> Pair<'_> {
        (&self.name, &self.value)
    }
}

/// A decoded parameter's borrowed name and value.
pub(crate) type Pair<'a> = (&'a [u8], &'a [u8]);

/// Appends `bytes` in RFC 3986 form: unreserved characters unchanged, all others as `%XX` in upper case.
pub(crate) fn encode_into(out: &mut String, bytes: &[u8]) {
    encode_except(out, bytes, b"");
}

/// Appends a path in its wire form, encoded once more as every service but S3 requires; `/` is kept.
pub(crate) fn encode_path_into(out: &mut String, path: &str) {
    encode_except(out, path.as_bytes(), b"/");
}

/// Returns how many bytes [`encode_into`] appends for `bytes`. A buffer allocated once leaves no copy of a secret
/// behind, as a growing one does.
pub(crate) fn encoded_len(bytes: &[u8]) -> usize {
    bytes.len() + 2 * bytes.iter().filter(|&&byte| !is_unreserved(byte)).count()
}

/// Whether each byte is unreserved (RFC 3986, section 2.3).
static UNRESERVED: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 128_u8 {
        table[byte as usize] = byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~');
        byte += 1;
    }
    table
};

fn is_unreserved(byte: u8) -> bool {
    UNRESERVED[usize::from(byte)]
}

fn encode_except(out: &mut String, bytes: &[u8], safe: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    for &byte in bytes {
        if is_unreserved(byte) || safe.contains(&byte) {
            out.push(char::from(byte & 0x7F)); // already ASCII; the mask proves it to the compiler
        } else {
            out.push('%');
            out.push(char::from(DIGITS[usize::from(byte >> 4)]));
            out.push(char::from(DIGITS[usize::from(byte & 15)]));
        }
    }
}

/// Decodes percent escapes, upper and lower case, and `+` as a space, as forms and every SDK's query parser do.
/// `None` if an escape is truncated or not hexadecimal.
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'%' => hex(bytes.next()?)? << 4 | hex(bytes.next()?)?,
            b'+' => b' ',
            other => other,
        });
    }
    Some(out)
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

/// Parses a query into its decoded parameters, in wire order.
///
/// A duplicate name is rejected: what is signed and what a handler reads must be the same.
pub(crate) fn parse_query(query: &str) -> Result<Vec<Param>, VerifyError> {
    if query.len() > MAX_QUERY_LEN {
        return Err(Malformed::QueryTooLong.into());
    }
    let mut params: Vec<Param> = Vec::new();
    for piece in query.split('&').filter(|piece| !piece.is_empty()) {
        if params.len() == MAX_QUERY_PARAMS {
            return Err(Malformed::TooManyParameters.into());
        }
        let (name, value) = piece.split_once('=').unwrap_or((piece, ""));
        let name = decode(name).ok_or(Malformed::PercentEscape)?;
        let value = decode(value).ok_or(Malformed::PercentEscape)?;
        if params.iter().any(|known| known.name == name) {
            return Err(VerifyError::DuplicateParameter(super::error::excerpt(&name)));
        }
        params.push(Param { name, value });
    }
    Ok(params)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_unreserved_characters_stay() {
        let all: Vec<u8> = (0..=255).collect();
        let mut encoded = String::new();
        encode_into(&mut encoded, &all);
        assert_eq!(encoded.len(), encoded_len(&all));
        assert_eq!(decode(&encoded).unwrap(), all);
        let literal = encoded.split('%').map(|piece| piece.get(2..).unwrap_or_default()).collect::<String>();
        assert_eq!(literal, "-.0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz~");
        assert!(encoded.contains("%2F") && encoded.contains("%20"));
    }

    #[test]
    fn malformed_escape_is_rejected() {
        for bad in ["%", "%4", "%G0", "%0G", "a%zz", "%%41"] {
            assert_eq!(decode(bad), None, "{bad}");
        }
        assert_eq!(decode("%2f%2F+a").unwrap(), b"// a");
    }

    #[test]
    fn duplicate_name_is_rejected() {
        assert!(
            matches!(parse_query("a=1&%61=2"), Err(VerifyError::DuplicateParameter(name)) if name == "a")
        );
        let params = parse_query("b&&a=x=y&").unwrap();
        assert_eq!(params.len(), 2);
        assert_eq!((&*params[0].name, &*params[0].value), (&b"b"[..], &b""[..]));
        assert_eq!((&*params[1].name, &*params[1].value), (&b"a"[..], &b"x=y"[..]));
    }

    #[test]
    fn query_is_bounded() {
        let many = (0..=MAX_QUERY_PARAMS).map(|n| format!("p{n}")).collect::<Vec<_>>().join("&");
        assert!(matches!(parse_query(&many), Err(VerifyError::Malformed(Malformed::TooManyParameters))));
        let long = "a".repeat(MAX_QUERY_LEN + 1);
        assert!(matches!(parse_query(&long), Err(VerifyError::Malformed(Malformed::QueryTooLong))));
    }
}

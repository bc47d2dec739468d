//! When a certificate ends.

use eice_proto::Timestamp;

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
/// `[0]`, which holds the version where it is not the first.
const VERSION: u8 = 0xa0;

/// The `notAfter` of a certificate in DER (RFC 5280, section 4.1); `None` when it cannot be read, or lies before 1970.
pub(super) fn not_after(certificate: &[u8]) -> Option<Timestamp> {
    let (certificate, _) = expect(certificate, SEQUENCE)?;
    let (mut rest, _) = expect(certificate, SEQUENCE)?;
    if let Some((_, after)) = expect(rest, VERSION) {
        rest = after;
    }
    // Serial number, signature algorithm, issuer.
    for tag in [INTEGER, SEQUENCE, SEQUENCE] {
        rest = expect(rest, tag)?.1;
    }
    let (validity, _) = expect(rest, SEQUENCE)?;
    let (_, _, after) = element(validity)?;
    let (tag, time, _) = element(after)?;
    moment(tag, std::str::from_utf8(time).ok()?)
}

/// A moment as certificates have it (RFC 5280, section 4.1.2.5): two digits of the year up to 2049, four from then on.
fn moment(tag: u8, text: &str) -> Option<Timestamp> {
    let (year, rest) = match tag {
        UTC_TIME => {
            let (year, rest) = text.split_at_checked(2)?;
            let century = if year < "50" { "20" } else { "19" };
            (format!("{century}{year}"), rest)
        }
        GENERALIZED_TIME => {
            let (year, rest) = text.split_at_checked(4)?;
            (year.to_owned(), rest)
        }
        _ => return None,
    };
    let (day, time) = rest.split_at_checked(4)?;
    format!("{year}{day}T{time}").parse().ok()
}

/// The content of the element that `input` begins with, which has `tag`, and what follows it.
fn expect(input: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (found, content, rest) = element(input)?;
    (found == tag).then_some((content, rest))
}

/// Tag and content of the element that `input` begins with, and what follows it (X.690, section 8.1).
fn element(input: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = input.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        // As many bytes of length follow; a certificate has no need of more than three.
        0x81..=0x83 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(first - 0x80))?;
            (bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_time_forms_are_read() {
        let read = |tag, text| moment(tag, text).map(Timestamp::rfc3339);
        assert_eq!(read(UTC_TIME, "300102030405Z").as_deref(), Some("2030-01-02T03:04:05Z"));
        assert_eq!(read(UTC_TIME, "491231235959Z").as_deref(), Some("2049-12-31T23:59:59Z"));
        assert_eq!(read(UTC_TIME, "991231235959Z").as_deref(), Some("1999-12-31T23:59:59Z"));
        assert_eq!(read(GENERALIZED_TIME, "20500102030405Z").as_deref(), Some("2050-01-02T03:04:05Z"));
        for (tag, text) in [
            (UTC_TIME, ""),
            (UTC_TIME, "300102030405"),
            (UTC_TIME, "500102030405Z"),
            (GENERALIZED_TIME, "20501302030405Z"),
            (SEQUENCE, "300102030405Z"),
            (GENERALIZED_TIME, "€€€"),
        ] {
            assert_eq!(read(tag, text), None, "{text:?}");
        }
    }

    #[cfg(feature = "emulator")]
    #[test]
    fn expiry_of_a_certificate_is_read() {
        for (year, expected) in [(2049, "2049-02-03T00:00:00Z"), (2077, "2077-02-03T00:00:00Z")] {
            let mut params = rcgen::CertificateParams::new(vec!["a.example".into()]).unwrap();
            params.not_after = rcgen::date_time_ymd(year, 2, 3);
            let certificate = params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap();
            let der = certificate.der();
            assert_eq!(not_after(der).unwrap().rfc3339(), expected);
            for end in 0..der.len() {
                assert_eq!(not_after(&der[..end]), None, "cut at {end}");
            }
        }
    }
}

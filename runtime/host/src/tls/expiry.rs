//! When a certificate ends: the one thing of X.509 (RFC 5280, section 4.1.2.5) that nobody below tells us.
//!
//! Reads no more of the structure than lies in front of the time. What it is given was read as a certificate already.

use fnctl_core::{id::Timestamp, rfc3339};

const INTEGER: u8 = 0x02;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
/// `[0]`, the version, which the oldest certificates do not have.
const VERSION: u8 = 0xa0;

/// When the certificate is good for the last time, to the second; `None`: it does not say so in DER.
pub(super) fn of(certificate: &[u8]) -> Option<Timestamp> {
    let (whole, _) = take(certificate, SEQUENCE)?;
    let (mut fields, _) = take(whole, SEQUENCE)?;
    if let Some((_, rest)) = take(fields, VERSION) {
        fields = rest;
    }
    // Serial number, the signature's algorithm, the issuer.
    for tag in [INTEGER, SEQUENCE, SEQUENCE] {
        (_, fields) = take(fields, tag)?;
    }
    let (validity, _) = take(fields, SEQUENCE)?;
    let (_, end) = time(validity)?;
    time(end).map(|(at, _)| at)
}

/// A value with this tag in front, and what is behind it.
fn take(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (first, rest) = der.split_first()?;
    if *first != tag {
        return None;
    }
    let (length, mut rest) = rest.split_first()?;
    let mut bytes = usize::from(*length);
    if bytes >= 0x80 {
        let (long, behind) = rest.split_at_checked(bytes - 0x80)?;
        bytes = long.iter().try_fold(0_usize, |sum, byte| {
            sum.checked_mul(256)?.checked_add(usize::from(*byte))
        })?;
        rest = behind;
    }
    rest.split_at_checked(bytes)
}

/// `YYMMDDhhmmssZ` or `YYYYMMDDhhmmssZ`, as RFC 5280 has certificates write them.
fn time(der: &[u8]) -> Option<(Timestamp, &[u8])> {
    let (year_digits, (text, rest)) = match der.first()? {
        &UTC_TIME => (2, take(der, UTC_TIME)?),
        _ => (4, take(der, GENERALIZED_TIME)?),
    };
    let text = std::str::from_utf8(text).ok()?;
    let (year, tail) = text.split_at_checked(year_digits)?;
    let century = match year_digits {
        4 => "",
        // Years of two digits are those from 1950 to 2049.
        _ if year < "50" => "20",
        _ => "19",
    };
    let part = |from: usize| tail.get(from..from + 2);
    let (month, day, hour, minute, second) = (part(0)?, part(2)?, part(4)?, part(6)?, part(8)?);
    if tail.get(10..) != Some("Z") {
        return None;
    }
    let text = format!("{century}{year}-{month}-{day}T{hour}:{minute}:{second}Z");
    rfc3339::parse(&text).map(|at| (at, rest))
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;

    #[test]
    fn the_end_is_read_of_certificates_of_this_century_and_later_ones() {
        let key = KeyPair::generate().expect("a key");
        for ((year, month, day), text) in [
            ((2027, 3, 1), "2027-03-01T00:00:00Z"),
            ((2049, 12, 31), "2049-12-31T00:00:00Z"),
            // From 2050 on it is written with four digits.
            ((2050, 1, 1), "2050-01-01T00:00:00Z"),
            ((4096, 1, 1), "4096-01-01T00:00:00Z"),
        ] {
            let mut params = CertificateParams::new(vec!["localhost".to_owned()]).expect("params");
            params.not_after = date_time_ymd(year, month, day);
            let made = params.self_signed(&key).expect("a certificate");
            assert_eq!(of(made.der()), rfc3339::parse(text), "{text}");
        }
    }

    #[test]
    fn what_is_cut_or_something_else_has_no_end_and_nothing_panics() {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec!["localhost".to_owned()]).expect("params");
        let made = params.self_signed(&key).expect("a certificate");
        for end in 0..made.der().len() {
            assert_eq!(of(&made.der()[..end]), None);
        }
        let (mut seen, der) = (0, made.der().to_vec());
        for index in 0..der.len() {
            let mut other = der.clone();
            other[index] ^= 0xff;
            seen += usize::from(of(&other).is_none());
        }
        assert!(seen > 8, "{seen}");
    }
}

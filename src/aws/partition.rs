//! Partitions, and the EC2 API's host names.
//!
//! The suffixes are those of botocore's `partitions.json`.

use super::error::AwsError;

/// The maximum length of a region name, in characters: it becomes part of a host name.
const MAX_REGION_LEN: usize = 32;

struct Partition {
    name: &'static str,
    /// The region prefixes; empty for the default partition.
    prefixes: &'static [&'static str],
    dns_suffix: &'static str,
    dualstack_suffix: &'static str,
}

static AWS: Partition =
    Partition { name: "aws", prefixes: &[], dns_suffix: "amazonaws.com", dualstack_suffix: "api.aws" };

static OTHERS: [Partition; 7] = [
    Partition {
        name: "aws-cn",
        prefixes: &["cn-"],
        dns_suffix: "amazonaws.com.cn",
        dualstack_suffix: "api.amazonwebservices.com.cn",
    },
    Partition {
        name: "aws-us-gov",
        prefixes: &["us-gov-"],
        dns_suffix: "amazonaws.com",
        dualstack_suffix: "api.aws",
    },
    Partition {
        name: "aws-eusc",
        prefixes: &["eusc-"],
        dns_suffix: "amazonaws.eu",
        dualstack_suffix: "api.amazonwebservices.eu",
    },
    Partition {
        name: "aws-iso",
        prefixes: &["us-iso-"],
        dns_suffix: "c2s.ic.gov",
        dualstack_suffix: "api.aws.ic.gov",
    },
    Partition {
        name: "aws-iso-b",
        prefixes: &["us-isob-"],
        dns_suffix: "sc2s.sgov.gov",
        dualstack_suffix: "api.aws.scloud",
    },
    Partition {
        name: "aws-iso-e",
        prefixes: &["eu-isoe-"],
        dns_suffix: "cloud.adc-e.uk",
        dualstack_suffix: "api.cloud-aws.adc-e.uk",
    },
    Partition {
        name: "aws-iso-f",
        prefixes: &["us-isof-", "eu-isof-"],
        dns_suffix: "csp.hci.ic.gov",
        dualstack_suffix: "api.aws.hci.ic.gov",
    },
];

fn find(region: &str) -> &'static Partition {
    OTHERS
        .iter()
        .find(|partition| partition.prefixes.iter().any(|prefix| region.starts_with(prefix)))
        .unwrap_or(&AWS)
}

/// Returns the partition of `region` for ARNs: `aws`, `aws-cn`, `aws-us-gov` and so on; `aws` if no other matches.
#[must_use]
pub fn partition(region: &str) -> &'static str {
    find(region).name
}

/// Returns the URL of the EC2 API in `region`.
pub(super) fn ec2_url(region: &str, use_fips: bool, use_dualstack: bool) -> String {
    let partition = find(region);
    let suffix = if use_dualstack { partition.dualstack_suffix } else { partition.dns_suffix };
    // GovCloud's ordinary names are FIPS-validated, and it has no others (EC2's endpoint rule set).
    let is_fips_already = partition.name == "aws-us-gov" && !use_dualstack;
    let service = if use_fips && !is_fips_already { "ec2-fips" } else { "ec2" };
    format!("https://{service}.{region}.{suffix}")
}

/// Validates `region`, which becomes part of a host name and a signature.
pub(super) fn check_region(region: &str) -> Result<(), AwsError> {
    let good = (1..=MAX_REGION_LEN).contains(&region.len())
        && region.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !region.starts_with('-')
        && !region.ends_with('-');
    if good { Ok(()) } else { Err(AwsError::Region(region.chars().take(MAX_REGION_LEN).collect())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn region_determines_partition_and_url() {
        for (region, name, url) in [
            ("eu-west-1", "aws", "https://ec2.eu-west-1.amazonaws.com"),
            ("cn-north-1", "aws-cn", "https://ec2.cn-north-1.amazonaws.com.cn"),
            ("us-gov-west-1", "aws-us-gov", "https://ec2.us-gov-west-1.amazonaws.com"),
            ("eusc-de-east-1", "aws-eusc", "https://ec2.eusc-de-east-1.amazonaws.eu"),
            ("us-iso-east-1", "aws-iso", "https://ec2.us-iso-east-1.c2s.ic.gov"),
            ("us-isob-east-1", "aws-iso-b", "https://ec2.us-isob-east-1.sc2s.sgov.gov"),
            ("mars-north-9", "aws", "https://ec2.mars-north-9.amazonaws.com"),
        ] {
            assert_eq!(partition(region), name);
            assert_eq!(ec2_url(region, false, false), url);
        }
    }

    #[test]
    fn fips_and_dual_stack_urls_differ() {
        assert_eq!(ec2_url("us-east-1", true, false), "https://ec2-fips.us-east-1.amazonaws.com");
        assert_eq!(ec2_url("us-east-1", false, true), "https://ec2.us-east-1.api.aws");
        assert_eq!(ec2_url("us-east-1", true, true), "https://ec2-fips.us-east-1.api.aws");
        assert_eq!(ec2_url("us-gov-west-1", true, false), "https://ec2.us-gov-west-1.amazonaws.com");
        assert_eq!(ec2_url("cn-north-1", false, true), "https://ec2.cn-north-1.api.amazonwebservices.com.cn");
    }

    #[test]
    fn invalid_region_is_rejected() {
        for bad in ["", "-", "eu west", "eu-west-1.evil.example", "EU-WEST-1", "a/b", &"a".repeat(33)] {
            assert!(check_region(bad).is_err(), "{bad:?}");
        }
        assert!(check_region("eu-west-1").is_ok());
    }
}

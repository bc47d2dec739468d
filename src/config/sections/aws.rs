//! `[aws]`: credentials, region and endpoints.

use super::SettingsReader;
use crate::aws::{AwsConfig, EndpointUrls};

/// Reads `[aws]`. Absent settings come from the same places as for every AWS tool.
pub(in crate::config) fn aws(reader: &mut SettingsReader<'_>) -> AwsConfig {
    let mut section = reader.section("aws");
    let mut text = |key: &str| reader.value(&mut section, key, None);
    let mut config = AwsConfig {
        region: text("region"),
        profile: text("profile"),
        endpoint_url: text("endpoint_url"),
        endpoint_urls: EndpointUrls {
            ec2: text("endpoint_url_ec2"),
            ec2_instance_connect: text("endpoint_url_ec2_instance_connect"),
            sts: text("endpoint_url_sts"),
        },
        ..AwsConfig::default()
    };
    config.ca_bundle = reader.value(&mut section, "ca_bundle", None);
    config.use_fips = reader.flag(&mut section, "use_fips");
    config.use_dualstack = reader.flag(&mut section, "use_dualstack");
    reader.end(section);
    config
}

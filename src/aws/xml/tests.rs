use super::super::model::{EndpointState, InstanceState};
use super::*;

const INSTANCES: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<DescribeInstancesResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/">
  <requestId>8f7724cf-496f-496e-8fe3-example</requestId>
  <reservationSet><item><reservationId>r-1</reservationId><ownerId>123456789012</ownerId><groupSet/>
<instancesSet><item>
  <instanceId>i-0123456789abcdef0</instanceId><imageId>ami-1</imageId>
  <instanceState><code>16</code><name>running</name></instanceState>
  <privateDnsName/><dnsName/><privateIpAddress>10.0.1.23</privateIpAddress>
  <ipv6Address>2600:1f10::1c27</ipv6Address>
  <vpcId>vpc-1</vpcId><subnetId>subnet-1</subnetId>
  <placement><availabilityZone>eu-west-1a</availabilityZone><tenancy>default</tenancy></placement>
  <groupSet><item><groupId>sg-1</groupId><groupName>default</groupName></item></groupSet>
  <tagSet><item><key>Role</key><value>workspace</value></item><item><key>empty</key><value/></item></tagSet>
  <futureElement><deep><item>x</item></deep></futureElement>
</item></instancesSet></item></reservationSet>
</DescribeInstancesResponse>"#;

#[test]
fn instance_is_parsed() {
    let page = instances(INSTANCES.as_bytes()).unwrap();
    assert_eq!(page.request_id.as_deref(), Some("8f7724cf-496f-496e-8fe3-example"));
    assert_eq!(page.next_token, None);
    let instance = &page.items[0];
    assert_eq!(instance.id.as_str(), "i-0123456789abcdef0");
    assert_eq!(instance.state, InstanceState::Running);
    assert_eq!(instance.owner.as_deref(), Some("123456789012"));
    assert_eq!(instance.private_ipv4, Some("10.0.1.23".parse().unwrap()));
    assert_eq!(instance.ipv6, Some("2600:1f10::1c27".parse().unwrap()));
    assert_eq!(instance.vpc_id.as_deref(), Some("vpc-1"));
    assert_eq!(instance.subnet_id.as_deref(), Some("subnet-1"));
    assert_eq!(instance.availability_zone.as_deref(), Some("eu-west-1a"));
    assert_eq!(instance.security_groups, ["sg-1"]);
    assert_eq!(instance.tag("Role"), Some("workspace"));
    assert_eq!(instance.tag("empty"), Some(""));
    assert_eq!(instance.tag("none"), None);
}

#[test]
fn terminated_instance_has_no_network() {
    let xml = r#"<DescribeInstancesResponse><reservationSet><item><ownerId>1</ownerId><instancesSet><item>
        <instanceId>i-1</instanceId><instanceState><code>48</code><name>terminated</name></instanceState>
        </item></instancesSet></item></reservationSet></DescribeInstancesResponse>"#;
    let instance = instances(xml.as_bytes()).unwrap().items.remove(0);
    assert_eq!(instance.state, InstanceState::Terminated);
    assert_eq!((instance.vpc_id, instance.private_ipv4), (None, None));
}

#[test]
fn ipv6_falls_back_to_interface() {
    let xml = r#"<DescribeInstancesResponse><reservationSet><item><instancesSet><item>
        <instanceId>i-1</instanceId><instanceState><name>running</name></instanceState><networkInterfaceSet><item>
        <ipv6AddressesSet><item><ipv6Address>fd00::1</ipv6Address></item></ipv6AddressesSet></item>
        </networkInterfaceSet></item></instancesSet></item></reservationSet></DescribeInstancesResponse>"#;
    assert_eq!(instances(xml.as_bytes()).unwrap().items[0].ipv6, Some("fd00::1".parse().unwrap()));
}

#[test]
fn endpoint_is_parsed_with_all_names() {
    let xml = r#"<?xml version="1.0"?><DescribeInstanceConnectEndpointsResponse xmlns="x"><requestId>r</requestId>
        <instanceConnectEndpointSet><item><ownerId>1</ownerId>
        <instanceConnectEndpointId>eice-1</instanceConnectEndpointId>
        <instanceConnectEndpointArn>arn:aws:ec2:r:1:instance-connect-endpoint/eice-1</instanceConnectEndpointArn>
        <state>create-complete</state><stateMessage/><dnsName>d.example</dnsName><fipsDnsName/>
        <networkInterfaceIdSet><item>eni-1</item></networkInterfaceIdSet><vpcId>vpc-1</vpcId>
        <subnetId>subnet-1</subnetId><preserveClientIp>true</preserveClientIp>
        <securityGroupIdSet><item>sg-1</item><item>sg-2</item></securityGroupIdSet>
        <ipAddressType>dualstack</ipAddressType>
        <publicDnsNames><ipv4><dnsName>d.example</dnsName></ipv4>
        <dualstack><dnsName>ds.example</dnsName><fipsDnsName>dsf.example</fipsDnsName></dualstack></publicDnsNames>
        </item></instanceConnectEndpointSet><nextToken>more</nextToken>
        </DescribeInstanceConnectEndpointsResponse>"#;
    let page = endpoints(xml.as_bytes()).unwrap();
    assert_eq!(page.next_token.as_deref(), Some("more"));
    let endpoint = &page.items[0];
    assert_eq!(endpoint.state, EndpointState::CreateComplete);
    assert_eq!(endpoint.state_message, None);
    assert_eq!(endpoint.names, DnsNames::new(Some("d.example".into()), None));
    assert_eq!(
        endpoint.dualstack_names,
        DnsNames::new(Some("ds.example".into()), Some("dsf.example".into()))
    );
    assert_eq!(endpoint.ip_address_type, IpAddressType::Dualstack);
    assert!(endpoint.preserve_client_ip);
    assert_eq!(endpoint.security_groups, ["sg-1", "sg-2"]);
}

#[test]
fn empty_set_is_an_empty_page() {
    let xml = "<DescribeInstanceConnectEndpointsResponse><requestId>r</requestId><instanceConnectEndpointSet/>\
               </DescribeInstanceConnectEndpointsResponse>";
    assert!(endpoints(xml.as_bytes()).unwrap().items.is_empty());
}

#[test]
fn error_body_is_parsed_in_both_forms() {
    let ec2 = "<?xml version=\"1.0\"?>\n<Response><Errors><Error><Code>InvalidInstanceID.NotFound</Code>\
               <Message>The instance ID 'i-0' does not exist</Message></Error></Errors><RequestID>r-1</RequestID>\
               </Response>";
    let read_error = |text: &str| error_body(text.as_bytes());
    let read = read_error(ec2).unwrap();
    assert_eq!(read.code, "InvalidInstanceID.NotFound");
    assert_eq!(read.message, "The instance ID 'i-0' does not exist");
    assert_eq!(read.request_id.as_deref(), Some("r-1"));
    let query = "<ErrorResponse xmlns=\"x\"><Error><Type>Sender</Type><Code>ExpiredToken</Code><Message>m</Message>\
                 </Error><RequestId>r-2</RequestId></ErrorResponse>";
    assert_eq!(read_error(query).unwrap().request_id.as_deref(), Some("r-2"));
    for none in ["", "<html><body>Bad gateway</body></html>", "<Response/>", "{}", "\u{0}"] {
        assert!(read_error(none).is_none(), "{none:?}");
    }
}

#[test]
fn malformed_response_is_rejected() {
    for bad in [
        "",
        "<html></html>",
        "<DescribeInstancesResponse>",
        "<DescribeInstancesResponse><reservationSet><item><instancesSet><item/></instancesSet></item>\
         </reservationSet></DescribeInstancesResponse>",
        &INSTANCES.replace("i-0123456789abcdef0", "../../etc"),
        &INSTANCES.replace("10.0.1.23", "10.0.1.23/openTunnel?x="),
    ] {
        assert!(instances(bad.as_bytes()).is_err(), "{bad:?}");
    }
    assert!(instances(b"<DescribeInstancesResponse>\xff</DescribeInstancesResponse>").is_err());
}

//! Endpoint selection.

use super::server::endpoint_page;
use super::*;
use crate::model::{AddressFamily, EndpointChoice};

#[tokio::test]
async fn pagination_stops_at_subnet_endpoint() {
    let server = Server::start(vec![
        running("i-1"),
        endpoint_page(&[("eice-a", "subnet-9", "create-complete")], Some("t+1")),
        endpoint_page(&[("eice-b", "subnet-1", "create-complete")], Some("t2")),
        ok("never requested"),
    ])
    .await;
    let client = client(&server.url).await;
    let instance = client.instance(&"i-1".parse().unwrap()).await.unwrap();
    let request = RouteRequest::new(&EndpointChoice::Automatic, Some(&instance));
    let chosen = client.route(&request).await.unwrap();
    assert_eq!((chosen.id.as_str(), chosen.dns_name.as_str()), ("eice-b", "eice-b.example"));
    client.route(&request).await.unwrap();
    let bodies = server.bodies();
    assert_eq!(bodies.len(), 3, "the second route is cached");
    let filter = "Action=DescribeInstanceConnectEndpoints&Version=2016-11-15&Filter.1.Name=state\
                  &Filter.1.Value.1=create-complete&Filter.1.Value.2=update-in-progress\
                  &Filter.1.Value.3=update-failed&Filter.1.Value.4=update-complete&Filter.2.Name=vpc-id\
                  &Filter.2.Value.1=vpc-1";
    assert_eq!(bodies[1], filter);
    assert_eq!(bodies[2], format!("{filter}&NextToken=t%2B1"));
}

#[tokio::test]
async fn failed_choice_queries_all_states() {
    for (all, expected) in [
        (endpoint_page(&[("eice-a", "subnet-1", "create-in-progress")], None), "is still being created"),
        (endpoint_page(&[("eice-a", "subnet-1", "create-failed")], None), "is in state create-failed"),
        (endpoint_page(&[], None), "there is no EC2 Instance Connect Endpoint in VPC vpc-1"),
    ] {
        let server = Server::start(vec![running("i-1"), endpoint_page(&[], None), all]).await;
        let client = client(&server.url).await;
        let instance = client.instance(&"i-1".parse().unwrap()).await.unwrap();
        let error =
            client.route(&RouteRequest::new(&EndpointChoice::Automatic, Some(&instance))).await.unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
        assert!(
            server.bodies()[2].ends_with("Version=2016-11-15&Filter.1.Name=vpc-id&Filter.1.Value.1=vpc-1")
        );
    }
}

#[tokio::test]
async fn known_endpoint_needs_no_request() {
    let server = Server::start(vec![ok("")]).await;
    let client = client(&server.url).await;
    let known = EndpointChoice::Known { id: "eice-1".parse().unwrap(), dns_name: "localhost:9443".into() };
    let mut request = RouteRequest::new(&known, None);
    request.address = Some("10.0.0.9".parse().unwrap());
    request.family = AddressFamily::Ipv4;
    let chosen = client.route(&request).await.unwrap();
    assert_eq!(
        (chosen.dns_name.as_str(), chosen.address.to_string().as_str()),
        ("localhost:9443", "10.0.0.9")
    );
    assert!(server.bodies().is_empty());
}

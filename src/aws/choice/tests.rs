use super::*;

fn instance(v4: Option<&str>, v6: Option<&str>) -> Instance {
    let mut instance = Instance::new("i-1".parse().unwrap(), InstanceState::Running);
    instance.private_ipv4 = v4.map(|text| text.parse().unwrap());
    instance.ipv6 = v6.map(|text| text.parse().unwrap());
    instance.vpc_id = Some("vpc-1".into());
    instance.subnet_id = Some("subnet-1".into());
    instance
}

fn endpoint(id: &str, subnet: &str, state: &str, kind: &str) -> Endpoint {
    let mut endpoint = Endpoint::new(id.parse().unwrap(), state.into());
    endpoint.vpc_id = Some("vpc-1".into());
    endpoint.subnet_id = Some(subnet.into());
    endpoint.ip_address_type = kind.into();
    endpoint.names = DnsNames::new(Some(format!("{id}.example")), Some(format!("{id}.fips.example")));
    endpoint
}

const READY: &str = "create-complete";
const V4: Option<&str> = Some("10.0.0.1");
const V6: Option<&str> = Some("fd00::1");

#[test]
fn subnet_endpoint_precedes_vpc() {
    let instance = instance(V4, None);
    let choice = EndpointCriteria { instance: Some(&instance), ..EndpointCriteria::default() };
    for (endpoints, expected) in [
        (vec![("eice-a", "subnet-2"), ("eice-b", "subnet-1")], "eice-b"),
        (vec![("eice-a", "subnet-1"), ("eice-b", "subnet-1")], "eice-a"),
        (vec![("eice-a", "subnet-2"), ("eice-b", "subnet-3")], "eice-a"),
    ] {
        let endpoints: Vec<_> =
            endpoints.into_iter().map(|(id, subnet)| endpoint(id, subnet, READY, "ipv4")).collect();
        let chosen = choose(&choice, &endpoints).unwrap();
        assert_eq!(chosen.id.as_str(), expected);
        assert_eq!(chosen.dns_name, format!("{expected}.example"));
        assert_eq!(chosen.address, "10.0.0.1".parse::<IpAddr>().unwrap());
    }
}

#[test]
fn named_endpoint_may_be_in_another_vpc() {
    let instance = instance(V4, None);
    let id = "eice-far".parse().unwrap();
    let choice =
        EndpointCriteria { instance: Some(&instance), endpoint: Some(&id), ..EndpointCriteria::default() };
    let mut far = endpoint("eice-far", "subnet-9", READY, "ipv4");
    far.vpc_id = Some("vpc-peer".into());
    let endpoints = [endpoint("eice-near", "subnet-1", READY, "ipv4"), far];
    assert_eq!(choose(&choice, &endpoints).unwrap().id, id);

    let by_address = EndpointCriteria {
        endpoint: Some(&id),
        address: Some("10.9.9.9".parse().unwrap()),
        ..EndpointCriteria::default()
    };
    assert_eq!(choose(&by_address, &endpoints).unwrap().address, "10.9.9.9".parse::<IpAddr>().unwrap());
    assert_eq!(choose(&by_address, &endpoints[..1]), Err(ChoiceError::NoSuchEndpoint { id: id.clone() }));
}

#[test]
fn unusable_state_is_reported() {
    let instance = instance(V4, None);
    let choice = EndpointCriteria { instance: Some(&instance), ..EndpointCriteria::default() };
    for state in ["create-complete", "update-in-progress", "update-failed", "update-complete"] {
        let endpoints = [endpoint("eice-a", "subnet-1", state, "ipv4")];
        assert!(choose(&choice, &endpoints).is_ok(), "{state}");
    }
    for state in ["create-failed", "delete-in-progress", "delete-failed", "invented"] {
        let endpoints = [endpoint("eice-a", "subnet-1", state, "ipv4")];
        let error = choose(&choice, &endpoints).unwrap_err();
        assert!(matches!(error, ChoiceError::EndpointState { .. }), "{state}: {error:?}");
        assert!(error.to_string().contains(state));
    }
    let creating = endpoint("eice-new", "subnet-1", "create-in-progress", "ipv4");
    let failed = endpoint("eice-old", "subnet-1", "create-failed", "ipv4");
    let error = choose(&choice, &[failed.clone(), creating.clone()]).unwrap_err();
    assert_eq!(error, ChoiceError::BeingCreated { id: creating.id.clone() });
    let ready = endpoint("eice-x", "subnet-2", READY, "ipv4");
    assert_eq!(choose(&choice, &[failed, creating, ready]).unwrap().id.as_str(), "eice-x");
    let gone = endpoint("eice-a", "subnet-1", "delete-complete", "ipv4");
    assert_eq!(choose(&choice, &[gone]), Err(ChoiceError::NoEndpoint { vpc_id: "vpc-1".into() }));
    assert_eq!(choose(&choice, &[]), Err(ChoiceError::NoEndpoint { vpc_id: "vpc-1".into() }));
}

#[test]
fn other_vpc_endpoint_is_ignored() {
    let instance = instance(V4, None);
    let choice = EndpointCriteria { instance: Some(&instance), ..EndpointCriteria::default() };
    let mut other = endpoint("eice-a", "subnet-1", READY, "ipv4");
    other.vpc_id = Some("vpc-2".into());
    assert!(matches!(choose(&choice, &[other]), Err(ChoiceError::NoEndpoint { .. })));
}

#[test]
fn address_family_matches_endpoint() {
    use AddressFamily::{Any, Ipv4, Ipv6};
    for (v4, v6, kind, family, expected) in [
        (V4, None, "ipv4", Any, Ok("10.0.0.1")),
        (V4, V6, "ipv4", Any, Ok("10.0.0.1")),
        (V4, V6, "dualstack", Any, Ok("10.0.0.1")),
        (V4, V6, "ipv6", Any, Ok("fd00::1")),
        (None, V6, "dualstack", Any, Ok("fd00::1")),
        (None, V6, "ipv6", Any, Ok("fd00::1")),
        (None, V6, "", Any, Ok("fd00::1")),
        (V4, V6, "dualstack", Ipv6, Ok("fd00::1")),
        (V4, V6, "", Ipv4, Ok("10.0.0.1")),
        (None, V6, "ipv4", Any, Err("cannot reach fd00::1")),
        (V4, None, "ipv6", Any, Err("cannot reach 10.0.0.1")),
        (V4, V6, "ipv4", Ipv6, Err("cannot reach fd00::1")),
        (V4, None, "ipv4", Ipv6, Err("no private IPv6 address")),
        (None, V6, "ipv4", Ipv4, Err("no private IPv4 address")),
        (None, None, "ipv4", Any, Err("no private IPv4 or IPv6 address")),
    ] {
        let instance = instance(v4, v6);
        let choice = EndpointCriteria { instance: Some(&instance), family, ..EndpointCriteria::default() };
        let chosen = choose(&choice, &[endpoint("eice-a", "subnet-1", READY, kind)]);
        match (chosen, expected) {
            (Ok(chosen), Ok(address)) => assert_eq!(chosen.address.to_string(), address),
            (Err(error), Err(text)) => assert!(error.to_string().contains(text), "{error}"),
            (chosen, expected) => panic!("{v4:?} {v6:?} {kind} {family:?}: {chosen:?} {expected:?}"),
        }
    }
}

#[test]
fn wrong_family_is_skipped() {
    let instance = instance(None, V6);
    let choice = EndpointCriteria { instance: Some(&instance), ..EndpointCriteria::default() };
    let endpoints =
        [endpoint("eice-a", "subnet-1", READY, "ipv4"), endpoint("eice-b", "subnet-2", READY, "dualstack")];
    assert_eq!(choose(&choice, &endpoints).unwrap().id.as_str(), "eice-b");
}

#[test]
fn dns_name_matches_request() {
    let instance = instance(V4, None);
    let names = |dualstack: DnsNames, use_fips, use_dualstack| {
        let mut endpoint = endpoint("eice-a", "subnet-1", READY, "ipv4");
        endpoint.dualstack_names = dualstack;
        let choice = EndpointCriteria {
            instance: Some(&instance),
            use_fips,
            use_dualstack,
            ..EndpointCriteria::default()
        };
        choose(&choice, &[endpoint]).unwrap().dns_name
    };
    let both = || DnsNames::new(Some("ds.example".into()), Some("dsf.example".into()));
    assert_eq!(names(both(), false, false), "eice-a.example");
    assert_eq!(names(both(), true, false), "eice-a.fips.example");
    assert_eq!(names(both(), false, true), "ds.example");
    assert_eq!(names(both(), true, true), "dsf.example");
    assert_eq!(names(DnsNames::default(), false, true), "eice-a.example", "there is no dual-stack name");
    assert_eq!(names(DnsNames::new(Some("ds".into()), None), true, true), "eice-a.fips.example");

    let mut bare = endpoint("eice-a", "subnet-1", READY, "ipv4");
    bare.names = DnsNames::new(Some("plain.example".into()), Some(String::new()));
    let choice =
        EndpointCriteria { instance: Some(&instance), use_fips: true, ..EndpointCriteria::default() };
    let error = choose(&choice, &[bare]).unwrap_err();
    assert!(matches!(error, ChoiceError::NoFipsName { .. }), "FIPS is never dropped silently: {error}");
}

#[test]
fn stopped_instance_fails_first() {
    for state in ["pending", "stopping", "stopped", "shutting-down", "terminated", "invented\u{1b}[2J"] {
        let mut instance = instance(V4, None);
        instance.state = state.into();
        instance.vpc_id = None;
        let choice = EndpointCriteria { instance: Some(&instance), ..EndpointCriteria::default() };
        let error = choose(&choice, &[]).unwrap_err();
        assert!(matches!(error, ChoiceError::InstanceState { .. }), "{state}: {error:?}");
        assert!(!error.to_string().contains('\u{1b}'));
        assert!(!error.hint().is_empty());
    }
    assert_eq!(choose(&EndpointCriteria::default(), &[]), Err(ChoiceError::NoVpc));
}

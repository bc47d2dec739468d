use super::*;

#[test]
fn default_config_is_consistent() {
    let config = EmulatorConfig::default();
    let (instance, endpoint) = (&config.instances[0], &config.endpoints[0]);
    assert_eq!((&instance.vpc, &instance.subnet), (&endpoint.vpc, &endpoint.subnet));
    let groups: Vec<_> = config.security_groups.iter().map(|group| &group.id).collect();
    assert!(instance.security_groups.iter().chain(&endpoint.security_groups).all(|id| groups.contains(&id)));
    assert_ne!(
        IamUser::default().secret_access_key.expose(),
        IamUser::default().secret_access_key.expose(),
        "no two emulators share a secret"
    );
    assert!(!format!("{config:?}").contains(config.principals[0].secret_access_key.expose()));
}

#[test]
fn toml_config_parses() {
    let config: EmulatorConfig = toml::from_str(
        r#"
        region = "us-east-1"
        [[instances]]
        id = "i-0aaaaaaaaaaaaaaaa"
        state = "stopped"
        backend = { forward = "127.0.0.1:2222" }
        [[instances]]
        backend = "closed"
        [faults]
        latency_ms = 20
        "#,
    )
    .unwrap();
    assert_eq!(config.instances[0].state, InstanceState::Stopped);
    assert_eq!(config.instances[0].backend, Backend::Forward("127.0.0.1:2222".parse().unwrap()));
    assert_eq!(config.instances[1].backend, Backend::Closed);
    assert_eq!(config.endpoints.len(), 1, "missing fields keep their defaults");
    assert_eq!(config.faults.latency_ms, 20);
    assert!(toml::from_str::<EmulatorConfig>("regoin = 'x'").is_err());
    assert!(toml::from_str::<EmulatorConfig>("[[instances]]\nid = 'mi-1'").is_err());
}

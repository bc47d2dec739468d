use super::*;

fn env(pairs: &[(&str, &str)]) -> Result<ProxyConfig, InvalidProxy> {
    ProxyConfig::from_lookup(|name| {
        pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
    })
}

fn chosen(pairs: &[(&str, &str)], host: &str) -> Option<String> {
    env(pairs).unwrap().proxy_for(host, 443).map(Proxy::to_string)
}

#[test]
fn variables_have_curls_order() {
    let all: &[_] = &[
        ("https_proxy", "http://a:1"),
        ("HTTPS_PROXY", "http://b:2"),
        ("all_proxy", "http://c:3"),
        ("ALL_PROXY", "http://d:4"),
        ("http_proxy", "http://e:5"),
    ];
    for (skip, expected) in [
        (0, Some("http://a:1")),
        (1, Some("http://b:2")),
        (2, Some("http://c:3")),
        (3, Some("http://d:4")),
        (4, None),
    ] {
        assert_eq!(chosen(&all[skip..], "x.example").as_deref(), expected);
    }
    assert_eq!(
        chosen(&[("https_proxy", ""), ("HTTPS_PROXY", "b")], "x").as_deref(),
        Some("http://b:1080"),
        "empty is unset, defaults are curl's"
    );
    assert_eq!(chosen(&[("HTTP_PROXY", "http://e:5")], "x"), None);
}

#[test]
fn proxy_url_forms_are_parsed() {
    let read = |text| Proxy::parse("https_proxy", text);
    for (text, expected) in [
        ("proxy", "http://proxy:1080"),
        ("proxy:3128", "http://proxy:3128"),
        ("HTTP://proxy:3128/", "http://proxy:3128"),
        ("https://proxy", "https://proxy:443"),
        ("socks5://10.0.0.1", "socks5://10.0.0.1:1080"),
        ("socks5h://[::1]:9", "socks5h://[::1]:9"),
    ] {
        assert_eq!(read(text).unwrap().to_string(), expected);
    }
    let proxy = read("http://us%40er:p%3Aw@d@proxy:1").unwrap();
    let user = proxy.user.as_ref().unwrap();
    assert_eq!((user.name.as_str(), user.password.as_str()), ("us@er", "p:w@d"));
    assert!(!format!("{proxy:?} {proxy}").contains("p:w@d"));
    for bad in [
        "ftp://x",
        "socks4://x",
        "http://",
        "http://:80",
        "http://x:0",
        "http://x:99999",
        "http://x:a",
        "http://[::1",
        "http://a b",
        "http://u%0d%0aX:1@x",
        "http://u%4:1@x",
    ] {
        let error = read(bad).unwrap_err();
        assert_eq!(error.name(), "https_proxy", "{bad}");
    }
    let error = read("gopher://u:hunter2@x").unwrap_err();
    assert!(!error.to_string().contains("hunter2"));
    assert!(read(&format!("socks5://{}:x@h", "u".repeat(256))).is_err());
}

#[test]
fn no_proxy_is_parsed_as_curl_does() {
    for (no_proxy, host, bypassed) in [
        ("*", "x.example", true),
        (" * ", "x.example", true),
        ("example.com", "example.com", true),
        ("example.com", "www.example.com", true),
        (".example.com", "example.com", true),
        (".example.com", "www.example.com", true),
        ("example.com", "notexample.com", false),
        ("www.example.com", "example.com", false),
        ("EXAMPLE.com", "www.Example.COM", true),
        ("example.com.", "example.com", true),
        ("example.com", "example.com.", true),
        ("a, b example.com", "example.com", true),
        ("", "example.com", false),
        (",,", "example.com", false),
        ("10.0.0.1", "10.0.0.1", true),
        ("10.0.0.1", "10.0.0.11", false),
        ("10.0.0.0/8", "10.255.0.1", true),
        ("10.0.0.0/8", "11.0.0.1", false),
        ("10.0.0.0/8", "10.example", false),
        ("0.0.0.0/0", "8.8.8.8", true),
        ("0.0.0.0/0", "::1", false),
        ("10.0.0.0/33", "10.0.0.1", false),
        ("fd00::/8", "fd12::1", true),
        ("fd00::/8", "fe80::1", false),
        ("[::1]", "::1", true),
        ("::1", "0:0:0:0:0:0:0:1", true),
        ("1", "10.0.0.1", false),
        ("example.com:443", "example.com", true),
        ("example.com:8443", "example.com", false),
        ("10.0.0.1:443", "10.0.0.1", true),
        ("[fd00::1]:8443", "fd00::1", false),
        ("amazonaws.com", "eice-1.ec2-instance-connect-endpoint.eu-west-1.amazonaws.com", true),
    ] {
        let proxy = chosen(&[("https_proxy", "p"), ("NO_PROXY", no_proxy)], host);
        assert_eq!(proxy.is_none(), bypassed, "{no_proxy:?} {host}");
    }
    let pairs = [("https_proxy", "p"), ("no_proxy", "a"), ("NO_PROXY", "b")];
    assert!(chosen(&pairs, "a").is_none());
    assert!(chosen(&pairs, "b").is_some(), "the lower-case name has precedence");
}

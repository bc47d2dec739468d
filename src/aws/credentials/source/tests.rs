use super::super::super::config::AwsConfig;
use super::super::super::environment::EnvSource;
use super::*;

const KEYS: [(&str, &str); 2] = [("AWS_ACCESS_KEY_ID", "AKIDENV"), ("AWS_SECRET_ACCESS_KEY", "s")];

const FILE: &str = "
[default]
aws_access_key_id = AKIDDEFAULT
aws_secret_access_key = s
[profile b]
aws_access_key_id = AKIDB
aws_secret_access_key = s
[profile empty]
region = eu-west-1
[profile half]
aws_access_key_id = AKIDHALF
[profile role]
role_arn = arn:role
source_profile = b
external_id = ext
mfa_serial = arn:mfa
role_session_name = me
duration_seconds = 900
[profile chain]
role_arn = arn:outer
source_profile = role
[profile self]
role_arn = arn:self
source_profile = self
aws_access_key_id = AKIDSELF
aws_secret_access_key = s
[profile env]
role_arn = arn:env
credential_source = Environment
[profile metadata]
role_arn = arn:meta
credential_source = Ec2InstanceMetadata
[profile loop]
role_arn = arn:1
source_profile = pool
[profile pool]
role_arn = arn:2
source_profile = loop
[profile nowhere]
role_arn = arn:1
source_profile = absent
[profile bare]
role_arn = arn:1
[profile both]
role_arn = arn:1
source_profile = b
credential_source = Environment
[profile odd]
role_arn = arn:1
credential_source = Moon
[profile forever]
role_arn = arn:1
source_profile = b
duration_seconds = 99999999999
[profile process]
credential_process = get keys
[profile login]
login_session = arn:aws:iam::1:user/me
[profile web]
role_arn = arn:web
web_identity_token_file = /token
[profile sso]
sso_session = my sso
sso_account_id = 1
sso_role_name = r
[sso-session 'my sso']
sso_region = eu-west-1
sso_start_url = https://sso
[profile lost]
sso_session = none
sso_account_id = 1
sso_role_name = r
";

fn found(variables: &[(&str, &str)], explicit: Option<&str>) -> Result<Source, AwsError> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("config");
    std::fs::write(&path, FILE).unwrap();
    let environment = EnvSource::of(variables);
    let config = AwsConfig { environment, config_file: Some(path), ..AwsConfig::default() };
    source(&Settings::read(&config, explicit)?)
}

/// Summarizes the source.
fn brief(source: &Source) -> String {
    match source {
        Source::Keys(keys) => keys.access_key_id().to_owned(),
        Source::Process { command, .. } => format!("process {command}"),
        Source::Sso(sso) => format!("sso {} {}", sso.start_url, sso.region),
        Source::WebIdentity { role_arn, token_file, .. } => {
            format!("web {role_arn} {}", token_file.display())
        }
        Source::Role { base, role } => format!("{} by {}", role.arn, brief(base)),
        Source::Container => "container".to_owned(),
        Source::Instance => "instance".to_owned(),
    }
}

#[test]
fn explicit_profile_precedes_environment() {
    let with = |more: &[(&'static str, &'static str)]| [&KEYS[..], more].concat();
    let web = [("AWS_WEB_IDENTITY_TOKEN_FILE", "/env"), ("AWS_ROLE_ARN", "arn:envweb")];
    let container = [("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/x")];
    for (variables, explicit, expected) in [
        (with(&[]), Some("b"), "AKIDB"),
        (with(&[]), Some("default"), "AKIDDEFAULT"),
        (with(&[("AWS_PROFILE", "role")]), Some("b"), "AKIDB"),
        (with(&[("AWS_PROFILE", "b")]), None, "AKIDENV"),
        (with(&[("AWS_DEFAULT_PROFILE", "b")]), None, "AKIDENV"),
        (with(&web), None, "AKIDENV"),
        (vec![("AWS_PROFILE", "b")], None, "AKIDB"),
        (vec![("AWS_DEFAULT_PROFILE", "b")], None, "AKIDB"),
        (vec![], None, "AKIDDEFAULT"),
        (with(&[]), Some("role"), "arn:role by AKIDB"),
        (with(&[]), Some("chain"), "arn:outer by arn:role by AKIDB"),
        (with(&[]), Some("self"), "arn:self by AKIDSELF"),
        (with(&[]), Some("env"), "arn:env by AKIDENV"),
        (vec![], Some("metadata"), "arn:meta by instance"),
        (with(&[]), Some("process"), "process get keys"),
        (with(&[]), Some("sso"), "sso https://sso eu-west-1"),
        (with(&web), Some("web"), "web arn:web /token"),
        (with(&web), Some("b"), "AKIDB"),
        (web.to_vec(), None, "web arn:envweb /env"),
        ([&web[..], &[("AWS_PROFILE", "role")]].concat(), None, "arn:role by AKIDB"),
        (with(&[]), Some("empty"), "instance"),
        (container.to_vec(), Some("empty"), "container"),
        (container.to_vec(), None, "AKIDDEFAULT"),
        (vec![("AWS_SECRET_ACCESS_KEY", "s")], None, "AKIDDEFAULT"),
    ] {
        let source = found(&variables, explicit).unwrap();
        assert_eq!(brief(&source), expected, "{variables:?} {explicit:?}");
    }
}

#[test]
fn role_settings_are_read() {
    let Source::Role { role, .. } = found(&[], Some("role")).unwrap() else { panic!() };
    let expected = Role {
        arn: "arn:role".into(),
        session_name: "me".into(),
        external_id: Some("ext".into()),
        mfa_serial: Some("arn:mfa".into()),
        duration_secs: Some(900),
    };
    assert_eq!(*role, expected);
}

#[test]
fn invalid_profile_error_names_cause() {
    let partial = [("AWS_ACCESS_KEY_ID", "k"), ("AWS_SECRET_ACCESS_KEY", "")];
    for (variables, explicit, words) in [
        (&partial[..], None, "env AWS_SECRET_ACCESS_KEY"),
        (&[], Some("half"), "config-file aws_secret_access_key"),
        (&[], Some("loop"), "loop -> pool -> loop"),
        (&[], Some("nowhere"), "source_profile absent"),
        (&[], Some("bare"), "assume-role source_profile"),
        (&[], Some("both"), "both"),
        (&[], Some("odd"), "credential_source Moon"),
        (&[], Some("forever"), "duration_seconds"),
        (&[], Some("env"), "env AWS_ACCESS_KEY_ID"),
        (&[], Some("login"), "login"),
        (&[], Some("lost"), "sso_session none"),
        (&[], Some("nope"), "nope"),
    ] {
        let error = found(variables, explicit).unwrap_err().to_string();
        for word in words.split(' ') {
            assert!(error.contains(word), "{explicit:?}: {word:?} is not in {error:?}");
        }
    }
}

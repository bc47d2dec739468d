//! One `[[workspace]]` and one `[[token]]` of the directory's file.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use serde::Deserialize as _;
use serde::de::IntoDeserializer as _;
use serde::de::value::{Error as ValueError, StrDeserializer};
use toml::de::DeValue;

use super::fields::{Fields, Problems};
use super::{Access, Principal, Status, TokenDigest, Workspace, WorkspaceId, local};
use crate::model::{
    Account, AddressFamily, ContainerName, ContainerShell, EndpointChoice, EnvName, InstanceTarget,
    LocalTarget, Shell, Target,
};

/// The longest free text of a field other than a name, in bytes.
const MAX_TEXT_LEN: usize = 2048;

/// What only a workspace on an instance has.
const INSTANCE_ONLY: [&str; 13] = [
    "os_user",
    "region",
    "profile",
    "role_arn",
    "external_id",
    "endpoint",
    "endpoint_dns_name",
    "address",
    "address_family",
    "port",
    "max_duration",
    "command",
    "engine",
];

/// A workspace, unless a part of it is wrong, and where in the text its parent is named.
pub(super) fn read_workspace(
    mut fields: Fields<'_, '_>,
    problems: &mut Problems<'_>,
) -> Option<(Workspace, Option<usize>)> {
    let id: Option<WorkspaceId> = fields.parsed(problems, "id");
    let name = read_name(&mut fields, problems);
    for key in ["id", "name"] {
        fields.missing(problems, key);
    }
    let status = read_status(&mut fields, problems);
    let runtime = fields.checked(problems, "runtime", "the name of a runtime", is_text);
    let parent = fields.parsed(problems, "parent");
    let parent_offset = fields.value("parent").map(|(_, offset)| offset);
    let target = if fields.value("instance").is_some() {
        read_instance(&mut fields, problems).map(Target::from)
    } else {
        let local = id.zip(name.as_deref()).map(|(id, name)| local::target(id, name));
        Some(read_local(&mut fields, problems, local).into())
    };
    fields.refuse_unknown(problems);

    let mut workspace = Workspace::new(id?, name?, target?).with_status(status);
    workspace.runtime = runtime;
    workspace.parent = parent;
    Some((workspace, parent_offset))
}

/// Reads a container of the local engine: the one that is named, or else the one `named_after` the workspace.
fn read_local(
    fields: &mut Fields<'_, '_>,
    problems: &mut Problems<'_>,
    named_after: Option<LocalTarget>,
) -> LocalTarget {
    let container: Option<ContainerName> = fields.parsed(problems, "container");
    let env = read_env(fields, problems);
    for key in INSTANCE_ONLY {
        if let Some((_, offset)) = fields.value(key) {
            problems.add(
                offset,
                format_args!(
                    "{key} needs instance: without one the workspace is a container beside the gateway"
                ),
            );
        }
    }
    let mut target = match container {
        Some(container) => LocalTarget::new(vec![container]),
        None => named_after.unwrap_or_else(|| LocalTarget::new(Vec::new())),
    };
    target.env = env.map(|(env, _)| env).unwrap_or_default();
    target
}

/// An instance and how it is reached.
fn read_instance(fields: &mut Fields<'_, '_>, problems: &mut Problems<'_>) -> Option<InstanceTarget> {
    let instance = fields.parsed(problems, "instance");
    let os_user = fields.parsed(problems, "os_user");
    let region = fields.checked(problems, "region", "lower-case letters, digits and hyphens", |text| {
        !text.is_empty()
            && text.len() <= 64
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    });
    let account = Account::new(
        fields.checked(problems, "profile", "the name of a profile", is_text),
        fields.checked(problems, "role_arn", "a role's ARN", |text| {
            is_text(text) && text.starts_with("arn:") && text.contains(":role/")
        }),
        fields.checked(problems, "external_id", "an external id", is_text),
    );
    let endpoint = read_endpoint(fields, problems);
    let address: Option<IpAddr> = fields.parsed(problems, "address");
    let family = read_family(fields, problems);
    let port = fields.integer(problems, "port");
    let max_duration = fields.integer(problems, "max_duration");
    let shell = read_shell(fields, problems);

    let mut target = InstanceTarget::new(instance?);
    target.account = account;
    target.region = region;
    target.endpoint = endpoint;
    target.private_address = address;
    target.address_family = family;
    target.max_duration = max_duration;
    target.shell = shell;
    if let Some(os_user) = os_user {
        target.os_user = os_user;
    }
    if let Some(port) = port {
        target.port = port;
    }
    Some(target)
}

/// A token's digest and its principal, unless a part of it is wrong.
pub(super) fn read_token(
    mut fields: Fields<'_, '_>,
    workspaces: &BTreeMap<WorkspaceId, Workspace>,
    problems: &mut Problems<'_>,
) -> Option<(TokenDigest, Principal)> {
    let name = read_name(&mut fields, problems);
    let digest = fields.string(problems, "sha256").and_then(|(text, offset)| {
        let wanted =
            "sha256: 64 hexadecimal digits are wanted, as `printf %s \"$TOKEN\" | sha256sum` prints them";
        text.parse::<TokenDigest>().map_err(|()| problems.add(offset, wanted)).ok()
    });
    for key in ["name", "sha256", "workspaces"] {
        fields.missing(problems, key);
    }
    let access = match fields.value("workspaces") {
        Some((DeValue::String(text), _)) if text == "*" => Some(Access::All),
        Some((DeValue::Array(_), _)) => {
            let ids = fields.strings(problems, "workspaces").unwrap_or_default();
            Some(Access::Only(read_ids(&ids, workspaces, problems)))
        }
        Some((_, offset)) => {
            problems.add(offset, "workspaces must be \"*\" or an array of ids");
            None
        }
        None => None,
    };
    fields.refuse_unknown(problems);
    Some((digest?, Principal::new(name?, access?)))
}

fn read_ids(
    ids: &[(&str, usize)],
    workspaces: &BTreeMap<WorkspaceId, Workspace>,
    problems: &mut Problems<'_>,
) -> BTreeSet<WorkspaceId> {
    let mut known = BTreeSet::new();
    for (text, offset) in ids {
        match text.parse::<WorkspaceId>() {
            Ok(id) if workspaces.contains_key(&id) => {
                known.insert(id);
            }
            Ok(id) => problems.add(*offset, format_args!("workspaces: there is no workspace {id} above")),
            Err(error) => problems.add(*offset, format_args!("workspaces: {error}")),
        }
    }
    known
}

fn read_name(fields: &mut Fields<'_, '_>, problems: &mut Problems<'_>) -> Option<String> {
    let must = format!("1 to {} characters, none of them a control character", Workspace::MAX_NAME_LEN);
    fields.checked(problems, "name", &must, |text| {
        (1..=Workspace::MAX_NAME_LEN).contains(&text.chars().count()) && !text.chars().any(char::is_control)
    })
}

fn read_status(fields: &mut Fields<'_, '_>, problems: &mut Problems<'_>) -> Status {
    let Some((text, offset)) = fields.string(problems, "status") else { return Status::default() };
    let text: StrDeserializer<'_, ValueError> = text.into_deserializer();
    Status::deserialize(text).unwrap_or_else(|error| {
        problems.add(offset, format_args!("status: {error}"));
        Status::default()
    })
}

fn read_endpoint(fields: &mut Fields<'_, '_>, problems: &mut Problems<'_>) -> EndpointChoice {
    let given = fields.string(problems, "endpoint");
    let id = fields.parsed(problems, "endpoint").filter(|_| given.is_some());
    let offset = fields.value("endpoint_dns_name").map_or(0, |(_, offset)| offset);
    let dns_name = fields.checked(problems, "endpoint_dns_name", "a DNS name, perhaps with :port", |text| {
        !text.is_empty()
            && text.len() <= 300
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b':'))
    });
    match (id, dns_name) {
        (Some(id), Some(dns_name)) => EndpointChoice::Known { id, dns_name },
        (Some(id), None) => EndpointChoice::Id(id),
        (None, Some(_)) if given.is_none() => {
            problems.add(offset, "endpoint_dns_name needs endpoint as well");
            EndpointChoice::Automatic
        }
        (None, _) => EndpointChoice::Automatic,
    }
}

fn read_family(fields: &mut Fields<'_, '_>, problems: &mut Problems<'_>) -> AddressFamily {
    match fields.string(problems, "address_family") {
        None | Some(("any", _)) => AddressFamily::Any,
        Some(("ipv4", _)) => AddressFamily::Ipv4,
        Some(("ipv6", _)) => AddressFamily::Ipv6,
        Some((_, offset)) => {
            problems.add(offset, "address_family must be any, ipv4 or ipv6");
            AddressFamily::Any
        }
    }
}

fn read_shell(fields: &mut Fields<'_, '_>, problems: &mut Problems<'_>) -> Shell {
    let container_offset = fields.value("container").map(|(_, offset)| offset);
    let container: Option<ContainerName> = fields.parsed(problems, "container");
    let command = fields.checked(problems, "command", "a command line without NUL", |text| {
        !text.trim().is_empty() && text.len() <= MAX_TEXT_LEN && !text.contains('\0')
    });
    let engine = read_engine(fields, problems);
    let env = read_env(fields, problems);
    if let (Some(offset), Some(_)) = (container_offset, &command) {
        problems.add(offset, "container and command exclude each other");
    }
    if container_offset.is_none() {
        let engine = engine.as_ref().map(|(_, offset)| *offset);
        let env = env.as_ref().map(|(_, offset)| *offset);
        for offset in engine.into_iter().chain(env) {
            problems.add(offset, "engine and env need container");
        }
    }
    match (container, command) {
        (Some(container), _) => {
            let mut shell = ContainerShell::new(container);
            if let Some((engine, _)) = engine {
                shell.engine = engine;
            }
            shell.env = env.map(|(env, _)| env).unwrap_or_default();
            Shell::Container(shell)
        }
        (None, Some(command)) => Shell::Command(command),
        (None, None) => Shell::Login,
    }
}

fn read_engine(fields: &mut Fields<'_, '_>, problems: &mut Problems<'_>) -> Option<(Vec<String>, usize)> {
    let (_, offset) = fields.value("engine")?;
    let words = fields.strings(problems, "engine")?;
    for (_, offset) in words.iter().filter(|(word, _)| word.is_empty() || !is_text(word)) {
        problems.add(*offset, "engine: a word must not be empty nor have control characters");
    }
    if words.is_empty() {
        problems.add(offset, "engine must name a program");
    }
    Some((words.into_iter().map(|(word, _)| word.to_owned()).collect(), offset))
}

type Env = Vec<(EnvName, String)>;

fn read_env(fields: &mut Fields<'_, '_>, problems: &mut Problems<'_>) -> Option<(Env, usize)> {
    let (value, offset) = fields.value("env")?;
    let Some(table) = value.as_table() else {
        problems.add(offset, format_args!("env must be a table, not {}", value.type_str()));
        return None;
    };
    let mut env = Vec::new();
    for (key, value) in table.iter() {
        let name = key.get_ref().parse::<EnvName>();
        let text = value.get_ref().as_str().filter(|text| text.len() <= MAX_TEXT_LEN && !text.contains('\0'));
        match (name, text) {
            (Ok(name), Some(text)) => env.push((name, text.to_owned())),
            (Err(error), _) => problems.add(key.span().start, format_args!("env: {error}")),
            (Ok(name), None) => problems.add(
                value.span().start,
                format_args!("env: {name} must be a string without NUL of at most {MAX_TEXT_LEN} bytes"),
            ),
        }
    }
    Some((env, offset))
}

fn is_text(text: &str) -> bool {
    (1..=MAX_TEXT_LEN).contains(&text.len()) && !text.chars().any(char::is_control)
}

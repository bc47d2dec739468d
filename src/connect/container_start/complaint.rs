//! Recognizes the errors of a container engine that did not open a container.

use crate::model::{ContainerShell, Exit, Fault, OsUser, Stage, StageError};

/// Texts with which engines, sudo and shells report that nothing was started.
const ENGINE_ERRORS: &[&str] = &[
    "Error response from daemon",
    "Error: No such container",
    "Error: no container with name or ID",
    "Error: can only create exec sessions on running containers",
    "OCI runtime exec failed",
    "permission denied while trying to connect",
    "Cannot connect to the Docker daemon",
    "Cannot connect to Podman",
    "sudo: ",
    "not found",
    "cannot execute",
    "No such file or directory",
];

/// The container, and the user who runs its engine.
#[derive(Clone, Copy)]
pub(in crate::connect) struct EngineContext<'a> {
    pub(in crate::connect) container: &'a ContainerShell,
    pub(in crate::connect) user: &'a OsUser,
}

/// Returns whether `said` contains an error of an engine that started nothing.
pub(super) fn is_complaint(said: &str) -> bool {
    ENGINE_ERRORS.iter().any(|complaint| said.contains(complaint))
}

/// Returns the error that `said` and `exit` indicate, if they do.
pub(in crate::connect) fn complaint(
    said: &str,
    exit: &Exit,
    context: EngineContext<'_>,
) -> Option<StageError> {
    // Engines exit with 1 or 125 for their own errors, 126 and 127 for commands that could not be run.
    let Exit::Code(code @ (1 | 125..=127)) = exit else { return None };
    let said = said.trim();
    let is_silent_refusal = said.is_empty() && *code >= 125;
    if !is_silent_refusal && !is_complaint(said) {
        return None;
    }
    let EngineContext { container: ContainerShell { container: name, engine, .. }, user } = context;
    let engine = engine.join(" ");
    let has = |text: &str| said.contains(text);
    let (fault, message, hint) = if has("No such container") || has("no container with name or ID") {
        (
            Fault::NotFound,
            format!("container {name} does not exist on the instance"),
            format!("check the name with `{engine} ps` on the instance"),
        )
    } else if has("is not running")
        || has("is paused")
        || has("is restarting")
        || has("on running containers")
    {
        (
            Fault::State,
            format!("container {name} is not running"),
            format!("start it with `{engine} start {name}` on the instance"),
        )
    } else if has("permission denied while trying") || has("sudo: ") {
        (
            Fault::Denied,
            format!("user {user} may not use `{engine}` on the instance"),
            format!("add {user} to the docker group, or set the engine to `sudo -n docker` and allow that"),
        )
    } else if has("Cannot connect to") {
        (
            Fault::State,
            "the container engine of the instance is not running".to_owned(),
            "start it on the instance: systemctl start docker".to_owned(),
        )
    } else if has("OCI runtime") || has("executable file not found") {
        (
            Fault::Remote,
            format!("container {name} cannot start a shell"),
            "the image needs a POSIX sh".to_owned(),
        )
    } else if *code == 127 {
        (
            Fault::Remote,
            format!("`{engine}` is not installed on the instance, or not in the PATH of {user}"),
            "install it, or name the engine with its path".to_owned(),
        )
    } else {
        return Some(not_started(said, exit, context));
    };
    let said = if said.is_empty() { format!("exit status {code}") } else { said.to_owned() };
    Some(StageError::new(Stage::Shell, fault, message).with_hint(hint).with_source(said))
}

/// Returns the error of an engine that failed for an unknown reason.
pub(super) fn not_started(said: &str, exit: &Exit, context: EngineContext<'_>) -> StageError {
    let ContainerShell { container: name, engine, .. } = context.container;
    let said = if said.trim().is_empty() { format!("it {exit}") } else { said.trim().to_owned() };
    let message = format!("the container engine could not open container {name}");
    StageError::new(Stage::Shell, Fault::Remote, message)
        .with_hint(format!("try `{} exec {name} true` on the instance", engine.join(" ")))
        .with_source(said)
}

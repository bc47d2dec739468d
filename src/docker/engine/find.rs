//! Finds the container of a local workspace.

use bollard::models::ContainerInspectResponse;

use super::client::Client;
use super::error::EngineError;
use crate::model::{ContainerName, Fault, LocalTarget, Stage, StageError};

/// A running container that carries the platform's label.
#[derive(Clone)]
pub(super) struct Container {
    /// Its id: a name may later belong to another container.
    pub(super) id: String,
    /// The name that matched.
    pub(super) name: ContainerName,
}

/// Why no container was found.
#[derive(Debug)]
pub(super) enum FindError {
    Engine(EngineError),
    Missing(Missing),
}

/// The names that were looked up, each with the state of its container if one exists.
#[derive(Debug)]
pub(super) struct Missing(Vec<(ContainerName, Option<String>)>);

impl Client {
    /// Returns the first candidate of `target` that runs and carries the label. A container without the label
    /// is treated as missing, and so is one whose id merely starts with the name: the engine accepts an id
    /// prefix as a name.
    pub(super) async fn find(&self, target: &LocalTarget) -> Result<Container, FindError> {
        let mut seen = Vec::new();
        for name in &target.candidates {
            let found = self.inspect(name.as_str()).await.map_err(FindError::Engine)?;
            let Some(found) = found.filter(|found| self.is_meant(found, name)) else {
                seen.push((name.clone(), None));
                continue;
            };
            let state = found.state.unwrap_or_default();
            if let (Some(true), Some(id)) = (state.running, found.id) {
                return Ok(Container { id, name: name.clone() });
            }
            seen.push((name.clone(), state.status.map(|status| status.to_string())));
        }
        Err(FindError::Missing(Missing(seen)))
    }

    fn is_meant(&self, found: &ContainerInspectResponse, name: &ContainerName) -> bool {
        if found.name.as_deref().and_then(|name| name.strip_prefix('/')) != Some(name.as_str()) {
            return false;
        }
        let label = &self.config().required_label;
        let labels = found.config.as_ref().and_then(|config| config.labels.as_ref());
        let is_labelled = labels.is_some_and(|labels| label.is_in(labels));
        if !is_labelled {
            tracing::info!(container = %name, %label, "ignoring a container without the label");
        }
        is_labelled
    }
}

impl FindError {
    pub(super) fn into_stage_error(self) -> StageError {
        match self {
            Self::Engine(error) => error.into_stage_error(Stage::Workspace),
            Self::Missing(missing) => missing.into_stage_error(),
        }
    }
}

impl Missing {
    fn into_stage_error(self) -> StageError {
        let stopped = self.0.iter().find_map(|(name, state)| Some((name, state.as_ref()?)));
        if let Some((name, state)) = stopped {
            let message = format!("container {name} is {state}, not running");
            return StageError::new(Stage::Workspace, Fault::State, message).with_hint("start the workspace");
        }
        let names: Vec<_> = self.0.iter().map(|(name, _)| name.as_str()).collect();
        let message = match names.as_slice() {
            [] => "the workspace has no container name".to_owned(),
            names => format!("no container of the platform is named {}", names.join(" or ")),
        };
        StageError::new(Stage::Workspace, Fault::NotFound, message).with_hint("start the workspace")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_container_is_named() {
        let name = |text: &str| text.parse::<ContainerName>().unwrap();
        let none = Missing(vec![(name("ws-1"), None), (name("ws-12"), None)]).into_stage_error();
        assert_eq!(none.message(), "no container of the platform is named ws-1 or ws-12");
        assert_eq!(none.fault(), Fault::NotFound);
        let stopped =
            Missing(vec![(name("ws-1"), None), (name("ws-12"), Some("exited".into()))]).into_stage_error();
        assert_eq!(stopped.message(), "container ws-12 is exited, not running");
        assert_eq!(stopped.fault(), Fault::State);
        assert_eq!(Missing(Vec::new()).into_stage_error().fault(), Fault::NotFound);
    }
}

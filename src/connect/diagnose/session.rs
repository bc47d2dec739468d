//! Runs the connector's stages one after the other, and short commands over the resulting connection.

use std::sync::Arc;

use super::command::{Ran, run};
use super::diagnosis::Diagnosis;
use super::lookups::Found;
use super::read_only_keys::ReadOnlyHostKeys;
use crate::aws::{AwsClient, ChosenEndpoint, Instance};
use crate::connect::config::HostKeyMode;
use crate::connect::connector::{PushedKey, log_in};
use crate::connect::container_start::{EngineContext, complaint};
use crate::connect::dial::dial_tunnel;
use crate::connect::explain::{self, PeerContext};
use crate::connect::host::SshHost;
use crate::connect::route::Route;
use crate::docker::{
    InvalidCommand, TerminalMarker, container_probe, engine_probe, shell_probe, watcher_command,
};
use crate::model::{
    Check, CheckOutcome, CheckResult, ContainerShell, Exit, Fault, Fix, InstanceTarget, Shell, Stage,
    StageError, TerminalRequest,
};
use crate::ssh::host_keys::KeyOrigin;
use crate::ssh::{ChannelRequest, EphemeralKey, Handshake, Pty};
use crate::tunnel::Tunnel;

/// The command for a login shell: it does nothing.
const NOTHING: &str = "exit 0";

/// The command that keeps the second channel of a container's terminal open during the check.
const HOLD: &str = "cat >/dev/null";

impl Diagnosis<'_> {
    /// Pushes a key, which the instance forgets after 60 s.
    pub(super) async fn key_push(
        &mut self,
        client: &AwsClient,
        target: &InstanceTarget,
        instance: Option<&Instance>,
    ) -> Option<(EphemeralKey, PushedKey)> {
        self.begin(Check::KeyPush);
        let key = EphemeralKey::generate().and_then(|key| key.public_openssh().map(|public| (key, public)));
        let pushed = match key {
            Ok((key, public)) => {
                let push = self.connector.push(client, target, &public, &self.stages).await;
                push.map(|pushed| (key, pushed))
            }
            Err(error) => Err(explain::from_key_generation(error)),
        };
        let took = self.took();
        match pushed {
            Ok((key, pushed)) => {
                let message = format!("for {}, good for 60 s", target.os_user);
                let step = CheckResult::new(Check::KeyPush, CheckOutcome::Passed, message).after(took);
                self.put(step.with_request_id(Some(pushed.request_id.clone())));
                Some((key, pushed))
            }
            Err(error) => {
                let mut step = CheckResult::failed(Check::KeyPush, &error).after(took);
                if error.fault() == Fault::Denied {
                    let statement = self.grant(client, target, instance).key_statement(None);
                    step = step.with_fix(Fix::IamStatement { statement });
                    if let Some(instance) = instance {
                        let value = |key: &str| instance.tag(key).map(str::to_owned);
                        step = self.with_tag_fix(step, instance.id.as_str(), value);
                    }
                }
                self.put(step);
                None
            }
        }
    }

    /// Opens the tunnel: the four stages from TCP to the upgrade.
    pub(super) async fn tunnel(
        &mut self,
        client: &AwsClient,
        target: &InstanceTarget,
        chosen: ChosenEndpoint,
        instance: Option<&Instance>,
        found: &Found,
    ) -> Option<(Tunnel, Route)> {
        self.begin(Check::Tcp);
        let (endpoint, address) = (chosen.id.clone(), chosen.address);
        let name = chosen.dns_name.clone();
        let dialed = match Route::new(chosen, instance.and_then(|instance| instance.owner.clone())) {
            Ok(route) => {
                let dial = dial_tunnel(&self.connector.dialer, client, &route, target, &self.stages).await;
                dial.map(|tunnel| (tunnel, route))
            }
            Err(error) => Err(error),
        };
        self.take_stages();
        self.say(Check::Tcp, name);
        match dialed {
            Ok((tunnel, route)) => {
                self.say(Check::Upgrade, format!("a tunnel to {address} port {}", target.port));
                if let Some(step) = self.steps.get_mut(&Check::Upgrade) {
                    step.request_id = tunnel.request_id().map(str::to_owned);
                }
                Some((tunnel, route))
            }
            Err(error) => {
                let mut step = self.failure(&error);
                if error.fault() == Fault::Denied {
                    let mut grant = self.grant(client, target, instance);
                    grant.endpoint = Some(endpoint);
                    grant.addresses = [address.into()].into();
                    step = step.with_fix(Fix::IamStatement { statement: grant.tunnel_statement(None) });
                    if let Some(endpoint) = &found.endpoint {
                        let value = |key: &str| endpoint.tag(key).map(str::to_owned);
                        step = self.with_tag_fix(step, endpoint.id.as_str(), value);
                    }
                }
                self.put(step);
                None
            }
        }
    }

    /// Receives sshd's identification, exchanges keys and checks the host key.
    pub(super) async fn handshake(
        &mut self,
        client: &Arc<AwsClient>,
        target: &InstanceTarget,
        tunnel: Tunnel,
        route: &Route,
    ) -> Option<(Handshake, PeerContext)> {
        self.begin(Check::Banner);
        let keys = ReadOnlyHostKeys::new(Arc::clone(&self.connector.host_keys));
        let checked =
            self.connector.host_key_check(client, route.account.as_deref(), target, keys.clone()).await;
        let shaken = match checked {
            Ok(check) => self.connector.shake_hands(tunnel, check, route, target, &self.stages).await,
            Err(error) => Err(error),
        };
        self.take_stages();
        self.say(Check::Banner, "sshd answers");
        self.say(
            Check::KeyExchange,
            match (keys.skipped_key(), self.connector.host_key_mode()) {
                (Some((key, KeyOrigin::Console)), _) => {
                    format!(
                        "the host key {key} is that of the console; it is not pinned yet, and was not kept"
                    )
                }
                (Some((key, _)), _) => format!("the host key {key} is not known yet, and was not kept"),
                (None, HostKeyMode::DangerAcceptAny) => "the host key was not checked".to_owned(),
                (None, _) => "the host key is known".to_owned(),
            },
        );
        match shaken {
            Ok(shaken) => Some(shaken),
            Err(error) => {
                let mut step = self.failure(&error);
                if step.name == Check::Banner && matches!(error.fault(), Fault::Network | Fault::Timeout) {
                    self.add_security_group_hint(&mut step);
                }
                self.put(step);
                None
            }
        }
    }

    /// Extends the hint on an unresponsive instance with the result of the security group check.
    fn add_security_group_hint(&self, banner: &mut CheckResult) {
        let Some(groups) = self.steps.get(&Check::SecurityGroups) else { return };
        let Some(hint) = &mut banner.hint else { return };
        match groups.outcome {
            CheckOutcome::Passed => hint.push_str(
                ". The security groups let it through, so look at sshd first, then at network ACLs and the instance's \
                 own firewall",
            ),
            CheckOutcome::Failed => hint.push_str(". The security groups do not let it through: see security-groups"),
            _ => hint.push_str(
                ". The security groups could not be read: allow ec2:DescribeSecurityGroups to have them checked",
            ),
        }
    }

    pub(super) async fn authentication(
        &mut self,
        target: &InstanceTarget,
        shaken: (Handshake, PeerContext),
        key: EphemeralKey,
        pushed: PushedKey,
    ) -> Option<SshHost> {
        self.begin(Check::Authentication);
        let host = log_in(shaken, key, pushed, target, &self.stages).await;
        self.take_stages();
        match host {
            Ok(host) => {
                self.say(Check::Authentication, format!("as {}", target.os_user));
                Some(host)
            }
            Err(error) => {
                self.put(self.failure(&error));
                None
            }
        }
    }

    /// Checks what remains after the login.
    pub(super) async fn session(&mut self, target: &InstanceTarget, host: &SshHost) {
        match &target.shell {
            Shell::Container(container) => {
                if self.channel(host, Some(container)).await
                    && self.engine(host, container).await
                    && self.container(host, container).await
                {
                    self.container_shell(host, container).await;
                }
            }
            Shell::Login | Shell::Command(_) => {
                self.skip(Check::Engine, "no container is named");
                self.skip(Check::Container, "no container is named");
                self.channel(host, None).await;
            }
        }
    }

    /// Opens the channels of a terminal and starts the login shell in the first. A container's terminal has a
    /// second channel; without a container, the login shell is the terminal's shell itself.
    async fn channel(&mut self, host: &SshHost, container: Option<&ContainerShell>) -> bool {
        self.begin(Check::Channel);
        let mut request = command(NOTHING.to_owned());
        match container {
            Some(_) => request.watcher = Some(HOLD.to_owned()),
            None => request.pty = Some(pty()),
        }
        let ran = run(host, &request, &self.stages).await;
        self.take_stages();
        let channels = if container.is_some() { "2 on one connection" } else { "" };
        self.say(Check::Channel, channels);
        let failed = match ran {
            Ok(Ran { exit: Exit::Code(0), .. }) => None,
            Ok(ran) => Some(ended(&ran, host)),
            Err(error) => Some(error),
        };
        match failed {
            None => {
                if container.is_none() {
                    self.pass(Check::Shell, self.took(), "the login shell started and ended with 0");
                }
                true
            }
            Some(error) => {
                let took = self.took();
                self.put(self.failure(&error).after(took));
                false
            }
        }
    }

    async fn engine(&mut self, host: &SshHost, container: &ContainerShell) -> bool {
        self.begin(Check::Engine);
        let request = engine_probe(container).map(command);
        let ran = self.command(host, request).await;
        let engine = container.engine.join(" ");
        self.judge(Check::Engine, ran, host, container, |_| Ok(format!("`{engine}` answers")))
    }

    async fn container(&mut self, host: &SshHost, container: &ContainerShell) -> bool {
        self.begin(Check::Container);
        let request = container_probe(container).map(command);
        let ran = self.command(host, request).await;
        let engine = container.engine.join(" ");
        let name = &container.container;
        self.judge(Check::Container, ran, host, container, |said| {
            if said == "running" {
                return Ok(format!("{name} runs"));
            }
            let message = format!("container {name} is {said:?}, not running");
            let verb = if said == "paused" { "unpause" } else { "start" };
            let hint = format!("start it with `{engine} {verb} {name}` on the instance");
            Err(StageError::new(Stage::Shell, Fault::State, message).with_hint(hint))
        })
    }

    async fn container_shell(&mut self, host: &SshHost, container: &ContainerShell) -> bool {
        self.begin(Check::Shell);
        let marker = TerminalMarker::random();
        let request = shell_probe(container, &marker).and_then(|line| {
            let mut request = command(line);
            request.pty = Some(pty());
            request.watcher = Some(watcher_command(container, &marker)?);
            Ok(request)
        });
        let ran = self.command(host, request).await;
        let name = container.container.clone();
        self.judge(Check::Shell, ran, host, container, |_| {
            Ok(format!("sh started in {name} and ended with 0"))
        })
    }

    async fn command(
        &self,
        host: &SshHost,
        request: Result<ChannelRequest, InvalidCommand>,
    ) -> Result<Ran, StageError> {
        let request = request.map_err(|error| {
            StageError::new(Stage::Shell, Fault::Usage, error.to_string())
                .with_hint("correct the container settings of the workspace")
        })?;
        run(host, &request, &self.stages).await
    }

    /// Records the result of a command of the container engine; `pass` interprets the output of a successful
    /// one.
    fn judge(
        &mut self,
        check: Check,
        ran: Result<Ran, StageError>,
        host: &SshHost,
        container: &ContainerShell,
        pass: impl FnOnce(&str) -> Result<String, StageError>,
    ) -> bool {
        let judged = ran.and_then(|ran| match &ran.exit {
            Exit::Code(0) => pass(&ran.said),
            exit => {
                let context = EngineContext { container, user: &host.peer().os_user };
                Err(complaint(&ran.said, exit, context).unwrap_or_else(|| ended(&ran, host)))
            }
        });
        match judged {
            Ok(message) => {
                self.pass(check, self.took(), message);
                true
            }
            Err(error) => {
                self.put(CheckResult::failed(check, &error).after(self.took()));
                false
            }
        }
    }
}

fn command(line: String) -> ChannelRequest {
    ChannelRequest { command: Some(line), ..ChannelRequest::default() }
}

/// Returns the PTY of a terminal with default settings.
fn pty() -> Pty {
    let TerminalRequest { term, size, .. } = TerminalRequest::default();
    Pty { term, size }
}

/// Returns the error of a command that failed with unknown output.
fn ended(ran: &Ran, host: &SshHost) -> StageError {
    let peer = host.peer();
    let message = format!("a command that should end with 0 ended with {}", ran.exit);
    let hint = format!(
        "check the login shell of {} on {}, its start-up files, and ForceCommand in sshd_config",
        peer.os_user, peer.instance
    );
    let error = StageError::new(Stage::Shell, Fault::Remote, message).with_hint(hint);
    if ran.said.is_empty() { error } else { error.with_source(ran.said.clone()) }
}

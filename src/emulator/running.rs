//! A running emulator.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use eice_proto::{EndpointId, InstanceId};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::access::EmulatorAccess;
use super::clock::Clock;
use super::config::{
    Backend, EmulatorConfig, EndpointSpec, EndpointState, InstanceSpec, InstanceState, SecurityGroupSpec,
};
use super::error::EmulatorError;
use super::faults::FaultsHandle;
use super::instance::Instance;
use super::policy::IamPolicy;
use super::record::CloudTrailRecord;
use super::state_dir::StateDir;
use super::tls::Tls;
use super::world::{self, Target, World};
use super::{api, tunnel};

/// The time limit of [`Emulator::shutdown`].
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(10);

/// A running emulator. [`Emulator::shutdown`] ends it and waits; dropping it ends it without waiting.
#[derive(Debug)]
pub struct Emulator {
    access: EmulatorAccess,
    world: Arc<World>,
    stop: CancellationToken,
    tasks: TaskTracker,
    /// The instances' SSH servers. Dropping them ends their processes, which must happen before the directory
    /// of those processes is deleted.
    servers: Mutex<HashMap<InstanceId, Instance>>,
    listen: IpAddr,
    state_dir: Arc<StateDir>,
}

impl Emulator {
    /// Starts an emulator; it is ready when this returns.
    ///
    /// [`EmulatorError`] when an address cannot be bound or a file cannot be created.
    /// [`EmulatorError`] when an address cannot be bound or a file cannot be made.
    pub async fn start(config: EmulatorConfig) -> Result<Self, EmulatorError> {
        let first = config
            .principals
            .first()
            .ok_or_else(|| EmulatorError::Config("an emulator needs at least one principal".into()))?;
        let state_dir = Arc::new(StateDir::open(config.state_dir.as_deref())?);
        let (api, api_addr) = bind(SocketAddr::new(config.listen, config.api_port)).await?;
        let (tunnel, tunnel_addr) = bind(SocketAddr::new(config.listen, config.tunnel_port)).await?;
        let mut names =
            vec![config.tunnel_host.clone(), "localhost".into(), "127.0.0.1".into(), "::1".into()];
        for endpoint in &config.endpoints {
            let dns_names = [&endpoint.dns_name, &endpoint.fips_dns_name, &endpoint.dualstack_dns_name];
            names.extend(dns_names.into_iter().flatten().map(|name| host_of(name).to_owned()));
        }
        names.sort_unstable();
        names.dedup();
        let tls = Tls::new(&state_dir, names)?;
        let access = EmulatorAccess {
            api: api_addr,
            tunnel: tunnel_addr,
            tunnel_host: config.tunnel_host.clone(),
            ca_file: tls.ca_file.clone(),
            ca_pem: tls.ca_pem.clone(),
            access_key_id: first.access_key_id.clone(),
            secret_access_key: first.secret_access_key.clone(),
            session_token: first.session_token.clone(),
            region: config.region.clone(),
            account_id: config.account_id.clone(),
        };
        let faults = FaultsHandle::new(config.faults.clone());
        let world = Arc::new(World::new(&config, Clock::default(), faults, access.tunnel_authority()));
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        tasks.spawn(api::serve(api, Arc::clone(&world), stop.clone()));
        tasks.spawn(tunnel::serve(tunnel, Arc::clone(&world), Arc::new(tls), stop.clone(), tasks.clone()));
        let servers = Mutex::new(HashMap::new());
        let listen = config.listen;
        let emulator = Self { access, world, servers, listen, stop, tasks, state_dir };
        for spec in config.instances {
            emulator.add_instance(spec).await?;
        }
        Ok(emulator)
    }

    /// Returns the addresses and credentials for clients.
    #[must_use]
    pub fn access(&self) -> &EmulatorAccess {
        &self.access
    }

    /// Returns the fault knobs.
    #[must_use]
    pub fn faults(&self) -> FaultsHandle {
        self.world.faults.clone()
    }

    /// Returns the clock.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.world.clock
    }

    /// Adds an instance, or replaces the one with the same id.
    ///
    /// # Errors
    /// [`EmulatorError`] when its SSH server cannot be started.
    pub async fn add_instance(&self, spec: InstanceSpec) -> Result<(), EmulatorError> {
        let (mut server, mut host_keys) = (None, Vec::new());
        let target = match &spec.backend {
            Backend::Builtin(builtin) => {
                let stop = self.stop.child_token();
                let (world, tasks) = (Arc::clone(&self.world), self.tasks.clone());
                let started =
                    Instance::start(world, &spec.id, builtin, self.listen, &self.state_dir, stop, tasks);
                let started = started.await?;
                host_keys.clone_from(&started.host_keys);
                let address = started.address;
                server = Some(started);
                Target::Address(address)
            }
            Backend::Forward(address) => Target::Address(*address),
            Backend::Closed => Target::Closed,
            Backend::Silent => Target::Silent,
        };
        let mut servers = self.servers.lock().unwrap_or_else(PoisonError::into_inner);
        servers.remove(&spec.id);
        if let Some(server) = server {
            servers.insert(spec.id.clone(), server);
        }
        drop(servers);
        let launched = self.world.clock.unix();
        let instance = world::Instance { spec, target, host_keys, launched };
        let mut state = self.world.state();
        match state.instances.iter_mut().find(|known| known.spec.id == instance.spec.id) {
            Some(known) => *known = instance,
            None => state.instances.push(instance),
        }
        Ok(())
    }

    /// Adds an endpoint, or replaces the one with the same id.
    pub fn add_endpoint(&self, spec: EndpointSpec) {
        let created = self.world.clock.unix();
        let mut state = self.world.state();
        match state.endpoints.iter_mut().find(|known| known.spec.id == spec.id) {
            Some(known) => known.spec = spec,
            None => state.endpoints.push(world::Endpoint { spec, open_tunnels: 0, created }),
        }
    }

    /// Returns the address of an instance's SSH server, for a client without a tunnel.
    #[must_use]
    pub fn ssh_addr(&self, id: &InstanceId) -> Option<SocketAddr> {
        match self.world.instance(id)?.target {
            Target::Address(address) => Some(address),
            Target::Closed | Target::Silent => None,
        }
    }

    /// Sets the state of an instance. Returns false if the id is unknown.
    pub fn set_instance_state(&self, id: &InstanceId, to: InstanceState) -> bool {
        self.edit_instance(id, |spec| spec.state = to)
    }

    /// Changes an instance, except for its id and backend. Returns false if the id is unknown.
    pub fn edit_instance(&self, id: &InstanceId, edit: impl FnOnce(&mut InstanceSpec)) -> bool {
        let mut state = self.world.state();
        let found = state.instances.iter_mut().find(|instance| instance.spec.id == *id);
        found.map(|instance| edit(&mut instance.spec)).is_some()
    }

    /// Sets the state of an endpoint. Returns false if the id is unknown.
    pub fn set_endpoint_state(&self, id: &EndpointId, to: EndpointState) -> bool {
        self.edit_endpoint(id, |spec| spec.state = to)
    }

    /// Changes an endpoint. Returns false if the id is unknown.
    pub fn edit_endpoint(&self, id: &EndpointId, edit: impl FnOnce(&mut EndpointSpec)) -> bool {
        let mut state = self.world.state();
        let found = state.endpoints.iter_mut().find(|endpoint| endpoint.spec.id == *id);
        found.map(|endpoint| edit(&mut endpoint.spec)).is_some()
    }

    /// Removes an instance and ends its processes. Returns false if the id is unknown.
    pub fn remove_instance(&self, id: &InstanceId) -> bool {
        self.servers.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
        let mut state = self.world.state();
        let before = state.instances.len();
        state.instances.retain(|instance| instance.spec.id != *id);
        state.instances.len() != before
    }

    /// Removes an endpoint. Returns false if the id is unknown.
    pub fn remove_endpoint(&self, id: &EndpointId) -> bool {
        let mut state = self.world.state();
        let before = state.endpoints.len();
        state.endpoints.retain(|endpoint| endpoint.spec.id != *id);
        state.endpoints.len() != before
    }

    /// Changes the security groups.
    pub fn edit_security_groups(&self, edit: impl FnOnce(&mut Vec<SecurityGroupSpec>)) {
        edit(&mut self.world.state().security_groups);
    }

    /// Sets the policies of the principal with this access key. Returns false if the key is unknown.
    pub fn set_policies(&self, access_key_id: &str, policies: Vec<IamPolicy>) -> bool {
        let mut state = self.world.state();
        let found = state.principals.iter_mut().find(|user| user.access_key_id == access_key_id);
        found.map(|user| user.policies = policies).is_some()
    }

    /// Returns the CloudTrail records, oldest first; the last 10,000 are kept.
    #[must_use]
    pub fn records(&self) -> Vec<CloudTrailRecord> {
        self.world.records()
    }

    /// Returns the number of open tunnels.
    #[must_use]
    pub fn open_tunnels(&self) -> usize {
        self.world.open_tunnels()
    }

    /// Ends everything and waits up to 10 s until it is gone: listeners, tunnels, SSH servers, processes.
    pub async fn shutdown(self) {
        self.stop.cancel();
        self.tasks.close();
        let _ = tokio::time::timeout(SHUTDOWN_TIMEOUT, self.tasks.wait()).await;
        let servers = std::mem::take(&mut *self.servers.lock().unwrap_or_else(PoisonError::into_inner));
        futures_util::future::join_all(servers.into_values().map(Instance::end)).await;
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn bind(address: SocketAddr) -> Result<(TcpListener, SocketAddr), EmulatorError> {
    let bound = async {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        Ok((listener, address))
    };
    bound.await.map_err(|source| EmulatorError::Bind { address, source })
}

/// Returns the host of `HOST` or `HOST:PORT`.
fn host_of(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
        _ => authority,
    }
}

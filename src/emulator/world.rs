//! The state of the emulated account.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use eice_proto::{EndpointId, InstanceId};

use super::clock::Clock;
use super::config::{EmulatorConfig, EndpointSpec, IamRole, IamUser, InstanceSpec, SecurityGroupSpec};
use super::faults::FaultsHandle;
use super::policy::{self, Context, Decision, IamPolicy};
use super::record::{CloudTrailRecord, Event, UserIdentity};
use super::secret::Secret;

/// The most records that are kept; the oldest are dropped first.
pub(super) const MAX_RECORDS: usize = 10_000;
/// The most pushed keys that are kept for one user of one instance; the oldest are dropped first.
pub(super) const MAX_KEYS_PER_USER: usize = 64;
/// The most (instance, user) pairs with keys.
const MAX_KEY_HOLDERS: usize = 4096;
/// The most assumed-role sessions that are kept; the oldest are dropped first.
const MAX_ROLE_SESSIONS: usize = 1000;

/// The emulated account: constants, and state under a lock that is never held across an await.
#[derive(Debug)]
pub(super) struct World {
    pub(super) region: String,
    pub(super) account_id: String,
    pub(super) quota: usize,
    pub(super) key_lifetime: Duration,
    pub(super) dial_timeout: Duration,
    pub(super) clock: Clock,
    pub(super) faults: FaultsHandle,
    /// `HOST:PORT` of the tunnel.
    pub(super) tunnel_authority: String,
    state: Mutex<State>,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) instances: Vec<Instance>,
    pub(super) endpoints: Vec<Endpoint>,
    pub(super) security_groups: Vec<SecurityGroupSpec>,
    pub(super) principals: Vec<IamUser>,
    pub(super) roles: Vec<IamRole>,
    sessions: VecDeque<RoleSession>,
    keys: HashMap<(InstanceId, String), VecDeque<PushedKey>>,
    records: VecDeque<CloudTrailRecord>,
}

#[derive(Clone, Debug)]
pub(super) struct Instance {
    pub(super) spec: InstanceSpec,
    /// The real server of its port 22.
    pub(super) target: Target,
    /// Its host keys in OpenSSH's one-line format, if it is builtin.
    pub(super) host_keys: Vec<String>,
    pub(super) launched: u64,
}

/// The real target of a tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    Address(std::net::SocketAddr),
    Closed,
    Silent,
}

#[derive(Clone, Debug)]
pub(super) struct Endpoint {
    pub(super) spec: EndpointSpec,
    pub(super) open_tunnels: usize,
    pub(super) created: u64,
}

#[derive(Clone, Debug)]
struct PushedKey {
    /// Algorithm and base64, without a comment.
    line: String,
    expires: SystemTime,
}

#[derive(Clone, Debug)]
pub(super) struct RoleSession {
    pub(super) access_key_id: String,
    pub(super) secret: Secret,
    pub(super) token: Secret,
    pub(super) role: String,
    pub(super) session_name: String,
    pub(super) expires: SystemTime,
}

/// The owner of an access key.
#[derive(Clone, Debug)]
pub(super) struct Caller {
    pub(super) identity: UserIdentity,
    pub(super) policies: Vec<IamPolicy>,
}

impl World {
    pub(super) fn new(
        config: &EmulatorConfig,
        clock: Clock,
        faults: FaultsHandle,
        tunnel_authority: String,
    ) -> Self {
        let created = clock.unix();
        let endpoints = config.endpoints.iter().cloned();
        Self {
            region: config.region.clone(),
            account_id: config.account_id.clone(),
            quota: config.quota,
            key_lifetime: Duration::from_secs(config.key_lifetime_secs),
            dial_timeout: Duration::from_millis(config.dial_timeout_ms),
            clock,
            faults,
            tunnel_authority,
            state: Mutex::new(State {
                instances: Vec::new(),
                endpoints: endpoints.map(|spec| Endpoint { spec, open_tunnels: 0, created }).collect(),
                security_groups: config.security_groups.clone(),
                principals: config.principals.clone(),
                roles: config.roles.clone(),
                sessions: VecDeque::new(),
                keys: HashMap::new(),
                records: VecDeque::new(),
            }),
        }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the partition of the region.
    pub(super) fn partition(&self) -> &'static str {
        if self.region.starts_with("cn-") {
            "aws-cn"
        } else if self.region.starts_with("us-gov-") {
            "aws-us-gov"
        } else {
            "aws"
        }
    }

    /// Returns the ARN of an EC2 resource in this region and account.
    pub(super) fn ec2_arn(&self, kind: &str, id: &str) -> String {
        format!("arn:{}:ec2:{}:{}:{kind}/{id}", self.partition(), self.region, self.account_id)
    }

    pub(super) fn instance(&self, id: &InstanceId) -> Option<Instance> {
        self.state().instances.iter().find(|instance| instance.spec.id == *id).cloned()
    }

    pub(super) fn endpoint(&self, id: &EndpointId) -> Option<Endpoint> {
        self.state().endpoints.iter().find(|endpoint| endpoint.spec.id == *id).cloned()
    }

    /// Returns the secret of an access key, if the token matches and has not expired.
    pub(super) fn secret(&self, access_key_id: &str, token: Option<&str>) -> Option<String> {
        let state = self.state();
        if let Some(user) = state.principals.iter().find(|user| user.access_key_id == access_key_id) {
            let expected = user.session_token.as_ref().map(Secret::expose);
            return same(expected, token).then(|| user.secret_access_key.expose().to_owned());
        }
        let session = state.sessions.iter().find(|session| session.access_key_id == access_key_id)?;
        let is_live = session.expires > self.clock.now() && same(Some(session.token.expose()), token);
        is_live.then(|| session.secret.expose().to_owned())
    }

    /// Returns the owner of an access key.
    pub(super) fn caller(&self, access_key_id: &str) -> Option<Caller> {
        let (partition, account) = (self.partition(), &self.account_id);
        let state = self.state();
        if let Some(user) = state.principals.iter().find(|user| user.access_key_id == access_key_id) {
            return Some(Caller {
                identity: UserIdentity {
                    kind: "IAMUser".into(),
                    principal_id: stable_id("AIDA", &user.name),
                    arn: format!("arn:{partition}:iam::{account}:user/{}", user.name),
                    account_id: account.clone(),
                    access_key_id: access_key_id.into(),
                    user_name: Some(user.name.clone()),
                },
                policies: user.policies.clone(),
            });
        }
        let session = state.sessions.iter().find(|session| session.access_key_id == access_key_id)?;
        let role = state.roles.iter().find(|role| role.name == session.role)?;
        let name = &session.session_name;
        Some(Caller {
            identity: UserIdentity {
                kind: "AssumedRole".into(),
                principal_id: format!("{}:{name}", stable_id("AROA", &role.name)),
                arn: format!("arn:{partition}:sts::{account}:assumed-role/{}/{name}", role.name),
                account_id: account.clone(),
                access_key_id: access_key_id.into(),
                user_name: None,
            },
            policies: role.policies.clone(),
        })
    }

    /// Returns `None` when `caller` may do `action` on `resource`, or else AWS's error message.
    pub(super) fn denial(
        &self,
        caller: &Caller,
        action: &str,
        resource: &str,
        context: Context,
        source: IpAddr,
    ) -> Option<String> {
        let context = context.with("aws:SourceIp", source).with("aws:PrincipalArn", &caller.identity.arn);
        let because = match policy::decide(&caller.policies, action, resource, &context) {
            Decision::Allowed => return None,
            Decision::ImplicitDeny => {
                format!("because no identity-based policy allows the {action} action")
            }
            Decision::ExplicitDeny => "with an explicit deny in an identity-based policy".to_owned(),
        };
        let arn = &caller.identity.arn;
        Some(format!("User: {arn} is not authorized to perform: {action} on resource: {resource} {because}"))
    }

    pub(super) fn add_role_session(&self, session: RoleSession) {
        let mut state = self.state();
        if state.sessions.len() >= MAX_ROLE_SESSIONS {
            state.sessions.pop_front();
        }
        state.sessions.push_back(session);
    }

    /// Stores a pushed key for its lifetime. Returns false when too many are stored.
    pub(super) fn push_key(&self, instance: &InstanceId, user: &str, line: String) -> bool {
        let now = self.clock.now();
        let mut state = self.state();
        state.keys.retain(|_, keys| {
            keys.retain(|key| key.expires > now);
            !keys.is_empty()
        });
        let holder = (instance.clone(), user.to_owned());
        if !state.keys.contains_key(&holder) && state.keys.len() >= MAX_KEY_HOLDERS {
            return false;
        }
        let keys = state.keys.entry(holder).or_default();
        if keys.len() >= MAX_KEYS_PER_USER {
            keys.pop_front();
        }
        keys.push_back(PushedKey { line, expires: now + self.key_lifetime });
        true
    }

    /// Returns the unexpired pushed keys of `user` on `instance`.
    pub(super) fn active_keys(&self, instance: &InstanceId, user: &str) -> Vec<String> {
        let now = self.clock.now();
        let state = self.state();
        let keys = state.keys.get(&(instance.clone(), user.to_owned()));
        keys.into_iter().flatten().filter(|key| key.expires > now).map(|key| key.line.clone()).collect()
    }

    /// Returns a record of `event` in this region and account, as of now.
    pub(super) fn new_record(&self, event: Event) -> CloudTrailRecord {
        CloudTrailRecord::new(event, self.clock.unix(), &self.region, &self.account_id)
    }

    pub(super) fn record(&self, record: CloudTrailRecord) {
        let mut state = self.state();
        if state.records.len() >= MAX_RECORDS {
            state.records.pop_front();
        }
        state.records.push_back(record);
    }

    /// Returns the records, oldest first.
    pub(super) fn records(&self) -> Vec<CloudTrailRecord> {
        self.state().records.iter().cloned().collect()
    }

    pub(super) fn open_tunnels(&self) -> usize {
        self.state().endpoints.iter().map(|endpoint| endpoint.open_tunnels).sum()
    }
}

/// Compares two optional secrets in constant time for a given length.
fn same(expected: Option<&str>, given: Option<&str>) -> bool {
    use subtle::ConstantTimeEq;
    match (expected, given) {
        (None, None) => true,
        (Some(expected), Some(given)) => expected.as_bytes().ct_eq(given.as_bytes()).into(),
        _ => false,
    }
}

/// Returns a principal id in AWS's format, stable for a name.
fn stable_id(prefix: &str, name: &str) -> String {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in name.bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    format!("{prefix}{hash:016X}X")
}

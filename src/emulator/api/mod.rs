//! The AWS APIs over plain HTTP on loopback.

mod cloudtrail;
mod ec2;
mod eic;
mod fault;
mod form;
mod listener;
mod metadata;
mod page;
mod sts;
mod xml;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, Method, Request, Response, StatusCode, header};
use axum::routing::get;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::auth;
use super::faults::ApiFault;
use super::record::Resource;
use super::world::{Caller, World};
use fault::ApiError;
use form::Form;

/// The most bytes of a request body.
const MAX_BODY: usize = 256 * 1024;
/// The time limit for receiving a request body.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// A service of the API, with its own formats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Service {
    Ec2,
    Sts,
    InstanceConnect,
    CloudTrail,
}

impl Service {
    /// Its name in a signature's scope.
    fn signing_name(self) -> &'static str {
        match self {
            Self::Ec2 => "ec2",
            Self::Sts => "sts",
            Self::InstanceConnect => "ec2-instance-connect",
            Self::CloudTrail => "cloudtrail",
        }
    }

    /// Returns its name in CloudTrail.
    fn event_source(self) -> String {
        format!("{}.amazonaws.com", self.signing_name())
    }
}

/// A request with its service and action.
struct Call {
    service: Service,
    action: String,
    input: Input,
}

enum Input {
    Form(Form),
    Json(Value),
}

/// The caller of a request and its source address.
struct Context<'a> {
    world: &'a World,
    caller: &'a Caller,
    source: std::net::IpAddr,
    request_id: &'a str,
}

/// The response to a call, and its CloudTrail fields.
#[derive(Default)]
struct CallResponse {
    body: String,
    parameters: Value,
    response: Value,
    resources: Vec<Resource>,
    changes: bool,
}

/// A failed call, with its CloudTrail fields.
struct CallError {
    error: ApiError,
    parameters: Value,
    resources: Vec<Resource>,
}

impl From<ApiError> for CallError {
    fn from(error: ApiError) -> Self {
        Self { error, parameters: Value::Null, resources: Vec::new() }
    }
}

#[derive(Clone)]
struct Api {
    world: Arc<World>,
    stop: CancellationToken,
}

/// Serves the APIs until `stop`.
pub(super) async fn serve(listener: TcpListener, world: Arc<World>, stop: CancellationToken) {
    let api = Api { world, stop: stop.clone() };
    let router = Router::new()
        .route("/instances/{id}/latest/meta-data/instance-id", get(metadata::instance_id))
        .route(
            "/instances/{id}/latest/meta-data/managed-ssh-keys/active-keys/{user}/",
            get(metadata::active_keys),
        )
        .route(
            "/instances/{id}/latest/meta-data/managed-ssh-keys/active-keys/{user}",
            get(metadata::active_keys),
        )
        .fallback(handle)
        .with_state(api);
    let service = router.into_make_service_with_connect_info::<listener::Peer>();
    let listener = listener::LimitedListener::new(listener);
    let serving = axum::serve(listener, service).with_graceful_shutdown(stop.cancelled_owned());
    if let Err(error) = serving.await {
        tracing::warn!(%error, "the API listener ended");
    }
}

async fn handle(
    State(api): State<Api>,
    ConnectInfo(listener::Peer(peer)): ConnectInfo<listener::Peer>,
    request: Request<Body>,
) -> Response<Body> {
    let request_id = uuid::Uuid::new_v4().to_string();
    let (parts, body) = request.into_parts();
    let body = match tokio::time::timeout(BODY_TIMEOUT, to_bytes(body, MAX_BODY)).await {
        Ok(Ok(body)) => body,
        _ => return plain(StatusCode::PAYLOAD_TOO_LARGE, &request_id),
    };
    if parts.method != Method::POST || parts.uri.path() != "/" {
        return plain(StatusCode::NOT_FOUND, &request_id);
    }
    let call = match parse(&parts.headers, &body) {
        Ok(call) => call,
        Err((service, error)) => return error.response(service, &request_id),
    };
    let (delay, fault) = api.world.faults.api(&call.action);
    let wait = async {
        tokio::time::sleep(Duration::from_millis(delay)).await;
        if fault == Some(ApiFault::Hang) {
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        () = wait => {}
        () = api.stop.cancelled() => return plain(StatusCode::SERVICE_UNAVAILABLE, &request_id),
    }
    match fault {
        Some(ApiFault::Throttled) => {
            return ApiError::throttled(call.service).response(call.service, &request_id);
        }
        Some(_) => return ApiError::internal(call.service).response(call.service, &request_id),
        None => {}
    }
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    // A client cannot have signed a header that is not text.
    let headers: Vec<(&str, &str)> = parts
        .headers
        .iter()
        .filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)))
        .collect();
    let name = call.service.signing_name();
    let verified = auth::authenticate(&api.world, name, "POST", path, &headers, &body);
    let caller = match verified {
        Ok(caller) => caller,
        Err(fault) => {
            tracing::debug!(action = %call.action, ?fault, "signature rejected");
            return ApiError::from_auth(call.service, fault).response(call.service, &request_id);
        }
    };
    let context = Context { world: &api.world, caller: &caller, source: peer.ip(), request_id: &request_id };
    let outcome = dispatch(&context, &call);
    let agent = parts.headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok());
    record_call(&context, &call, agent.unwrap_or_default(), &outcome);
    match outcome {
        Ok(answer) => respond(call.service, StatusCode::OK, &request_id, answer.body),
        Err(failure) => failure.error.response(call.service, &request_id),
    }
}

/// Determines the service and action of a request.
fn parse(headers: &HeaderMap, body: &[u8]) -> Result<Call, (Service, ApiError)> {
    if let Some(target) = headers.get("x-amz-target") {
        let target = target.to_str().unwrap_or_default();
        let (prefix, action) = target.rsplit_once('.').unwrap_or(("", target));
        let service = match prefix {
            "AWSEC2InstanceConnectService" => Service::InstanceConnect,
            "com.amazonaws.cloudtrail.v20131101.CloudTrail_20131101" => Service::CloudTrail,
            _ => {
                let error = ApiError::new(400, "UnknownOperationException", "");
                return Err((Service::InstanceConnect, error));
            }
        };
        let input = serde_json::from_slice(body).map_err(|_| {
            (service, ApiError::new(400, "SerializationException", "The request body is not valid JSON"))
        })?;
        return Ok(Call { service, action: action.to_owned(), input: Input::Json(input) });
    }
    let form = Form::parse(body).map_err(|error| (Service::Ec2, error))?;
    let service = match form.get("Version") {
        Some("2011-06-15") => Service::Sts,
        _ => Service::Ec2,
    };
    let Some(action) = form.get("Action").map(str::to_owned) else {
        let error =
            ApiError::new(400, "MissingAction", "The request is missing an action or a required parameter.");
        return Err((service, error));
    };
    Ok(Call { service, action, input: Input::Form(form) })
}

fn dispatch(context: &Context<'_>, call: &Call) -> Result<CallResponse, CallError> {
    match (call.service, &call.input) {
        (Service::Ec2, Input::Form(form)) => ec2::call(context, &call.action, form),
        (Service::Sts, Input::Form(form)) => sts::call(context, &call.action, form),
        (Service::InstanceConnect, Input::Json(input)) => eic::call(context, &call.action, input),
        (Service::CloudTrail, Input::Json(input)) => cloudtrail::call(context, &call.action, input),
        _ => Err(ApiError::invalid_action(call.service, &call.action).into()),
    }
}

/// Records a call as CloudTrail does.
fn record_call(context: &Context<'_>, call: &Call, agent: &str, outcome: &Result<CallResponse, CallError>) {
    let event = super::record::Event {
        identity: context.caller.identity.clone(),
        event_source: call.service.event_source(),
        event_name: call.action.clone(),
        source: context.source,
        user_agent: agent.to_owned(),
        request_id: context.request_id.to_owned(),
    };
    let mut record = context.world.new_record(event);
    match outcome {
        Ok(answer) => {
            record.request_parameters = answer.parameters.clone();
            record.response_elements = answer.response.clone();
            record.resources = answer.resources.clone();
            record.read_only = !answer.changes;
        }
        Err(failure) => {
            record.request_parameters = failure.parameters.clone();
            record.resources = failure.resources.clone();
            record.error_code = Some(failure.error.record_code().to_owned());
            record.error_message = Some(failure.error.message.clone());
            record.read_only = call.action != "SendSSHPublicKey" && call.action != "AssumeRole";
        }
    }
    context.world.record(record);
}

/// Returns a response in the service's own format.
fn respond(service: Service, status: StatusCode, request_id: &str, body: String) -> Response<Body> {
    let kind = match service {
        Service::Ec2 => "text/xml;charset=UTF-8",
        Service::Sts => "text/xml",
        Service::InstanceConnect | Service::CloudTrail => "application/x-amz-json-1.1",
    };
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static(kind));
    if let Ok(id) = request_id.parse() {
        headers.insert("x-amzn-requestid", id);
    }
    response
}

/// Returns a response that belongs to no service.
fn plain(status: StatusCode, request_id: &str) -> Response<Body> {
    respond(Service::InstanceConnect, status, request_id, json!({}).to_string())
}

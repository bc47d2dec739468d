//! Uncached describe calls that return the request id, for diagnostics.

use eice_proto::InstanceId;

use super::action::Action;
use super::client::AwsClient;
use super::error::{AwsError, ErrorResponse};
use super::filter::{EndpointQuery, filter_params};
use super::model::{Endpoint, Instance};
use super::security_group::SecurityGroup;
use super::xml;

/// The maximum number of pages read per call.
const MAX_PAGES: usize = 50;

/// A response with its request id; of a paginated call, the last page's.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AwsResponse<T> {
    /// The content.
    pub value: T,
    /// The request id.
    pub request_id: Option<String>,
}

impl AwsClient {
    /// Describes the instance `id`.
    ///
    /// # Errors
    /// [`AwsError::NotFound`] when it does not exist; otherwise see [`AwsError`].
    pub async fn describe_instance(&self, id: &InstanceId) -> Result<AwsResponse<Instance>, AwsError> {
        let action = Action::DescribeInstances;
        let answer = self.query.call(action, &[("InstanceId.1".to_owned(), id.to_string())]).await?;
        let page =
            xml::instances(&answer).map_err(|what| AwsError::Malformed { action, what, request_id: None })?;
        let Some(value) = page.items.into_iter().find(|instance| instance.id == *id) else {
            let message = format!("The answer names no instance {id}");
            let request_id = page.request_id.as_deref();
            let response =
                ErrorResponse::new(action, 200, "InvalidInstanceID.NotFound", &message, request_id);
            return Err(AwsError::NotFound(Box::new(response)));
        };
        Ok(AwsResponse { value, request_id: page.request_id })
    }

    /// Describes the endpoints that match `query`, in AWS's order.
    ///
    /// # Errors
    /// See [`AwsError`]. If none match, the list is empty, except that AWS rejects an unknown id.
    pub async fn describe_endpoints(
        &self,
        query: &EndpointQuery,
    ) -> Result<AwsResponse<Vec<Endpoint>>, AwsError> {
        let stop = |page: &[Endpoint]| {
            query.stop_at_subnet.is_some() && page.iter().any(|e| e.subnet_id == query.stop_at_subnet)
        };
        let action = Action::DescribeInstanceConnectEndpoints;
        self.pages(action, query.params(), xml::endpoints, stop).await
    }

    /// Describes the security groups `ids`. Groups that do not exist or are not visible to the account are omitted
    /// without an error.
    ///
    /// # Errors
    /// See [`AwsError`].
    pub async fn describe_security_groups(
        &self,
        ids: &[String],
    ) -> Result<AwsResponse<Vec<SecurityGroup>>, AwsError> {
        let params = filter_params(&[("group-id", ids.iter().map(String::as_str).collect())]);
        self.pages(Action::DescribeSecurityGroups, params, xml::security_groups, |_| false).await
    }

    /// Returns the items of all pages, or of the pages up to the first for which `stop` returns true.
    pub(super) async fn pages<T>(
        &self,
        action: Action,
        mut params: Vec<(String, String)>,
        read: fn(&[u8]) -> Result<xml::Page<T>, String>,
        stop: impl Fn(&[T]) -> bool,
    ) -> Result<AwsResponse<Vec<T>>, AwsError> {
        let fixed = params.len();
        let mut items = Vec::new();
        for _ in 0..MAX_PAGES {
            let answer = self.query.call(action, &params).await?;
            let page =
                read(&answer).map_err(|what| AwsError::Malformed { action, what, request_id: None })?;
            let next_token = page.next_token.filter(|_| !stop(&page.items));
            items.extend(page.items);
            let Some(token) = next_token else {
                return Ok(AwsResponse { value: items, request_id: page.request_id });
            };
            params.truncate(fixed);
            params.push(("NextToken".to_owned(), token));
        }
        let what = format!("it has more than {MAX_PAGES} pages");
        Err(AwsError::Malformed { action, what, request_id: None })
    }
}

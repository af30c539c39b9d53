//! The HTTP client of the AWS SDK. It shares TLS with all other requests.

use std::time::Duration;

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;

use crate::http::{BodyLimit, DirectHttp, SendError};

/// Time limit for one request, if the SDK sets none.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// Bytes of a response that are read. DynamoDB's have at most 16 MB.
const MAX_RESPONSE: BodyLimit = BodyLimit::Refuse(32 << 20);

/// Sends the SDK's requests.
#[derive(Clone, Debug, Default)]
pub struct AwsHttpClient(DirectHttp);

impl HttpClient for AwsHttpClient {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        _: &RuntimeComponents,
    ) -> SharedHttpConnector {
        let times = settings.connect_timeout().zip(settings.read_timeout());
        SharedHttpConnector::new(AwsHttpConnector {
            http: self.0.clone(),
            time: times.map_or(REQUEST_TIMEOUT, |(connect, read)| connect + read),
        })
    }
}

/// The same client with a time limit.
#[derive(Debug)]
struct AwsHttpConnector {
    http: DirectHttp,
    time: Duration,
}

impl HttpConnector for AwsHttpConnector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let (http, time) = (self.http.clone(), self.time);
        HttpConnectorFuture::new(async move { send(&http, request, time).await })
    }
}

async fn send(
    http: &DirectHttp,
    request: HttpRequest,
    time: Duration,
) -> Result<HttpResponse, ConnectorError> {
    let request = request.try_into_http1x();
    let request = request.map_err(|error| ConnectorError::user(error.into()))?;
    let (parts, body) = request.into_parts();
    let Some(body) = body.bytes().map(Bytes::copy_from_slice) else {
        return Err(ConnectorError::user("the body is a stream".into()));
    };
    let request = http::Request::from_parts(parts, body);
    let response = http.send(request, MAX_RESPONSE, time).await;
    let response = response.map_err(connector_error)?.map(SdkBody::from);
    HttpResponse::try_from(response).map_err(|error| ConnectorError::other(error.into(), None))
}

fn connector_error(error: SendError) -> ConnectorError {
    match error {
        SendError::Connect { .. } => ConnectorError::io(error.into()).never_connected(),
        SendError::Broken { .. } => ConnectorError::io(error.into()),
        SendError::Timeout { .. } => ConnectorError::timeout(error.into()),
        SendError::Refused { .. } | SendError::TooLarge { .. } => {
            ConnectorError::other(error.into(), None)
        }
    }
}

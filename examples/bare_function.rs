//! The least that a Lambda function with masshook's purpose does: for each event one mass update and one callback, with nothing
//! verified, mapped, retried or signed. The benchmark `inline` compares masshook with it.
//!
//! `bare_function noop` answers events and does nothing else.

use std::error::Error;

use lambda_runtime::{LambdaEvent, service_fn};
use reqwest::Client;
use serde_json::{Value, json};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), lambda_runtime::Error> {
    if std::env::args().nth(1).as_deref() == Some("noop") {
        let answer = async |_: LambdaEvent<Value>| Ok::<_, lambda_runtime::Error>(json!({}));
        return lambda_runtime::run(service_fn(answer)).await;
    }
    let function = Function::from_environment()?;
    lambda_runtime::run(service_fn(|event: LambdaEvent<Value>| {
        function.invoke(event.payload)
    }))
    .await
}

struct Function {
    client: Client,
    /// The URLs of the mass update and of the callback.
    update: String,
    callback: String,
}

impl Function {
    #[expect(
        clippy::disallowed_methods,
        reason = "this function shares nothing with masshook"
    )]
    fn from_environment() -> Result<Self, Box<dyn Error + Send + Sync>> {
        Ok(Self {
            client: Client::builder().no_proxy().build()?,
            update: std::env::var("UPDATE_URL")?,
            callback: std::env::var("CALLBACK_URL")?,
        })
    }

    async fn invoke(&self, event: Value) -> Result<Value, Box<dyn Error + Send + Sync>> {
        let body: Value = serde_json::from_str(event["body"].as_str().unwrap_or_default())?;
        let update = json!({"data": [{"Lead_Source": "Webinar"}], "ids": body["ids"]});
        let updated = self.post(&self.update, &update).await?;
        let callback = json!({"type": "job.succeeded", "data": updated["data"]});
        self.post(&self.callback, &callback).await?;
        Ok(json!({
            "statusCode": 200,
            "headers": {"content-type": "application/json"},
            "body": json!({"status": "succeeded"}).to_string(),
        }))
    }

    async fn post(&self, url: &str, body: &Value) -> Result<Value, Box<dyn Error + Send + Sync>> {
        let request = self
            .client
            .post(url)
            .header("authorization", "Zoho-oauthtoken 1000.bare")
            .header("content-type", "application/json")
            .body(body.to_string());
        let answer = request.send().await?.error_for_status()?.bytes().await?;
        Ok(serde_json::from_slice(&answer)?)
    }
}

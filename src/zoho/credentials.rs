//! A connection's credentials, and the forms that request tokens with them.

use bytes::Bytes;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

/// The scopes that a client-credentials grant requests, unless the secret names others.
const SCOPES: &str = "ZohoCRM.mass_update.UPDATE,ZohoCRM.mass_update.READ";

/// Credentials in their form which Zoho does not know: `masshook init` writes them, `masshook auth` replaces them.
pub const PLACEHOLDER: &str = r#"{"client_id": "1000.PLACEHOLDER", "client_secret": "PLACEHOLDER", "refresh_token": "PLACEHOLDER"}"#;

/// A connection's credentials, as its secret contains them.
#[derive(Debug)]
pub struct Credentials {
    client: ClientKey,
    grant: Grant,
}

#[derive(Debug)]
enum Grant {
    RefreshToken(SecretString),
    ClientCredentials { soid: String, scope: String },
}

/// Why a secret contains no credentials. No message repeats the secret's content.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadCredentials {
    /// Not a JSON object.
    #[error("is not a JSON object with client_id, client_secret and refresh_token")]
    NotAnObject,
    /// A key is missing, or its value is not a string.
    #[error("has no `{0}` (a string)")]
    Missing(&'static str),
    /// Neither of the supported grants.
    #[error(
        "has a `grant_type` that is not supported: use a refresh_token, or grant_type client_credentials with soid"
    )]
    UnknownGrant,
}

impl Credentials {
    /// Reads a connection's secret.
    ///
    /// # Errors
    /// [`BadCredentials`].
    pub fn parse(secret: &SecretString) -> Result<Self, BadCredentials> {
        // A byte order mark comes from an editor.
        let text = secret.expose_secret().trim_start_matches('\u{feff}');
        let document: Value =
            serde_json::from_str(text).map_err(|_| BadCredentials::NotAnObject)?;
        let text = |key| {
            document
                .get(key)
                .and_then(Value::as_str)
                .map(str::trim)
                .filter(|text| !text.is_empty())
        };
        let needed = |key| text(key).ok_or(BadCredentials::Missing(key));
        if !document.is_object() {
            return Err(BadCredentials::NotAnObject);
        }
        let grant = match text("grant_type") {
            None | Some("refresh_token") => Grant::RefreshToken(needed("refresh_token")?.into()),
            Some("client_credentials") => Grant::ClientCredentials {
                soid: needed("soid")?.to_owned(),
                scope: text("scope").unwrap_or(SCOPES).to_owned(),
            },
            Some(_) => return Err(BadCredentials::UnknownGrant),
        };
        Ok(Self {
            client: ClientKey {
                id: needed("client_id")?.to_owned(),
                secret: needed("client_secret")?.into(),
            },
            grant,
        })
    }

    /// Whether these are those of [`PLACEHOLDER`].
    pub fn is_placeholder(&self) -> bool {
        self.client.id == "1000.PLACEHOLDER"
    }

    /// Client credentials, which need no user's grant.
    pub fn of_client(client: ClientKey, soid: String, scope: String) -> Self {
        Self {
            client,
            grant: Grant::ClientCredentials { soid, scope },
        }
    }

    /// The secret that [`Credentials::parse`] reads.
    pub fn secret(&self) -> SecretString {
        let mut document = json!({
            "client_id": self.client.id,
            "client_secret": self.client.secret.expose_secret(),
        });
        match &self.grant {
            Grant::RefreshToken(token) => document["refresh_token"] = json!(token.expose_secret()),
            Grant::ClientCredentials { soid, scope } => {
                document["grant_type"] = json!("client_credentials");
                document["soid"] = json!(soid);
                document["scope"] = json!(scope);
            }
        }
        document.to_string().into()
    }

    /// The form that requests a token.
    pub fn form(&self) -> Bytes {
        match &self.grant {
            Grant::RefreshToken(token) => self.client.form(&[
                ("grant_type", "refresh_token"),
                ("refresh_token", token.expose_secret()),
            ]),
            Grant::ClientCredentials { soid, scope } => self.client.form(&[
                ("grant_type", "client_credentials"),
                ("soid", soid),
                ("scope", scope),
            ]),
        }
    }
}

/// A client's id and secret, from the API console.
#[derive(Clone, Debug)]
pub struct ClientKey {
    /// The client id.
    pub id: String,
    /// The client secret.
    pub secret: SecretString,
}

impl ClientKey {
    /// The form of a request body: query strings end up in logs.
    fn form(&self, grant: &[(&str, &str)]) -> Bytes {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("client_id", &self.id);
        form.append_pair("client_secret", self.secret.expose_secret());
        form.extend_pairs(grant);
        Bytes::from(form.finish())
    }
}

/// A grant code from the API console, which can be exchanged for a refresh token once.
#[derive(Debug)]
pub struct GrantCode {
    /// The client that the code was made for.
    pub client: ClientKey,
    /// The code.
    pub code: SecretString,
}

impl GrantCode {
    /// The form that exchanges the code.
    pub fn form(&self) -> Bytes {
        self.client.form(&[
            ("grant_type", "authorization_code"),
            ("code", self.code.expose_secret()),
        ])
    }

    /// The credentials with the refresh token that the code was exchanged for.
    pub fn into_credentials(self, refresh_token: SecretString) -> Credentials {
        Credentials {
            client: self.client,
            grant: Grant::RefreshToken(refresh_token),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> SecretString {
        text.to_owned().into()
    }

    #[test]
    fn both_grant_types_are_read() {
        let refresh = secret(
            r#"{"client_id":"1000.A","client_secret":"s&s","refresh_token":"1000.r","accounts_url":"x"}"#,
        );
        let form = Credentials::parse(&refresh).expect("credentials").form();
        assert_eq!(
            form,
            "client_id=1000.A&client_secret=s%26s&grant_type=refresh_token&refresh_token=1000.r"
        );
        let client = secret(
            r#"{"client_id":"1000.A","client_secret":"s","grant_type":"client_credentials","soid":"ZohoCRM.7"}"#,
        );
        let form = Credentials::parse(&client).expect("credentials").form();
        assert_eq!(
            form,
            "client_id=1000.A&client_secret=s&grant_type=client_credentials&soid=ZohoCRM.7&scope=ZohoCRM.mass_update.UPDATE%2CZohoCRM.mass_update.READ"
        );
    }

    #[test]
    fn grant_code_becomes_a_readable_secret() {
        let client = ClientKey {
            id: "1000.A".to_owned(),
            secret: secret("s&s"),
        };
        let code = GrantCode {
            client: client.clone(),
            code: secret("1000.c"),
        };
        assert_eq!(
            code.form(),
            "client_id=1000.A&client_secret=s%26s&grant_type=authorization_code&code=1000.c"
        );
        let credentials = code.into_credentials(secret("1000.r"));
        let own = Credentials::of_client(client, "ZohoCRM.7".to_owned(), "a,b".to_owned());
        for credentials in [credentials, own] {
            let read = Credentials::parse(&credentials.secret()).expect("credentials");
            assert_eq!(read.form(), credentials.form());
        }
    }

    #[test]
    fn bad_secret_is_reported_without_its_content() {
        for (text, error) in [
            ("hunter2", BadCredentials::NotAnObject),
            (r#"["hunter2"]"#, BadCredentials::NotAnObject),
            (
                r#"{"client_id":"hunter2","client_secret":"hunter2"}"#,
                BadCredentials::Missing("refresh_token"),
            ),
            (
                r#"{"client_id":7,"client_secret":"hunter2","refresh_token":"hunter2"}"#,
                BadCredentials::Missing("client_id"),
            ),
            (
                r#"{"grant_type":"password","client_secret":"hunter2"}"#,
                BadCredentials::UnknownGrant,
            ),
        ] {
            let found = Credentials::parse(&secret(text)).expect_err("bad");
            assert_eq!(found, error);
            assert!(!found.to_string().contains("hunter2"));
        }
        let good =
            secret(r#"{"client_id":"1000.A","client_secret":"hunter2","refresh_token":"hunter3"}"#);
        let shown = format!("{:?}", Credentials::parse(&good).expect("credentials"));
        assert!(!shown.contains("hunter"), "{shown}");
    }
}

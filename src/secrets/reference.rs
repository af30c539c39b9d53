//! References to secrets, as the configuration writes them.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

/// A reference to a secret: `secretsmanager:NAME-or-ARN`, `ssm:NAME-or-ARN`, `env:VAR` or `file:PATH`, each with an
/// optional `#key` into a JSON object.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SecretRef {
    pub(super) source: SecretSource,
    pub(super) name: String,
    pub(super) key: Option<String>,
}

/// The kind of store that a reference points to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum SecretSource {
    /// AWS Secrets Manager.
    SecretsManager,
    /// A SecureString in the Parameter Store of AWS Systems Manager.
    Parameter,
    /// An environment variable.
    Env,
    /// A file.
    File,
}

impl SecretSource {
    const ALL: [(Self, &'static str); 4] = [
        (Self::SecretsManager, "secretsmanager"),
        (Self::Parameter, "ssm"),
        (Self::Env, "env"),
        (Self::File, "file"),
    ];

    /// Whether a read is a call to another machine.
    pub(super) fn is_remote(self) -> bool {
        match self {
            Self::SecretsManager | Self::Parameter => true,
            Self::Env | Self::File => false,
        }
    }
}

/// The text is not a secret reference.
#[derive(Debug, thiserror::Error)]
#[error(
    "is not a secret reference: write secretsmanager:NAME, ssm:NAME, env:VAR or file:PATH, with #key for one key of a JSON secret; the secret itself does not belong here"
)]
pub struct InvalidRef;

impl FromStr for SecretRef {
    type Err = InvalidRef;

    fn from_str(text: &str) -> Result<Self, InvalidRef> {
        let (prefix, rest) = text.split_once(':').ok_or(InvalidRef)?;
        let (source, _) = SecretSource::ALL
            .into_iter()
            .find(|(_, name)| *name == prefix)
            .ok_or(InvalidRef)?;
        let (name, key) = match rest.split_once('#') {
            Some((name, key)) => (name, Some(key)),
            None => (rest, None),
        };
        if name.is_empty() || key.is_some_and(str::is_empty) {
            return Err(InvalidRef);
        }
        Ok(Self {
            source,
            name: name.to_owned(),
            key: key.map(str::to_owned),
        })
    }
}

impl SecretRef {
    /// Whether the secret is on this machine, so that it is read without a network call.
    pub fn is_local(&self) -> bool {
        matches!(self.source, SecretSource::Env | SecretSource::File)
    }

    /// Whether the secret is in Secrets Manager.
    pub fn is_in_secrets_manager(&self) -> bool {
        self.source == SecretSource::SecretsManager
    }

    /// The file, if the secret is in one.
    pub fn file(&self) -> Option<&Path> {
        (self.source == SecretSource::File).then(|| Path::new(&self.name))
    }

    /// The name of a whole secret in Secrets Manager, the only store that keeps versions by which processes can agree.
    pub fn writable_name(&self) -> Option<&str> {
        let whole = self.source == SecretSource::SecretsManager && self.key.is_none();
        whole.then_some(self.name.as_str())
    }
}

impl fmt::Display for SecretRef {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let prefix = SecretSource::ALL
            .iter()
            .find(|(source, _)| *source == self.source)
            .map_or("", |(_, name)| name);
        write!(formatter, "{prefix}:{}", self.name)?;
        self.key
            .iter()
            .try_for_each(|key| write!(formatter, "#{key}"))
    }
}

impl schemars::JsonSchema for SecretRef {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "SecretRef".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "pattern": "^(secretsmanager|ssm|env|file):[^#]+(#.+)?$",
            "description": "Where a secret is: secretsmanager:NAME-or-ARN, ssm:NAME-or-ARN, env:VAR or file:PATH, each with an optional #key into a JSON secret.",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reference_parsed_and_printed_is_unchanged() {
        for text in [
            "secretsmanager:masshook/zoho",
            "secretsmanager:arn:aws:secretsmanager:eu-west-1:123456789012:secret:masshook/zoho-AbCdEf#refresh_token",
            "ssm:/masshook/zoho#client_id",
            "ssm:arn:aws:ssm:eu-west-1:123456789012:parameter/masshook/zoho",
            "env:ZOHO#client_id",
            "file:/run/secrets/zoho",
        ] {
            let reference: SecretRef = text.parse().expect("a reference");
            assert_eq!(reference.to_string(), text);
        }
        for text in [
            "hunter2",
            "ssm:",
            "vault:x",
            "env:",
            "env:X#",
            "secretsmanager",
            "",
        ] {
            let error = text.parse::<SecretRef>().expect_err("not a reference");
            assert!(!error.to_string().contains("hunter2"));
        }
    }
}

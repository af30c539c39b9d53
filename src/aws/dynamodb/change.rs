//! A builder for conditional updates. Every attribute name is a placeholder, because many names are reserved words of DynamoDB.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;

/// A conditional update: attributes to set and to remove, and the condition.
#[derive(Debug, Default)]
pub(super) struct Change {
    sets: Vec<String>,
    removes: Vec<String>,
    condition: String,
    names: HashMap<String, String>,
    values: HashMap<String, AttributeValue>,
}

impl Change {
    /// An update under a condition, in which `#name` is an attribute in `names` and `:name` a value set with
    /// [`Change::value`].
    pub(super) fn when(condition: &str, names: &[&str]) -> Self {
        let mut change = Self {
            condition: condition.to_owned(),
            ..Self::default()
        };
        for name in names {
            change = change.name(name);
        }
        change
    }

    /// Sets a value of the condition.
    pub(super) fn value(mut self, name: &str, value: AttributeValue) -> Self {
        self.values.insert(format!(":{name}"), value);
        self
    }

    /// Sets an attribute.
    pub(super) fn set(self, name: &str, value: AttributeValue) -> Self {
        let mut change = self.name(name);
        change.sets.push(format!("#{name} = :set_{name}"));
        change.values.insert(format!(":set_{name}"), value);
        change
    }

    /// Sets an attribute if there is a value, and removes it otherwise.
    pub(super) fn set_or_remove(self, name: &str, value: Option<AttributeValue>) -> Self {
        match value {
            Some(value) => self.set(name, value),
            None => self.remove(name),
        }
    }

    /// Sets an attribute that the item does not have.
    pub(super) fn set_if_absent(self, name: &str, value: AttributeValue) -> Self {
        let mut change = self.name(name).value(&format!("set_{name}"), value);
        change
            .sets
            .push(format!("#{name} = if_not_exists(#{name}, :set_{name})"));
        change
    }

    /// Removes an attribute.
    pub(super) fn remove(self, name: &str) -> Self {
        let mut change = self.name(name);
        change.removes.push(format!("#{name}"));
        change
    }

    /// Adds one to a number.
    pub(super) fn increment(self, name: &str) -> Self {
        let mut change = self.name(name);
        change.sets.push(format!("#{name} = #{name} + :one"));
        let one = AttributeValue::N("1".to_owned());
        change.values.insert(":one".to_owned(), one);
        change
    }

    /// The update expression.
    pub(super) fn expression(&self) -> String {
        let part = |verb: &str, parts: &[String]| {
            (!parts.is_empty()).then(|| format!("{verb} {}", parts.join(", ")))
        };
        let parts = [part("SET", &self.sets), part("REMOVE", &self.removes)];
        parts.into_iter().flatten().collect::<Vec<_>>().join(" ")
    }

    /// The condition, the names and the values.
    pub(super) fn into_condition(
        self,
    ) -> (
        String,
        HashMap<String, String>,
        HashMap<String, AttributeValue>,
    ) {
        (self.condition, self.names, self.values)
    }

    /// Names an attribute of the condition.
    pub(super) fn name(mut self, name: &str) -> Self {
        self.names.insert(format!("#{name}"), name.to_owned());
        self
    }
}

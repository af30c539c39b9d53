//! What only DynamoDB has to promise.

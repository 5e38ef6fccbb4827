//! JSON bodies, read strictly. What is wrong with one is told without repeating what it says: it may be a password.

use axum::{
    body::Bytes,
    extract::{FromRequest, Request},
};
use hms_proto::fault::Fault;
use http::{StatusCode, header};
use http_body::Body as _;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::problem::Problem;

/// The body of a request.
pub(super) struct Body<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let kind =
            request.headers().get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        if kind != "application/json" {
            let problem = Problem::from(Fault::invalid("the body must be `application/json`"));
            return Err(problem.answered_with(StatusCode::UNSUPPORTED_MEDIA_TYPE));
        }
        let bytes = Bytes::from_request(request, state).await;
        let bytes = bytes.map_err(|_| too_large())?;
        Ok(Self(read(&bytes)?))
    }
}

/// A body that does not end within its limit.
pub(super) fn too_large() -> Problem {
    let problem = Problem::from(Fault::invalid("the body is too large, or broke off"));
    problem.answered_with(StatusCode::PAYLOAD_TOO_LARGE)
}

/// The body of a request that may have none.
pub(super) struct MaybeBody<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned + Default> FromRequest<S> for MaybeBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        match request.body().is_end_stream() {
            true => Ok(Self(T::default())),
            false => Body::from_request(request, state).await.map(|Body(value)| Self(value)),
        }
    }
}

/// A message of the contract, which by itself would let fields pass that it does not have.
pub(super) struct Message<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned + Serialize> FromRequest<S> for Message<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let Body(given) = Body::<Value>::from_request(request, state).await?;
        Ok(Self(message(given)?))
    }
}

/// Reads a message, and refuses fields that it does not have.
pub(super) fn message<T: DeserializeOwned + Serialize>(given: Value) -> Result<T, Fault> {
    let unfit = || Fault::invalid("the body has a value that does not fit");
    // Which value it is, and not what: the first field alone that cannot be read.
    let message = T::deserialize(&given).map_err(|_| unfit())?;
    let known = serde_json::to_value(&message).map_err(|_| unfit())?;
    match unknown(&given, &known) {
        None => Ok(message),
        Some(field) => {
            Err(Fault::invalid(format!("the body has the unknown field `{}`", field.escape_debug())))
        }
    }
}

/// A field of the first that the second does not have. The second has every field that there is.
fn unknown(given: &Value, known: &Value) -> Option<String> {
    match (given, known) {
        (Value::Object(given), Value::Object(known)) => {
            given.iter().find_map(|(name, value)| match known.get(name) {
                None => Some(name.chars().take(64).collect()),
                Some(known) => unknown(value, known),
            })
        }
        (Value::Array(given), Value::Array(known)) => {
            given.iter().zip(known).find_map(|(given, known)| unknown(given, known))
        }
        _ => None,
    }
}

fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Fault> {
    let read = serde_json::from_slice(bytes);
    // serde would take a list of values for an object with these fields in this order.
    if read.is_ok() && bytes.trim_ascii_start().starts_with(b"[") {
        return Err(Fault::invalid("the body has a value that does not fit: it must be an object"));
    }
    read.map_err(|error| {
        let (line, column) = (error.line(), error.column());
        let said = error.to_string();
        // These three name a field, and no value.
        let names_a_field =
            ["unknown field", "missing field", "duplicate field"].iter().any(|p| said.starts_with(p));
        match error.is_data() {
            true if names_a_field && said.len() < 300 => {
                Fault::invalid(format!("the body is not as it should be: {said}"))
            }
            true => Fault::invalid(format!(
                "the body has a value that does not fit (line {line}, column {column})"
            )),
            false => Fault::invalid(format!("the body is not JSON (line {line}, column {column})")),
        }
    })
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Login {
        #[expect(dead_code, reason = "only its presence matters")]
        password: String,
    }

    /// Security cases 19 and 22.
    #[test]
    fn what_does_not_fit_is_refused_and_not_repeated() {
        let deep = "[".repeat(10_000);
        for (bad, why) in [
            (&b"{\"password\": [\"canary\"]}"[..], "does not fit"),
            (b"{\"password\": 1e400}", "not JSON"),
            (b"{\"password\": \"canary\", \"password\": \"b\"}", "duplicate field `password`"),
            (b"{\"password\": \"canary\", \"role\": \"admin\"}", "unknown field `role`"),
            (b"{}", "missing field `password`"),
            (b"{\"password\": \"canary", "not JSON"),
            (b"\xef\xbb\xbf{\"password\": \"canary\"}", "not JSON"),
            (b"{\"password\": \"\xff\"}", "not JSON"),
            (b"{\"password\": \"canary\"} x", "not JSON"),
            (b"", "not JSON"),
            (b"\"canary\"", "does not fit"),
            (deep.as_bytes(), "does not fit"),
            (b" [\"canary\"]", "must be an object"),
        ] {
            let fault = read::<Login>(bad).unwrap_err();
            assert!(fault.message.contains(why), "{why}: {}", fault.message);
            assert!(!fault.message.contains("canary"));
        }
        assert!(read::<Login>(b"{\"password\": \"x\"}").is_ok());
    }
}

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

use super::{exact, problem::Problem};

/// The body of a request.
pub(super) struct Body<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        Ok(Self(read(&bytes_of(request, state).await?)?))
    }
}

async fn bytes_of<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes, Problem> {
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if kind != "application/json" {
        let problem = Problem::from(Fault::invalid("the body must be `application/json`"));
        return Err(problem.answered_with(StatusCode::UNSUPPORTED_MEDIA_TYPE));
    }
    Bytes::from_request(request, state).await.map_err(|_| too_large())
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
        let bytes = bytes_of(request, state).await?;
        read::<T>(&bytes)?;
        Ok(Self(message(&read(&bytes)?)?))
    }
}

/// Reads a message, and refuses fields that it does not have.
pub(super) fn message<T: DeserializeOwned + Serialize>(given: &Value) -> Result<T, Fault> {
    let message = exact::read(given).map_err(misfit)?;
    let known = serde_json::to_value(&message).map_err(|_| Fault::invalid("the body has no JSON form"))?;
    match unknown(given, &known) {
        None => Ok(message),
        Some(field) => {
            Err(Fault::invalid(format!("the body has the unknown field `{}`", field.escape_debug())))
        }
    }
}

/// A value that is not what it has to be.
pub(super) fn misfit(misfit: exact::Misfit) -> Fault {
    Fault::invalid(format!("the body {misfit}"))
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
    let lenient = serde_json::from_slice::<T>(bytes).err();
    let value = match (serde_json::from_slice(bytes), &lenient) {
        (Ok(value), _) => value,
        // It never came to what is wrong with the text: it is too deep.
        (Err(_), Some(error)) if error.is_data() => return Err(misfit(exact::Misfit::default())),
        (Err(error), _) => return Err(not_json(&error)),
    };
    let read = exact::read(&value).map_err(misfit)?;
    // A value has each field once: only the text tells that there were two.
    match lenient {
        None => Ok(read),
        Some(error) => Err(misfit(exact::Misfit::said(&error))),
    }
}

fn not_json(error: &serde_json::Error) -> Fault {
    Fault::invalid(format!("the body is not JSON (line {}, column {})", error.line(), error.column()))
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
            (b" [\"canary\"]", "it must be an object"),
        ] {
            let fault = read::<Login>(bad).unwrap_err();
            assert!(fault.message.contains(why), "{why}: {}", fault.message);
            assert!(!fault.message.contains("canary"));
        }
        assert!(read::<Login>(b"{\"password\": \"x\"}").is_ok());
    }
}

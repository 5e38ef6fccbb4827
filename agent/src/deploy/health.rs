//! Whether an app is well: it answers 200 several times in a row, and its process is the same all the while.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    time::{Duration, Instant},
};

use hms_proto::fault::{Fault, FaultKind};

use super::http::{self, Answer};
use crate::{apps::App, nginx};

/// Good answers in a row: an app that falls over now and then is not well.
const ROW: u32 = 3;
/// A deployment waits for three such rows: on trial, once it is live, and through nginx.
const PAUSE: Duration = Duration::from_millis(100);
/// For one answer.
const ANSWER: Duration = Duration::from_secs(15);
/// How much of a bad answer is told.
const TOLD: usize = 200;

/// Asks until it is well, or its time is over. `alive` fails when there is nobody left who could answer.
async fn wait(
    limit: Duration,
    mut ask: impl AsyncFnMut() -> std::io::Result<Answer>,
    mut alive: impl AsyncFnMut() -> Result<(), Fault>,
) -> Result<String, Fault> {
    let began = Instant::now();
    let (mut row, mut last) = (0, "it was not asked".to_owned());
    loop {
        alive().await?;
        match ask().await {
            Ok(answer) if answer.status == 200 => row += 1,
            Ok(answer) => (row, last) = (0, bad(&answer)),
            Err(error) => (row, last) = (0, format!("it does not answer: {error}")),
        }
        if row == ROW {
            return Ok(format!("well after {:.1} s", began.elapsed().as_secs_f32()));
        }
        if began.elapsed() > limit {
            let message = match row {
                0 => format!("it was not well within {} s: {last}", limit.as_secs()),
                _ => format!("it was not well for long enough within {} s; before: {last}", limit.as_secs()),
            };
            return Err(Fault::new(FaultKind::Failed, message));
        }
        tokio::time::sleep(PAUSE).await;
    }
}

fn bad(answer: &Answer) -> String {
    let text = String::from_utf8_lossy(&answer.body);
    // Error pages are HTML; its words are what matters.
    let mut inside = false;
    let words = text.chars().filter(|c| match c {
        '<' => {
            inside = true;
            false
        }
        '>' => {
            inside = false;
            false
        }
        c => !inside && (!c.is_control() || c.is_whitespace()),
    });
    let words: String = words.collect::<String>().split_whitespace().collect::<Vec<_>>().join(" ");
    let words: String = words.chars().take(TOLD).collect();
    if words.is_empty() {
        format!("it answers {}", answer.status)
    } else {
        format!("it answers {}: {words}", answer.status)
    }
}

/// The name that the app is asked by.
fn name(app: &App) -> &str {
    app.spec().server_names.first().map_or("localhost", String::as_str)
}

/// Waits until what listens on this socket is well.
pub(crate) async fn on_socket(
    app: &App,
    socket: &Path,
    alive: impl AsyncFnMut() -> Result<(), Fault>,
) -> Result<String, Fault> {
    let limit = Duration::from_secs(app.spec().health_timeout_s.into());
    let ask = async || http::get_unix(socket, name(app), &app.spec().health_path, ANSWER.min(limit)).await;
    wait(limit, ask, alive).await
}

/// Waits until the app is well as visitors see it, through nginx.
pub(crate) async fn through_nginx(app: &App) -> Result<String, Fault> {
    let spec = app.spec();
    let limit = Duration::from_secs(spec.health_timeout_s.min(60).into());
    let tls = !spec.cert_path.is_empty() && !spec.key_path.is_empty();
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, if tls { 443 } else { 80 }));
    let ask = async || {
        let ask = async {
            http::get(nginx::connect(tls, name(app), address).await?, name(app), &spec.health_path).await
        };
        let late = std::io::Error::new(std::io::ErrorKind::TimedOut, "no answer in time");
        tokio::time::timeout(ANSWER, ask).await.unwrap_or(Err(late))
    };
    wait(limit, ask, async || Ok(())).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16) -> Answer {
        Answer { status, body: b"<h1>Oh no</h1>\n<p>Boom".to_vec() }
    }

    async fn seen(statuses: &[u16], limit: Duration) -> Result<String, Fault> {
        let mut left = statuses.iter().copied();
        let last = statuses.last().copied().unwrap_or(0);
        wait(limit, async || Ok(answer(left.next().unwrap_or(last))), async || Ok(())).await
    }

    /// Security case 72.
    #[tokio::test]
    async fn an_app_that_flaps_is_not_well() {
        let long = Duration::from_secs(60);
        assert!(seen(&[200], long).await.is_ok());
        assert!(seen(&[503, 200, 200, 500, 200], long).await.is_ok());
        let fault = seen(&[500], Duration::ZERO).await.unwrap_err();
        assert_eq!(fault.message, "it was not well within 0 s: it answers 500: Oh no Boom");
        let flaps: Vec<u16> = (0..1000).flat_map(|_| [200, 200, 502]).collect();
        assert!(seen(&flaps, Duration::from_millis(1)).await.is_err());
    }

    #[tokio::test]
    async fn nobody_waits_for_what_is_dead() {
        let gone = async || Err(Fault::new(FaultKind::Failed, "it ended"));
        let fault = wait(Duration::from_secs(600), async || Ok(answer(500)), gone).await.unwrap_err();
        assert_eq!(fault.message, "it ended");
    }
}

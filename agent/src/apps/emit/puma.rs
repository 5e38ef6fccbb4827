//! `puma.rb`: how puma serves an app, and how it is booted on trial.

use std::path::Path;

use hms_proto::{fault::Fault, host::v1::AppSpec};

use super::{
    ruby::{Call, Value, quoted, write},
    shown, text,
};
use crate::apps::App;

/// puma kills a worker that says nothing for so long.
const WORKER_TIMEOUT_S: u32 = 60;
/// A phased restart keeps the environment of the master, which was started with an earlier release: each worker says for
/// itself which one it has. REVISION holds the whole commit id.
const RELEASE: &str = "
hms_release = lambda do |*|
  folder = File.realpath(FOLDER)
  ENV['HMS_RELEASE'] = File.basename(folder)
  revision = File.join(folder, 'REVISION')
  ENV['HMS_COMMIT'] = File.file?(revision) ? File.read(revision).strip : ''
end
hms_release.call
";
/// puma 7 has a new name for it.
const IN_WORKERS: &str =
    "respond_to?(:before_worker_boot) ? before_worker_boot(&hms_release) : on_worker_boot(&hms_release)\n";

/// The configuration of a running app.
pub(super) fn file(app: &App) -> Result<String, Fault> {
    let spec = app.spec();
    let mut calls = basics(spec, &app.current());
    calls.push(call("workers", [Value::Number(spec.workers)]));
    if spec.workers > 0 {
        calls.push(call("worker_timeout", [Value::Number(WORKER_TIMEOUT_S)]));
        // It also takes as long to boot as the whole app may.
        calls.push(call("worker_boot_timeout", [Value::Number(spec.health_timeout_s)]));
        // puma 7 preloads unless it is told otherwise.
        calls.push(match spec.preload {
            true => call("preload_app!", []),
            false => call("preload_app!", [Value::False]),
        });
    }
    calls.push(call("bind", [Value::Text(format!("unix://{}", shown(&app.socket())))]));
    if spec.port > 0 {
        calls.push(call("bind", [Value::Text(format!("tcp://127.0.0.1:{}", spec.port))]));
    }
    // Its folder lets nobody else in.
    let control = format!("unix://{}", shown(&app.control()));
    calls.push(call("activate_control_app", [Value::Text(control), Value::Switch("no_token".into())]));
    let workers = if spec.workers > 0 { IN_WORKERS } else { "" };
    Ok(format!("{}{workers}", whole(app, &app.current(), &calls)?))
}

/// The configuration for booting a release beside the one that is live: one process, and a socket of its own.
pub(crate) fn trial(app: &App, release: &Path, socket: &Path) -> Result<String, Fault> {
    let mut calls = basics(app.spec(), release);
    calls.push(call("workers", [Value::Number(0)]));
    calls.push(call("bind", [Value::Text(format!("unix://{}", shown(socket)))]));
    whole(app, release, &calls)
}

fn whole(app: &App, folder: &Path, calls: &[Call]) -> Result<String, Fault> {
    let release = RELEASE.replace("FOLDER", &quoted(&shown(folder)));
    Ok(format!("# {}\n{}{release}", text::head(app.key()), write(calls)?))
}

fn basics(spec: &AppSpec, folder: &Path) -> Vec<Call> {
    let text = |text: &str| [Value::Text(text.to_owned())];
    vec![
        call("directory", text(&shown(folder))),
        call("environment", text(&spec.rails_env)),
        call("threads", [Value::Number(spec.threads_min), Value::Number(spec.threads_max)]),
    ]
}

fn call<const N: usize>(method: &str, values: [Value; N]) -> Call {
    (method.to_owned(), values.to_vec())
}

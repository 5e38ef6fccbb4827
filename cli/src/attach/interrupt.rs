//! Ctrl-C: the first one asks to let go, the second ends the program at once.

use std::{sync::mpsc, thread};

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::watch,
};

use crate::failure::{DETACHED, Result};

/// Listens for Ctrl-C, in a thread of its own: a terminal or a pipe that takes no output must not hold it up.
pub(crate) struct Interrupts {
    asked: watch::Receiver<bool>,
}

impl Interrupts {
    /// Ctrl-C ends the program, as ever.
    pub(crate) fn none() -> Self {
        Self { asked: watch::channel(false).1 }
    }

    /// From now on Ctrl-C does not end the program by itself.
    pub(crate) fn listen() -> Result<Self> {
        let (tell, asked) = watch::channel(false);
        let (ready, listening) = mpsc::channel();
        thread::Builder::new().name("interrupts".into()).spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            if let Ok(runtime) = runtime {
                runtime.block_on(async {
                    let signals = signal(SignalKind::interrupt());
                    let _ = ready.send(());
                    if let Ok(signals) = signals {
                        wait(signals, &tell).await;
                    }
                });
            }
        })?;
        // An error means that the thread could not listen: then Ctrl-C ends the program, as ever.
        let _ = listening.recv();
        Ok(Self { asked })
    }

    /// Waits for the first one.
    pub(crate) async fn asked(&mut self) {
        if self.asked.wait_for(|asked| *asked).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

async fn wait(mut signals: Signal, tell: &watch::Sender<bool>) {
    if signals.recv().await.is_some() {
        tell.send_replace(true);
        if signals.recv().await.is_some() {
            std::process::exit(i32::from(DETACHED));
        }
    }
}

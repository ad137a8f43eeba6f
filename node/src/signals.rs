//! What tells a running node to do something: the process's signals, the admin socket, a test.

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

/// An order to the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// Drain and end. A second one ends at once.
    Stop,
    /// Read the TLS certificate and the reloadable settings again.
    Reload,
}

/// A way to order, and the orders.
pub fn channel() -> (mpsc::Sender<Signal>, mpsc::Receiver<Signal>) {
    mpsc::channel(16)
}

/// Turns SIGTERM and SIGINT into `Stop` and SIGHUP into `Reload`, until nobody listens any more.
pub fn forward_process_signals(to: mpsc::Sender<Signal>) -> std::io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    tokio::spawn(async move {
        loop {
            let order = tokio::select! {
                _ = terminate.recv() => Signal::Stop,
                _ = interrupt.recv() => Signal::Stop,
                _ = hangup.recv() => Signal::Reload,
            };
            if to.send(order).await.is_err() {
                return;
            }
        }
    });
    Ok(())
}

//! What systemd (or another manager with its protocol) hears. Without one, all of this does nothing.

use std::time::Duration;

use sd_notify::NotifyState;

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(false, states) {
        tracing::debug!(%error, "the service manager could not be told");
    }
}

/// All doors are open.
pub fn ready() {
    tell(&[NotifyState::Ready, NotifyState::Status("serving")]);
}

/// Still starting: what is being done, and more time for it.
pub fn starting(what: &str) {
    // A long replay must not run into TimeoutStartSec= as long as it moves.
    let more = Duration::from_secs(60);
    tell(&[NotifyState::Status(what), NotifyState::ExtendTimeoutUsec(more.as_micros() as u32)]);
}

/// Draining, for at most `timeout`.
pub fn stopping(timeout: Duration) {
    let micros = u32::try_from((timeout + Duration::from_secs(5)).as_micros()).unwrap_or(u32::MAX);
    let states = [NotifyState::Stopping, NotifyState::Status("draining"), NotifyState::ExtendTimeoutUsec(micros)];
    tell(&states);
}

//! Whether the node is well: one small state that start, stop and the engine change and the admin listener reads.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Instant;

/// Where the node is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Opening the store, binding the doors.
    Starting,
    /// Both doors are open.
    Serving,
    /// Draining.
    Stopping,
}

impl Phase {
    /// The word that status and health use.
    pub fn word(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Serving => "serving",
            Self::Stopping => "stopping",
        }
    }
}

/// The node's health. Cheap to clone; all clones show the same.
#[derive(Clone, Debug)]
pub struct Health(Arc<RwLock<(Phase, Instant)>>);

impl Health {
    /// A node that starts now.
    pub fn starting() -> Self {
        Self(Arc::new(RwLock::new((Phase::Starting, Instant::now()))))
    }

    /// Goes to `phase`.
    pub fn enter(&self, phase: Phase) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = (phase, Instant::now());
    }

    /// The phase, and since when.
    pub fn phase(&self) -> (Phase, Instant) {
        *self.0.read().unwrap_or_else(PoisonError::into_inner)
    }
}

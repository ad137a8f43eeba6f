//! Places at which a test makes the journal fail, as a disk or a power cut would. Injected with the options: no
//! global, and nothing to pay for where there is no hook.

use std::io;
use std::sync::Arc;

/// A step of the journal's work on disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LogPoint {
    /// A group is about to be written.
    WriteGroup,
    /// A group was written and is about to be synced.
    SyncGroup,
    /// Zeros are about to be written ahead of the groups.
    Fill,
    /// A full segment is about to get its seal.
    Seal,
    /// The next segment is about to be preallocated.
    Preallocate,
    /// The next segment is about to get its header and name.
    Name,
    /// A segment is about to be removed.
    Remove,
}

/// What happens there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// Nothing special.
    None,
    /// The step fails with this errno, without having been done.
    Fail(i32),
    /// Of what is to be written only the first bytes reach the disk; then the step fails. For other steps: as `Fail`.
    Short(usize),
}

/// Decides what happens at each point.
pub type FaultHook = Arc<dyn Fn(LogPoint) -> Fault + Send + Sync>;

/// The injected hook, or none.
#[derive(Clone, Default)]
pub(super) struct Faults(pub(super) Option<FaultHook>);

impl Faults {
    /// Fails if the hook says so; a short write's length is for the caller to obey.
    pub(super) fn check(&self, point: LogPoint) -> io::Result<()> {
        match self.ask(point) {
            Fault::None => Ok(()),
            Fault::Fail(errno) => Err(io::Error::from_raw_os_error(errno)),
            Fault::Short(_) => Err(io::Error::from_raw_os_error(libc::EIO)),
        }
    }

    pub(super) fn ask(&self, point: LogPoint) -> Fault {
        self.0.as_ref().map_or(Fault::None, |hook| hook(point))
    }
}

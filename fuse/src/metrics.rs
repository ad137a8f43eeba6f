//! Counters of the mount. Handles are looked up once, at the start: a look-up a call would cost more than some calls.

use std::time::Instant;

use metrics::{Counter, Histogram};

macro_rules! operations {
    ($($variant:ident $name:literal)*) => {
        /// An operation of the mount, as it is counted.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Op { $(#[doc = $name] $variant),* }

        impl Op {
            const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// Its name in metrics and logs.
            pub(crate) fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),* }
            }
        }
    };
}

operations! {
    Lookup "lookup" Getattr "getattr" Setattr "setattr" Readlink "readlink" Mknod "mknod" Mkdir "mkdir"
    Unlink "unlink" Rmdir "rmdir" Symlink "symlink" Rename "rename" Link "link" Open "open" Create "create" Read "read"
    Write "write" Flush "flush" Release "release" Fsync "fsync" Opendir "opendir" Readdir "readdir"
    Readdirplus "readdirplus" Releasedir "releasedir" Fsyncdir "fsyncdir" Statfs "statfs" Setxattr "setxattr"
    Getxattr "getxattr" Listxattr "listxattr" Removexattr "removexattr" Fallocate "fallocate" Lseek "lseek"
    CopyRange "copy_file_range" Ioctl "ioctl"
}

/// The mount's meters.
pub(crate) struct Meters {
    operations: Vec<(Counter, Histogram)>,
    /// Opens that the kernel serves from a local file.
    pub(crate) passthrough_opens: Counter,
    /// Opens that the daemon serves.
    pub(crate) daemon_opens: Counter,
    /// Items of which the kernel was told.
    pub(crate) invalidations: Counter,
    /// Waits for the kernel to be told that ended before it was.
    pub(crate) late_invalidations: Counter,
}

impl Meters {
    /// Handles from the recorder that is installed now.
    pub(crate) fn new() -> Self {
        metrics::describe_counter!("pinfold_fuse_operations_total", "Operations of the mount that were answered");
        metrics::describe_counter!("pinfold_fuse_errors_total", "Operations of the mount that failed, by errno");
        metrics::describe_histogram!(
            "pinfold_fuse_operation_seconds",
            metrics::Unit::Seconds,
            "Time from reading a request of the mount to its answer"
        );
        metrics::describe_counter!("pinfold_fuse_opens_total", "Opens by who serves the bytes: kernel or daemon");
        metrics::describe_counter!("pinfold_fuse_invalidations_total", "Stale names and inodes sent to the kernel");
        metrics::describe_counter!(
            "pinfold_fuse_late_invalidations_total",
            "Changes that went on before the kernel was told of them"
        );
        Self {
            operations: Op::ALL
                .iter()
                .map(|op| {
                    (
                        metrics::counter!("pinfold_fuse_operations_total", "operation" => op.name()),
                        metrics::histogram!("pinfold_fuse_operation_seconds", "operation" => op.name()),
                    )
                })
                .collect(),
            passthrough_opens: metrics::counter!("pinfold_fuse_opens_total", "served_by" => "kernel"),
            daemon_opens: metrics::counter!("pinfold_fuse_opens_total", "served_by" => "daemon"),
            invalidations: metrics::counter!("pinfold_fuse_invalidations_total"),
            late_invalidations: metrics::counter!("pinfold_fuse_late_invalidations_total"),
        }
    }

    /// Counts an operation that ended.
    pub(crate) fn ended(&self, op: Op, started: Instant, error: Option<fuser::Errno>) {
        let (count, time) = &self.operations[op as usize];
        count.increment(1);
        time.record(started.elapsed());
        if let Some(errno) = error {
            metrics::counter!("pinfold_fuse_errors_total", "operation" => op.name(), "errno" => errno.code().to_string())
                .increment(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Op;

    #[test]
    fn each_operation_has_its_own_slot() {
        for (at, op) in Op::ALL.iter().enumerate() {
            assert_eq!(*op as usize, at, "{}", op.name());
        }
    }
}

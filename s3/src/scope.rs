//! What the layers of one request share beside the request itself: it travels in the request's extensions.

use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use hyper::body::Incoming;
use parking_lot::Mutex;
use pinfold_store::types::Id;

use crate::bucketlog::Removed;
use crate::limits::Payer;

/// Why a request's body could not be read to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum BodyFailure {
    /// The client went away or ended the body before its declared length.
    Incomplete,
    /// No byte came for the idle timeout.
    Timeout,
    /// The aws-chunked framing is not what it must be.
    Framing,
    /// A signed chunk is larger than this server buffers.
    ChunkTooLarge,
    /// A chunk of less than 8 KiB that is not the last: its number from 1, its size.
    ChunkTooSmall(u64, u64),
    /// The trailers are not those that the request's head promised.
    Trailer,
    /// The body is no well-formed form.
    Form,
    /// A form's file of so many bytes, and the most it may have.
    FileTooLarge(u64, u64),
    /// And the fewest.
    FileTooSmall(u64, u64),
    /// `x-amz-content-sha256` of a request that nobody signed does not match its body.
    Sha256 {
        /// What the request says.
        expected: [u8; 32],
        /// What came.
        found: [u8; 32],
    },
    /// `Content-MD5` does not match an XML body.
    Md5,
    /// `x-amz-checksum-*` of this algorithm does not match an XML body.
    Checksum(&'static str),
}

/// What logs tell of a request, as far as it is known.
#[derive(Clone, Debug, Default)]
pub(crate) struct Facts {
    /// The account that signed, once its signature was verified.
    pub(crate) signer: Option<String>,
    /// The owner of the bucket.
    pub(crate) owner: Option<String>,
    /// The account or bucket that an administrator's operation is about.
    pub(crate) target: Option<String>,
    /// The code of an answer that is an error.
    pub(crate) code: Option<String>,
    /// The operation, where the request's body names it.
    pub(crate) operation: Option<&'static str>,
    /// What else the audit log tells.
    pub(crate) note: Option<String>,
    /// What a DeleteObjects did, if its bucket has a log.
    pub(crate) removed: Vec<Removed>,
}

/// One request's shared state.
pub(crate) struct Scope {
    /// The request's identity: in the answer, in logs and in the commit record.
    pub(crate) id: Id,
    /// When its head had arrived.
    pub(crate) started: Instant,
    operation: OnceLock<&'static str>,
    received: AtomicU64,
    trailing: AtomicBool,
    empty: AtomicBool,
    shows_cid: AtomicBool,
    failure: Mutex<Option<BodyFailure>>,
    facts: Mutex<Facts>,
    payer: OnceLock<Payer>,
    leftover: Mutex<Option<Leftover>>,
}

/// The unread rest of a body.
pub(crate) struct Leftover {
    /// The rest.
    pub(crate) body: Incoming,
    /// Some of it was read: a client that waits for `100 Continue` has got it.
    pub(crate) begun: bool,
}

impl Scope {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            id: Id::random(),
            started: Instant::now(),
            operation: OnceLock::new(),
            received: AtomicU64::new(0),
            trailing: AtomicBool::new(false),
            empty: AtomicBool::new(false),
            shows_cid: AtomicBool::new(false),
            failure: Mutex::new(None),
            facts: Mutex::default(),
            payer: OnceLock::new(),
            leftover: Mutex::new(None),
        })
    }

    /// The S3 operation's name once it is known, else `Unknown`.
    pub(crate) fn operation(&self) -> &'static str {
        self.operation.get().copied().unwrap_or("Unknown")
    }

    pub(crate) fn set_operation(&self, name: &'static str) {
        let _ = self.operation.set(name);
    }

    /// Bytes of the body that have arrived.
    pub(crate) fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    pub(crate) fn count_received(&self, bytes: usize) {
        self.received.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// The last chunk of an aws-chunked body was seen: what is wrong from here on is wrong with its trailers.
    pub(crate) fn trailing(&self) -> bool {
        self.trailing.load(Ordering::Relaxed)
    }

    pub(crate) fn set_trailing(&self) {
        self.trailing.store(true, Ordering::Relaxed);
    }

    /// The request has no body.
    pub(crate) fn is_empty(&self) -> bool {
        self.empty.load(Ordering::Relaxed)
    }

    pub(crate) fn set_empty(&self) {
        self.empty.store(true, Ordering::Relaxed);
    }

    /// Whoever asks may see CIDs and how they are pinned (`pinfold:ReadCid`).
    pub(crate) fn shows_cid(&self) -> bool {
        self.shows_cid.load(Ordering::Relaxed)
    }

    pub(crate) fn set_shows_cid(&self) {
        self.shows_cid.store(true, Ordering::Relaxed);
    }

    /// The first failure counts: later ones follow from it.
    pub(crate) fn fail(&self, failure: BodyFailure) {
        self.failure.lock().get_or_insert(failure);
    }

    pub(crate) fn failure(&self) -> Option<BodyFailure> {
        self.failure.lock().clone()
    }

    /// Who pays for the request, where there are limits.
    pub(crate) fn payer(&self) -> Option<&Payer> {
        self.payer.get()
    }

    pub(crate) fn set_payer(&self, payer: Payer) {
        let _ = self.payer.set(payer);
    }

    /// What logs tell.
    pub(crate) fn facts(&self) -> Facts {
        self.facts.lock().clone()
    }

    /// Notes something for the logs.
    pub(crate) fn note(&self, change: impl FnOnce(&mut Facts)) {
        change(&mut self.facts.lock());
    }

    /// The unread rest of a body, kept so that an early refusal can still be read by the client.
    pub(crate) fn leave(&self, body: Incoming, begun: bool) {
        *self.leftover.lock() = Some(Leftover { body, begun });
    }

    pub(crate) fn take_leftover(&self) -> Option<Leftover> {
        self.leftover.lock().take()
    }
}

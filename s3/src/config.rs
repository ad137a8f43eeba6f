//! Settings of the S3 door. The node reads them from its own configuration and hands them over.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use pinfold_store::audit::AuditLog;

use crate::accesslog::AccessLogConfig;
use crate::limits::LimitConfig;

/// Settings of the S3 door.
#[derive(Clone, Debug)]
pub struct S3Config {
    /// Addresses to listen on; port 0 takes a free one (see [`crate::S3Server::addresses`]).
    pub listen: Vec<SocketAddr>,
    /// The one region of this endpoint: signatures for another are refused as AWS does, in AWS's words.
    pub region: String,
    /// Base domains of virtual-host style addressing (`BUCKET.DOMAIN`). A host that is none of them nor below one is
    /// served path style.
    pub domains: Vec<String>,
    /// Domains below which buckets are static websites (`BUCKET.DOMAIN`).
    pub website_domains: Vec<String>,
    /// Certificate and key; none serves plain HTTP.
    pub tls: Option<TlsFiles>,
    /// Connections at once; more wait in the listener's backlog.
    pub max_connections: usize,
    /// Requests at once; more wait [`S3Config::queue_timeout`] and then get `503 SlowDown`. Bounds memory: a request
    /// holds at most about 2 MiB of body.
    pub max_requests: usize,
    /// How long a request waits for a place among `max_requests`.
    pub queue_timeout: Duration,
    /// A connection must deliver a request's whole head within this time; also how long an idle one is kept.
    pub header_timeout: Duration,
    /// A body that brings no byte for this long is given up (`400 RequestTimeout`), and so is a client that takes
    /// none of an answer.
    pub idle_timeout: Duration,
    /// How long requests in flight may take to end once the server is told to stop.
    pub drain_timeout: Duration,
    /// Largest request head in bytes (HTTP/1; HTTP/2's header list).
    pub max_head_bytes: usize,
    /// Largest XML body in bytes (DeleteObjects, CompleteMultipartUpload …).
    pub max_xml_bytes: usize,
    /// After this long a CompleteMultipartUpload or UploadPartCopy is answered with `200` and whitespace until the
    /// result is there, so that no client or proxy gives up waiting.
    pub keepalive_after: Duration,
    /// Whether buckets can keep versions. Without, PutBucketVersioning is refused and object lock binds what a key holds: as
    /// VersityGW without its versioning directory.
    pub versioning: bool,
    /// Where operations on accounts, rights and buckets are told before they are answered.
    pub audit: Option<AuditLog>,
    /// Rates of clients, accounts and buckets.
    pub limits: LimitConfig,
    /// Logs of all requests.
    pub access_log: AccessLogConfig,
    /// A bucket's log (PutBucketLogging) is put once its first line is this old.
    pub bucket_log_interval: Duration,
    /// Targets (ARNs) that buckets may name for their notifications.
    pub notification_targets: Vec<String>,
    /// This host's name in `x-amz-id-2` and `HostId`.
    pub host_id: String,
}

/// PEM files of a TLS server.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    /// Certificate chain, the server's own first.
    pub certificate: PathBuf,
    /// Private key (PKCS#8, PKCS#1 or SEC1).
    pub key: PathBuf,
}

impl Default for S3Config {
    fn default() -> Self {
        Self {
            listen: vec![SocketAddr::from(([127, 0, 0, 1], 9000))],
            region: "us-east-1".to_owned(),
            domains: Vec::new(),
            website_domains: Vec::new(),
            tls: None,
            max_connections: 10_000,
            max_requests: 1_024,
            queue_timeout: Duration::from_secs(5),
            header_timeout: Duration::from_secs(60),
            idle_timeout: Duration::from_secs(60),
            drain_timeout: Duration::from_secs(30),
            max_head_bytes: 32 * 1024,
            max_xml_bytes: 8 * 1024 * 1024,
            keepalive_after: Duration::from_secs(5),
            versioning: true,
            audit: None,
            limits: LimitConfig::default(),
            access_log: AccessLogConfig::default(),
            bucket_log_interval: Duration::from_secs(300),
            notification_targets: Vec::new(),
            host_id: "pinfold".to_owned(),
        }
    }
}

//! Commands about keys, asked of the running daemon.

use clap::{Args, Subcommand, ValueEnum};
use hyper::Method;

use super::ask::ask;
use crate::admin::client::escape;
use crate::admin::wire;
use crate::cli::Client;
use crate::failure::{ExitCode, Failure};

/// `key`.
#[derive(Args, Debug)]
pub struct KeyArgs {
    /// What to do.
    #[command(subcommand)]
    pub action: KeyAction,
}

/// How a bucket's new objects are encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum EncryptionArg {
    /// Not at all: CIDs are those of the bytes
    None,
    /// Under the bucket's key: equal chunks in the bucket are stored once
    Bucket,
    /// Each object under a random key of its own
    Object,
}

/// What to do with keys.
#[derive(Subcommand, Debug)]
pub enum KeyAction {
    /// Set how a bucket's new objects are encrypted; what is stored stays as it is
    Encrypt {
        /// Bucket
        bucket: String,
        /// Mode
        #[arg(long, value_enum, default_value = "bucket")]
        mode: EncryptionArg,
        /// The daemon.
        #[command(flatten)]
        client: Client,
    },
    /// Make a new master key, put it first in its file, and wrap all bucket keys with it; no data is touched
    Rotate {
        /// Make none: read the file as somebody else changed it
        #[arg(long)]
        reread: bool,
        /// The daemon.
        #[command(flatten)]
        client: Client,
    },
    /// Destroy a bucket's key: what it encrypted can never be read again
    Destroy {
        /// Bucket
        bucket: String,
        /// Yes, for ever
        #[arg(long)]
        yes: bool,
        /// The daemon.
        #[command(flatten)]
        client: Client,
    },
}

/// `pinfold key`.
pub fn key(action: KeyAction) -> Result<(), Failure> {
    match action {
        KeyAction::Rotate { reread, client } => ask(&client, async |daemon, out| {
            let done: wire::RotatedKeys = daemon.post("/v1/keys/rotate", &wire::RotateKeys { make: !reread }).await?;
            let lines = [
                ("master key", done.master.clone()),
                ("wrapped anew", done.rewrapped.to_string()),
                ("already current", done.current.to_string()),
            ];
            out.fields(&done, lines)
        }),
        KeyAction::Encrypt { bucket, mode, client } => ask(&client, async |daemon, out| {
            let mode = match mode {
                EncryptionArg::None => wire::EncryptionMode::None,
                EncryptionArg::Bucket => wire::EncryptionMode::Bucket,
                EncryptionArg::Object => wire::EncryptionMode::Object,
            };
            let path = format!("/v1/buckets/{}/encryption", escape(&bucket));
            daemon.tell(Method::PUT, &path, &wire::BucketEncryption { mode }).await?;
            out.say(&format!("new objects of {bucket}: {mode:?}").to_lowercase())
        }),
        KeyAction::Destroy { bucket, yes, client } => {
            if !yes {
                let what = format!(
                    "this makes all encrypted objects of {bucket} unreadable for ever: add --yes if that is wanted"
                );
                return Err(Failure::message(ExitCode::Failed, what));
            }
            ask(&client, async |daemon, out| {
                let path = format!("/v1/buckets/{}/destroy-key", escape(&bucket));
                let done: wire::DestroyedKey = daemon.post(&path, &()).await?;
                out.fields(&done, [("bucket", done.bucket.clone()), ("destroyed key", done.key.clone())])
            })
        }
    }
}

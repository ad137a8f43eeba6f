//! Commands about keys, asked of the running daemon.

use hyper::Method;

use super::ask::ask;
use crate::admin::client::escape;
use crate::admin::wire;
use crate::cli::{EncryptionArg, KeyAction};
use crate::failure::{ExitCode, Failure};

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

//! Encryption over the admin socket: a bucket's mode, rotation, destroying a key.

use axum::Json;
use axum::extract::{Path, State};
use pinfold_store::meta::rows::EncryptionMode;

use super::api::{Answer, Api, blocking};
use super::error::ApiError;
use super::wire;
use crate::master_key;

/// `PUT /v1/buckets/{name}/encryption`.
pub(super) async fn set_mode(
    State(api): State<Api>,
    Path(name): Path<String>,
    Json(request): Json<wire::BucketEncryption>,
) -> Answer<wire::BucketEncryption> {
    let mode = match request.mode {
        wire::EncryptionMode::None => EncryptionMode::None,
        wire::EncryptionMode::Bucket => EncryptionMode::Bucket,
        wire::EncryptionMode::Object => EncryptionMode::Object,
    };
    api.namespace.set_bucket_encryption(&api.caller(), &name, mode).await?;
    Ok(Json(request))
}

/// `POST /v1/buckets/{name}/destroy-key`.
pub(super) async fn destroy(State(api): State<Api>, Path(name): Path<String>) -> Answer<wire::DestroyedKey> {
    let key = api.namespace.destroy_bucket_key(&api.caller(), &name).await?;
    Ok(Json(wire::DestroyedKey { bucket: name, key: key.to_string() }))
}

/// `POST /v1/keys/rotate`.
pub(super) async fn rotate(State(api): State<Api>, Json(request): Json<wire::RotateKeys>) -> Answer<wire::RotatedKeys> {
    let Some(path) = api.about.master_key.clone() else {
        let what =
            "the master key comes from the environment: put the new one before it there, and start the node anew";
        return Err(ApiError::conflict(what));
    };
    let (namespace, caller) = (api.namespace.clone(), api.caller());
    let master = master_key::renew(&path, request.make, api.about.transit.as_deref()).await?;
    let rotated = blocking(move || -> pinfold_store::Result<_> {
        let name = master.name().to_string();
        let keys = api.namespace.keys();
        keys.set_master(master);
        let done = keys.rewrap()?;
        tracing::info!(%name, rewrapped = done.rewrapped, current = done.current, "bucket keys are wrapped by the current master key");
        Ok(wire::RotatedKeys { master: name, rewrapped: done.rewrapped, current: done.current })
    });
    let rotated = rotated.await??;
    let accounts = namespace.rewrap_accounts(&caller).await?;
    tracing::info!(accounts, "secret keys of accounts are wrapped by the current master key");
    Ok(Json(rotated))
}

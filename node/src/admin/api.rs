//! The commands behind the admin socket. Each handler gets what it needs, not the whole node.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::routing::{delete, get, post, put};
use axum::{Json, Router};
use pinfold_s3::{AccountChange, Credentials};
use pinfold_store::audit::AuditLog;
use pinfold_store::meta::rows::EncryptionMode;
use pinfold_store::namespace::quota::Quota;
use pinfold_store::namespace::s3_types::{BucketInfo, ObjectInfo};
use pinfold_store::namespace::{Account, Namespace, Role};
use pinfold_store::types::{BucketName, Caller, Door, Id, Timestamp};
use pinfold_store::unixfs::Profile;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::sync::mpsc;

use super::error::ApiError;
use super::health::Health;
use super::wire;
use crate::build_info;
use crate::credentials;
use crate::doors::{self, RootOwner};
use crate::mounts::{Mounted, Mounts};
use crate::signals::Signal;
use crate::vault::Transit;

pub(super) type Answer<T> = Result<Json<T>, ApiError>;

/// What never changes while the node runs, for `status`.
#[derive(Clone, Debug)]
pub struct About {
    /// Data directory.
    pub data: PathBuf,
    /// URL of the S3 endpoint.
    pub s3: Option<String>,
    /// Address of health and metrics.
    pub admin: Option<String>,
    /// URL of the web console.
    pub console: Option<String>,
    /// File of the master key; none if it comes from the environment.
    pub master_key: Option<PathBuf>,
    /// What wraps it there.
    pub transit: Option<Arc<Transit>>,
}

/// What the handlers share.
#[derive(Clone)]
pub struct Api {
    /// The namespace.
    pub namespace: Namespace,
    /// Access key of the root account: the principal of commands.
    pub root: Arc<str>,
    /// Who may sign requests.
    pub accounts: Arc<dyn Credentials>,
    /// Whose on the mount is what commands make.
    pub owner: RootOwner,
    /// The mounts.
    pub mounts: Arc<Mounts>,
    /// The node's health.
    pub health: Health,
    /// For `status`.
    pub about: Arc<About>,
    /// Where changes of accounts and buckets are told; none if there is no such log.
    pub audit: Option<AuditLog>,
    /// Where `reload` goes.
    pub signals: mpsc::Sender<Signal>,
    /// The administrator who asks, where it is not the operator with the root account.
    pub asker: Option<Arc<Asker>>,
}

/// An administrator, who came by the web console.
#[derive(Clone, Debug)]
pub struct Asker {
    /// The account.
    pub account: Account,
    /// The client's address.
    pub from: IpAddr,
}

/// The routes.
pub fn router(api: Api) -> Router {
    Router::new()
        .route("/v1/status", get(status))
        .route("/v1/reload", post(reload))
        .route("/v1/buckets", get(buckets).post(create_bucket))
        .route("/v1/buckets/{name}", get(bucket).delete(delete_bucket))
        .route("/v1/buckets/{name}/quota", get(quota).put(set_quota))
        .route("/v1/buckets/{name}/provide", get(provide).put(set_provide))
        .route("/v1/buckets/{name}/encryption", put(super::keys::set_mode))
        .route("/v1/buckets/{name}/destroy-key", post(super::keys::destroy))
        .route("/v1/keys/rotate", post(super::keys::rotate))
        .route("/v1/users", get(users).post(create_user))
        .route("/v1/import/users", post(super::import::users))
        .route("/v1/users/{access}", delete(delete_user))
        .route("/v1/users/{access}/secret", put(change_secret))
        .route("/v1/object", get(object))
        .route("/v1/cid", get(directory_cid))
        .route("/v1/pins", get(super::pins::list).post(super::pins::add))
        .route("/v1/pins/remove", post(super::pins::remove))
        .route("/v1/pins/{cid}", get(super::pins::status))
        .route("/v1/mounts", get(mounts).post(mount))
        .route("/v1/mounts/remove", post(unmount))
        .route("/v1/meta/checkpoint", post(checkpoint))
        .merge(super::iam::router())
        .route("/v1/audit/verify", get(super::audit::verify))
        .layer(axum::middleware::from_fn_with_state(api.clone(), super::audit::layer))
        .with_state(api)
}

/// Runs what may read the disk on a thread that may wait.
pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, ApiError> {
    tokio::task::spawn_blocking(work).await.map_err(|e| ApiError::failed(format!("a worker ended early: {e}")))
}

impl Api {
    /// The same commands on behalf of an administrator.
    pub fn asked_by(&self, asker: Asker) -> Self {
        Self { asker: Some(Arc::new(asker)), ..self.clone() }
    }

    /// The caller of a command: the root account, or the administrator who asks.
    pub(super) fn caller(&self) -> Caller {
        let RootOwner { uid, gid } = self.owner;
        let (principal, uid, gid) = match &self.asker {
            None => (self.root.to_string(), uid, gid),
            Some(asker) => (asker.account.access.clone(), asker.account.uid, asker.account.gid),
        };
        Caller {
            principal,
            door: Door::Admin,
            request: Id::random(),
            uid,
            gid,
            admin: true,
            bypass_governance: false,
            mount: 0,
        }
    }

    /// The account, which must be there and not be root's (root's keys are configuration).
    async fn account(&self, access: String) -> Result<Account, ApiError> {
        if *access == *self.root {
            return Err(ApiError::conflict("this is the root account: its keys come from the configuration"));
        }
        self.accounts.find(&access).await?.ok_or_else(|| ApiError::not_found(format!("there is no account {access}")))
    }
}

async fn status(State(api): State<Api>) -> Answer<wire::Status> {
    let namespace = api.namespace.clone();
    let (buckets, disk) = blocking(move || (namespace.buckets(), namespace.statfs())).await?;
    let disk = disk?;
    let (phase, since) = api.health.phase();
    let state = doors::complaint(&api.namespace).unwrap_or_else(|| phase.word().to_owned());
    Ok(Json(wire::Status {
        version: build_info::LONG.to_owned(),
        pid: std::process::id(),
        uptime_seconds: since.elapsed().as_secs(),
        state,
        data: api.about.data.display().to_string(),
        s3: api.about.s3.clone(),
        admin: api.about.admin.clone(),
        console: api.about.console.clone(),
        engine: doors::engine_name(&api.namespace),
        buckets: buckets?.len() as u64,
        disk_total: disk.total,
        disk_available: disk.available,
        mounts: api.mounts.list().iter().map(mount_view).collect(),
    }))
}

async fn reload(State(api): State<Api>) -> Result<StatusCode, ApiError> {
    let sent = api.signals.send(Signal::Reload).await;
    sent.map(|()| StatusCode::NO_CONTENT).map_err(|_| ApiError::failed("the node is stopping"))
}

async fn buckets(State(api): State<Api>) -> Answer<Vec<wire::Bucket>> {
    let buckets = blocking(move || api.namespace.buckets()).await??;
    Ok(Json(buckets.iter().map(bucket_view).collect()))
}

async fn bucket(State(api): State<Api>, Path(name): Path<String>) -> Answer<wire::Bucket> {
    let bucket = blocking(move || api.namespace.bucket(&name)).await??;
    Ok(Json(bucket_view(&bucket)))
}

async fn create_bucket(State(api): State<Api>, Json(request): Json<wire::CreateBucket>) -> Answer<wire::Bucket> {
    let name = BucketName::new(request.name)?;
    let profile = request.profile.map(|name| name.parse::<Profile>()).transpose()?.unwrap_or_default();
    let mut caller = api.caller();
    if let Some(owner) = request.owner.filter(|owner| **owner != *api.root) {
        // The directory on the mount belongs to whom the bucket belongs to.
        let owner = api.account(owner).await?;
        caller = Caller { principal: owner.access, uid: owner.uid, gid: owner.gid, ..caller };
    }
    let bucket = api.namespace.create_bucket_with_profile(&caller, &name, None, profile).await?;
    Ok(Json(bucket_view(&bucket)))
}

async fn delete_bucket(State(api): State<Api>, Path(name): Path<String>) -> Result<StatusCode, ApiError> {
    api.namespace.delete_bucket(&api.caller(), &name).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn quota(State(api): State<Api>, Path(name): Path<String>) -> Answer<wire::Quota> {
    let found = blocking(move || api.namespace.bucket_quota(&name)).await??;
    Ok(Json(found.map_or_else(wire::Quota::default, |(quota, usage)| wire::Quota {
        bytes: quota.bytes,
        objects: quota.objects,
        used_bytes: Some(usage.bytes),
        used_objects: Some(usage.objects),
    })))
}

async fn set_quota(
    State(api): State<Api>,
    Path(name): Path<String>,
    Json(request): Json<wire::SetQuota>,
) -> Answer<wire::Quota> {
    let wanted = Quota { bytes: request.bytes, objects: request.objects };
    api.namespace.set_bucket_quota(&api.caller(), &name, Some(wanted)).await?;
    quota(State(api), Path(name)).await
}

async fn provide(State(api): State<Api>, Path(name): Path<String>) -> Answer<wire::Provide> {
    let open = blocking(move || api.namespace.is_bucket_provided(&name)).await??;
    Ok(Json(wire::Provide { open }))
}

async fn set_provide(
    State(api): State<Api>,
    Path(name): Path<String>,
    Json(request): Json<wire::Provide>,
) -> Answer<wire::Provide> {
    api.namespace.set_bucket_provided(&api.caller(), &name, request.open).await?;
    provide(State(api), Path(name)).await
}

async fn users(State(api): State<Api>) -> Answer<Vec<wire::User>> {
    let accounts = api.accounts.list().await?;
    Ok(Json(accounts.iter().map(user_view).collect()))
}

async fn create_user(State(api): State<Api>, Json(request): Json<wire::CreateUser>) -> Answer<wire::User> {
    let wire::CreateUser { user, secret } = request;
    if *user.access == *api.root {
        return Err(ApiError::conflict("the root account has this access key"));
    }
    credentials::check(&user.access, secret.expose()).map_err(|e| ApiError::bad_request(e.to_string()))?;
    let role = role(user.role);
    let account = Account {
        access: user.access,
        secret: secret.expose().to_owned(),
        role,
        uid: user.uid,
        gid: user.gid,
        project: user.project,
    };
    let view = user_view(&account);
    api.accounts.create(&api.caller(), account).await?;
    Ok(Json(view))
}

async fn delete_user(State(api): State<Api>, Path(access): Path<String>) -> Result<StatusCode, ApiError> {
    let account = api.account(access).await?;
    api.accounts.delete(&api.caller(), &account.access).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn change_secret(
    State(api): State<Api>,
    Path(access): Path<String>,
    Json(request): Json<wire::NewSecret>,
) -> Result<StatusCode, ApiError> {
    let account = api.account(access).await?;
    let secret = request.secret.expose();
    credentials::check(&account.access, secret).map_err(|e| ApiError::bad_request(e.to_string()))?;
    let change = AccountChange { secret: Some(secret.to_owned()), ..AccountChange::default() };
    api.accounts.change(&api.caller(), &account.access, change).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn object(State(api): State<Api>, Query(name): Query<wire::ObjectName>) -> Answer<wire::Object> {
    let info = api.namespace.head(&api.caller(), &name.bucket, name.key.as_bytes()).await?;
    Ok(Json(object_view(name, info)))
}

async fn directory_cid(State(api): State<Api>, Query(name): Query<wire::DirectoryName>) -> Answer<wire::DirectoryCid> {
    let work = move || api.namespace.directory_dag(&name.bucket, name.directory.as_bytes(), &|_| {});
    let dag = blocking(work).await??;
    Ok(Json(wire::DirectoryCid {
        cid: dag.cid.to_string(),
        files: dag.files,
        directories: dag.directories,
        bytes: dag.bytes,
        dag_bytes: dag.tsize,
        left_out: dag.left_out,
    }))
}

async fn mounts(State(api): State<Api>) -> Answer<Vec<wire::Mount>> {
    Ok(Json(api.mounts.list().iter().map(mount_view).collect()))
}

async fn mount(State(api): State<Api>, Json(request): Json<wire::Mount>) -> Answer<wire::Mount> {
    let spec = crate::config::check_mount(request.into(), &api.about.data).map_err(ApiError::bad_request)?;
    let what = spec.to_string();
    let mounted = blocking(move || api.mounts.ask(spec)).await?;
    let mounted = mounted.map_err(|e| ApiError::from(e).about(&format!("cannot mount {what}")))?;
    Ok(Json(mount_view(&mounted)))
}

async fn unmount(State(api): State<Api>, Json(request): Json<wire::Unmount>) -> Result<StatusCode, ApiError> {
    blocking(move || api.mounts.remove(std::path::Path::new(&request.dir))).await??;
    Ok(StatusCode::NO_CONTENT)
}

async fn checkpoint(State(api): State<Api>) -> Answer<wire::Checkpoint> {
    let sequence = blocking(move || doors::checkpoint(&api.namespace)).await??;
    Ok(Json(wire::Checkpoint { sequence }))
}

pub(super) fn rfc3339(time: Timestamp) -> String {
    let moment = OffsetDateTime::from_unix_timestamp(time.secs).and_then(|t| t.replace_nanosecond(time.nanos));
    // A time before year -9999 or after 9999 has no such form; the number is still right.
    moment.ok().and_then(|t| t.format(&Rfc3339).ok()).unwrap_or_else(|| format!("@{}", time.secs))
}

fn mount_view(mounted: &Mounted) -> wire::Mount {
    wire::Mount { passthrough: mounted.passthrough, ..wire::Mount::from(&mounted.spec) }
}

fn bucket_view(bucket: &BucketInfo) -> wire::Bucket {
    wire::Bucket {
        name: bucket.name.clone(),
        created: rfc3339(bucket.created),
        owner: bucket.owner.clone(),
        profile: doors::profile_name(bucket.profile).to_owned(),
        region: bucket.region.clone(),
        encryption: match bucket.settings.encryption.unwrap_or_default().mode {
            EncryptionMode::None => wire::EncryptionMode::None,
            EncryptionMode::Bucket => wire::EncryptionMode::Bucket,
            EncryptionMode::Object => wire::EncryptionMode::Object,
        },
    }
}

/// A role as the namespace has it.
pub(super) fn role(role: wire::Role) -> Role {
    match role {
        wire::Role::Admin => Role::Admin,
        wire::Role::UserPlus => Role::UserPlus,
        wire::Role::User => Role::User,
    }
}

fn user_view(account: &Account) -> wire::User {
    let role = match account.role {
        Role::Admin => wire::Role::Admin,
        Role::UserPlus => wire::Role::UserPlus,
        Role::User => wire::Role::User,
    };
    wire::User { access: account.access.clone(), role, uid: account.uid, gid: account.gid, project: account.project }
}

fn object_view(name: wire::ObjectName, info: ObjectInfo) -> wire::Object {
    let headers = info.meta.headers;
    wire::Object {
        bucket: name.bucket,
        key: name.key,
        size: info.size,
        cid: info.cid.to_string(),
        chunks: info.leaves,
        etag: info.meta.etag.to_string(),
        last_modified: rfc3339(info.meta.last_modified),
        content_type: headers.content_type.unwrap_or_else(|| "binary/octet-stream".to_owned()),
        mode: format!("{:06o}", info.mode),
        uid: info.uid,
        gid: info.gid,
        mtime: rfc3339(info.mtime),
        ino: info.ino.0,
        metadata: headers.user,
        tags: info.meta.tags,
    }
}

#[cfg(test)]
mod tests {
    use super::rfc3339;
    use pinfold_store::types::Timestamp;

    #[test]
    fn times() {
        assert_eq!(rfc3339(Timestamp { secs: 0, nanos: 0 }), "1970-01-01T00:00:00Z");
        assert_eq!(rfc3339(Timestamp { secs: 1, nanos: 500_000_000 }), "1970-01-01T00:00:01.5Z");
        assert_eq!(rfc3339(Timestamp { secs: i64::MAX, nanos: 0 }), format!("@{}", i64::MAX));
    }
}

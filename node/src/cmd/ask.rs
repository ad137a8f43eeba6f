//! Commands that ask the running daemon over its socket.

use std::future::Future;
use std::io::Read;

use hyper::Method;
use indicatif::BinaryBytes;

use crate::admin::client::{AdminClient, escape};
use crate::admin::wire;
use crate::cli::{BucketAction, Client, MountArgs, OnOff, RoleArg, StatArgs, UmountArgs, UserAction};
use crate::config::flags::SettingFlags;
use crate::config::value;
use crate::failure::{ExitCode, Failure};
use crate::output::Output;
use crate::progress::WorkProgress;
use crate::{credentials, doors};

/// Finds the daemon of the configuration and runs one conversation with it.
pub(super) fn ask<F: Future<Output = Result<(), Failure>>>(
    client: &Client,
    talk: impl FnOnce(AdminClient, Output) -> F,
) -> Result<(), Failure> {
    let loaded = SettingFlags::client(client.config.clone(), client.data.clone()).load()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(talk(AdminClient::new(&loaded.config.data), Output::new(client.json)))
}

/// `pinfold mount`.
pub fn mount(args: MountArgs) -> Result<(), Failure> {
    ask(&args.client, async |daemon, out| {
        let Some(dir) = args.dir.as_deref().filter(|_| !args.list) else {
            let mounts: Vec<wire::Mount> = daemon.get("/v1/mounts").await?;
            return out.table(&mounts, ["DIRECTORY", "SHOWS", "ACCESS", "BYTES BY"], |m| {
                [m.dir.clone(), shows(m), access(m), by(m)]
            });
        };
        // The daemon's working directory is another one.
        let dir = std::path::absolute(dir)?.display().to_string();
        let prefix = args.prefix.clone().unwrap_or_default();
        let request =
            wire::Mount { dir, bucket: args.bucket.clone(), prefix, read_only: args.read_only, passthrough: false };
        let made: wire::Mount = daemon.post("/v1/mounts", &request).await?;
        let lines = [
            ("mounted", made.dir.clone()),
            ("shows", shows(&made)),
            ("access", access(&made)),
            ("bytes by", by(&made)),
        ];
        out.fields(&made, lines)
    })
}

fn shows(mount: &wire::Mount) -> String {
    match (&mount.bucket, mount.prefix.as_str()) {
        (None, _) => "all buckets".to_owned(),
        (Some(bucket), "") => bucket.clone(),
        (Some(bucket), prefix) => format!("{bucket}/{prefix}"),
    }
}

fn access(mount: &wire::Mount) -> String {
    if mount.read_only { "read-only" } else { "read-write" }.to_owned()
}

/// Who moves the bytes of whole local files.
fn by(mount: &wire::Mount) -> String {
    if mount.passthrough { "kernel (passthrough)" } else { "daemon" }.to_owned()
}

/// `pinfold umount`.
pub fn umount(args: &UmountArgs) -> Result<(), Failure> {
    ask(&args.client, async |daemon, out| {
        let dir = std::path::absolute(&args.dir)?.display().to_string();
        daemon.tell(Method::POST, "/v1/mounts/remove", &wire::Unmount { dir: dir.clone() }).await?;
        out.say(&format!("unmounted {dir}"))
    })
}

/// `pinfold bucket`.
pub fn bucket(action: BucketAction) -> Result<(), Failure> {
    let path = |name: &str| format!("/v1/buckets/{}", escape(name));
    let show = |out: Output, bucket: &wire::Bucket| {
        let region = bucket.region.clone().unwrap_or_default();
        out.fields(
            bucket,
            [
                ("bucket", bucket.name.clone()),
                ("created", bucket.created.clone()),
                ("owner", bucket.owner.clone()),
                ("profile", bucket.profile.clone()),
                ("region", region),
                ("encryption", format!("{:?}", bucket.encryption).to_lowercase()),
            ],
        )
    };
    match action {
        BucketAction::Create { name, owner, profile, client } => ask(&client, async |daemon, out| {
            let profile = Some(doors::profile_name(profile.into()).to_owned());
            let bucket = daemon.post("/v1/buckets", &wire::CreateBucket { name, owner, profile }).await?;
            show(out, &bucket)
        }),
        BucketAction::List { client } => ask(&client, async |daemon, out| {
            let buckets: Vec<wire::Bucket> = daemon.get("/v1/buckets").await?;
            out.table(&buckets, ["BUCKET", "CREATED", "OWNER"], |b| {
                [b.name.clone(), b.created.clone(), b.owner.clone()]
            })
        }),
        BucketAction::Delete { name, client } => ask(&client, async |daemon, out| {
            daemon.delete(&path(&name)).await?;
            out.say(&format!("deleted {name}"))
        }),
        BucketAction::Stat { name, client } => {
            ask(&client, async |daemon, out| show(out, &daemon.get(&path(&name)).await?))
        }
        BucketAction::Quota { name, bytes, objects, client } => quota(&client, &name, bytes, objects),
        BucketAction::Provide { name, set, client } => ask(&client, async |daemon, out| {
            let path = format!("{}/provide", path(&name));
            let now: wire::Provide = match set {
                None => daemon.get(&path).await?,
                Some(set) => daemon.put(&path, &wire::Provide { open: set == OnOff::On }).await?,
            };
            let shown = if now.open { "on" } else { "off" };
            out.fields(&now, [("bucket", name.clone()), ("provide", shown.to_owned())])
        }),
        BucketAction::Cid { directory, client } => ask(&client, async |daemon, out| {
            let (bucket, below) = directory.split_once('/').unwrap_or((&directory, ""));
            let path = format!("/v1/cid?bucket={}&directory={}", escape(bucket), escape(below));
            let dag: wire::DirectoryCid = daemon.get(&path).await?;
            let d = &dag;
            out.fields(
                d,
                [
                    ("directory", directory.clone()),
                    ("cid", d.cid.clone()),
                    ("files", d.files.to_string()),
                    ("directories", d.directories.to_string()),
                    ("bytes", d.bytes.to_string()),
                    ("dag bytes", d.dag_bytes.to_string()),
                    ("left out", d.left_out.to_string()),
                ],
            )
        }),
    }
}

/// `pinfold bucket quota`: what is not named stays as it is.
fn quota(client: &Client, name: &str, bytes: Option<String>, objects: Option<String>) -> Result<(), Failure> {
    let path = format!("/v1/buckets/{}/quota", escape(name));
    let read = |text: &str, parse: &dyn Fn(&str) -> Result<u64, String>| match text {
        "none" => Ok(None),
        text => parse(text).map(Some).map_err(|e| Failure::message(ExitCode::Failed, format!("`{text}`: {e}"))),
    };
    let bytes = bytes.map(|text| read(&text, &value::size)).transpose()?;
    let objects = objects.map(|text| read(&text, &|t| t.parse().map_err(|_| "not a number".to_owned()))).transpose()?;
    ask(client, async |daemon, out| {
        let mut now: wire::Quota = daemon.get(&path).await?;
        if bytes.is_some() || objects.is_some() {
            let wanted = wire::SetQuota { bytes: bytes.unwrap_or(now.bytes), objects: objects.unwrap_or(now.objects) };
            now = daemon.put(&path, &wanted).await?;
        }
        let shown = |limit: Option<u64>, used: Option<u64>| match (limit, used) {
            (None, None) => "no limit".to_owned(),
            (limit, used) => {
                let limit = limit.map_or_else(|| "no limit".to_owned(), |limit| limit.to_string());
                format!("{} of {limit}", used.unwrap_or(0))
            }
        };
        out.fields(
            &now,
            [
                ("bucket", name.to_owned()),
                ("bytes", shown(now.bytes, now.used_bytes)),
                ("objects", shown(now.objects, now.used_objects)),
            ],
        )
    })
}

/// `pinfold user`.
pub fn user(action: UserAction) -> Result<(), Failure> {
    match action {
        UserAction::Create { access, secret_stdin, role, uid, gid, project, client } => {
            ask(&client, async |daemon, out| {
                let access = access.map_or_else(credentials::new_access, Ok)?;
                let secret = secret(secret_stdin)?;
                let role = match role {
                    RoleArg::Admin => wire::Role::Admin,
                    RoleArg::Userplus => wire::Role::UserPlus,
                    RoleArg::User => wire::Role::User,
                };
                credentials::check(&access, secret.expose()).map_err(|e| Failure::message(ExitCode::Failed, e))?;
                let request = wire::CreateUser { user: wire::User { access, role, uid, gid, project }, secret };
                let _: wire::User = daemon.post("/v1/users", &request).await?;
                let shown = request.secret.expose().to_owned();
                out.fields(&request, [("access key", request.user.access.clone()), ("secret key", shown)])
            })
        }
        UserAction::List { client } => ask(&client, async |daemon, out| {
            let users: Vec<wire::User> = daemon.get("/v1/users").await?;
            out.table(&users, ["ACCESS KEY", "ROLE", "UID", "GID"], |u| {
                [u.access.clone(), format!("{:?}", u.role).to_lowercase(), u.uid.to_string(), u.gid.to_string()]
            })
        }),
        UserAction::Import { file, replace, client } => {
            let request = wire::ImportUsers { users: super::users_file::read(&file)?, replace };
            ask(&client, async |daemon, out| {
                let done: wire::ImportedUsers = daemon.post("/v1/import/users", &request).await?;
                let names = |list: &[String]| list.join(", ");
                out.fields(
                    &done,
                    [
                        ("created", names(&done.created)),
                        ("replaced", names(&done.replaced)),
                        ("left as they are", names(&done.kept)),
                    ],
                )
            })
        }
        UserAction::Delete { access, client } => ask(&client, async |daemon, out| {
            daemon.delete(&format!("/v1/users/{}", escape(&access))).await?;
            out.say(&format!("deleted {access}"))
        }),
        UserAction::Passwd { access, secret_stdin, client } => ask(&client, async |daemon, out| {
            let request = wire::NewSecret { secret: secret(secret_stdin)? };
            credentials::check(&access, request.secret.expose()).map_err(|e| Failure::message(ExitCode::Failed, e))?;
            daemon.tell(Method::PUT, &format!("/v1/users/{}/secret", escape(&access)), &request).await?;
            let shown = request.secret.expose().to_owned();
            out.fields(&request, [("access key", access), ("secret key", shown)])
        }),
    }
}

/// A secret key from standard input, or a random one.
fn secret(from_stdin: bool) -> Result<credentials::Secret, Failure> {
    if !from_stdin {
        return Ok(credentials::new_secret()?);
    }
    let mut text = String::new();
    std::io::stdin().take(4096).read_to_string(&mut text)?;
    Ok(credentials::Secret::new(text.trim_end_matches(['\r', '\n'])))
}

/// `pinfold stat`.
pub fn stat(args: &StatArgs) -> Result<(), Failure> {
    let Some((bucket, key)) = args.object.split_once('/').filter(|(bucket, key)| !bucket.is_empty() && !key.is_empty())
    else {
        return Err(Failure::message(
            ExitCode::Failed,
            format!("`{}` is not BUCKET/KEY; of a bucket: pinfold bucket stat BUCKET", args.object),
        ));
    };
    let pairs = |pairs: &[(String, String)]| {
        pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(", ")
    };
    ask(&args.client, async |daemon, out| {
        let path = format!("/v1/object?bucket={}&key={}", escape(bucket), escape(key));
        let object: wire::Object = daemon.get(&path).await?;
        let o = &object;
        out.fields(
            o,
            [
                ("object", format!("{}/{}", o.bucket, o.key)),
                ("size", o.size.to_string()),
                ("cid", o.cid.clone()),
                ("chunks", o.chunks.to_string()),
                ("etag", o.etag.clone()),
                ("modified", o.last_modified.clone()),
                ("type", o.content_type.clone()),
                ("mode", o.mode.clone()),
                ("owner", format!("{}:{}", o.uid, o.gid)),
                ("mtime", o.mtime.clone()),
                ("inode", o.ino.to_string()),
                ("metadata", pairs(&o.metadata)),
                ("tags", pairs(&o.tags)),
            ],
        )
    })
}

/// `pinfold status`.
pub fn status(client: &Client) -> Result<(), Failure> {
    ask(client, async |daemon, out| {
        let status: wire::Status = daemon.get("/v1/status").await?;
        let s = &status;
        let mounts = s.mounts.iter().map(|m| format!("{} ({}, {})", m.dir, shows(m), access(m)));
        out.fields(
            s,
            [
                ("state", s.state.clone()),
                ("version", s.version.clone()),
                ("process", format!("{}, for {} s", s.pid, s.uptime_seconds)),
                ("data", s.data.clone()),
                ("s3", s.s3.clone().unwrap_or_else(|| "off".to_owned())),
                ("admin", s.admin.clone().unwrap_or_else(|| "off".to_owned())),
                ("console", s.console.clone().unwrap_or_else(|| "off".to_owned())),
                ("mounts", mounts.collect::<Vec<_>>().join(", ")),
                ("engine", s.engine.clone()),
                ("buckets", s.buckets.to_string()),
                (
                    "disk",
                    format!("{} of {} may still be written", BinaryBytes(s.disk_available), BinaryBytes(s.disk_total)),
                ),
            ],
        )
    })
}

/// `pinfold reload`.
pub fn reload(client: &Client) -> Result<(), Failure> {
    ask(client, async |daemon, out| {
        daemon.tell(Method::POST, "/v1/reload", &()).await?;
        out.say("asked to reload; the daemon's log says what came of it")
    })
}

/// `pinfold meta checkpoint`.
pub fn checkpoint(client: &Client) -> Result<(), Failure> {
    ask(client, async |daemon, out| {
        let waiting = WorkProgress::new();
        waiting.tell("checkpoint", 0, 0);
        let made: wire::Checkpoint = daemon.post("/v1/meta/checkpoint", &()).await?;
        waiting.clear();
        out.fields(&made, [("checkpoint", format!("up to record {}", made.sequence))])
    })
}

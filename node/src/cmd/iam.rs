//! `pinfold iam`: policies, groups and roles, and what accounts have of them.

use std::io::Read;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueHint};
use hyper::Method;

use super::ask::ask;
use crate::admin::client::escape;
use crate::admin::iam::{Entity, Kind};
use crate::cli::Client;
use crate::failure::{ExitCode, Failure};

/// The longest document that is read; the daemon takes less.
const MAX_DOCUMENT: u64 = 1 << 20;

/// `iam`.
#[derive(Args, Debug)]
pub struct IamArgs {
    /// Of what.
    #[command(subcommand)]
    pub what: What,
}

/// What it is about.
#[derive(Subcommand, Debug)]
pub enum What {
    /// Policies by name, which accounts, groups and roles are given
    #[command(subcommand)]
    Policy(Action<PolicyFields>),
    /// Groups of accounts
    #[command(subcommand)]
    Group(Action<GroupFields>),
    /// Roles that accounts take for a time (AssumeRole)
    #[command(subcommand)]
    Role(Action<RoleFields>),
    /// What accounts have: policies of their own, and groups
    #[command(subcommand)]
    User(Action<UserFields>),
}

/// What to do.
#[derive(Subcommand, Debug)]
pub enum Action<F: Args> {
    /// Set it; what was there before is replaced as a whole
    Put {
        /// Name; of an account its access key
        name: String,
        /// What it is to be.
        #[command(flatten)]
        fields: F,
        /// The daemon.
        #[command(flatten)]
        client: Client,
    },
    /// Show it
    Show {
        /// Name
        name: String,
        /// The daemon.
        #[command(flatten)]
        client: Client,
    },
    /// List all
    List {
        /// The daemon.
        #[command(flatten)]
        client: Client,
    },
    /// Remove it (refused while something has it)
    Delete {
        /// Name
        name: String,
        /// The daemon.
        #[command(flatten)]
        client: Client,
    },
}

/// Of a policy.
#[derive(Args, Debug)]
pub struct PolicyFields {
    /// The document, JSON; `-` is standard input
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    file: PathBuf,
}

/// Of a group.
#[derive(Args, Debug)]
pub struct GroupFields {
    /// A policy that its members have (repeat it for several)
    #[arg(long = "policy", value_name = "NAME")]
    policies: Vec<String>,
}

/// Of a role.
#[derive(Args, Debug)]
pub struct RoleFields {
    /// The document that says who may take it, JSON; `-` is standard input
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    trust: PathBuf,
    /// A policy that it has (repeat it for several)
    #[arg(long = "policy", value_name = "NAME")]
    policies: Vec<String>,
    /// The longest session, in seconds: 900 to 43200
    #[arg(long, default_value_t = 3600)]
    max_seconds: u32,
}

/// Of an account.
#[derive(Args, Debug)]
pub struct UserFields {
    /// A policy of its own (repeat it for several)
    #[arg(long = "policy", value_name = "NAME")]
    policies: Vec<String>,
    /// A group that it is in (repeat it for several)
    #[arg(long = "group", value_name = "NAME")]
    groups: Vec<String>,
}

trait Fields: Args {
    fn entity(self, name: String) -> Result<Entity, Failure>;
}

impl Fields for PolicyFields {
    fn entity(self, name: String) -> Result<Entity, Failure> {
        Ok(Entity::Policy { name, document: read(&self.file)? })
    }
}

impl Fields for GroupFields {
    fn entity(self, name: String) -> Result<Entity, Failure> {
        Ok(Entity::Group { name, policies: self.policies })
    }
}

impl Fields for RoleFields {
    fn entity(self, name: String) -> Result<Entity, Failure> {
        let Self { trust, policies, max_seconds } = self;
        Ok(Entity::Role { name, trust: read(&trust)?, policies, max_seconds })
    }
}

impl Fields for UserFields {
    fn entity(self, name: String) -> Result<Entity, Failure> {
        Ok(Entity::User { name, policies: self.policies, groups: self.groups })
    }
}

fn read(file: &Path) -> Result<String, Failure> {
    let mut text = String::new();
    let done = if file == Path::new("-") {
        std::io::stdin().take(MAX_DOCUMENT).read_to_string(&mut text)
    } else {
        std::fs::File::open(file).and_then(|file| file.take(MAX_DOCUMENT).read_to_string(&mut text))
    };
    done.map_err(|e| Failure::message(ExitCode::Failed, format!("cannot read {}: {e}", file.display())))?;
    Ok(text.trim().to_owned())
}

/// `pinfold iam`.
pub fn iam(what: What) -> Result<(), Failure> {
    match what {
        What::Policy(action) => run(Kind::Policy, action),
        What::Group(action) => run(Kind::Group, action),
        What::Role(action) => run(Kind::Role, action),
        What::User(action) => run(Kind::User, action),
    }
}

fn run<F: Fields>(kind: Kind, action: Action<F>) -> Result<(), Failure> {
    let of_kind = format!("/v1/iam/{}", kind.word());
    let path = |name: &str| format!("{of_kind}/{}", escape(name));
    match action {
        Action::Put { name, fields, client } => {
            let entity = fields.entity(name.clone())?;
            ask(&client, async |daemon, out| {
                daemon.tell(Method::PUT, &of_kind, &entity).await?;
                out.say(&format!("{} {name} is set", kind.word()))
            })
        }
        Action::Show { name, client } => ask(&client, async |daemon, out| {
            let found: Entity = daemon.get(&path(&name)).await?;
            out.fields(&found, lines(&found))
        }),
        Action::List { client } => ask(&client, async |daemon, out| {
            let all: Vec<Entity> = daemon.get(&of_kind).await?;
            out.table(&all, ["NAME", "POLICIES", "MORE"], row)
        }),
        Action::Delete { name, client } => ask(&client, async |daemon, out| {
            daemon.delete(&path(&name)).await?;
            out.say(&format!("deleted {} {name}", kind.word()))
        }),
    }
}

fn row(entity: &Entity) -> [String; 3] {
    match entity {
        Entity::Policy { name, document } => [name.clone(), String::new(), format!("{} bytes", document.len())],
        Entity::Group { name, policies } => [name.clone(), policies.join(", "), String::new()],
        Entity::Role { name, policies, max_seconds, .. } => {
            [name.clone(), policies.join(", "), format!("up to {max_seconds} s")]
        }
        Entity::User { name, policies, groups } => [name.clone(), policies.join(", "), groups.join(", ")],
    }
}

fn lines(entity: &Entity) -> Vec<(&'static str, String)> {
    match entity {
        Entity::Policy { name, document } => vec![("policy", name.clone()), ("document", document.clone())],
        Entity::Group { name, policies } => vec![("group", name.clone()), ("policies", policies.join(", "))],
        Entity::Role { name, trust, policies, max_seconds } => vec![
            ("role", name.clone()),
            ("policies", policies.join(", ")),
            ("max seconds", max_seconds.to_string()),
            ("trust", trust.clone()),
        ],
        Entity::User { name, policies, groups } => {
            vec![("user", name.clone()), ("policies", policies.join(", ")), ("groups", groups.join(", "))]
        }
    }
}

//! Policies, groups and roles, and what accounts have of them: `/v1/iam`.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use pinfold_store::meta::iam_row::{GrantsRow, GroupRow, IamRow, PolicyRow, RoleRow};
use serde::{Deserialize, Serialize};

use super::api::{Answer, Api, blocking};
use super::error::ApiError;

/// A kind of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Documents by name.
    Policy,
    /// Groups of accounts.
    Group,
    /// Roles that accounts take for a time.
    Role,
    /// What an account has.
    User,
}

impl Kind {
    /// Its word in paths.
    pub fn word(self) -> &'static str {
        match self {
            Self::Policy => "policy",
            Self::Group => "group",
            Self::Role => "role",
            Self::User => "user",
        }
    }
}

/// One of them, whole.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Entity {
    /// A policy.
    Policy {
        /// Name.
        name: String,
        /// The document, JSON.
        document: String,
    },
    /// A group.
    Group {
        /// Name.
        name: String,
        /// Policies of its members.
        policies: Vec<String>,
    },
    /// A role.
    Role {
        /// Name.
        name: String,
        /// Who may take it: a trust policy, JSON.
        trust: String,
        /// Its policies.
        policies: Vec<String>,
        /// The longest session, in seconds.
        max_seconds: u32,
    },
    /// What an account has.
    User {
        /// Access key.
        name: String,
        /// Its own policies.
        policies: Vec<String>,
        /// The groups it is in.
        groups: Vec<String>,
    },
}

/// The routes.
pub fn router() -> Router<Api> {
    Router::new().route("/v1/iam/{kind}", get(list).put(set)).route("/v1/iam/{kind}/{name}", get(show).delete(remove))
}

fn names(set: impl IntoIterator<Item = String>) -> Vec<String> {
    set.into_iter().collect()
}

fn policy((name, row): (String, PolicyRow)) -> Entity {
    Entity::Policy { name, document: row.document }
}

fn group((name, row): (String, GroupRow)) -> Entity {
    Entity::Group { name, policies: names(row.policies) }
}

fn role((name, row): (String, RoleRow)) -> Entity {
    Entity::Role { name, trust: row.trust, policies: names(row.policies), max_seconds: row.max_seconds }
}

fn user((name, row): (String, GrantsRow)) -> Entity {
    Entity::User { name, policies: names(row.policies), groups: names(row.groups) }
}

async fn list(State(api): State<Api>, Path(kind): Path<Kind>) -> Answer<Vec<Entity>> {
    fn all<T: IamRow>(api: &Api, show: fn((String, T)) -> Entity) -> pinfold_store::Result<Vec<Entity>> {
        Ok(api.namespace.iam_all::<T>()?.into_iter().map(show).collect())
    }
    let found = blocking(move || match kind {
        Kind::Policy => all(&api, policy),
        Kind::Group => all(&api, group),
        Kind::Role => all(&api, role),
        Kind::User => all(&api, user),
    });
    Ok(Json(found.await??))
}

async fn show(State(api): State<Api>, Path((kind, name)): Path<(Kind, String)>) -> Answer<Entity> {
    fn one<T: IamRow>(api: &Api, name: &str, show: fn((String, T)) -> Entity) -> pinfold_store::Result<Option<Entity>> {
        Ok(api.namespace.iam::<T>(name)?.map(|row| show((name.to_owned(), row))))
    }
    let wanted = name.clone();
    let found = blocking(move || match kind {
        Kind::Policy => one(&api, &wanted, policy),
        Kind::Group => one(&api, &wanted, group),
        Kind::Role => one(&api, &wanted, role),
        Kind::User => one(&api, &wanted, user),
    });
    let found = found.await??;
    found.map(Json).ok_or_else(|| ApiError::not_found(format!("there is no {} {name}", kind.word())))
}

async fn set(State(api): State<Api>, Path(_): Path<Kind>, Json(entity): Json<Entity>) -> Result<StatusCode, ApiError> {
    let (caller, namespace) = (api.caller(), &api.namespace);
    match entity {
        Entity::Policy { name, document } => namespace.set_iam(&caller, &name, PolicyRow { document }).await,
        Entity::Group { name, policies } => {
            namespace.set_iam(&caller, &name, GroupRow { policies: policies.into_iter().collect() }).await
        }
        Entity::Role { name, trust, policies, max_seconds } => {
            let row = RoleRow { trust, policies: policies.into_iter().collect(), max_seconds };
            namespace.set_iam(&caller, &name, row).await
        }
        Entity::User { name, policies, groups } => {
            let row = GrantsRow { policies: policies.into_iter().collect(), groups: groups.into_iter().collect() };
            // Who is elsewhere has no row here.
            let accounts = &api.accounts;
            if accounts.is_elsewhere() && accounts.find(&name).await?.is_none() {
                return Err(ApiError::not_found(format!("there is no account {name}")));
            }
            namespace.set_grants(&caller, &name, row, accounts.is_elsewhere()).await
        }
    }?;
    Ok(StatusCode::NO_CONTENT)
}

async fn remove(State(api): State<Api>, Path((kind, name)): Path<(Kind, String)>) -> Result<StatusCode, ApiError> {
    let (caller, namespace) = (api.caller(), &api.namespace);
    match kind {
        Kind::Policy => namespace.delete_iam::<PolicyRow>(&caller, &name).await,
        Kind::Group => namespace.delete_iam::<GroupRow>(&caller, &name).await,
        Kind::Role => namespace.delete_iam::<RoleRow>(&caller, &name).await,
        Kind::User => namespace.delete_iam::<GrantsRow>(&caller, &name).await,
    }?;
    Ok(StatusCode::NO_CONTENT)
}

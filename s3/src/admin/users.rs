//! Accounts.

use std::sync::Arc;

use hyper::StatusCode;
use pinfold_store::ErrorKind;
use pinfold_store::namespace::Account;
use pinfold_store::types::Caller;
use s3s::{Body, S3Error, S3Request, S3Response, S3Result};

use super::xml::{self, Fields};
use super::{Admin, done, error, parameter};
use crate::auth::AccountChange;
use crate::body::upload::to_the_end;
use crate::error::{OrS3, from_store};
use crate::scope::Scope;

fn user_error(e: pinfold_store::Error) -> S3Error {
    match e.kind() {
        ErrorKind::NotFound => error::no_such_user(),
        ErrorKind::AlreadyExists => error::user_exists(),
        ErrorKind::InvalidArgument => error::bad_keys(),
        _ => from_store(e),
    }
}

/// What can be the name in a `Credential` and in an ARN.
fn is_access_key(text: &str) -> bool {
    (1..=128).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic() && !b"/,=".contains(&b))
}

impl Admin {
    pub(super) async fn create_user(
        &self,
        caller: &Caller,
        mut request: S3Request<Body>,
    ) -> S3Result<S3Response<Body>> {
        let fields = Fields::read(&mut request.input).await?;
        if let (Some(scope), Some(access)) = (request.extensions.get::<Arc<Scope>>(), &fields.access) {
            scope.note(|facts| facts.target = Some(access.clone()));
        }
        let role = xml::role(fields.role.as_deref().unwrap_or_default()).ok_or_else(error::bad_role)?;
        let account = Account {
            access: fields.access.unwrap_or_default(),
            secret: fields.secret.unwrap_or_default(),
            role,
            uid: fields.user.unwrap_or_default(),
            gid: fields.group.unwrap_or_default(),
            project: fields.project.unwrap_or_default(),
        };
        if !is_access_key(&account.access) || account.secret.is_empty() {
            return Err(error::bad_keys());
        }
        let (accounts, caller) = (self.accounts.clone(), caller.clone());
        to_the_end(async move { Ok(accounts.create(&caller, account).await) }).await?.map_err(user_error)?;
        Ok(done(StatusCode::CREATED, String::new()))
    }

    pub(super) async fn update_user(
        &self,
        caller: &Caller,
        mut request: S3Request<Body>,
    ) -> S3Result<S3Response<Body>> {
        let access = parameter(&request, "access");
        if access.is_empty() {
            return Err(error::missing_access());
        }
        let fields = Fields::read(&mut request.input).await?;
        let role = match fields.role.as_deref() {
            None | Some("") => None,
            Some(name) => Some(xml::role(name).ok_or_else(error::bad_role)?),
        };
        if fields.secret.as_deref() == Some("") {
            return Err(error::bad_keys());
        }
        let change =
            AccountChange { secret: fields.secret, role, uid: fields.user, gid: fields.group, project: fields.project };
        let (accounts, caller) = (self.accounts.clone(), caller.clone());
        let changed = to_the_end(async move { Ok(accounts.change(&caller, &access, change).await) });
        changed.await?.map_err(user_error)?;
        Ok(done(StatusCode::OK, String::new()))
    }

    pub(super) async fn delete_user(&self, caller: &Caller, request: &S3Request<Body>) -> S3Result<S3Response<Body>> {
        let access = parameter(request, "access");
        if access.is_empty() {
            return Err(error::missing_access());
        }
        let (accounts, caller) = (self.accounts.clone(), caller.clone());
        let deleted = to_the_end(async move { Ok(accounts.delete(&caller, &access).await) }).await?;
        match deleted {
            // VersityGW says nothing of an account that was not there.
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(done(StatusCode::OK, String::new())),
            Err(e) => Err(from_store(e)),
            Ok(()) => Ok(done(StatusCode::OK, String::new())),
        }
    }

    pub(super) async fn list_users(&self) -> S3Result<S3Response<Body>> {
        let accounts = self.accounts.list().await.or_s3()?;
        Ok(done(StatusCode::OK, xml::users(&accounts)))
    }
}

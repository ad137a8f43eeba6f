//! VersityGW's admin API, so that `versitygw admin` manages this server: `PATCH` requests on the S3 endpoint, signed as
//! S3's are, for administrators only.
//!
//! | request | what |
//! |---|---|
//! | `/create-user`, body `<Account>` | creates an account (201) |
//! | `/update-user?access=…`, body `<MutableProps>` | changes what it names |
//! | `/delete-user?access=…` | deletes |
//! | `/list-users` | all but the root account, with their secrets |
//! | `/change-bucket-owner?bucket=…&owner=…` | its policy and list go with the old owner |
//! | `/list-buckets` | names and owners |
//! | `/BUCKET/create`, header `x-vgw-owner` | CreateBucket for somebody (201) |

mod buckets;
mod error;
mod users;
mod xml;

use std::sync::Arc;

use http::{HeaderMap, Uri};
use hyper::http::Extensions;
use hyper::{Method, StatusCode};
use pinfold_store::namespace::{Namespace, Role};
use pinfold_store::types::{Caller, Door, Id};
use s3s::route::S3Route;
use s3s::service::S3Service;
use s3s::{Body, S3ErrorCode, S3Request, S3Response, S3Result};

use crate::auth::Credentials;
use crate::error::{OrS3, plain};
use crate::guard::form_pairs;
use crate::route::{Lenient, Suspect};
use crate::scope::Scope;
use crate::sts::Sts;

/// The routes there are, first match wins.
pub(crate) struct Routes {
    admin: Admin,
    sessions: Sts,
    lenient: Lenient,
}

impl Routes {
    pub(crate) fn new(admin: Admin, sessions: Sts, lenient: Lenient) -> Self {
        Self { admin, sessions, lenient }
    }
}

#[async_trait::async_trait]
impl S3Route for Routes {
    fn is_match(&self, method: &Method, uri: &Uri, headers: &HeaderMap, extensions: &mut Extensions) -> bool {
        *method == Method::PATCH || self.lenient.is_match(method, uri, headers, extensions)
    }

    /// Each route asks for itself.
    async fn check_access(&self, _: &mut S3Request<Body>) -> S3Result<()> {
        Ok(())
    }

    async fn call(&self, request: S3Request<Body>) -> S3Result<S3Response<Body>> {
        if matches!(request.extensions.get(), Some(Suspect::Sessions)) {
            return self.sessions.call(request).await;
        }
        match request.method {
            Method::PATCH => self.admin.call(request).await,
            _ => self.lenient.call(request).await,
        }
    }
}

/// The admin API.
pub(crate) struct Admin {
    accounts: Arc<dyn Credentials>,
    namespace: Namespace,
    inner: Arc<S3Service>,
}

impl Admin {
    /// `inner` must take our word for who signed.
    pub(crate) fn new(accounts: Arc<dyn Credentials>, namespace: Namespace, inner: Arc<S3Service>) -> Self {
        Self { accounts, namespace, inner }
    }

    async fn call(&self, request: S3Request<Body>) -> S3Result<S3Response<Body>> {
        let caller = self.caller(&request).await?;
        let path = request.uri.path().to_owned();
        match path.trim_start_matches('/').split_once('/').unwrap_or((path.trim_start_matches('/'), "")) {
            ("create-user", "") => self.create_user(&caller, request).await,
            ("update-user", "") => self.update_user(&caller, request).await,
            ("delete-user", "") => self.delete_user(&caller, &request).await,
            ("list-users", "") => self.list_users().await,
            ("change-bucket-owner", "") => self.change_bucket_owner(&caller, &request).await,
            ("list-buckets", "") => self.list_buckets(),
            (_, "create") => self.create_bucket(&caller, request).await,
            _ => Err(plain(S3ErrorCode::MethodNotAllowed)),
        }
    }

    /// The administrator who asks; XAdminAccessDenied for others.
    async fn caller(&self, request: &S3Request<Body>) -> S3Result<Caller> {
        let signer = request.credentials.as_ref().map(|c| c.access_key.clone());
        let scope = request.extensions.get::<Arc<Scope>>();
        if let Some(scope) = scope {
            scope.note(|facts| facts.signer.clone_from(&signer));
            if let (Some(payer), Some(signer)) = (scope.payer(), &signer) {
                payer.admit_account(signer)?;
            }
        }
        let Some(signer) = signer else { return Err(plain(S3ErrorCode::AccessDenied)) };
        // Sessions do not manage accounts.
        let Some(account) = self.accounts.find(&signer).await.or_s3()? else {
            return Err(plain(S3ErrorCode::InvalidAccessKeyId));
        };
        if account.role != Role::Admin {
            return Err(error::access_denied());
        }
        let request = scope.map_or_else(Id::random, |scope| scope.id);
        let (uid, gid) = (account.uid, account.gid);
        Ok(Caller {
            principal: account.access,
            door: Door::S3,
            request,
            uid,
            gid,
            admin: true,
            bypass_governance: false,
            mount: 0,
        })
    }
}

/// For [`crate::fuzzing`].
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn fuzz(xml: &[u8]) {
    xml::fuzz(xml);
}

fn parameter(request: &S3Request<Body>, name: &str) -> String {
    let query = request.uri.query().unwrap_or_default();
    form_pairs(query).find(|(key, _)| key == name).map(|(_, value)| value).unwrap_or_default()
}

fn done(status: StatusCode, body: String) -> S3Response<Body> {
    let mut answer = S3Response::new(Body::from(body));
    answer.status = Some(status);
    answer.headers.insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static("application/xml"));
    answer
}

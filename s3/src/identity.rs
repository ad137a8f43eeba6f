//! Who asks: an account or a role, and the policies that come with it, read once.

use std::collections::HashMap;
use std::sync::Arc;

use http::request::Parts;
use parking_lot::RwLock;
use pinfold_store::Error;
use pinfold_store::iam::identity::role_arn;
use pinfold_store::iam::{Identity, Policy};
use pinfold_store::meta::iam_row::RoleRow;
use pinfold_store::namespace::{Account, Namespace, Role};
use s3s::{S3ErrorCode, S3Result};
use time::OffsetDateTime;

use crate::auth::Credentials;
use crate::error::{OrS3, from_store, plain};
use crate::guard::form_pairs;
use crate::session::{Claims, Principal, Refused, is_temporary};

/// Policies remembered; then all are forgotten.
const MOST: usize = 4096;

/// The token of a request, from its head or its form.
#[derive(Clone)]
pub(crate) struct SessionToken(pub(crate) String);

/// The token of a session, in a header or a presigned URL.
pub(crate) fn token(head: &Parts) -> Option<SessionToken> {
    let header = head.headers.get("x-amz-security-token").and_then(|v| v.to_str().ok()).map(str::to_owned);
    let in_query = || form_pairs(head.uri.query().unwrap_or_default()).find(|(k, _)| k == "X-Amz-Security-Token");
    let token = header.or_else(|| in_query().map(|(_, token)| token));
    token.filter(|token| !token.is_empty()).map(SessionToken)
}

/// Finds out who signed.
pub(crate) struct Identities {
    accounts: Arc<dyn Credentials>,
    namespace: Namespace,
    /// By name, with the text that was read.
    read: RwLock<HashMap<String, (String, Arc<Policy>)>>,
}

impl Identities {
    pub(crate) fn new(accounts: Arc<dyn Credentials>, namespace: Namespace) -> Self {
        Self { accounts, namespace, read: RwLock::default() }
    }

    /// The account of a signature that was verified, and what its own documents give it.
    pub(crate) async fn of(&self, access: &str, token: Option<&str>) -> S3Result<(Account, Identity)> {
        if let Some(account) = self.accounts.find(access).await.or_s3()? {
            // A token with it is somebody else's.
            return match token {
                None => self.of_account(account),
                Some(_) => Err(plain(S3ErrorCode::InvalidToken)),
            };
        }
        let Some(sessions) = self.accounts.sessions().filter(|_| is_temporary(access)) else {
            return Err(plain(S3ErrorCode::InvalidAccessKeyId));
        };
        let claims = sessions.read(access, token.unwrap_or_default(), OffsetDateTime::now_utc());
        let claims = claims.map_err(|refused| {
            plain(match refused {
                Refused::Invalid => S3ErrorCode::InvalidToken,
                Refused::Expired => S3ErrorCode::ExpiredToken,
            })
        })?;
        let (account, identity) = self.of_session(&claims).await?;
        let limit = claims.limit.as_deref().map(|text| parse("a session's policy", text)).transpose()?;
        Ok((account, Identity { limit: limit.map(Arc::new), ..identity }))
    }

    fn of_account(&self, account: Account) -> S3Result<(Account, Identity)> {
        if account.role == Role::Admin {
            return Ok((account, Identity::default()));
        }
        let documents = self.namespace.policies_of_account(&account.access).or_s3()?;
        Ok((account, Identity { policies: self.parsed(documents)?, limit: None }))
    }

    async fn of_session(&self, claims: &Claims) -> S3Result<(Account, Identity)> {
        match &claims.principal {
            Principal::Account(access) => match self.accounts.find(access).await.or_s3()? {
                Some(account) => self.of_account(account),
                None => Err(plain(S3ErrorCode::InvalidAccessKeyId)),
            },
            Principal::Role(name) => {
                // Who removes a role ends its sessions.
                let role = self.namespace.iam::<RoleRow>(name).or_s3()?;
                let role = role.ok_or_else(|| plain(S3ErrorCode::InvalidAccessKeyId))?;
                let policies = self.parsed(self.namespace.policies_of_role(&role).or_s3()?)?;
                let account = Account {
                    access: role_arn(name),
                    secret: String::new(),
                    role: Role::User,
                    uid: claims.uid,
                    gid: claims.gid,
                    project: 0,
                };
                Ok((account, Identity { policies, limit: None }))
            }
        }
    }

    fn parsed(&self, documents: Vec<(String, String)>) -> S3Result<Vec<Arc<Policy>>> {
        documents.into_iter().map(|(name, text)| self.one(name, text)).collect()
    }

    fn one(&self, name: String, text: String) -> S3Result<Arc<Policy>> {
        if let Some((read, policy)) = self.read.read().get(&name)
            && *read == text
        {
            return Ok(policy.clone());
        }
        let policy = Arc::new(parse(&name, &text)?);
        let mut read = self.read.write();
        if read.len() >= MOST {
            read.clear();
        }
        read.insert(name, (text, policy.clone()));
        Ok(policy)
    }
}

fn parse(name: &str, text: &str) -> S3Result<Policy> {
    Policy::parse(text).map_err(|wrong| {
        from_store(Error::corrupt("a policy cannot be read").with("policy", name).with("reason", wrong.0))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_come_in_headers_and_presigned_urls() {
        let found = |uri: &str, header: Option<&str>| {
            let mut request = http::Request::builder().uri(uri);
            if let Some(value) = header {
                request = request.header("x-amz-security-token", value);
            }
            token(&request.body(()).unwrap().into_parts().0).map(|SessionToken(token)| token)
        };
        assert_eq!(found("/b/k", Some("t")).as_deref(), Some("t"));
        assert_eq!(found("/b/k?a=b&X-Amz-Security-Token=t%2Fu", None).as_deref(), Some("t/u"));
        assert_eq!(found("/b/k?X-Amz-Security-Token=other", Some("t")).as_deref(), Some("t"));
        assert_eq!(found("/b/k", Some("")), None);
        assert_eq!(found("/b/k?X-Amz-Security-Token=", None), None);
    }
}

//! The documents of the admin API.

use pinfold_store::namespace::{Account, Role};
use s3s::xml::{DeError, DeResult, Deserializer};
use s3s::{Body, S3ErrorCode, S3Result};

use crate::error::plain;

/// Largest document.
const MAX: usize = 64 * 1024;

/// An account, or what of it is to change.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Fields {
    pub(super) access: Option<String>,
    pub(super) secret: Option<String>,
    pub(super) role: Option<String>,
    pub(super) user: Option<u32>,
    pub(super) group: Option<u32>,
    pub(super) project: Option<u32>,
}

impl Fields {
    /// Reads `<Account>` and `<MutableProps>`; what it does not know is skipped.
    pub(super) async fn read(body: &mut Body) -> S3Result<Self> {
        let bytes = body.store_all_limited(MAX).await.map_err(|_| plain(S3ErrorCode::MalformedXML))?;
        Self::parse(&bytes).map_err(|_| plain(S3ErrorCode::MalformedXML))
    }

    fn parse(xml: &[u8]) -> DeResult<Self> {
        let mut d = Deserializer::new(xml);
        let fields = d.element(|d, _| {
            let mut fields = Self::default();
            d.for_each_element(|d, name| {
                match name {
                    b"Access" => fields.access = Some(d.content()?),
                    b"Secret" => fields.secret = Some(d.content()?),
                    b"Role" => fields.role = Some(d.content()?),
                    b"UserID" => fields.user = Some(number(&d.content::<String>()?)?),
                    b"GroupID" => fields.group = Some(number(&d.content::<String>()?)?),
                    b"ProjectID" => fields.project = Some(number(&d.content::<String>()?)?),
                    _ => drop(d.content::<String>()?),
                }
                Ok(())
            })?;
            Ok(fields)
        })?;
        d.expect_eof()?;
        Ok(fields)
    }
}

/// For [`crate::fuzzing`].
#[cfg(any(test, feature = "fuzzing"))]
pub(super) fn fuzz(xml: &[u8]) {
    let _ = Fields::parse(xml);
}

fn number(text: &str) -> DeResult<u32> {
    text.trim().parse().map_err(|_| DeError::InvalidContent)
}

/// A role by VersityGW's name.
pub(super) fn role(name: &str) -> Option<Role> {
    match name {
        "admin" => Some(Role::Admin),
        "userplus" => Some(Role::UserPlus),
        "user" => Some(Role::User),
        _ => None,
    }
}

fn role_name(role: Role) -> &'static str {
    match role {
        Role::Admin => "admin",
        Role::UserPlus => "userplus",
        Role::User => "user",
    }
}

/// `list-users`.
pub(super) fn users(accounts: &[Account]) -> String {
    let mut out = String::from("<ListUserAccountsResult>");
    for account in accounts {
        out.push_str("<Accounts>");
        for (name, value) in [
            ("Access", account.access.as_str()),
            ("Secret", &account.secret),
            ("Role", role_name(account.role)),
            ("UserID", &account.uid.to_string()),
            ("GroupID", &account.gid.to_string()),
            ("ProjectID", &account.project.to_string()),
        ] {
            crate::respond::push_element(&mut out, name, value);
        }
        out.push_str("</Accounts>");
    }
    out + "</ListUserAccountsResult>"
}

/// `list-buckets`.
pub(super) fn buckets<'a>(buckets: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let mut out = String::from("<ListBucketsResult>");
    for (name, owner) in buckets {
        out.push_str("<Buckets>");
        crate::respond::push_element(&mut out, "Name", name);
        crate::respond::push_element(&mut out, "Owner", owner);
        out.push_str("</Buckets>");
    }
    out + "</ListBucketsResult>"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_read_or_refused() {
        let whole = b"<Account><Access>a</Access><Secret>s&amp;</Secret><Role>user</Role><UserID>1</UserID>\
            <GroupID>2</GroupID><ProjectID>3</ProjectID><IsSession>false</IsSession></Account>";
        let expected = Fields {
            access: Some("a".to_owned()),
            secret: Some("s&".to_owned()),
            role: Some("user".to_owned()),
            user: Some(1),
            group: Some(2),
            project: Some(3),
        };
        assert_eq!(Fields::parse(whole).unwrap(), expected);
        assert_eq!(Fields::parse(b"<MutableProps></MutableProps>").unwrap(), Fields::default());
        for bad in ["", "<Account>", "text", "<Account><UserID>-1</UserID></Account>", "<A></A><B></B>"] {
            assert!(Fields::parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn names_are_escaped() {
        let xml = buckets([("b", "a<b")].into_iter());
        assert!(xml.contains("<Owner>a&lt;b</Owner>"), "{xml}");
    }
}

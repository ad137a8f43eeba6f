//! VersityGW's users file (`users.json` of its internal and S3 stores), as far as accounts are in it.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use crate::admin::wire;
use crate::credentials::Secret;
use crate::failure::{ExitCode, Failure};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct File {
    access_accounts: BTreeMap<String, Account>,
}

#[derive(Deserialize)]
struct Account {
    #[serde(default)]
    access: String,
    secret: String,
    role: wire::Role,
    #[serde(rename = "userID", default)]
    user: u32,
    #[serde(rename = "groupID", default)]
    group: u32,
    #[serde(rename = "projectID", default)]
    project: u32,
}

/// The accounts of a file.
pub fn read(path: &Path) -> Result<Vec<wire::CreateUser>, Failure> {
    let text = std::fs::read_to_string(path)
        .map_err(|e| Failure::message(ExitCode::Failed, format!("{}: {e}", path.display())))?;
    parse(&text).map_err(|e| Failure::message(ExitCode::Failed, format!("{}: {e}", path.display())))
}

/// serde's errors name the place and the kind of value, not the value: no secret is shown.
fn parse(text: &str) -> Result<Vec<wire::CreateUser>, String> {
    let file: File = serde_json::from_str(text)
        .map_err(|e| format!("line {} column {}: this is not a users file of VersityGW", e.line(), e.column()))?;
    let mut users = Vec::with_capacity(file.access_accounts.len());
    for (key, account) in file.access_accounts {
        if !account.access.is_empty() && account.access != key {
            return Err(format!("the account {key} calls itself {}", account.access));
        }
        let user = wire::User {
            access: key,
            role: account.role,
            uid: account.user,
            gid: account.group,
            project: account.project,
        };
        users.push(wire::CreateUser { user, secret: Secret::new(account.secret) });
    }
    Ok(users)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_versitygw_is_read() {
        let text = r#"{"accessAccounts":{"alice":{"access":"alice","secret":"alicesec","role":"userplus",
            "userID":1000,"groupID":1001,"projectID":7},"bob":{"secret":"s","role":"user"}}}"#;
        let users = parse(text).unwrap();
        let alice = &users[0];
        assert_eq!((alice.user.access.as_str(), alice.user.role), ("alice", wire::Role::UserPlus));
        assert_eq!((alice.user.uid, alice.user.gid, alice.user.project), (1000, 1001, 7));
        assert_eq!((alice.secret.expose(), users[1].user.access.as_str()), ("alicesec", "bob"));
    }

    #[test]
    fn what_is_none_is_refused_without_its_secrets() {
        for text in [
            "",
            "{}",
            r#"{"accessAccounts":{"a":{"access":"b","secret":"topsecret","role":"user"}}}"#,
            r#"{"accessAccounts":{"a":{"access":"a","secret":"topsecret","role":"king"}}}"#,
            r#"{"accessAccounts":{"a":{"access":"a","secret":"topsecret","role":"user","userID":-1}}}"#,
        ] {
            let error = parse(text).err().unwrap();
            assert!(!error.contains("topsecret"), "{error}");
        }
    }
}

//! Accounts taken over from elsewhere.

use axum::Json;
use axum::extract::State;
use pinfold_s3::AccountChange;
use pinfold_store::ErrorKind;
use pinfold_store::namespace::Account;

use super::api::{Api, role};
use super::error::ApiError;
use super::wire;

/// `POST /v1/import/users`: all are looked at before the first is made. One that was made stays if a later one fails:
/// the same again does the rest.
pub(super) async fn users(
    State(api): State<Api>,
    Json(request): Json<wire::ImportUsers>,
) -> Result<Json<wire::ImportedUsers>, ApiError> {
    for wire::CreateUser { user, secret } in &request.users {
        check(&user.access, secret.expose()).map_err(ApiError::bad_request)?;
        if *user.access == *api.root {
            let message = format!("the root account has the access key {}", user.access);
            return Err(ApiError::conflict(message));
        }
    }
    let mut done = wire::ImportedUsers::default();
    for wire::CreateUser { user, secret } in request.users {
        let name = user.access.clone();
        let account = Account {
            access: user.access,
            secret: secret.expose().to_owned(),
            role: role(user.role),
            uid: user.uid,
            gid: user.gid,
            project: user.project,
        };
        match api.accounts.create(&api.caller(), account.clone()).await {
            Ok(()) => done.created.push(name),
            Err(e) if e.kind() == ErrorKind::AlreadyExists && !request.replace => done.kept.push(name),
            Err(e) if e.kind() == ErrorKind::AlreadyExists => {
                let change = AccountChange {
                    secret: Some(account.secret),
                    role: Some(account.role),
                    uid: Some(account.uid),
                    gid: Some(account.gid),
                    project: Some(account.project),
                };
                api.accounts.change(&api.caller(), &name, change).await?;
                done.replaced.push(name);
            }
            Err(e) => return Err(e.into()),
        }
    }
    Ok(Json(done))
}

/// VersityGW asks less of keys than `user create` does; these must be what a signature can name.
fn check(access: &str, secret: &str) -> Result<(), String> {
    if !(1..=128).contains(&access.len()) || access.bytes().any(|b| !b.is_ascii_graphic() || b"/,=".contains(&b)) {
        return Err(format!("{access:?} is no access key: 1 to 128 visible ASCII characters other than / , ="));
    }
    if secret.is_empty() || secret.len() > 128 {
        return Err(format!("the secret of {access} must have 1 to 128 bytes"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn keys_are_what_a_signature_can_name() {
        assert!(check("alice", "s").is_ok());
        for (access, secret) in [("", "s"), ("a/b", "s"), ("a b", "s"), ("a", "")] {
            assert!(check(access, secret).is_err(), "{access:?}");
        }
    }
}

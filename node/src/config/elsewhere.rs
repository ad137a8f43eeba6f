//! Settings of what is kept elsewhere: accounts (LDAP, Vault) and the key of the master key (Vault's transit). Names are
//! VersityGW's, where it has them.

use std::path::PathBuf;
use std::time::Duration;

use super::settings::{Group, Kind, Setting};
use super::{Build, value};

/// Accounts and keys elsewhere.
#[derive(Clone, Debug, Default)]
pub struct ElsewhereSettings {
    /// Where accounts are; in the namespace, if nowhere else.
    pub directory: Option<DirectorySettings>,
    /// How long its answers are kept; not at all if `None`.
    pub cache: Option<CacheSettings>,
    /// Which key of Vault's wraps the master key.
    pub transit: Option<TransitSettings>,
}

/// A directory of accounts.
#[derive(Clone, Debug)]
pub enum DirectorySettings {
    /// LDAP.
    Ldap(LdapSettings),
    /// Vault's KV, version 2.
    Vault(VaultAccounts),
}

/// How long answers of a directory are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheSettings {
    /// They are asked for again after this time.
    pub ttl: Duration,
    /// They are kept no longer than this, for a directory that does not answer.
    pub prune: Duration,
}

/// An LDAP server and how its entries are accounts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LdapSettings {
    /// `ldap://` or `ldaps://`.
    pub url: String,
    /// Whom to bind as.
    pub bind_dn: String,
    /// File with the password.
    pub bind_pass_file: Option<PathBuf>,
    /// Below which accounts are.
    pub query_base: String,
    /// Classes that an account has.
    pub object_classes: Vec<String>,
    /// Attribute of the access key.
    pub access: String,
    /// Attribute of the secret key.
    pub secret: String,
    /// Attribute of the role.
    pub role: String,
    /// Attribute of the user's id.
    pub user_id: String,
    /// Attribute of the group's id.
    pub group_id: String,
    /// Attribute of the project's id.
    pub project_id: String,
    /// Take any certificate.
    pub tls_skip_verify: bool,
}

/// How to talk to Vault.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VaultServer {
    /// `http://` or `https://`.
    pub url: String,
    /// Path of the AppRole login.
    pub auth_method: String,
    /// Namespace of the login.
    pub auth_namespace: Option<String>,
    /// Namespace of all else.
    pub namespace: Option<String>,
    /// The AppRole; a token is used without one.
    pub role_id: Option<String>,
    /// File with the AppRole's secret.
    pub role_secret_file: Option<PathBuf>,
    /// File with the token.
    pub token_file: Option<PathBuf>,
    /// The authority of the server's certificate, PEM; else the system's.
    pub server_cert: Option<PathBuf>,
    /// Our certificate, PEM.
    pub client_cert: Option<PathBuf>,
    /// Its key, PEM.
    pub client_cert_key: Option<PathBuf>,
}

/// Accounts in Vault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VaultAccounts {
    /// Where.
    pub server: VaultServer,
    /// Path of the KV engine.
    pub mount: String,
    /// Path of the accounts in it.
    pub path: String,
}

/// A key of Vault's transit engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransitSettings {
    /// Where.
    pub server: VaultServer,
    /// Path of the engine.
    pub mount: String,
    /// The key's name.
    pub key: String,
}

const fn setting(name: &'static str, kind: Kind, help: &'static str, details: &'static str) -> Setting {
    Setting { name, group: Group::Elsewhere, kind, default: None, help, details, reload: false }
}

const fn with_default(
    name: &'static str,
    kind: Kind,
    default: &'static str,
    help: &'static str,
    details: &'static str,
) -> Setting {
    Setting { name, group: Group::Elsewhere, kind, default: Some(default), help, details, reload: false }
}

/// Their part of the table.
pub(super) const SETTINGS: [Setting; 36] = [
    setting(
        "iam_ldap_url",
        Kind::Text,
        "URL of an LDAP server that has the accounts (ldap:// or ldaps://).",
        "The accounts of the namespace are not used then; the root account always is. Needs the other settings of LDAP but \
         iam_ldap_tls_skip_verify. Not together with iam_vault_endpoint_url.",
    ),
    setting(
        "iam_ldap_bind_dn",
        Kind::Text,
        "Name to bind with, such as cn=admin,dc=example,dc=com.",
        "The password is in PINFOLD_IAM_LDAP_BIND_PASS or in iam_ldap_bind_pass_file.",
    ),
    setting("iam_ldap_bind_pass_file", Kind::Path, "File with the password to bind with, mode 0600.", ""),
    setting("iam_ldap_query_base", Kind::Text, "Entry below which accounts are, such as ou=iam,dc=example,dc=com.", ""),
    setting(
        "iam_ldap_object_classes",
        Kind::Text,
        "Object classes that an account has, with commas between, such as top,person.",
        "An entry is an account if it has all of them; one that is made gets them.",
    ),
    setting("iam_ldap_access_atr", Kind::Text, "Attribute of the access key.", "It names entries that are made, too."),
    setting("iam_ldap_secret_atr", Kind::Text, "Attribute of the secret key.", ""),
    setting("iam_ldap_role_atr", Kind::Text, "Attribute of the role: admin, userplus or user.", ""),
    setting("iam_ldap_user_id_atr", Kind::Text, "Attribute of the POSIX user.", ""),
    setting("iam_ldap_group_id_atr", Kind::Text, "Attribute of the POSIX group.", ""),
    setting("iam_ldap_project_id_atr", Kind::Text, "Attribute of the project.", ""),
    with_default(
        "iam_ldap_tls_skip_verify",
        Kind::Choice(&["on", "off"]),
        "off",
        "Whether any certificate of the LDAP server is taken.",
        "Whoever stands between then reads all secret keys.",
    ),
    setting(
        "iam_vault_endpoint_url",
        Kind::Text,
        "URL of a Vault server that has the accounts in a KV engine of version 2.",
        "The accounts of the namespace are not used then; the root account always is. Each account is a secret of its own: \
         PATH/ACCESS with the data {ACCESS: {access, secret, role, userID, groupID, projectID}}.",
    ),
    setting("iam_vault_namespace", Kind::Text, "Namespace of login and accounts, where theirs are not set.", ""),
    setting("iam_vault_secret_storage_path", Kind::Text, "Path of the accounts in the KV engine.", ""),
    setting("iam_vault_secret_storage_namespace", Kind::Text, "Namespace of the accounts.", ""),
    with_default("iam_vault_auth_method", Kind::Text, "approle", "Path of the AppRole login.", ""),
    setting(
        "iam_vault_auth_namespace",
        Kind::Text,
        "Namespace of the login.",
        "A token of an AppRole is good in its own namespace only: this and that of the accounts must then be one.",
    ),
    with_default("iam_vault_mount_path", Kind::Text, "kv-v2", "Path of the KV engine.", ""),
    setting(
        "iam_vault_root_token_file",
        Kind::Path,
        "File with a token to use instead of an AppRole, mode 0600.",
        "Or in PINFOLD_IAM_VAULT_ROOT_TOKEN.",
    ),
    setting(
        "iam_vault_role_id",
        Kind::Text,
        "The AppRole to log in as.",
        "Its secret is in PINFOLD_IAM_VAULT_ROLE_SECRET or in iam_vault_role_secret_file.",
    ),
    setting("iam_vault_role_secret_file", Kind::Path, "File with the AppRole's secret id, mode 0600.", ""),
    setting(
        "iam_vault_server_cert",
        Kind::Path,
        "PEM file with the authority that Vault's certificate is checked against.",
        "Else the system's authorities.",
    ),
    setting("iam_vault_client_cert", Kind::Path, "PEM file with a certificate to show to Vault.", ""),
    setting("iam_vault_client_cert_key", Kind::Path, "PEM file with its key, mode 0600.", ""),
    with_default(
        "iam_cache_disable",
        Kind::Choice(&["on", "off"]),
        "off",
        "Whether each request asks the directory of accounts anew.",
        "",
    ),
    with_default(
        "iam_cache_ttl",
        Kind::Duration,
        "120s",
        "How long an answer of the directory of accounts is taken without asking again.",
        "That there is no such account is believed for 5s at most.",
    ),
    with_default(
        "iam_cache_prune",
        Kind::Duration,
        "3600s",
        "How long an answer is kept at most.",
        "While the directory does not answer, accounts that it told of so long ago still work: who could remove them cannot \
         reach it either. As long as iam_cache_ttl, none do.",
    ),
    setting(
        "master_key_vault_url",
        Kind::Text,
        "URL of a Vault server whose transit engine wraps the master key.",
        "The file of the master key then has what Vault made of it, and the node needs Vault at its start and to change the \
         master key, at no other time. A plain file is taken over by `pinfold key rotate`.",
    ),
    setting("master_key_vault_key", Kind::Text, "Name of the key in the transit engine.", ""),
    with_default("master_key_vault_mount_path", Kind::Text, "transit", "Path of the transit engine.", ""),
    setting("master_key_vault_namespace", Kind::Text, "Namespace of the engine and of the login.", ""),
    setting(
        "master_key_vault_role_id",
        Kind::Text,
        "The AppRole to log in as.",
        "Its secret is in PINFOLD_MASTER_KEY_VAULT_ROLE_SECRET or in master_key_vault_role_secret_file. Without one, a token \
         is in PINFOLD_MASTER_KEY_VAULT_TOKEN or in master_key_vault_token_file.",
    ),
    setting("master_key_vault_role_secret_file", Kind::Path, "File with the AppRole's secret id, mode 0600.", ""),
    setting("master_key_vault_token_file", Kind::Path, "File with a token, mode 0600.", ""),
    setting(
        "master_key_vault_server_cert",
        Kind::Path,
        "PEM file that Vault's certificate is checked against.",
        "Else the system's authorities.",
    ),
];

impl Build<'_> {
    pub(super) fn elsewhere(&mut self) -> Option<ElsewhereSettings> {
        let directory = match (self.text("iam_ldap_url").is_some(), self.text("iam_vault_endpoint_url").is_some()) {
            (true, true) => {
                self.refuse("iam_ldap_url", "iam_vault_endpoint_url is set, too: accounts are in one place");
                return None;
            }
            (true, false) => Some(DirectorySettings::Ldap(self.ldap()?)),
            (false, true) => Some(DirectorySettings::Vault(self.vault_accounts()?)),
            (false, false) => None,
        };
        let (ttl, prune) =
            (self.parsed("iam_cache_ttl", value::duration)?, self.parsed("iam_cache_prune", value::duration)?);
        if prune < ttl {
            self.refuse("iam_cache_prune", "it is shorter than iam_cache_ttl");
        }
        let cache = (self.text("iam_cache_disable")? == "off").then_some(CacheSettings { ttl, prune });
        let transit = match self.owned("master_key_vault_url") {
            Some(url) => Some(self.transit(url)?),
            None => None,
        };
        Some(ElsewhereSettings { directory, cache, transit })
    }

    fn owned(&self, name: &str) -> Option<String> {
        self.text(name).map(str::to_owned)
    }

    /// A setting that another one needs.
    fn needed(&mut self, name: &str, by: &str) -> Option<String> {
        let found = self.owned(name);
        if found.is_none() {
            self.refuse(by, &format!("{name} is missing beside it"));
        }
        found
    }

    fn url(&mut self, name: &str, url: String, schemes: &[&str]) -> Option<String> {
        let good = schemes.iter().any(|scheme| url.strip_prefix(scheme).is_some_and(|rest| !rest.is_empty()));
        if !good || url.contains('@') {
            self.refuse(name, &format!("it begins with {} and names a host and no user", schemes.join(" or ")));
            return None;
        }
        Some(url)
    }

    fn ldap(&mut self) -> Option<LdapSettings> {
        let by = "iam_ldap_url";
        let url = self.needed(by, by)?;
        let url = self.url(by, url, &["ldap://", "ldaps://"])?;
        let attribute = |build: &mut Self, name: &str| {
            let text = build.needed(name, by)?;
            let good = text.starts_with(|c: char| c.is_ascii_alphanumeric())
                && text.chars().all(|c| c.is_ascii_alphanumeric() || "-.;".contains(c));
            if !good {
                build.refuse(name, "it is no name of LDAP's");
            }
            good.then_some(text)
        };
        let classes = self.needed("iam_ldap_object_classes", by)?;
        let object_classes: Vec<String> = classes.split(',').map(|class| class.trim().to_owned()).collect();
        if object_classes
            .iter()
            .any(|c| c.is_empty() || !c.chars().all(|c| c.is_ascii_alphanumeric() || "-.".contains(c)))
        {
            self.refuse("iam_ldap_object_classes", "it is no list of names with commas between");
            return None;
        }
        Some(LdapSettings {
            url,
            bind_dn: self.needed("iam_ldap_bind_dn", by)?,
            bind_pass_file: self.path("iam_ldap_bind_pass_file"),
            query_base: self.needed("iam_ldap_query_base", by)?,
            object_classes,
            access: attribute(self, "iam_ldap_access_atr")?,
            secret: attribute(self, "iam_ldap_secret_atr")?,
            role: attribute(self, "iam_ldap_role_atr")?,
            user_id: attribute(self, "iam_ldap_user_id_atr")?,
            group_id: attribute(self, "iam_ldap_group_id_atr")?,
            project_id: attribute(self, "iam_ldap_project_id_atr")?,
            tls_skip_verify: self.text("iam_ldap_tls_skip_verify")? == "on",
        })
    }

    fn vault_accounts(&mut self) -> Option<VaultAccounts> {
        let by = "iam_vault_endpoint_url";
        let url = self.needed(by, by)?;
        let general = self.owned("iam_vault_namespace");
        let server = VaultServer {
            url: self.url(by, url, &["http://", "https://"])?,
            auth_method: self.owned("iam_vault_auth_method")?,
            auth_namespace: self.owned("iam_vault_auth_namespace").or_else(|| general.clone()),
            namespace: self.owned("iam_vault_secret_storage_namespace").or(general),
            role_id: self.owned("iam_vault_role_id"),
            role_secret_file: self.path("iam_vault_role_secret_file"),
            token_file: self.path("iam_vault_root_token_file"),
            server_cert: self.path("iam_vault_server_cert"),
            client_cert: self.path("iam_vault_client_cert"),
            client_cert_key: self.path("iam_vault_client_cert_key"),
        };
        if server.client_cert.is_some() != server.client_cert_key.is_some() {
            self.refuse("iam_vault_client_cert", "it and iam_vault_client_cert_key go together");
        }
        if server.role_id.is_some()
            && let (Some(auth), Some(all)) = (&server.auth_namespace, &server.namespace)
            && auth != all
        {
            self.refuse("iam_vault_auth_namespace", "a token of an AppRole is good in its own namespace only");
        }
        let path = self.needed("iam_vault_secret_storage_path", by)?;
        Some(VaultAccounts {
            server,
            mount: self.owned("iam_vault_mount_path")?.trim_matches('/').to_owned(),
            path: path.trim_matches('/').to_owned(),
        })
    }

    fn transit(&mut self, url: String) -> Option<TransitSettings> {
        let by = "master_key_vault_url";
        let namespace = self.owned("master_key_vault_namespace");
        let server = VaultServer {
            url: self.url(by, url, &["http://", "https://"])?,
            auth_method: "approle".to_owned(),
            auth_namespace: namespace.clone(),
            namespace,
            role_id: self.owned("master_key_vault_role_id"),
            role_secret_file: self.path("master_key_vault_role_secret_file"),
            token_file: self.path("master_key_vault_token_file"),
            server_cert: self.path("master_key_vault_server_cert"),
            client_cert: None,
            client_cert_key: None,
        };
        let mount = self.owned("master_key_vault_mount_path")?.trim_matches('/').to_owned();
        Some(TransitSettings { server, mount, key: self.needed("master_key_vault_key", by)? })
    }
}

//! The root account's keys: from the environment, else from a file that only its owner can read, else made once at the
//! very first start. They are never logged; the terminal sees them once, when they are made.

use std::ffi::OsString;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Environment variable and file key of the access key.
pub const ACCESS: &str = "PINFOLD_ROOT_ACCESS_KEY";
/// Environment variable and file key of the secret key.
pub const SECRET: &str = "PINFOLD_ROOT_SECRET_KEY";

/// A text that no log shows. It is serialised as it is: only the admin socket's bodies are.
#[derive(Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Secret(String);

impl Secret {
    /// Wraps it.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text, for those who need it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// The root account's keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RootCredentials {
    /// Access key.
    pub access: String,
    /// Secret key.
    pub secret: Secret,
}

/// Where the keys came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Both environment variables.
    Environment,
    /// The file.
    File(PathBuf),
    /// Made now and written to the file.
    Made(PathBuf),
}

/// Why there are no keys.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// One variable without the other.
    #[error("{given} is set and {missing} is not: set both or neither")]
    HalfSet {
        /// The one that is set.
        given: &'static str,
        /// The other.
        missing: &'static str,
    },
    /// A key that S3 clients could not sign with.
    #[error("{name} of {place}: {why}")]
    Invalid {
        /// The key's name.
        name: &'static str,
        /// Environment or file.
        place: String,
        /// The rule it breaks.
        why: &'static str,
    },
    /// Others can read the file.
    #[error(
        "{path} has mode {mode:04o}: others could read the root keys. chmod 600 {path}, and make new keys if they were seen"
    )]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The file belongs to somebody else.
    #[error("{path} belongs to user {uid}, not to the daemon's user or root")]
    Foreign {
        /// The file.
        path: PathBuf,
        /// Its owner.
        uid: u32,
    },
    /// Not the two lines.
    #[error("{path}: {why}; it must have the two lines {ACCESS}=… and {SECRET}=…")]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// A data directory that has been used, and no keys.
    #[error(
        "there are no root keys: {ACCESS} and {SECRET} are not set and there is no file {path}. New ones are made at the \
         very first start only; set the variables, or write the two lines into that file with mode 0600"
    )]
    Missing {
        /// The file that is not there.
        path: PathBuf,
    },
    /// The disk says no.
    #[error("cannot {step} {path}: {source}")]
    Io {
        /// What was tried.
        step: &'static str,
        /// On what.
        path: PathBuf,
        /// The answer.
        source: io::Error,
    },
}

/// Finds the root keys. `first_start` says whether new ones may be made.
pub fn load(
    var: impl Fn(&str) -> Option<OsString>,
    file: &Path,
    first_start: bool,
) -> Result<(RootCredentials, Source), CredentialsError> {
    match look(var, file)? {
        Some(found) => Ok(found),
        None if first_start => Ok((make(file)?, Source::Made(file.to_owned()))),
        None => Err(CredentialsError::Missing { path: file.to_owned() }),
    }
}

/// The root keys that are there, if any are; makes none.
pub fn look(
    var: impl Fn(&str) -> Option<OsString>,
    file: &Path,
) -> Result<Option<(RootCredentials, Source)>, CredentialsError> {
    let text = |name: &'static str| match var(name).map(OsString::into_string) {
        None => Ok(None),
        Some(Ok(value)) => Ok(Some(value)),
        Some(Err(_)) => Err(invalid(name, "the environment", "it is not UTF-8")),
    };
    match (text(ACCESS)?, text(SECRET)?) {
        (Some(access), Some(secret)) => Ok(Some((checked(access, secret, "the environment")?, Source::Environment))),
        (Some(_), None) => Err(CredentialsError::HalfSet { given: ACCESS, missing: SECRET }),
        (None, Some(_)) => Err(CredentialsError::HalfSet { given: SECRET, missing: ACCESS }),
        (None, None) => Ok(read(file)?.map(|credentials| (credentials, Source::File(file.to_owned())))),
    }
}

fn invalid(name: &'static str, place: &str, why: &'static str) -> CredentialsError {
    CredentialsError::Invalid { name, place: place.to_owned(), why }
}

fn checked(access: String, secret: String, place: &str) -> Result<RootCredentials, CredentialsError> {
    let rule = check(&access, &secret);
    rule.map_err(|bad| invalid(if bad.secret { SECRET } else { ACCESS }, place, bad.rule))?;
    Ok(RootCredentials { access, secret: Secret(secret) })
}

/// A key that S3 clients could not sign with, or that is too easy.
#[derive(Debug, thiserror::Error)]
#[error("the {} key needs {rule}", if *secret { "secret" } else { "access" })]
pub struct BadKey {
    secret: bool,
    rule: &'static str,
}

/// Checks an account's keys.
pub fn check(access: &str, secret: &str) -> Result<(), BadKey> {
    if !(3..=128).contains(&access.len()) || access.bytes().any(|b| !b.is_ascii_graphic() || b"/,=".contains(&b)) {
        return Err(BadKey { secret: false, rule: "3 to 128 visible ASCII characters other than / , =" });
    }
    if !(8..=128).contains(&secret.len()) || secret.bytes().any(|b| !b.is_ascii_graphic()) {
        return Err(BadKey { secret: true, rule: "8 to 128 visible ASCII characters" });
    }
    Ok(())
}

/// The keys in `path`; `None` if there is no such file.
fn read(path: &Path) -> Result<Option<RootCredentials>, CredentialsError> {
    let io = |step| move |source| CredentialsError::Io { step, path: path.to_owned(), source };
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io("open")(error)),
    };
    let meta = file.metadata().map_err(io("look at"))?;
    if meta.mode() & 0o077 != 0 {
        return Err(CredentialsError::Exposed { path: path.to_owned(), mode: meta.mode() & 0o7777 });
    }
    let own = rustix::process::geteuid().as_raw();
    if meta.uid() != own && meta.uid() != 0 {
        return Err(CredentialsError::Foreign { path: path.to_owned(), uid: meta.uid() });
    }
    let mut text = String::new();
    file.read_to_string(&mut text).map_err(io("read"))?;
    parse(&text, path).map(Some)
}

fn parse(text: &str, path: &Path) -> Result<RootCredentials, CredentialsError> {
    let format = |why: String| CredentialsError::Format { path: path.to_owned(), why };
    let (mut access, mut secret) = (None, None);
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        // The line's text stays out of the message: it may be a secret.
        let (name, value) = line.split_once('=').ok_or_else(|| format(format!("line {number} has no =")))?;
        let slot = match name.trim() {
            ACCESS => &mut access,
            SECRET => &mut secret,
            _ => return Err(format(format!("line {number} has an unknown name"))),
        };
        if slot.replace(value.trim().to_owned()).is_some() {
            return Err(format(format!("line {number} gives a name twice")));
        }
    }
    match (access, secret) {
        (Some(access), Some(secret)) => checked(access, secret, &path.display().to_string()),
        _ => Err(format("a line is missing".to_owned())),
    }
}

/// Makes keys and writes them durably, readable by this user only.
fn make(path: &Path) -> Result<RootCredentials, CredentialsError> {
    let io = |step| move |source| CredentialsError::Io { step, path: path.to_owned(), source };
    let access = format!("PF{}", random_text(18, ACCESS_ALPHABET).map_err(io("make random keys for"))?);
    let secret = random_text(40, SECRET_ALPHABET).map_err(io("make random keys for"))?;
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(0o600).open(path).map_err(io("create"))?;
    let text =
        format!("# Keys of Pinfold's root account, made at the first start.\n{ACCESS}={access}\n{SECRET}={secret}\n");
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(io("write"))?;
    if let Some(parent) = path.parent() {
        File::open(parent).and_then(|dir| dir.sync_all()).map_err(io("sync the folder of"))?;
    }
    Ok(RootCredentials { access, secret: Secret(secret) })
}

const ACCESS_ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
const SECRET_ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// `len` characters, each drawn evenly: the alphabets' lengths divide 256.
fn random_text<const N: usize>(len: usize, alphabet: &[u8; N]) -> io::Result<String> {
    let mut bytes = vec![0; len];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    Ok(bytes.iter().map(|b| char::from(alphabet[usize::from(*b) % N])).collect())
}

/// A fresh secret key for a new user.
pub fn new_secret() -> io::Result<Secret> {
    random_text(40, SECRET_ALPHABET).map(Secret)
}

/// A fresh access key for a new user.
pub fn new_access() -> io::Result<String> {
    random_text(18, ACCESS_ALPHABET).map(|text| format!("PF{text}"))
}

#[cfg(test)]
mod tests {
    use super::{ACCESS, CredentialsError, SECRET, Source, load};
    use std::ffi::OsString;
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;

    fn none(_: &str) -> Option<OsString> {
        None
    }

    fn write(path: &Path, text: &str, mode: u32) {
        std::fs::write(path, text).unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn made_once_and_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("root-credentials");
        let (made, source) = load(none, &file, true).unwrap();
        assert_eq!(source, Source::Made(file.clone()));
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        let (again, source) = load(none, &file, false).unwrap();
        assert_eq!(source, Source::File(file));
        assert_eq!(made, again);
        assert!(!format!("{made:?}").contains(made.secret.expose()), "Debug shows the secret");
    }

    #[test]
    fn a_used_directory_without_keys_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let error = load(none, &dir.path().join("root-credentials"), false).unwrap_err();
        assert!(matches!(error, CredentialsError::Missing { .. }), "{error}");
    }

    #[test]
    fn the_environment_wins_and_needs_both() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("k");
        let env = |name: &str| match name {
            ACCESS => Some("admin".into()),
            SECRET => Some("password".into()),
            _ => None,
        };
        let (credentials, source) = load(env, &file, true).unwrap();
        assert_eq!((credentials.access.as_str(), source), ("admin", Source::Environment));
        assert!(!file.exists());
        let half = |name: &str| (name == SECRET).then(|| "password".into());
        assert!(matches!(load(half, &file, true), Err(CredentialsError::HalfSet { .. })));
    }

    #[test]
    fn a_file_that_others_can_read_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("k");
        for mode in [0o640, 0o604, 0o644, 0o620] {
            write(&file, &format!("{ACCESS}=abc\n{SECRET}=12345678\n"), mode);
            assert!(matches!(load(none, &file, true), Err(CredentialsError::Exposed { .. })), "{mode:o}");
        }
        write(&file, &format!("{ACCESS}=abc\n{SECRET}=12345678\n"), 0o400);
        load(none, &file, true).unwrap();
    }

    #[test]
    fn malformed_files_are_refused_without_showing_the_text() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("k");
        for text in [
            "",
            "hunter2hunter2",
            &format!("{ACCESS}=abc\n"),
            &format!("{ACCESS}=abc\n{ACCESS}=abc\n"),
            &format!("{ACCESS}=abc\n{SECRET}=hunter2\n"),
            &format!("{ACCESS}=a/c\n{SECRET}=hunter2hunter2\n"),
            &format!("{ACCESS}=abc\n{SECRET}=hunter2hunter2\nx=hunter2\n"),
        ] {
            write(&file, text, 0o600);
            let error = load(none, &file, true).unwrap_err().to_string();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}

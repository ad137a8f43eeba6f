//! Secrets that programs elsewhere ask of the node: each from a variable of the environment, else from a file that only its owner reads.
//! None is a setting, since settings are shown.

use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use pinfold_store::{Error, ErrorKind, Result};
use zeroize::Zeroizing;

/// Longest secret.
const MAX: u64 = 64 * 1024;

/// The secret, without the end of its line; none if neither is given. NotPermitted if others may read the file.
pub fn read(
    var: &(dyn Fn(&str) -> Option<OsString> + Send),
    variable: &'static str,
    file: Option<&Path>,
) -> Result<Option<Zeroizing<String>>> {
    if let Some(text) = var(variable) {
        let text = text.into_string().map_err(|_| {
            Error::new(ErrorKind::InvalidArgument, "a secret of the environment is not UTF-8")
                .with("variable", variable)
        })?;
        return Ok(Some(Zeroizing::new(text)));
    }
    let Some(path) = file else { return Ok(None) };
    let failed = |e| Error::io("a file with a secret cannot be read", e).with("file", path.display());
    let meta = std::fs::metadata(path).map_err(failed)?;
    if meta.permissions().mode() & 0o077 != 0 || meta.len() > MAX {
        let what = "a file with a secret is short and readable by its owner alone (chmod 600)";
        return Err(Error::new(ErrorKind::NotPermitted, what).with("file", path.display()));
    }
    let text = Zeroizing::new(std::fs::read_to_string(path).map_err(failed)?);
    Ok(Some(Zeroizing::new(text.trim_end_matches(['\n', '\r']).to_owned())))
}

#[cfg(test)]
mod tests {
    use super::read;
    use pinfold_store::ErrorKind;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn the_environment_wins_over_a_file_that_nobody_else_reads() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        std::fs::write(&path, "of the file\n").unwrap();
        let none = |_: &str| None;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        assert_eq!(read(&none, "X", Some(&path)).unwrap_err().kind(), ErrorKind::NotPermitted);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(read(&none, "X", Some(&path)).unwrap().unwrap().as_str(), "of the file");
        let of_env = |name: &str| (name == "X").then(|| "of env".into());
        assert_eq!(read(&of_env, "X", Some(&path)).unwrap().unwrap().as_str(), "of env");
        assert!(read(&none, "X", None).unwrap().is_none());
    }
}

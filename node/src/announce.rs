//! What a person sees who starts a node by hand: how to use both doors, with lines to paste.

use std::fmt::Write as _;
use std::io::{IsTerminal, Write as _};

use crate::config::NodeConfig;
use crate::credentials::{RootCredentials, Source};
use crate::node::Addresses;

/// Logs that the node serves, and says on standard error how to use it, unless a service manager reads that. Keys that
/// were just made are shown if it is a terminal, this once.
pub fn serving(config: &NodeConfig, addresses: Addresses, root: &RootCredentials, source: &Source) {
    let s3 = addresses.s3.map(|at| at.to_string());
    let admin = addresses.admin.map(|at| at.to_string());
    let console = addresses.console.map(|at| at.to_string());
    let provider = addresses.provider.map(|at| at.to_string());
    tracing::info!(s3, admin, console, provider, mounts = config.mounts.len(), data = %config.data.display(), "serving");
    if let Source::Made(path) = source {
        tracing::info!(file = %path.display(), "root keys made; they are in this file only");
    }
    let mut out = std::io::stderr();
    let terminal = out.is_terminal();
    // Whoever asks for JSON reads standard error with a program.
    if terminal || !(config.log.json || by_service_manager()) {
        // A reader that goes away is no reason to stop serving.
        let _ = out.write_all(text(config, addresses, root, source, terminal).as_bytes());
    }
}

/// Whether systemd started this process: the journal is no place for lines to paste.
fn by_service_manager() -> bool {
    ["NOTIFY_SOCKET", "JOURNAL_STREAM"].into_iter().any(|name| std::env::var_os(name).is_some())
}

/// This program, as it can be pasted: by its path, since it need not be installed.
fn program() -> String {
    std::env::current_exe().map_or_else(|_| "pinfold".to_owned(), |path| path.display().to_string())
}

/// The hints; keys that were just made are in them only if it is a `terminal` that shows them, never in a file.
fn text(config: &NodeConfig, addresses: Addresses, root: &RootCredentials, source: &Source, terminal: bool) -> String {
    let mut out = String::from("\nPinfold serves.\n");
    if let Some(at) = addresses.s3 {
        let scheme = if config.s3.tls.is_some() { "https" } else { "http" };
        let _ = writeln!(out, "\nS3: {scheme}://{at}, region {}. With the AWS command line:", config.s3.region);
        match source {
            Source::Made(_) if terminal => {
                let _ = writeln!(out, "  export AWS_ACCESS_KEY_ID={}", root.access);
                let _ = writeln!(out, "  export AWS_SECRET_ACCESS_KEY={}   # shown this once", root.secret.expose());
            }
            Source::Made(path) | Source::File(path) => {
                let _ = writeln!(out, "  . {}", path.display());
                out.push_str("  export AWS_ACCESS_KEY_ID=$PINFOLD_ROOT_ACCESS_KEY\n");
                out.push_str("  export AWS_SECRET_ACCESS_KEY=$PINFOLD_ROOT_SECRET_KEY\n");
            }
            Source::Environment => {
                out.push_str("  export AWS_ACCESS_KEY_ID=$PINFOLD_ROOT_ACCESS_KEY\n");
                out.push_str("  export AWS_SECRET_ACCESS_KEY=$PINFOLD_ROOT_SECRET_KEY\n");
            }
        }
        let _ = writeln!(out, "  export AWS_REGION={} AWS_ENDPOINT_URL={scheme}://{at}", config.s3.region);
        // Versions before 2.13, such as Debian 12's, do not look at AWS_ENDPOINT_URL and would go to Amazon.
        let aws = "aws --endpoint-url $AWS_ENDPOINT_URL s3";
        let _ = writeln!(out, "  {aws} mb s3://pics && echo hello | {aws} cp - s3://pics/hello.txt");
    }
    for mount in &config.mounts {
        let what = mount.bucket.as_deref().unwrap_or("all buckets");
        let _ = writeln!(out, "\nMount of {what}: {}", mount.dir.display());
        if mount.bucket.is_none() && addresses.s3.is_some() {
            let _ = writeln!(out, "  cat {}/pics/hello.txt", mount.dir.display());
        }
    }
    if config.mounts.is_empty() {
        out.push_str("\nNo mount. To add one: ");
        let _ = writeln!(out, "{} mount --data {} DIR", program(), config.data.display());
    }
    let _ = writeln!(out, "\nIts state: {} status --data {}", program(), config.data.display());
    if let Some(at) = addresses.admin {
        let _ = writeln!(out, "\nHealth and metrics: http://{at}/health/ready http://{at}/metrics");
    }
    if let Some(at) = addresses.console {
        let scheme = if config.s3.tls.is_some() { "https" } else { "http" };
        let _ = writeln!(out, "\nWeb console: {scheme}://{at}/ (sign in with the keys)");
    }
    if let Source::Made(path) = source {
        let _ = writeln!(out, "\nThe root keys are in {} (mode 0600) from now on.", path.display());
    }
    out.push_str("Stop it with Ctrl-C.\n\n");
    out
}

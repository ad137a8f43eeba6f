//! `pinfold audit verify`: by the running daemon, which knows its log's last line, or from the files alone.

use pinfold_store::audit::{FOLDER, Head, verify as verify_files};

use crate::admin::client::AdminClient;
use crate::admin::{socket, wire};
use crate::cli::AuditAction;
use crate::config::flags::SettingFlags;
use crate::failure::{ExitCode, Failure};
use crate::output::Output;

/// Runs one of the actions.
pub fn audit(action: AuditAction) -> Result<(), Failure> {
    let AuditAction::Verify { offline, archived, expect, client } = action;
    let loaded = SettingFlags::client(client.config.clone(), client.data.clone()).load()?;
    let data = &loaded.config.data;
    let out = Output::new(client.json);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let daemon = !offline && expect.is_none() && runtime.block_on(socket::connect(data)).is_ok();
    let found: wire::AuditVerified = if daemon {
        let path = format!("/v1/audit/verify?archived={archived}");
        runtime.block_on(AdminClient::new(data).get(&path))?
    } else {
        let expected = expect.as_deref().map(head).transpose()?;
        verify_files(&data.join(FOLDER), expected.as_ref(), archived)?.into()
    };
    out.fields(
        &found,
        [
            ("lines", format!("{} in {} files, from {}", found.lines, found.files, found.first)),
            ("last line", format!("{}:{}", found.seq, found.hash)),
            ("known to be", if daemon { "the last one, by the daemon" } else { "" }.to_owned()),
            ("unfinished", if found.unfinished > 0 { format!("{} bytes", found.unfinished) } else { String::new() }),
            ("first bad", found.problem.clone().unwrap_or_default()),
        ],
    )?;
    match found.problem {
        None => Ok(()),
        Some(problem) => {
            Err(Failure::message(ExitCode::Failed, format!("the audit log is not what was written: {problem}")))
        }
    }
}

/// `SEQ:HASH`.
fn head(text: &str) -> Result<Head, Failure> {
    let parsed = text.split_once(':').and_then(|(seq, hash)| Some((seq.parse().ok()?, hash)));
    match parsed {
        Some((seq, hash)) if hash.len() == 64 => Ok(Head { seq, hash: hash.to_ascii_lowercase() }),
        _ => Err(Failure::message(ExitCode::Failed, "--expect takes SEQ:HASH, as `audit verify` prints the last line")),
    }
}

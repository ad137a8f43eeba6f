//! Commands on a data directory on which no daemon runs. Each holds the directory while it works.

use pinfold_store::meta::{
    Findings, MetaConfig, Remedy, convert as convert_replica, fsck as check, rebuild as build, repair,
};

use crate::cli::{Client, EngineArg, FsckArgs};
use crate::config::flags::SettingFlags;
use crate::config::{Engine, NodeConfig};
use crate::data_dir::{DataDir, IfMissing};
use crate::failure::{ExitCode, Failure};
use crate::progress::WorkProgress;
use crate::{doors, output};

/// Holds the data directory, so that no daemon starts meanwhile.
fn hold(client: &Client) -> Result<(DataDir, NodeConfig), Failure> {
    let loaded = SettingFlags::client(client.config.clone(), client.data.clone()).load()?;
    let held = DataDir::take(&loaded.config.data, IfMissing::Refuse)?;
    Ok((held, loaded.config))
}

/// `pinfold fsck`: looks, says what is wrong and what helps, and does that if told to.
pub fn fsck(args: &FsckArgs) -> Result<(), Failure> {
    let (_held, config) = hold(&args.client)?;
    let meta = doors::metadata_of(&config);
    let bar = WorkProgress::new();
    let mut findings = doors::with_progress(&bar.teller(), |progress| check(&meta, progress))?;
    bar.clear();
    output::print(&describe(&findings))?;
    if let Some(remedy) = findings.remedy().filter(|remedy| args.repair && *remedy != Remedy::Start) {
        mend(&meta, remedy, args.accept_loss)?;
        findings = doors::with_progress(&bar.teller(), |progress| check(&meta, progress))?;
        bar.clear();
        output::print(&describe(&findings))?;
    }
    let wrong = findings.problems().len();
    // What the next start mends by itself is no reason not to look at the contents, too.
    let in_the_way = wrong > 0 && findings.remedy() != Some(Remedy::Start);
    if args.verify && !in_the_way {
        super::verify::contents(&config)?;
    }
    match (wrong, findings.remedy()) {
        (0, _) | (_, Some(Remedy::Start)) => Ok(()),
        _ => Err(Failure::message(ExitCode::Failed, "the metadata needs a repair")),
    }
}

/// What was found, in lines for people.
fn describe(findings: &Findings) -> String {
    let mut lines = Vec::new();
    if let Some(log) = &findings.log {
        lines.push(format!("log: records {} to {} in {} files", log.first, log.head, log.segments.len()));
    }
    if let Some(Ok(checkpoint)) = &findings.checkpoint {
        lines.push(format!("checkpoint: up to record {}, {} rows", checkpoint.began, checkpoint.rows));
    }
    if let Some(Ok(replica)) = &findings.replica {
        lines.push(format!("replica: {}, up to record {}, {} rows", replica.engine, replica.applied, replica.rows));
    }
    let problems = findings.problems();
    for problem in &problems {
        let file = problem.file.as_ref().map(|file| format!(" ({}", file.display())).unwrap_or_default();
        let position = problem.position.map(|at| format!(", byte {at}")).unwrap_or_default();
        let end = if file.is_empty() { "" } else { ")" };
        lines.push(format!("PROBLEM: {}{file}{position}{end}", problem.what));
    }
    lines.push(match (problems.is_empty(), findings.remedy()) {
        (true, _) => "the metadata is in order".to_owned(),
        (false, Some(remedy)) => format!("what helps: {}", advice(remedy)),
        (false, None) => "nothing here helps: restore a backup".to_owned(),
    });
    lines.join("\n") + "\n"
}

fn advice(remedy: Remedy) -> &'static str {
    match remedy {
        Remedy::Start => "the next start mends this by itself",
        Remedy::NewLogFromReplica => {
            "pinfold fsck --repair: begins a new log with what the replica has, and keeps the old log aside"
        }
        Remedy::NewLogFromCheckpoint => {
            "pinfold fsck --repair --accept-loss: begins a new log with what the checkpoint has; what was committed after \
             it is LOST, the old log is kept aside"
        }
        Remedy::CutLog => {
            "pinfold fsck --repair --accept-loss: cuts the log at the damage; what was committed after it is LOST, the rest \
             is kept aside"
        }
        Remedy::RemoveCheckpoint => "pinfold fsck --repair: puts the checkpoint aside; the node makes a new one",
    }
}

fn mend(meta: &MetaConfig, remedy: Remedy, accept_loss: bool) -> Result<(), Failure> {
    let loses = matches!(remedy, Remedy::CutLog | Remedy::NewLogFromCheckpoint);
    if loses && !accept_loss {
        return Err(Failure::message(
            ExitCode::Failed,
            "this repair loses commits: add --accept-loss if that is wanted",
        ));
    }
    let bar = WorkProgress::new();
    let done = doors::with_progress(&bar.teller(), |progress| repair(meta, remedy, progress))?;
    bar.clear();
    for path in done.aside {
        output::print(&format!("kept aside: {}\n", path.display()))?;
    }
    if let (Some(from), Some(to)) = (done.lost_from, done.lost_to) {
        output::print(&format!("lost: records {from} to {to}\n"))?;
    }
    output::print("repaired\n")
}

/// `pinfold meta convert`.
pub fn convert(to: EngineArg, client: &Client) -> Result<(), Failure> {
    let (_held, config) = hold(client)?;
    let (to, name) = match to {
        EngineArg::Sled => (Engine::Sled, "sled"),
        EngineArg::Fjall => (Engine::Fjall, "fjall"),
    };
    let bar = WorkProgress::new();
    let meta = doors::metadata_of(&config);
    let rows = doors::with_progress(&bar.teller(), |progress| convert_replica(&meta, doors::engine(to), progress))?;
    bar.clear();
    output::print(&format!("converted {rows} rows; now set engine = \"{name}\"\n"))
}

/// `pinfold meta rebuild`.
pub fn rebuild(client: &Client) -> Result<(), Failure> {
    let (_held, config) = hold(client)?;
    let bar = WorkProgress::new();
    let meta = doors::metadata_of(&config);
    let opened = doors::with_progress(&bar.teller(), |progress| build(&meta, progress))?;
    bar.clear();
    output::print(&format!("rebuilt; the log's tail up to record {} follows at the next start\n", opened.head))
}

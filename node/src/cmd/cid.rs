//! `pinfold cid`: the CID of local files and directories, without a daemon and without keeping a byte.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use pinfold_store::types::Cid;
use pinfold_store::unixfs::{DagBuilder, Leaf, Profile, Root, hash_file_range, hash_parallel};
use pinfold_store::{IoContext, Result};
use rustix::fs::SeekFrom;
use rustix::io::Errno;

use super::cid_tree;
use crate::cli::{CidArgs, ProfileArg};
use crate::failure::{ExitCode, Failure};
use crate::output;
use crate::progress::WorkProgress;

const HASHING: &str = "hashing (bytes)";

impl From<ProfileArg> for Profile {
    fn from(arg: ProfileArg) -> Self {
        match arg {
            ProfileArg::V1_2025 => Self::V1_2025,
            ProfileArg::KuboClassicV1 => Self::KuboClassicV1,
        }
    }
}

/// Prints `CID  FILE` for each file or directory. What cannot be read is told, and the others still follow.
pub fn cid(args: &CidArgs) -> std::result::Result<(), Failure> {
    let profile = Profile::from(args.profile);
    let mut failed = 0;
    let progress = WorkProgress::new();
    for path in &args.files {
        let outcome = of_path(path, profile, &progress);
        progress.clear();
        match outcome {
            Ok(cid) => output::print(&format!("{cid}  {}\n", path.display()))?,
            Err(error) => {
                failed += 1;
                output::complain(&Failure::message(ExitCode::Failed, format!("{}: {error}", path.display())));
            }
        }
    }
    match failed {
        0 => Ok(()),
        n => Err(Failure::message(ExitCode::Failed, format!("{n} of {} have no CID", args.files.len()))),
    }
}

fn of_path(path: &Path, profile: Profile, progress: &WorkProgress) -> Result<Cid> {
    if path == Path::new("-") {
        return Ok(of_stream(&mut std::io::stdin(), profile, progress)?.cid);
    }
    let mut file = File::open(path).at("opening it")?;
    let meta = file.metadata().at("looking at it")?;
    if meta.is_dir() {
        return Ok(cid_tree::of_directory(path, profile, progress)?.cid);
    }
    let root = match meta.is_file() {
        true => of_file(&file, meta.len(), profile, progress),
        false => of_stream(&mut file, profile, progress),
    };
    Ok(root?.cid)
}

fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// What cannot be read twice or has no size: a pipe, a device.
fn of_stream(reader: &mut dyn Read, profile: Profile, progress: &WorkProgress) -> Result<Root> {
    let mut dag = DagBuilder::new(profile);
    hash_parallel(reader, profile.chunk_size(), threads(), &mut |leaf: Leaf| {
        dag.push(leaf, &mut |_| Ok(()))?;
        progress.tell(HASHING, dag.size(), 0);
        Ok(())
    })?;
    dag.finish(&mut |_| Ok(()))
}

/// A regular file of `size` bytes. Holes are not read: whole chunks of them are known zeros.
pub(super) fn of_file(file: &File, size: u64, profile: Profile, progress: &WorkProgress) -> Result<Root> {
    let chunk = profile.chunk_size() as u64;
    let mut dag = DagBuilder::new(profile);
    while dag.size() < size {
        let at = dag.size();
        let data = next_data(file, at)?.unwrap_or(size).min(size);
        let zeros = data / chunk - at / chunk;
        if zeros > 0 {
            dag.push_zeros(zeros, &mut |_| Ok(()))?;
        }
        let begin = dag.size();
        if begin < size {
            let hole = next_hole(file, data)?.max(begin + 1);
            let end = hole.div_ceil(chunk).saturating_mul(chunk).min(size);
            hash_file_range(file, begin, end - begin, profile.chunk_size(), threads(), &mut |leaf| {
                dag.push(leaf, &mut |_| Ok(()))?;
                progress.tell(HASHING, dag.size(), size);
                Ok(())
            })?;
        }
    }
    dag.finish(&mut |_| Ok(()))
}

/// Where data begins at or after `at`; none if only a hole follows. A file system without holes says `at`.
fn next_data(file: &File, at: u64) -> Result<Option<u64>> {
    match rustix::fs::seek(file, SeekFrom::Data(at)) {
        Ok(data) => Ok(Some(data)),
        Err(Errno::NXIO) => Ok(None),
        Err(Errno::INVAL | Errno::OPNOTSUPP) => Ok(Some(at)),
        Err(error) => Err(error).at("looking for data in it"),
    }
}

/// Where the data at `at` ends; the end of the file counts as a hole.
fn next_hole(file: &File, at: u64) -> Result<u64> {
    match rustix::fs::seek(file, SeekFrom::Hole(at)) {
        Ok(hole) => Ok(hole),
        // Past the end, or no holes here: the caller cuts at the size.
        Err(Errno::NXIO | Errno::INVAL | Errno::OPNOTSUPP) => Ok(u64::MAX / 2),
        Err(error) => Err(error).at("looking for a hole in it"),
    }
}

#[cfg(test)]
mod tests {
    use super::{WorkProgress, of_file, of_stream};
    use pinfold_store::unixfs::Profile;
    use std::fs::File;
    use std::os::unix::fs::FileExt;

    /// Holes, data and tails in every arrangement around the chunk's bounds have the CID of their plain bytes.
    #[test]
    fn sparse_files_have_the_cid_of_their_bytes() {
        let dir = tempfile::tempdir().unwrap();
        let progress = WorkProgress::new();
        let chunk = Profile::KuboClassicV1.chunk_size() as u64;
        let cases: &[(u64, &[(u64, usize)])] = &[
            (0, &[]),
            (1, &[]),
            (chunk, &[]),
            (chunk + 1, &[]),
            (5 * chunk - 1, &[]),
            (5 * chunk, &[(0, 1)]),
            (5 * chunk + 7, &[(2 * chunk - 1, 2)]),
            (5 * chunk + 7, &[(5 * chunk, 7)]),
            (9 * chunk, &[(4096, 4096), (3 * chunk, chunk as usize), (8 * chunk + 8192, 1)]),
        ];
        for (n, (size, writes)) in cases.iter().enumerate() {
            let path = dir.path().join(n.to_string());
            let file = File::create_new(&path).unwrap();
            file.set_len(*size).unwrap();
            for (offset, len) in *writes {
                file.write_all_at(&vec![7; *len], *offset).unwrap();
            }
            let sparse = of_file(&File::open(&path).unwrap(), *size, Profile::KuboClassicV1, &progress).unwrap();
            let plain = of_stream(&mut File::open(&path).unwrap(), Profile::KuboClassicV1, &progress).unwrap();
            assert_eq!(sparse, plain, "case {n}");
            assert_eq!(sparse.size, *size);
        }
    }
}

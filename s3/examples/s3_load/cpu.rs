//! Processor time of processes.

/// Microseconds of one tick of `/proc/PID/stat`, which is 1/100 s for user space on every Linux.
const TICK_US: u64 = 10_000;

/// Microseconds that a process and those that it started have run, in the kernel and outside.
pub(crate) fn used_us(pid: u32) -> u64 {
    let own = ticks(pid).unwrap_or(0) * TICK_US;
    own + children(pid).into_iter().map(used_us).sum::<u64>()
}

fn ticks(pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in brackets, may hold anything; utime and stime are the 14th and 15th field.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    Some(fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?)
}

fn children(pid: u32) -> Vec<u32> {
    let Ok(tasks) = std::fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    let lists = tasks.flatten().filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok());
    lists.flat_map(|list| list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<u32>>()).collect()
}

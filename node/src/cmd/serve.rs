//! `pinfold serve`: the process around a node.

use std::time::Duration;

use crate::config::flags::SettingFlags;
use crate::failure::Failure;
use crate::node::{self, Inputs};
use crate::telemetry::Telemetry;
use crate::{gauges, signals};

/// Threads that wait for a disk or a sync end with their work; what still hangs is left behind after this.
const RUNTIME_GRACE: Duration = Duration::from_secs(2);

/// How often samples of histograms are folded into their buckets.
const UPKEEP: Duration = Duration::from_secs(5);

/// Loads the configuration, builds the runtime and the telemetry, and runs a node until a signal ends it.
pub fn serve(flags: SettingFlags) -> Result<(), Failure> {
    let loaded = flags.load()?;
    let telemetry = Telemetry::install(&loaded.config.log)?;
    raise_descriptor_limit();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().thread_name("pinfold").build()?;
    let outcome = runtime.block_on(async {
        let (orders_in, orders) = signals::channel();
        signals::forward_process_signals(orders_in.clone())?;
        gauges::started();
        // Histograms keep every sample until they are rendered or this runs: nobody may ever scrape.
        let metrics = telemetry.metrics.clone();
        tokio::spawn(async move {
            let mut every = tokio::time::interval(UPKEEP);
            loop {
                every.tick().await;
                metrics.run_upkeep();
            }
        });
        let inputs = Inputs {
            loaded,
            reread: Box::new(move || flags.load()),
            var: Box::new(|name| std::env::var_os(name)),
            telemetry,
            orders_in,
            orders,
        };
        node::run(inputs, |_| {}).await
    });
    runtime.shutdown_timeout(RUNTIME_GRACE);
    outcome
}

/// Open files up to the hard limit: the soft one, 1024 mostly, is for programs that still use `select`. What keeps files
/// open (live files, content, slabs) looks at it once, later.
fn raise_descriptor_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = rustix::process::Rlimit { current: limit.maximum, ..limit };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
}

//! Logs and metrics of the process. `main` makes one [`Telemetry`] and hands it to the node: the node itself touches
//! no process-wide state, so that two nodes can run in one process (they then share the process's logs and metrics).

use std::io::IsTerminal;

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::filter::{EnvFilter, LevelFilter};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Registry, fmt, reload};

use crate::config::LogSettings;

/// Handles on the process's logs and metrics.
#[derive(Clone)]
pub struct Telemetry {
    /// Renders /metrics.
    pub metrics: PrometheusHandle,
    filter: Option<reload::Handle<EnvFilter, Registry>>,
}

/// Upper bounds of the buckets of every histogram in seconds (names that end in `_seconds`).
const SECONDS: [f64; 14] = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0];

impl Telemetry {
    /// Installs the process's subscriber and metrics recorder. Call it once, from `main`.
    pub fn install(settings: &LogSettings) -> anyhow::Result<Self> {
        let filter = parse_filter(&settings.filter).map_err(anyhow::Error::msg)?;
        let (filter, handle) = reload::Layer::new(filter);
        let registry = tracing_subscriber::registry().with(filter);
        if settings.json {
            registry.with(fmt::layer().json().flatten_event(true).with_writer(std::io::stderr)).try_init()?;
        } else {
            let color = std::io::stderr().is_terminal();
            registry.with(fmt::layer().with_ansi(color).with_writer(std::io::stderr)).try_init()?;
        }
        let recorder = builder()?.build_recorder();
        let metrics = recorder.handle();
        metrics::set_global_recorder(recorder)
            .map_err(|_| anyhow::anyhow!("a metrics recorder is installed already"))?;
        Ok(Self { metrics, filter: Some(handle) })
    }

    /// Handles that are tied to nothing of the process: for a second node in a test.
    pub fn detached() -> anyhow::Result<Self> {
        Ok(Self { metrics: builder()?.build_recorder().handle(), filter: None })
    }

    /// Applies a new level or filter.
    pub fn set_filter(&self, filter: &str) -> anyhow::Result<()> {
        let parsed = parse_filter(filter).map_err(anyhow::Error::msg)?;
        if let Some(handle) = &self.filter {
            handle.reload(parsed)?;
        }
        Ok(())
    }
}

fn builder() -> anyhow::Result<PrometheusBuilder> {
    use metrics_exporter_prometheus::Matcher;
    Ok(PrometheusBuilder::new().set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)?)
}

/// Parses a level or filter; the message says what is wrong with it.
pub fn parse_filter(text: &str) -> Result<EnvFilter, String> {
    if text.trim().is_empty() {
        return Err("an empty value".to_owned());
    }
    // A lone word is a level: as a filter, a misspelt level would be the name of a module and silence everything.
    if text.bytes().all(|b| b.is_ascii_alphabetic()) && text.parse::<LevelFilter>().is_err() {
        return Err(format!("`{text}` is none of error, warn, info, debug, trace, off"));
    }
    // Other programs' libraries are never louder than the level for all.
    let general = text.split(',').filter_map(|part| part.trim().parse::<LevelFilter>().ok()).next_back();
    let general = general.unwrap_or(LevelFilter::ERROR);
    // A filter that names a library decides for itself.
    let quiet = LIBRARIES.iter().filter(|(library, _)| !text.contains(library));
    let quiet =
        quiet.flat_map(|(_, targets)| *targets).map(|(target, most)| format!(",{target}={}", general.min(*most)));
    let whole: String = std::iter::once(text.to_owned()).chain(quiet).collect();
    EnvFilter::try_new(whole).map_err(|e| format!("`{text}` is not a level or filter: {e}"))
}

/// Targets of a library's log, and the most that an operator wants of each.
type Quiet = (&'static str, &'static [(&'static str, LevelFilter)]);

/// Libraries whose own log is not for operators.
const LIBRARIES: [Quiet; 4] = [
    // It logs every refusal to a client (NoSuchKey …) as an error; the S3 door logs what matters itself.
    ("s3s", &[("s3s::ops", LevelFilter::OFF), ("s3s::service", LevelFilter::OFF)]),
    // It warns of every call that the mount answers with "not implemented", such as any program's question whether a
    // file is a terminal.
    ("fuser", &[("fuser", LevelFilter::ERROR)]),
    // Its debug log tells of every page.
    ("sled", &[("sled", LevelFilter::WARN)]),
    ("hyper", &[("hyper", LevelFilter::WARN), ("hyper_util", LevelFilter::WARN), ("h2", LevelFilter::WARN)]),
];

#[cfg(test)]
mod tests {
    use super::parse_filter;

    #[test]
    fn levels_and_filters() {
        for good in ["info", "off", "info,s3s::ops=debug", "info,pinfold_s3=debug", "warn,pinfold_store::meta=trace"] {
            assert!(parse_filter(good).is_ok(), "{good}");
        }
        // What a library says is quiet unless the filter names it.
        assert!(parse_filter("debug").unwrap().to_string().contains("sled=warn"));
        assert!(parse_filter("error").unwrap().to_string().contains("sled=error"), "never louder than asked");
        let asked = parse_filter("debug,sled=trace").unwrap().to_string();
        assert!(
            asked.contains("sled=trace") && !asked.contains("sled=warn") && asked.contains("fuser=error"),
            "{asked}"
        );
        for bad in ["", " ", "inof", "verbose", "info,a=b=c"] {
            assert!(parse_filter(bad).is_err(), "{bad}");
        }
    }
}

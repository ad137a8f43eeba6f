//! The listener of health and metrics: plain HTTP, no authentication, on the loopback unless told otherwise.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::health::{Health, Phase};

/// What the listener asks at each request.
pub trait Watch: Send + Sync {
    /// Why the node is not ready although it serves; `None` is well.
    fn complaint(&self) -> Option<String>;
    /// Brings gauges up to date that are only worth the work when somebody looks.
    fn refresh(&self);
}

#[derive(Clone)]
struct Shared {
    health: Health,
    watch: Arc<dyn Watch>,
    metrics: PrometheusHandle,
}

/// Binds `address` and serves until the task is aborted: health must answer while the node drains, too. Answers the address in use (port 0 becomes a real one) and the task.
pub async fn serve(
    address: &str,
    health: Health,
    watch: Arc<dyn Watch>,
    metrics: PrometheusHandle,
) -> std::io::Result<(SocketAddr, JoinHandle<()>)> {
    let listener = TcpListener::bind(address).await?;
    let local = listener.local_addr()?;
    let router = Router::new()
        .route("/health/live", get(async || (StatusCode::OK, "live\n")))
        .route("/health/ready", get(ready))
        .route("/metrics", get(render))
        .with_state(Shared { health, watch, metrics });
    let task = tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, router).await {
            tracing::error!(%error, "the admin listener ended");
        }
    });
    Ok((local, task))
}

async fn ready(State(shared): State<Shared>) -> impl IntoResponse {
    let (phase, _) = shared.health.phase();
    match (phase, shared.watch.complaint()) {
        (Phase::Serving, None) => (StatusCode::OK, "ready\n".to_owned()),
        (Phase::Serving, Some(why)) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")),
        (other, _) => (StatusCode::SERVICE_UNAVAILABLE, format!("{}\n", other.word())),
    }
}

async fn render(State(shared): State<Shared>) -> impl IntoResponse {
    let watch = Arc::clone(&shared.watch);
    // It looks at the disk. A refresh that panics has been logged; the other metrics are still worth having.
    let _ = tokio::task::spawn_blocking(move || watch.refresh()).await;
    let text_format = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    (text_format, shared.metrics.render())
}

#[cfg(test)]
mod tests {
    use super::{Watch, serve};
    use crate::admin::health::{Health, Phase};
    use crate::telemetry::Telemetry;
    use std::io::{Read, Write};
    use std::net::{SocketAddr, TcpStream};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

    fn get(address: SocketAddr, path: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(address).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let status = text.split(' ').nth(1).unwrap().parse().unwrap();
        (status, text.split_once("\r\n\r\n").unwrap().1.to_owned())
    }

    #[derive(Default)]
    struct Sick(AtomicBool, AtomicBool);

    impl Watch for Sick {
        fn complaint(&self) -> Option<String> {
            self.0.load(SeqCst).then(|| "log sync failed".to_owned())
        }
        fn refresh(&self) {
            self.1.store(true, SeqCst);
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn health_follows_the_phase_and_the_complaint() {
        let sick = Arc::new(Sick::default());
        let health = Health::starting();
        let metrics = Telemetry::detached().unwrap().metrics;
        let (address, task) = serve("127.0.0.1:0", health.clone(), sick.clone(), metrics).await.unwrap();
        assert_eq!(get(address, "/health/live").0, 200);
        assert_eq!(get(address, "/health/ready"), (503, "starting\n".to_owned()));
        health.enter(Phase::Serving);
        assert_eq!(get(address, "/health/ready").0, 200);
        sick.0.store(true, SeqCst);
        assert_eq!(get(address, "/health/ready"), (503, "log sync failed\n".to_owned()));
        health.enter(Phase::Stopping);
        assert_eq!(get(address, "/health/ready"), (503, "stopping\n".to_owned()));
        assert_eq!(get(address, "/health/live").0, 200);
        assert!(!sick.1.load(SeqCst));
        assert_eq!(get(address, "/metrics").0, 200);
        assert!(sick.1.load(SeqCst), "a scrape refreshes");
        assert_eq!(get(address, "/").0, 404);
        task.abort();
    }
}

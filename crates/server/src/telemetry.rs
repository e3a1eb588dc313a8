//! What can be measured from outside? Prometheus, on its own port. Base units, `_total` for counters, and no label ever
//! names a viewer; streams are named by `trellis_model_…` alone (`edge/cluster/gauges`), so many at a time.

use std::net::SocketAddr;
use std::time::Duration;

use metrics::{Unit, describe_counter, describe_gauge};
use metrics_exporter_prometheus::PrometheusBuilder;
use metrics_util::MetricKindMask;

/// Installs the recorder and serves it. Once per process.
pub fn serve(address: SocketAddr) -> Result<(), String> {
    let builder = PrometheusBuilder::new().with_http_listener(address);
    builder.idle_timeout(MetricKindMask::GAUGE, Some(FORGOTTEN)).install().map_err(|error| {
        format!("cannot serve metrics on {address}: {error}; choose another address with `metrics_listen`")
    })?;
    describe();
    Ok(())
}

fn describe() {
    describe_counter!("trellis_edge_sent_bytes_total", Unit::Bytes, "Body bytes sent to viewers, by kind");
    describe_counter!(
        "trellis_edge_upstream_bytes_total",
        Unit::Bytes,
        "Media bytes fetched from the origin or parent edge"
    );
    describe_counter!("trellis_edge_upstream_objects_total", "Media objects fetched from the origin or parent edge");
    describe_counter!("trellis_edge_forged_objects_total", "Objects whose bytes were not what the origin signed");
    describe_gauge!("trellis_edge_cache_bytes", Unit::Bytes, "Media held in memory");
    describe_gauge!("trellis_edge_sessions", "Viewers that have a place");
    describe_gauge!("trellis_edge_committed_bits_per_second", "Sum of the rates promised to them");
    describe_counter!("trellis_origin_ingest_bytes_total", Unit::Bytes, "Bytes taken from publishers");
    describe_counter!("trellis_origin_parts_total", "Parts packaged and signed");
}

/// Gauges are set every few seconds, all of them: one that is not is about something that is no more.
const FORGOTTEN: Duration = Duration::from_secs(30);

//! What does a join cost? µs of CPU of the whole process, the accounts writer included, without HTTP.
//!
//! `cargo run --release -p trellis-server --example join_cost [joins]`

use std::sync::Arc;
use std::time::Instant;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use axum::body::Body;
use http::header::AUTHORIZATION;
use http::{HeaderMap, Request, StatusCode};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use tower::ServiceExt;
use trellis_server::manager::api::Address;
use trellis_server::manager::{ApiKeyFile, Manager, ManagerConfig, ViewerClaims, mint};

type Failure = Box<dyn std::error::Error>;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<(), Failure> {
    let joins: u32 = std::env::args().nth(1).map_or(Ok(100_000), |text| text.parse())?;
    let dir = tempfile::tempdir()?;
    let manager = Manager::open(&ManagerConfig::default(), dir.path()).await?;
    let admin = |path: &'static str, body: Value| send(&manager, path, manager.admin_key().to_owned(), body);
    admin("/v1/admin/streams", json!({"stream": "live"})).await?;
    admin("/v1/admin/streams", json!({"stream": "open", "open": true})).await?;

    let file = ApiKeyFile::read(&dir.path().join(ApiKeyFile::NAME))?;
    let exp = manager.now().unix_s() + 3600;
    let claims = ViewerClaims {
        sub: "viewer-12345678".into(),
        stream: "live".into(),
        exp,
        nbf: None,
        class: None,
        max_rate: None,
    };
    let hs256 = mint(&file.kid, &file.secret, &claims);

    let pair = Ed25519KeyPair::generate()?;
    let public = base64::Engine::encode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, pair.public_key());
    let kid = admin("/v1/admin/keys", json!({"kind": "eddsa", "public_key": public})).await?["kid"].clone();
    let header = Header { kid: kid.as_str().map(String::from), ..Header::new(Algorithm::EdDSA) };
    let eddsa = jsonwebtoken::encode(&header, &claims, &EncodingKey::from_ed_der(pair.to_pkcs8v1()?.as_ref()))?;

    for (name, stream, token) in
        [("HS256", "live", Some(&hs256)), ("EdDSA", "live", Some(&eddsa)), ("open", "open", None)]
    {
        measure(&manager, name, stream, token, joins).await?;
    }
    manager.close().await;
    Ok(())
}

async fn measure(
    manager: &Arc<Manager>,
    name: &str,
    stream: &str,
    token: Option<&String>,
    joins: u32,
) -> Result<(), Failure> {
    let bearer = token.map(|token| format!("Bearer {token}").parse()).transpose()?;
    let headers = HeaderMap::from_iter(bearer.map(|bearer| (AUTHORIZATION, bearer)));
    let (cpu, wall) = (cpu_s()?, Instant::now());
    let mut busy = 0.0;
    for i in 0..joins {
        if i % 5_000 == 0 {
            beats(manager).await?;
            // What the pace of real viewers gives it: time to write.
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        let started = Instant::now();
        let from = Address([192, 0, 2, 1].into());
        let reply = manager.join(stream, &headers, &[], from, manager.now());
        busy += started.elapsed().as_secs_f64();
        if reply.status() != StatusCode::OK {
            return Err(format!("refused: {}", reply.status()).into());
        }
    }
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    let per_join = |seconds: f64| seconds * 1e6 / f64::from(joins);
    println!(
        "{name}: {:.1} µs in join(), {:.1} µs CPU of the process with accounts, {:.1} s",
        per_join(busy),
        per_join(cpu_s()? - cpu),
        wall.elapsed().as_secs_f64()
    );
    Ok(())
}

async fn beats(manager: &Arc<Manager>) -> Result<(), Failure> {
    let streams: Vec<_> = ["live", "open"].map(|s| json!({"stream": s, "state": "live", "rate_bps": 2_000_000})).into();
    let origin = json!({"origin": "o", "instance": {"id": "i", "started_ms": 1}, "media_url": "http://o/origin", "public_key": "00".repeat(32), "streams": streams});
    send(manager, "/v1/cluster/origins", manager.server_key().to_owned(), origin).await?;
    for edge in ["e1", "e2", "e3", "e4"] {
        let beat = json!({"edge": edge, "instance": {"id": "i", "started_ms": 1}, "public_url": "https://edge.example.org", "capacity_bps": 1u64 << 50, "committed_bps": 0,
            "sessions": 0, "departures_per_minute": 0, "draining": false, "usage": []});
        send(manager, "/v1/cluster/edges", manager.server_key().to_owned(), beat).await?;
    }
    Ok(())
}

async fn send(manager: &Arc<Manager>, path: &str, key: String, body: Value) -> Result<Value, Failure> {
    let request =
        Request::post(path).header("authorization", format!("Bearer {key}")).body(Body::from(body.to_string()))?;
    let response = manager.router().oneshot(request).await?;
    let status = response.status();
    let bytes = axum::body::to_bytes(response.into_body(), 1 << 20).await?;
    if status.is_success() { Ok(serde_json::from_slice(&bytes)?) } else { Err(String::from_utf8_lossy(&bytes).into()) }
}

/// User and system time of all threads, by the kernel's books (ticks of 10 ms).
fn cpu_s() -> Result<f64, Failure> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields = stat.rsplit_once(") ").ok_or("no stat")?.1.split(' ').collect::<Vec<_>>();
    Ok((fields[11].parse::<f64>()? + fields[12].parse::<f64>()?) / 100.0)
}

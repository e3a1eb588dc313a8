//! `trellis check-config`: is this configuration good?

use std::path::PathBuf;

use anyhow::{Context, Result};
use trellis_server::config::{Config, Role};

/// Options.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Configuration file; TRELLIS_… variables go over it, as they do for `serve`
    #[arg(long, value_name = "FILE", default_value = "trellis.toml")]
    config: PathBuf,
}

/// Reads it, lays the environment over it, and says what comes out.
pub fn run(args: &Args) -> Result<()> {
    let config = Config::load(Some(&args.config), std::env::vars())?;
    if let Some(tls) = &config.tls {
        trellis_server::http::tls::Certificate::load(tls).context("[tls]")?;
    }
    println!("{} is good", args.config.display());
    println!("  role     {}", format!("{:?}", config.role).to_lowercase());
    println!("  listen   {}{}", config.listen, if config.tls.is_some() { " (TLS)" } else { "" });
    println!("  data     {}", config.data_dir.display());
    match config.metrics_listen {
        Some(address) => println!("  metrics  http://{address}/metrics"),
        None => println!("  metrics  off"),
    }
    if config.tls.is_some() {
        println!("  TLS      certificate and key can be used");
    }
    if let Some(url) = &config.manager_url {
        println!("  manager  {url}");
    }
    if config.role.includes(Role::Edge) {
        println!("  edge     `{}`, upload budget {}", config.edge.name(), config.edge.upload_budget);
    }
    if config.role.includes(Role::Origin) {
        let origin = &config.origin;
        println!("  origin   `{}`, rewind {} s, grace {} s", origin.name(), origin.dvr_window_s, origin.grace_s);
    }
    config.warnings().iter().for_each(|warning| println!("  warning  {warning}"));
    Ok(())
}

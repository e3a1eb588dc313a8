//! `trellis check-config`: is this configuration good?

use std::path::PathBuf;

use anyhow::Result;
use trellis_server::config::Config;

/// Options.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The file
    #[arg(long, default_value = "trellis.toml")]
    config: PathBuf,
}

/// Reads it, lays the environment over it, and says what comes out.
pub fn run(args: &Args) -> Result<()> {
    let config = Config::load(Some(&args.config), std::env::vars())?;
    println!("{} is good", args.config.display());
    println!("  role     {:?}", config.role);
    println!("  listen   {}{}", config.listen, if config.tls.is_some() { " (TLS)" } else { "" });
    println!("  data     {}", config.data_dir.display());
    match config.metrics_listen {
        Some(address) => println!("  metrics  http://{address}/metrics"),
        None => println!("  metrics  off"),
    }
    if let Some(tls) = &config.tls {
        trellis_server::http::tls::load(tls)?;
        println!("  TLS      certificate and key can be used");
    }
    println!("  edge     `{}`, upload budget {}", config.edge.name(), config.edge.upload_budget);
    println!("  origin   rewind {} s, grace {} s", config.origin.dvr_window_s, config.origin.grace_s);
    Ok(())
}

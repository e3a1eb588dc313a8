//! What is said of a cluster first, whatever was asked: its landmarks, and over how many intervals it is told.

use serde::Serialize;
use trellis_model::Growth;

use super::input::Cluster;

/// Keys as in docs/model.md: in intervals of one session length, and in s; `null` is never.
#[derive(Debug, Serialize)]
pub struct Landmarks {
    pub t0: f64,
    pub t0_seconds: f64,
    pub tg: f64,
    pub tg_seconds: f64,
    pub k: Option<u32>,
    pub k_seconds: Option<f64>,
    pub rejected_total: f64,
}

impl Landmarks {
    /// Of this cluster.
    pub fn new(growth: Growth, cluster: &Cluster) -> Self {
        let k = growth.first_full_interval();
        Self {
            t0: growth.saturation_intervals(),
            t0_seconds: growth.saturation_s(),
            tg: growth.guarantee_intervals(),
            tg_seconds: growth.guarantee_s(),
            k,
            k_seconds: k.map(|k| f64::from(k) * cluster.length.get()),
            rejected_total: growth.rejected_total(),
        }
    }
}

/// How many intervals are told: as many as asked for, or until two after everybody is served.
pub fn told_intervals(growth: Growth, asked: Option<u32>) -> u32 {
    let until = |k: u32| k.saturating_add(3).min(TOLD_INTERVALS_MAX);
    asked.unwrap_or(growth.first_full_interval().map_or(ENDLESS_INTERVALS, until))
}

/// Intervals told when everybody is never served.
const ENDLESS_INTERVALS: u32 = 20;
/// Intervals told at most when not asked for more.
pub const TOLD_INTERVALS_MAX: u32 = 1_000;

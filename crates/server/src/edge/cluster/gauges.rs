//! How does what the model says reach Prometheus? As `trellis_model_…`, by stream, with what is unsure three times: `bound` is
//! `value`, `low` or `high` (95 of 100 lie between). What is not known is not set, and what is not set is forgotten
//! (`telemetry`).

use metrics::gauge;

use crate::cluster_api::{Guess, Review, StreamModel};

/// Sets all that is known.
pub fn set(model: &StreamModel) {
    let stream = &model.stream;
    for (name, guess) in guesses(model) {
        let Some(guess) = guess else { continue };
        for (bound, value) in [("value", guess.value()), ("low", guess.low()), ("high", guess.high())] {
            gauge!(name, "stream" => stream.clone(), "bound" => bound).set(value);
        }
    }
    for (name, value) in values(model) {
        value.into_iter().for_each(|value| gauge!(name, "stream" => stream.clone()).set(value));
    }
    for (of, review) in reviews(model) {
        let Some(review) = review else { continue };
        let within = if review.within { 1.0 } else { 0.0 };
        gauge!("trellis_model_within_said", "stream" => stream.clone(), "of" => of).set(within);
    }
}

fn guesses(model: &StreamModel) -> [(&'static str, Option<Guess>); 14] {
    let said = |review: Option<Review>| review.map(|review| review.said);
    [
        ("trellis_model_arrivals_per_second", model.arrivals_per_second),
        ("trellis_model_session_bits_per_second", model.session_bps),
        ("trellis_model_support_bits_per_second", model.support_bps),
        ("trellis_model_brought_bits_per_second", model.brought_bps),
        ("trellis_model_session_seconds", model.session_s),
        ("trellis_model_churn_per_second", model.churn_per_second),
        ("trellis_model_viewers_possible", model.viewers_max),
        ("trellis_model_full_in_seconds", model.full_in_s),
        ("trellis_model_guaranteed_in_seconds", model.guaranteed_in_s),
        ("trellis_model_next_capacity_bits_per_second", model.next_capacity_bps),
        ("trellis_model_next_rejected_ratio", model.next_rejected_share),
        ("trellis_model_said_capacity_bits_per_second", said(model.capacity)),
        ("trellis_model_said_rejected_ratio", said(model.rejection)),
        ("trellis_model_said_full_after_seconds", said(model.full)),
    ]
}

fn values(model: &StreamModel) -> [(&'static str, Option<f64>); 9] {
    let residual = |review: Option<Review>| review.and_then(|review| review.residual);
    [
        ("trellis_model_viewers", Some(model.viewers.into())),
        ("trellis_model_server_bits_per_second", Some(model.server_bps as f64)),
        ("trellis_model_measured_capacity_bits_per_second", Some(model.capacity_bps as f64)),
        ("trellis_model_measured_rejected_ratio", model.rejected_share),
        ("trellis_model_measured_first_refusal_after_seconds", model.first_refusal_s),
        ("trellis_model_measured_last_refusal_after_seconds", model.last_refusal_s),
        ("trellis_model_residual_capacity_bits_per_second", residual(model.capacity)),
        ("trellis_model_residual_rejected_ratio", residual(model.rejection)),
        ("trellis_model_residual_full_after_seconds", residual(model.full)),
    ]
}

fn reviews(model: &StreamModel) -> [(&'static str, Option<Review>); 3] {
    [("capacity", model.capacity), ("rejected", model.rejection), ("full", model.full)]
}

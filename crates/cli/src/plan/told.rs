//! How is a plan told to an operator? The verdict first, then what it rests on.

use super::{Answer, Args, Case, WhatIf};
use crate::model::output::{bytes, duration, grid, grouped, percent, rate, rate_in_text};

/// All of it.
pub fn text(args: &Args, answer: &Answer) -> String {
    let facts = facts(args, answer);
    let wide = facts.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    let facts: String = facts.iter().map(|(name, value)| format!("{name:wide$}  {value}\n")).collect();
    let assumptions: String = answer.assumptions.iter().map(|it| format!("- {it}\n")).collect();
    format!(
        "{}\n\n{facts}\nWhat if, with these edges:\n\n{}\nAssumed:\n\n{assumptions}",
        verdict(answer),
        table(answer)
    )
}

fn verdict(answer: &Answer) -> String {
    let Case { server_needed, server_bandwidth, enough, guaranteed_after_seconds, .. } = &answer.case;
    let have = format!("{} edges with {} together", answer.edges.len(), rate(*server_bandwidth));
    match guaranteed_after_seconds {
        _ if *enough => format!("Enough: {have}; {} are needed, and nobody waits.", rate(*server_needed)),
        Some(after) if *after > 0.0 => {
            format!(
                "Enough after {}: {have}; {} are needed for nobody to wait.",
                duration(*after),
                rate(*server_needed)
            )
        }
        Some(_) => format!("Just enough: {have}, {} with headroom for chance.", rate(*server_needed)),
        None => format!("Not enough: {have}; {} are needed.", rate(*server_needed)),
    }
}

fn facts(args: &Args, answer: &Answer) -> Vec<(&'static str, String)> {
    let (case, cost) = (&answer.case, &answer.cost);
    let money = |amount: f64| format!("{amount:.2} {}", cost.currency);
    let most = if case.viewers_max.is_finite() { grouped(case.viewers_max) } else { "no end".into() };
    vec![
        ("viewers at the peak", grouped(answer.viewers as f64)),
        ("they take", rate(answer.demand)),
        (
            "they could give",
            format!(
                "{} each on average, {:.2} × the stream's rate over all",
                rate(answer.upload_mean),
                answer.uploads_to_demand
            ),
        ),
        (
            "edges needed",
            format!("{} of {}, {} of them spare", answer.edges_needed, rate_in_text(answer.edge_size), args.spare),
        ),
        (
            "bandwidth needed",
            format!(
                "{} for nobody to wait ({} once all are there)",
                rate(case.server_needed),
                rate(case.server_steady)
            ),
        ),
        ("these edges can carry", format!("{most} viewers for good")),
        ("service guaranteed", case.guaranteed_after_seconds.map_or("never".into(), guaranteed)),
        ("sent away at first", sent_away(case)),
        (
            "bytes",
            format!(
                "{} taken, overhead included; {} of them from edges ({})",
                bytes(case.delivered_bytes),
                bytes(case.server_bytes),
                percent(case.server_share)
            ),
        ),
        ("cost", format!("{} (edges {}, traffic {})", money(cost.total), money(cost.edges), money(cost.traffic))),
        (
            "pure CDN",
            format!(
                "{}, {} {}",
                money(cost.cdn),
                money(cost.saved.abs()),
                if cost.saved >= 0.0 { "more" } else { "less" }
            ),
        ),
    ]
}

fn guaranteed(after: f64) -> String {
    if after == 0.0 { "always".into() } else { format!("after {}", duration(after)) }
}

fn sent_away(case: &Case) -> String {
    if case.rejected_total < 1.0 {
        return "nobody".into();
    }
    format!(
        "{} viewers, {} in the worst minute; up to {} wait at once, {} of the audience",
        grouped(case.rejected_total),
        grouped(case.rejected_per_minute_peak),
        grouped(case.waiting_peak),
        percent(case.reject_peak)
    )
}

fn table(answer: &Answer) -> String {
    let head = ["", "needed", "have", "guaranteed", "waiting at most", "from edges", "cost"];
    let row = |WhatIf { name, case }: &WhatIf| {
        vec![
            (*name).to_owned(),
            rate(case.server_needed),
            rate(case.server_bandwidth),
            case.guaranteed_after_seconds.map_or("never".into(), guaranteed),
            format!("{} ({:.0} %)", grouped(case.waiting_peak), case.reject_peak * 100.0),
            percent(case.server_share),
            format!("{:.2} {}", case.cost_total, answer.cost.currency),
        ]
    };
    grid(std::iter::once(head.map(str::to_owned).to_vec()).chain(answer.what_if.iter().map(row)).collect())
}

/// What the figures rest on.
pub fn assumptions(args: &Args) -> Vec<String> {
    let share = |share: trellis_model::Share| format!("{} %", (share.get() * 1e6).round() / 1e4);
    vec![
        format!("uploads of those who can reach others: {} (--upload-mix)", args.upload_mix),
        format!("{} of viewers reach nobody and take everything from edges (--blocked)", share(args.blocked)),
        format!(
            "they come evenly within {} (--arrive-within), stay {} on average, exponentially (--stay); who leaves is replaced \
             until the end, after {} (--duration)",
            duration(args.arrive_within.get()),
            duration(args.stay.get()),
            duration(args.duration.get())
        ),
        format!("a viewer gives {} after it came, until it leaves (--warm-up)", duration(args.warm_up.get())),
        format!(
            "{} of uploads can be used (--utilization), {} is sent beside the media (--overhead), edges send at least {} \
             of what could come from viewers (--floor)",
            share(args.utilization),
            share(args.overhead),
            share(args.floor)
        ),
        format!(
            "room is kept so that chance turns away at most {} (--refused), over all edges together",
            share(args.refused)
        ),
        "who finds no room waits and asks again, and gives up as readily as who watches leaves (--stay); viewers are spread \
         over edges by room"
            .into(),
        format!(
            "prices: CDN {} per GB (--price-cdn), edges' traffic {} per GB (--price-traffic), an edge {} per hour \
             (--price-edge), in {}; the defaults are placeholders",
            args.price_cdn, args.price_traffic, args.price_edge, args.currency
        ),
    ]
}

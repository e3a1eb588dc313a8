//! The golden numbers of the model (`vectors.json`), computed apart from this code.

mod common;

use std::num::NonZeroU32;

use common::{bps, growth, json, near, number};
use serde_json::Value;
use trellis_model::bounds::{Losses, Schedule, rate_bps_max, server_bps_min};
use trellis_model::{
    Bits, Bps, Fluid, Growth, Interval, Live, Offer, PerSecond, Seconds, Share, Sharing, Stay, WholeSessions, delay,
};

/// What a cluster of the vectors has: what goes in, what comes out once, what comes out per interval.
#[rustfmt::skip]
const KEYS: [&str; 30] = [
    "B", "beta", "alpha", "lam", "L", "underloaded", //
    "a", "D", "g", "t0", "t0_s", "tg", "tg_s", "K", "S_tg", "N_tg", "eps_requesting", "eps_supporting", "T_cap",
    "K_handoff", "rejected_fluid", "first_reject_mean", "first_reject_sd", "R_resid_K_heuristic", //
    "S", "cap", "R", "S_int_strict", "S_int_mixed", "S_int_integral",
];

#[test]
fn closed_forms() {
    for (name, v) in json()["growth"].as_object().unwrap() {
        let known = |key: &String| KEYS.contains(&key.as_str());
        assert!(v.as_object().unwrap().keys().all(known), "{name} has numbers that nobody looks at");
        let growth = growth(v);
        near(growth.offered_sessions(), &v["a"], name);
        near(growth.demand_bps(), &v["D"], name);
        near(growth.factor(), &v["g"], name);
        if v["underloaded"] == true {
            assert_eq!((growth.saturation_s(), growth.guarantee_s()), (f64::INFINITY, 0.0), "{name}");
            assert_eq!((growth.first_full_interval(), growth.rejected_total()), (Some(0), 0.0), "{name}");
            assert_eq!(growth.capacity_reached_intervals(), 0.0, "{name}");
            continue;
        }
        near(growth.saturation_intervals(), &v["t0"], name);
        near(growth.saturation_s(), &v["t0_s"], name);
        near(growth.guarantee_intervals(), &v["tg"], name);
        near(growth.guarantee_s(), &v["tg_s"], name);
        near(growth.supporters_at_guarantee(), &v["S_tg"], name);
        near(growth.peers_at_guarantee(), &v["N_tg"], name);
        near(growth.capacity_reached_intervals(), &v["T_cap"], name);
        near(growth.rejected_total(), &v["rejected_fluid"], name);
        let supporting = growth.supporters_at_guarantee() / growth.peers_at_guarantee();
        near(supporting, &v["eps_supporting"], name);
        near(1.0 - supporting, &v["eps_requesting"], name);
        near(growth.supporting_share(growth.guarantee_intervals()), &v["eps_supporting"], name);
        near(growth.peers(growth.guarantee_intervals()), &v["N_tg"], name);
        let first = growth.first_refusal().unwrap();
        near(first.mean, &v["first_reject_mean"], name);
        near(first.sd, &v["first_reject_sd"], name);
        near(growth.residual_rejection().unwrap(), &v["R_resid_K_heuristic"], name);
        assert_eq!(growth.first_full_interval().map(u64::from), v["K"].as_u64(), "{name}");
        assert_eq!(growth.handoff_interval().map(u64::from), v["K_handoff"].as_u64(), "{name}");
    }
}

#[test]
fn the_fluid_recursion_is_the_closed_form_interval_by_interval() {
    for (name, v) in json()["growth"].as_object().unwrap() {
        let growth = growth(v);
        let expected = ["S", "cap", "R"].map(|key| v[key].as_array().cloned().unwrap_or_default());
        for (k, Interval { number, supporters, capacity_bps, served, rejected }) in
            Fluid::new(growth).take(expected[0].len()).enumerate()
        {
            let t = f64::from(number);
            near(supporters, &expected[0][k], name);
            near(growth.supporters(t), &expected[0][k], name);
            near(capacity_bps, &expected[1][k], name);
            near(growth.capacity_bps(t), &expected[1][k], name);
            near(rejected, &expected[2][k], name);
            assert_eq!(rejected, 1.0 - served, "{name} {k}");
        }
    }
}

#[test]
fn rejection_as_time_goes_by() {
    let json = json();
    for case in json["rejection"].as_array().unwrap() {
        let rejection = growth(&json["growth"][case[0].as_str().unwrap()]).rejection(number(&case[1]));
        assert!((rejection - number(&case[2])).abs() < 1e-9, "{case}: {rejection}");
    }
}

#[test]
fn whole_sessions() {
    for (name, v) in json()["growth"].as_object().unwrap() {
        let [server, session, support] = ["B", "beta", "alpha"].map(|key| v[key].as_u64().unwrap());
        for (key, sharing) in
            [("S_int_mixed", Sharing::Mixed), ("S_int_strict", Sharing::Strict), ("S_int_integral", Sharing::Integral)]
        {
            let expected: Vec<_> = v[key].as_array().into_iter().flatten().map(|s| s.as_u64().unwrap()).collect();
            let session = session.try_into().unwrap();
            let found: Vec<_> = WholeSessions::new(server, session, support, sharing).take(expected.len()).collect();
            assert_eq!(found, expected, "{name} {key}");
        }
    }
}

#[test]
fn bounds_on_rate_and_server() {
    let json = json();
    for case in json["rate_max"].as_array().unwrap() {
        let (server, uploads) = (bps(&case["server"]), uploads(&case["uploads"]));
        near(rate_bps_max(server, &uploads), &case["rate"], "rate");
        let schedule = Schedule::new(bps(&case["rate"]), &uploads);
        let within = |sent: f64, upload: f64| sent <= upload * (1.0 + 1e-9);
        assert!(within(schedule.server_bps(), server.get()), "{case}: the bound is reached");
        let others = (uploads.len() - 1) as f64;
        for (through, upload) in schedule.through_bps.iter().zip(&uploads) {
            assert!(within(through * others, upload.get()), "{case}: by peers that can");
        }
        let received = schedule.through_bps.iter().sum::<f64>() + schedule.broadcast_bps;
        near(received, &case["rate"], "everybody has all of it");
    }
    for case in json["server_min"].as_array().unwrap() {
        let uploads = uploads(&case["uploads"]);
        let sum = Bps::new(uploads.iter().map(|upload| upload.get()).sum()).unwrap();
        let peers = uploads.len().try_into().unwrap();
        near(server_bps_min(bps(&case["rate"]), peers, sum, Losses::none()), &case["server"], "server");
    }
    let losses = Losses { utilization: Share::new(0.5).unwrap(), overhead: Share::new(0.25).unwrap() };
    let [rate, enough, some] = [1.0, 1000.0, 10.0].map(|bps| Bps::new(bps).unwrap());
    assert_eq!(server_bps_min(rate, 8, enough, losses), 1.25, "one copy, with its overhead");
    assert_eq!(server_bps_min(rate, 8, some, losses), 5.0, "ten less five");
    assert_eq!(server_bps_min(rate, 0, some, losses), 0.0, "nobody");
}

#[test]
fn slots_until_all_have_a_chunk() {
    let json = json();
    for row in json["slots"]["rows"].as_array().unwrap() {
        let n = row[0].as_u64().unwrap();
        let fan_out = |k: u32| delay::fan_out_slots(n, NonZeroU32::new(k).unwrap());
        let seeded = delay::seeded_slots(n, 10.try_into().unwrap());
        let found = [delay::stream_slots(n), delay::file_slots(n, 1), seeded].map(u64::from);
        let found: Vec<_> = found.into_iter().chain([2, 3, 4].map(fan_out)).collect();
        let expected: Vec<_> = (1..7).map(|column| row[column].as_u64().unwrap()).collect();
        assert_eq!(found, expected, "{n}");
        assert!((delay::random_push_rounds(n) - number(&row[7])).abs() < 1e-6, "{n}");
    }
    for row in json["postal"]["rows"].as_array().unwrap() {
        for (column, lambda) in json["postal"]["arrival_slots"].as_array().unwrap().iter().enumerate() {
            let lambda = u16::try_from(lambda.as_u64().unwrap()).unwrap().try_into().unwrap();
            assert_eq!(delay::postal_slots(row[0].as_u64().unwrap(), lambda), row[column + 1].as_u64().unwrap());
        }
    }
    for case in json["fan_out_growth"].as_array().unwrap() {
        let k = u32::try_from(case[0].as_u64().unwrap()).unwrap().try_into().unwrap();
        assert!((delay::fan_out_growth(k) - number(&case[1])).abs() < 1e-6, "{case}");
    }
}

#[test]
fn the_least_delay() {
    for case in json()["floor"].as_array().unwrap() {
        let (chunk, upload) = (Bits::new(number(&case["chunk_s"])).unwrap(), bps(&case["upload"]));
        near(delay::floor_s(chunk, upload, upload, case["peers"].as_u64().unwrap()).unwrap(), &case["s"], "floor");
    }
}

#[test]
fn live_clusters() {
    let json = json();
    let live = |alpha: &Value| Live::new(Bps::new(100.0).unwrap(), Bps::new(1.0).unwrap(), bps(alpha)).unwrap();
    for case in json["live_viewers"].as_array().unwrap() {
        near(live(&case["alpha"]).viewers_after(number(&case["k"])), &case["n"], "viewers");
    }
    for case in json["live_warm_ups"].as_array().unwrap() {
        near(live(&case["alpha"]).warm_ups_until(number(&case["n"])), &case["k"], "warm-ups");
    }
    for case in json["live_max"].as_array().unwrap() {
        let live = Live::new(bps(&case["B"]), bps(&case["beta"]), bps(&case["alpha"])).unwrap();
        let seconds = |s| Seconds::new(s).unwrap();
        let viewers = live.viewers_max(seconds(number(&case["warm_up"])), Stay::Exponential(seconds(1.0))).unwrap();
        assert!((viewers - number(&case["n"])).abs() < 1e-3, "{case}: {viewers}");
    }
}

#[test]
fn what_has_no_answer_says_so_and_nothing_is_not_a_number() {
    let zero = Bps::new(0.0).unwrap();
    let offer = |server: f64, support: f64| Offer {
        server: Bps::new(server).unwrap(),
        session: Bps::new(1.0).unwrap(),
        support: Bps::new(support).unwrap(),
        arrivals: PerSecond::new(1.0).unwrap(),
        length: Seconds::new(100.0).unwrap(),
    };
    for (server, support) in [(0.0, 0.0), (0.0, 1.0), (50.0, 0.0), (1.0, 1e-300)] {
        let growth = Growth::new(offer(server, support)).unwrap();
        assert_eq!(growth.first_full_interval(), None, "{server} {support}");
        assert_eq!(growth.handoff_interval(), None, "{server} {support}");
        let times = [growth.rejected_total(), growth.capacity_reached_intervals()];
        assert!(times.iter().all(|t| *t == f64::INFINITY), "{server} {support}");
        let numbers = [growth.supporters_at_guarantee(), growth.supporters(7.0), growth.rejection(7.0)];
        assert!(numbers.iter().all(|n| !n.is_nan()), "{server} {support}");
    }
    let rich = Growth::new(offer(200.0, 0.0)).unwrap();
    assert_eq!((rich.handoff_interval(), rich.supporters(3.0), rich.rejection(0.0)), (None, 300.0, 0.0));
    for (server, support, viewers, warm_ups) in
        [(0.0, 1.0, 1.0, f64::INFINITY), (1.0, 0.0, 1.0, 0.0), (1.0, 0.0, 2.0, f64::INFINITY), (0.0, 0.0, 0.0, 0.0)]
    {
        let live = Live::new(Bps::new(server).unwrap(), Bps::new(1.0).unwrap(), Bps::new(support).unwrap()).unwrap();
        assert_eq!(live.warm_ups_until(viewers), warm_ups, "{server} {support} {viewers}");
    }
    assert!(Growth::new(Offer { session: zero, ..offer(1.0, 1.0) }).is_err());
    assert_eq!((delay::stream_slots(0), delay::stream_slots(1), delay::file_slots(0, 3)), (0, 1, 0));
    assert_eq!(delay::fan_out_slots(u64::MAX, NonZeroU32::MAX), 65);
    assert_eq!(delay::fan_out_slots(7, NonZeroU32::MIN), 7, "a chain");
    assert_eq!(delay::postal_slots(1, 5.try_into().unwrap()), 0);
    assert_eq!(rate_bps_max(Bps::new(5.0).unwrap(), &[]), 5.0);
}

/// Runs of [how many, each].
fn uploads(v: &Value) -> Vec<Bps> {
    let run = |run: &Value| vec![bps(&run[1]); run[0].as_u64().unwrap() as usize];
    v.as_array().unwrap().iter().flat_map(run).collect()
}

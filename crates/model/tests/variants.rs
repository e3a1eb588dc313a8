//! The golden numbers of what departs from the one plain cluster: leaving, other lengths, several clusters, files, layers,
//! headroom, chance.

mod common;

use common::{bps, growth, json, near, number, printed};
use serde_json::Value;
use trellis_model::clusters::{Clusters, Site};
use trellis_model::files::{Files, Split};
use trellis_model::layered::Layers;
use trellis_model::universal::{Audience, Universal};
use trellis_model::{Bps, Growth, Lengths, Lingering, Offer, PerSecond, Seconds, Share, erlang};

#[test]
fn growth_with_other_lengths() {
    let json = json();
    for case in list(&json["malthus"]) {
        let lengths = if case[0] == "det" { Lengths::Fixed } else { Lengths::Exponential };
        // Of P3 only α/β is told.
        let cluster = if case[1] == "P3" { tenth() } else { growth(&json["growth"][case[1].as_str().unwrap()]) };
        near(cluster.exponent(lengths), &case[2], "exponent");
    }
    for case in list(&json["exponential"]) {
        let course = of(&json, &case[0]).with_exponential_lengths();
        match case[1].as_str() {
            Some("t_s") => printed(course.saturation_intervals(), &case[2], 6, "t_s"),
            _ => printed(course.guarantee_intervals(), &case[2], 3, "t_z"),
        }
    }
}

#[test]
fn exponential_lengths_balance() {
    // What is let in between two times is what runs and supports at the second and did not at the first.
    let growth = of(&json(), &"P2".into());
    let course = growth.with_exponential_lengths();
    let running = |t: f64| match t {
        t if t < course.saturation_intervals() => growth.offered_sessions() * -(-t).exp_m1(),
        t => course.capacity_bps(t) / 1e3,
    };
    let supporters = |t: f64| (course.capacity_bps(t) - course.capacity_bps(0.0)) / 1e3;
    let (to, steps) = (course.guarantee_intervals(), 400_000);
    let step = to / f64::from(steps);
    let accepted = |at: f64| (1.0 - course.rejection(at)) * growth.offered_sessions() * step;
    let let_in: f64 = (0..steps).map(|n| accepted((f64::from(n) + 0.5) * step)).sum();
    let there = running(to) + supporters(to);
    assert!((let_in / there - 1.0).abs() < 1e-4, "{let_in} {there}");
    let (before, after) = (course.capacity_bps(to - 1e-9), course.capacity_bps(to + 1e-9));
    assert!((after / before - 1.0).abs() < 1e-6, "no jump");
    let slope = course.capacity_bps(to + 31.0) - course.capacity_bps(to + 30.0);
    assert!((slope / 1e6 - 1.0).abs() < 1e-9, "in the end αa per interval");
}

#[test]
fn supporters_who_leave() {
    let json = json();
    for case in list(&json["leaving"]) {
        let leaving = of(&json, &case[0]).with_leaving(Share::new(number(&case[1])).unwrap());
        near(leaving.guarantee_intervals(), &case[2], "t_g");
        let t_g = leaving.guarantee_intervals();
        let growth = of(&json, &case[0]);
        let capacity = growth.capacity_bps(0.0) + supported(&growth) * leaving.supporters(t_g);
        assert!((capacity / growth.demand_bps() - 1.0).abs() < 1e-9, "that is when capacity meets demand");
    }
    let case = &json["leaving_supporters"];
    let leaving = of(&json, &case["growth"]).with_leaving(Share::new(number(&case["share"])).unwrap());
    for (k, (expected, interval)) in list(&case["S"]).iter().zip(leaving.intervals()).enumerate() {
        near(interval.supporters, expected, "recursion");
        near(leaving.supporters(k as f64), expected, "closed form");
    }
}

#[test]
fn supporters_who_linger() {
    let json = json();
    for case in list(&json["malthus_linger"]) {
        near(lingering(&json, &case[0], &case[1]).exponent(Lengths::Fixed), &case[2], "exponent");
    }
    for case in list(&json["lost"]) {
        let lingering = lingering(&json, &case[0], &case[1]);
        near(lingering.lost(), &case[2], "lost");
        assert!(!lingering.grows() && !lingering.is_sustained());
    }
    for case in list(&json["linger_capacity"]) {
        printed(lingering(&json, &case[0], &case[1]).capacity_bps(number(&case[2])), &case[3], 6, "capacity");
    }
    // The exponent changes its sign where growth begins.
    for (linger, sign) in [(1.0, -1.0), (1.9, -1.0), (2.1, 1.0), (50.0, 1.0)] {
        let lingering = lingering(&json, &"P1".into(), &linger.into());
        for lengths in [Lengths::Fixed, Lengths::Exponential] {
            assert_eq!(lingering.exponent(lengths).signum(), sign, "{linger} {lengths:?}");
        }
        assert_eq!(lingering.grows(), sign > 0.0);
    }
}

#[test]
fn between_the_landmarks() {
    let json = json();
    for case in list(&json["overtake"]) {
        printed(of(&json, &case[0]).peers_overtake_intervals(), &case[1], 6, "overtake");
    }
    for case in list(&json["saw_tooth"]) {
        assert_eq!(of(&json, &case[0]).is_refused(number(&case[1])), case[2] == 1, "{case}");
    }
    for case in list(&json["saw_tooth_edges"]) {
        printed(of(&json, &case[0]).full_at(case[1].as_u64().unwrap() as u32), &case[2], 4, "edge");
    }
    let edge = &json["edge"];
    let cluster = growth(edge);
    near(cluster.saturation_intervals(), &edge["t0"], "t_0");
    printed(cluster.guarantee_intervals(), &edge["tg"], 9, "t_g");
    assert_eq!(cluster.first_full_interval().map(u64::from), edge["K"].as_u64());
    near(cluster.supporters(1.0), &edge["S_1"], "S_1");
    for (interval, expected) in cluster.intervals().zip(list(&edge["R"])) {
        near(interval.rejected, expected, "R");
    }
    for name in ["P1", "P2", "P4", "P6"] {
        let growth = of(&json, &name.into());
        let reached = growth.capacity_reached_intervals();
        near(growth.clock_capacity_bps(reached), &growth.demand_bps().into(), name);
        for k in 0..12 {
            near(growth.clock_supporters(f64::from(k) + 1.0), &growth.supporters(k.into()).into(), name);
        }
        let handoff = Bps::new(growth.demand_bps() + growth.capacity_bps(0.0)).unwrap();
        assert_eq!(growth.interval_reaching(handoff), growth.handoff_interval(), "{name}");
    }
}

#[test]
fn files_share_a_server() {
    let json = json();
    let case = &json["files"];
    let whole = of(&json, &case["growth"]);
    let sum: f64 = list(&case["weights"]).iter().map(number).sum();
    let arrivals: Vec<_> =
        list(&case["weights"]).iter().map(|weight| PerSecond::new(number(weight) / sum).unwrap()).collect();
    let [server, session, support] = ["B", "beta", "alpha"].map(|key| bps(&json["growth"]["P1"][key]));
    let length = Seconds::new(3600.0).unwrap();
    let files = |split| Files::new(server, session, support, length, &arrivals, &split).unwrap();
    for growth in files(Split::Proportional).each() {
        printed(growth.guarantee_intervals(), &case["proportional"], 6, "proportional");
        near(growth.guarantee_intervals(), &whole.guarantee_intervals().into(), "as one");
    }
    let equal = files(Split::Equal);
    for (growth, expected) in equal.each().iter().zip(list(&case["equal"])) {
        printed(growth.guarantee_intervals(), expected, 6, "equal");
    }
    printed(equal.guarantee_intervals_mean(), &case["mean"], 6, "mean");
    printed(equal.guarantee_intervals_max(), &case["max"], 6, "max");
    printed(equal.guarantee_intervals_by_request(), &case["by_request"], 6, "by request");
    assert_eq!(files(Split::Shares(vec![Share::new(0.2).unwrap(); 5])), equal);
    let shares = |shares: Vec<f64>| Split::Shares(shares.into_iter().map(|s| Share::new(s).unwrap()).collect());
    for wrong in [shares(vec![0.5; 5]), shares(vec![0.1; 4])] {
        assert!(Files::new(server, session, support, length, &arrivals, &wrong).is_err());
    }
}

#[test]
fn clusters_that_redirect() {
    let case = &json()["clusters"];
    let site = |(server, arrivals): (&Value, &Value)| Site {
        server: bps(server),
        arrivals: PerSecond::new(number(arrivals)).unwrap(),
    };
    let sites: Vec<_> = list(&case["servers"]).iter().zip(list(&case["arrivals"])).map(site).collect();
    let length = Seconds::new(number(&case["length"])).unwrap();
    let clusters = Clusters::new(&sites, bps(&case["session"]), bps(&case["support"]), length).unwrap();
    for (growth, expected) in clusters.apart().iter().flatten().zip(list(&case["apart"])) {
        printed(growth.guarantee_intervals(), expected, 6, "apart");
    }
    printed(clusters.together().guarantee_intervals(), &case["together"], 6, "together");
    assert_eq!(clusters.together().first_full_interval().map(u64::from), case["K"].as_u64());
    let rejected: Vec<f64> = clusters.together().intervals().take(12).map(|interval| interval.rejected).collect();
    for pair in list(&case["R"]) {
        printed(rejected[pair[0].as_u64().unwrap() as usize], &pair[1], 3, "R");
    }
}

#[test]
fn layers_and_headroom() {
    let json = json();
    for case in list(&json["layered"]) {
        let rates: Vec<_> = list(&case["b"]).iter().map(bps).collect();
        let layers = Layers::for_all(case["N"].as_u64().unwrap(), &rates).unwrap();
        near(layers.once_bps(), &case["B_O"], "B_O");
        near(layers.direct_bps(), &case["B_CS"], "B_CS");
        near(layers.ratio(), &case["ratio"], "B_O/B_CS");
        let sent = layers.once_bps() + layers.peers_bps();
        near(sent, &case["B_CS"], "server and peers send what is received");
    }
    let some = Layers::new(&[(bps(&8.into()), 100), (bps(&4.into()), 10), (bps(&2.into()), 0)]).unwrap();
    assert_eq!((some.direct_bps(), some.once_bps(), some.peers_bps()), (840.0, 804.0, 36.0));
    for case in list(&json["erlang_b"]) {
        near(erlang::blocking(number(&case[0]), case[1].as_u64().unwrap()).unwrap(), &case[2], "E");
    }
    for case in list(&json["erlang_slots"]) {
        let slots = erlang::slots_for(number(&case[0]), Share::new(number(&case[1])).unwrap());
        assert_eq!(slots.ok(), case[2].as_u64(), "{case}");
    }
}

#[test]
fn the_whole_stream_for_everybody() {
    for case in list(&json()["universal"]) {
        let [server, rate, strong, weak] = ["server", "rate", "strong", "weak"].map(|key| bps(&case[key]));
        let [strong_mean, weak_mean] = ["strong_mean", "weak_mean"].map(|key| number(&case[key]));
        let audience = Audience { server, rate, strong, weak, strong_mean, weak_mean };
        let universal = Universal::new(audience).unwrap();
        printed(universal.probability(), &case["exact"], 6, "exact");
        printed(universal.probability_gauss(), &case["gauss"], 6, "gauss");
        // Nobody of a kind: certain, one way or the other.
        let only = |strong_mean, weak_mean| Universal::new(Audience { strong_mean, weak_mean, ..audience }).unwrap();
        assert!((only(10.0, 0.0).probability() - 1.0).abs() < 1e-12);
        assert!(only(0.0, 1e6).probability() < 1e-12);
    }
}

#[test]
fn closed_forms_are_what_the_recursion_comes_to_for_any_cluster() {
    for full in [1e-6, 0.003, 0.1, 0.7, 0.999, 1.0, 3.0] {
        for help in [0.0, 0.02, 0.37, 1.0, 5.3] {
            for offered in [0.5, 30.0, 1e7] {
                any_cluster(full, help, offered);
            }
        }
    }
}

/// B/D, α/β, a.
fn any_cluster(full: f64, help: f64, offered: f64) {
    let what = format!("{full} {help} {offered}");
    let [server, session, support] = [full * offered * 1e6, 1e6, help * 1e6].map(|rate| Bps::new(rate).unwrap());
    let (arrivals, length) = (PerSecond::new(offered / 100.0).unwrap(), Seconds::new(100.0).unwrap());
    let growth = Growth::new(Offer { server, session, support, arrivals, length }).unwrap();
    let demand = growth.demand_bps();
    let close = |a: f64, b: f64| (a - b).abs() <= 1e-9 * a.abs().max(b.abs()) + 1e-9 * offered;
    let intervals: Vec<_> = growth.intervals().take(2000).collect();
    let first = |holds: &dyn Fn(&trellis_model::Interval) -> bool| intervals.iter().position(holds).map(|k| k as u32);
    let enough = |bps: f64, of: f64| bps >= of * (1.0 - 1e-9);
    assert_eq!(growth.first_full_interval(), first(&|k| enough(k.capacity_bps, demand)), "{what}");
    let handoff = first(&|k| enough(k.capacity_bps - server.get(), demand));
    assert_eq!(growth.handoff_interval(), handoff, "{what}");
    let twice = Bps::new(2.0 * server.get()).unwrap();
    assert_eq!(growth.interval_reaching(twice), first(&|k| enough(k.capacity_bps, twice.get())), "{what}");
    if growth.first_full_interval().is_some() {
        let refused: f64 = intervals.iter().map(|k| k.rejected * offered).sum();
        assert!(close(growth.rejected_total(), refused), "{what}: {refused}");
        let reached = growth.capacity_reached_intervals();
        assert!(close(growth.clock_capacity_bps(reached).max(demand), demand.max(server.get())), "{what}: {reached}");
    }
    for k in intervals.iter().take(40) {
        let t = f64::from(k.number);
        assert!(
            close(growth.supporters(t), k.supporters) && close(growth.capacity_bps(t), k.capacity_bps),
            "{what}: {k:?}"
        );
        assert!(close(growth.clock_supporters(t + 1.0), k.supporters), "{what}: {k:?}");
        assert!(!growth.is_refused(t + 0.999 * k.served), "{what}: {k:?}");
        assert_eq!(growth.is_refused(t + k.served + 0.999 * k.rejected), k.rejected > 1e-6, "{what}: {k:?}");
        assert!((growth.watching(t) - offered * k.served).abs() <= 1e-9 * offered, "{what}: {k:?}");
        for at in [t, t + 0.3, t + 0.7] {
            let shares =
                [growth.rejection(at), growth.supporting_share(at), growth.with_exponential_lengths().rejection(at)];
            assert!(shares.iter().all(|share| (0.0..=1.0).contains(share)), "{what}: {at} {shares:?}");
            let (now, then) = (growth.clock_capacity_bps(at), growth.clock_capacity_bps(at + 0.1));
            assert!(now <= then * (1.0 + 1e-12), "{what}: capacity never falls");
        }
    }
}

#[test]
fn service_is_guaranteed_exactly_where_nobody_is_refused_any_more() {
    // B and α of β = 1, a = 100: t_g before t_0, between, far away, a whole number, never; no server; a server that suffices.
    for (server, support) in
        [(90.0, 1.0), (99.0, 0.1), (10.0, 1.0), (1.0, 0.01), (12.5, 1.0), (50.0, 0.0), (0.0, 1.0), (200.0, 1.0)]
    {
        let [server, session, support] = [server, 1.0, support].map(|rate| Bps::new(rate).unwrap());
        let (arrivals, length) = (PerSecond::new(1.0).unwrap(), Seconds::new(100.0).unwrap());
        let growth = Growth::new(Offer { server, session, support, arrivals, length }).unwrap();
        let what = format!("B = {server:?}, α = {support:?}");
        let full = growth.first_full_interval().map_or(f64::INFINITY, f64::from);
        let intervals = (0..600).map(f64::from).chain([1e5, 1e10, 1e300]);
        for t in intervals.flat_map(|k| [0.0, 0.05, 0.3, 0.6, 0.95, 0.999].map(|part| k + part)) {
            let (guaranteed, refused) = (growth.is_guaranteed(t), growth.is_refused(t));
            assert!(!(guaranteed && refused), "{what}: at {t}");
            assert_eq!(guaranteed, t < growth.saturation_intervals() || t >= full, "{what}: at {t}");
            let never = growth.first_full_interval().is_none();
            let average = growth.rejection(t);
            assert!(!never || t < growth.saturation_intervals() || average > 0.0, "{what}: {average} at {t}");
            assert!(average == 0.0 || !guaranteed, "{what}: {average} at {t}");
        }
        // Until K some request of each interval is refused.
        let last = |k: u32| f64::from(k) + 1.0 - 1e-9;
        assert!((0..full.min(600.0) as u32).all(|k| growth.is_refused(last(k))), "{what}");
    }
}

#[test]
fn nonsense_is_told_by_name() {
    let says = |error: trellis_model::InputError| error.to_string();
    let growth = of(&json(), &"P2".into());
    let offer = |server: f64, session: f64, support: f64, arrivals: f64| Offer {
        server: Bps::new(server).unwrap(),
        session: Bps::new(session).unwrap(),
        support: Bps::new(support).unwrap(),
        arrivals: PerSecond::new(arrivals).unwrap(),
        length: Seconds::new(1e3).unwrap(),
    };
    for (offer, named) in [
        (offer(1e6, 1e-300, 1e300, 1.0), "(α)"),
        (offer(1e6, 1e6, 1e308, 1e3), "(α)"),
        (offer(1e300, 1e-300, 1e-300, 1.0), "(B)"),
        (offer(1.0, 1e300, 1.0, 1e300), "(λLβ)"),
        (offer(1.0, 1.0, 1.0, 1e308), "(λL)"),
        (offer(1.0, 1.0, 1.0, 0.0), "(λ)"),
    ] {
        let error = says(Growth::new(offer).unwrap_err());
        assert!(error.contains(named), "{named}: {error}");
    }
    // What is allowed gives numbers, however far apart they are.
    for (server, support) in [(1.0, 1e-320), (1e300, 1e-300), (0.0, 1e200), (1e-300, 1e100)] {
        let growth = Growth::new(offer(server, 1.0, support, 1e3)).unwrap();
        for t in [0.0, 0.5, 7.0, 1e6] {
            let all = [growth.supporters(t), growth.rejection(t), growth.peers(t), growth.clock_supporters(t)];
            assert!(all.iter().all(|number| *number >= 0.0), "{server} {support} at {t}: {all:?}");
        }
    }
    assert_eq!(says(growth.with_linger(Seconds::default()).unwrap_err()), "the mean linger (V) must be more than zero");
    assert_eq!(
        says(erlang::blocking(f64::NAN, 1).unwrap_err()),
        "the offered load (a) must be a finite number, not negative"
    );
    assert_eq!(says(erlang::blocking(1.0, u64::MAX).unwrap_err()), "the slots (n) must be at most 100000000");
    assert_eq!(
        says(Share::new(1.5).map_err(|error| error.of("--leaving")).unwrap_err()),
        "--leaving must be at most 1"
    );
}

fn lingering(json: &Value, name: &Value, intervals: &Value) -> Lingering {
    let cluster = of(json, name);
    let length = number(&json["growth"][name.as_str().unwrap()]["L"]);
    cluster.with_linger(Seconds::new(number(intervals) * length).unwrap()).unwrap()
}

/// α, from what two supporters make of capacity.
fn supported(growth: &Growth) -> f64 {
    (growth.capacity_bps(1.0) - growth.capacity_bps(0.0)) / growth.supporters(1.0)
}

fn tenth() -> Growth {
    let [server, session, support] = [1.0, 1.0, 0.1].map(|rate| Bps::new(rate).unwrap());
    let (arrivals, length) = (PerSecond::new(1.0).unwrap(), Seconds::new(100.0).unwrap());
    Growth::new(Offer { server, session, support, arrivals, length }).unwrap()
}

fn of(json: &Value, name: &Value) -> Growth {
    growth(&json["growth"][name.as_str().unwrap()])
}

fn list(v: &Value) -> &Vec<Value> {
    v.as_array().unwrap()
}

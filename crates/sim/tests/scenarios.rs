//! Small swarms, each a sentence about what must hold.

use trellis_sim::{Options, Report, Scenario, run};

fn report(text: &str) -> Report {
    let scenario = Scenario::parse(text).unwrap();
    let (report, _) = run(&scenario, scenario.seed, Options::default(), |_| {}).unwrap();
    println!("{}", report.table());
    report
}

#[test]
fn servers_alone_send_everything_once_to_everybody() {
    let text = "
        brain = 'server-only'
        duration_s = 30
        measure_from_s = 10
        [edge]
        budget_share = 1.5
        [viewers]
        count = 20
        stay_s = 0
        arrivals = { kind = 'ramp', over_s = 5 }";
    let report = report(text);
    assert_eq!((report.viewers_admitted, report.stalls, report.never_started), (20, 0, 0));
    assert!((report.server_share.unwrap() - 1.0).abs() < 0.05);
    assert!(report.start_up_p95_s.unwrap() < 2.0);
    assert!(report.delay_p99_s.unwrap() < 1.0);
}

#[test]
fn a_full_server_sends_viewers_away() {
    let text = "
        brain = 'server-only'
        duration_s = 40
        [edge]
        budget_share = 0.5
        [viewers]
        count = 20
        stay_s = 0
        patience_s = 20
        arrivals = { kind = 'ramp', over_s = 5 }";
    let report = report(text);
    assert_eq!((report.viewers_admitted, report.turned_away), (10, 10));
}

#[test]
fn the_same_seed_gives_the_same_run_with_real_bytes_and_simulated_ones() {
    let hash = |payload: &str, seed: u64| {
        let text = format!(
            "brain = 'server-only'\nduration_s = 20\nseed = {seed}\npayload = '{payload}'\n[viewers]\ncount = 8
            stay_s = 8\narrivals = {{ kind = 'ramp', over_s = 5 }}\n[edge]\nbudget_share = 1.5\n[net]\nloss = 0.01"
        );
        report(&text).trace_hash
    };
    assert_eq!(hash("simulated", 1), hash("simulated", 1));
    assert_eq!(hash("simulated", 1), hash("real", 1));
    assert_ne!(hash("simulated", 1), hash("simulated", 2));
}

#[test]
fn a_small_live_swarm_carries_most_of_itself_and_keeps_every_rule() {
    let text = "
        duration_s = 80
        measure_from_s = 50
        payload = 'simulated'
        [edge]
        budget_share = 0.5
        [viewers]
        count = 40
        stay_s = 0
        upload_times_demand = 2
        arrivals = { kind = 'ramp', over_s = 40 }";
    let report = report(text);
    assert_eq!(report.violations, Vec::<String>::new());
    assert_eq!((report.viewers_admitted, report.never_started), (40, 0));
    assert!(report.offload.unwrap() > 0.5, "{:?}", report.offload);
    assert!(report.stalled_share.unwrap() < 0.001, "{:?}", report.stalled_share);
    assert!(report.control_share.unwrap() < 0.03, "{:?}", report.control_share);
}

#[test]
fn pull_only_and_trees_only_can_stream_too() {
    for mesh in ["pull", "trees"] {
        let text = format!(
            "mesh = '{mesh}'\nduration_s = 50\nmeasure_from_s = 30\npayload = 'simulated'\n[edge]\nbudget_share = 0.6
            [viewers]\ncount = 30\nstay_s = 0\nupload_times_demand = 2\narrivals = {{ kind = 'ramp', over_s = 20 }}"
        );
        let report = report(&text);
        assert_eq!(report.violations, Vec::<String>::new());
        assert_eq!((report.viewers_admitted, report.never_started), (30, 0), "{mesh}");
        assert!(report.offload.unwrap() > 0.3, "{mesh}: {:?}", report.offload);
    }
}

#[test]
fn what_holds_no_longer_is_told_and_what_was_never_reached_is_only_missed() {
    let text = "duration_s = 20\n[viewers]\ncount = 3\n[edge]\nbudget_share = 2.0\n[goal]\nstart_up_p95_s_max = 0.0
        [holds]\ndelay_p50_s_max = 0.0\nnever_started_max = 0";
    let report = report(text);
    assert_eq!((report.failed.len(), report.regressed.len()), (1, 1));
    assert!(report.failed[0].starts_with("start_up_p95_s") && report.regressed[0].starts_with("delay_p50_s"));
}

#[test]
fn nobody_plays_a_wrong_byte_however_many_send_them() {
    let text = "
        duration_s = 40
        payload = 'real'
        [edge]
        budget_share = 1.0
        [viewers]
        count = 16
        stay_s = 0
        polluter_share = 0.3
        upload_times_demand = 2
        arrivals = { kind = 'ramp', over_s = 10 }";
    let report = report(text);
    assert_eq!(report.violations, Vec::<String>::new());
    assert!(report.whole["polluted_chunks"].as_u64().unwrap() > 0);
    assert!(report.cut_off > 0);
}

#[test]
fn the_brain_repeats_itself_event_by_event_also_when_things_break() {
    let hash = |payload: &str| {
        let text = format!(
            "duration_s = 30\npayload = '{payload}'\n[edge]\nbudget_share = 0.6\n[viewers]\ncount = 15\nstay_s = 20
            vanish_share = 0.3\narrivals = {{ kind = 'poisson', mean_s = 0.5 }}\n[net]\nloss = 0.005
            [[fault]]\nkind = 'control-loss'\nat_s = 15\nshare = 0.5\n[[fault]]\nkind = 'crash'\nat_s = 20\nshare = 0.3"
        );
        report(&text).trace_hash
    };
    assert_eq!(hash("simulated"), hash("simulated"));
    assert_eq!(hash("simulated"), hash("real"));
}

#[test]
fn every_scenario_that_ships_can_be_read_and_says_what_it_shows() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scenarios");
    let mut count = 0;
    for file in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        let scenario = Scenario::load(&file).unwrap_or_else(|why| panic!("{}: {why}", file.display()));
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(text.starts_with('#') && text.contains("Shows: ") && !scenario.about.is_empty(), "{}", file.display());
        let quick = Scenario::load_quick(&file).unwrap_or_else(|why| panic!("{}: {why}", file.display()));
        assert_ne!(quick.holds, Default::default(), "{} cut down says nothing that must hold", file.display());
        count += 1;
    }
    assert!(count >= 12, "{count} scenarios");
}

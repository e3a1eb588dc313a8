//! Do scripts get from `trellis model` and `trellis plan` what docs/model.md promises them?

use std::process::{Command, Output};

use serde_json::{Value, json};

/// The example of the documentation: P1 of the model's golden numbers.
const P1: &str = "--server-bandwidth 100M --rate 500k --contribution 250k --arrivals 1 --length 3600";
/// And P2.
const P2: &str = "--server-bandwidth 10M --rate 1M --contribution 1M --arrivals 0.5 --length 2000";

#[test]
fn sgp_prints_the_golden_numbers_under_these_keys_and_no_others() {
    let answer = printed(&format!("model sgp {P1} --json"));
    let golden = golden();
    // There in kbit/s.
    let bits = |kbits: &Value| json!(kbits.as_f64().unwrap() * 1e3);
    let capacity: Vec<_> = golden["cap"].as_array().unwrap().iter().map(bits).collect();
    let expected = json!({
        "server_bandwidth": 1e8, "rate": 5e5, "contribution": 2.5e5, "arrivals": 1.0, "length": 3600.0,
        "offered": golden["a"], "demand": bits(&golden["D"]), "growth": golden["g"],
        "t0": golden["t0"], "t0_seconds": golden["t0_s"], "tg": golden["tg"], "tg_seconds": golden["tg_s"],
        "k": golden["K"], "k_seconds": 28_800.0,
        "t_cap": golden["T_cap"], "t_cap_seconds": 29_165.625, "k_handoff": golden["K_handoff"],
        "supporting_at_tg": golden["S_tg"], "peers_at_tg": golden["N_tg"], "rejected_total": golden["rejected_fluid"],
        "assignment": null,
        "reject_by_interval": golden["R"], "supporting_by_interval": golden["S"], "capacity_by_interval": capacity,
    });
    same("", &answer, &expected);
}

#[test]
fn sgp_counts_whole_sessions_when_told_who_may_serve_one() {
    for (assignment, golden_key) in
        [("strict", "S_int_strict"), ("mixed", "S_int_mixed"), ("integral", "S_int_integral")]
    {
        let answer = printed(&format!("model sgp {P1} --json --assignment {assignment}"));
        assert_eq!(answer["supporting_by_interval"], golden()[golden_key], "{assignment}");
        assert_eq!(answer["assignment"], assignment);
        same("", &answer["rejected_total"], &golden()["rejected_fluid"]);
    }
}

#[test]
fn what_never_comes_is_null_and_an_empty_cell() {
    let nobody_gives = "--server-bandwidth 1M --rate 500k --contribution 0 --arrivals 1 --length 3600";
    let answer = printed(&format!("model sgp {nobody_gives} --json"));
    for key in ["tg", "tg_seconds", "k", "t_cap", "supporting_at_tg", "peers_at_tg", "rejected_total"] {
        assert_eq!(answer[key], Value::Null, "{key}");
    }
    let csv = told(&trellis(&format!("model sgp {P1} --csv --intervals 2")));
    assert_eq!(
        csv,
        "interval,supporting,capacity,reject\n0,0,100000000,0.9444444444444444\n1,200,150000000,0.9166666666666666\n"
    );
}

#[test]
fn the_process_agrees_with_the_formula() {
    let answer = printed(&format!("model reject {P2} --runs 12 --json"));
    assert_eq!(
        answer["simulated"],
        printed(&format!("model reject {P2} --runs 12 --json"))["simulated"],
        "from one seed"
    );
    let k = answer["k"].as_u64().unwrap() as usize;
    for interval in 0..k {
        let (formula, counted) =
            (&answer["reject_by_interval"][interval], &answer["simulated"]["reject_by_interval"][interval]);
        let off = (formula.as_f64().unwrap() - counted["mean"].as_f64().unwrap()).abs();
        assert!(off < 0.02, "interval {interval}: {formula} and {counted}");
    }
}

#[test]
fn layers_bounds_and_plans_answer() {
    let layers = printed("model bottleneck --peers 1000 --layers 100k,150k,250k --json");
    assert_eq!((&layers["bottleneck"], &layers["client_server"]), (&json!(100_400_000.0), &json!(500_000_000.0)));
    let bounds = printed("model bounds --server-bandwidth 10M --rate 1M --peers 4 --upload-mix 1M --json");
    assert_eq!((&bounds["r_max"], &bounds["delay_slots"]), (&json!(3_500_000.0), &json!(3)));
    let plan = printed("plan --viewers 50000 --bitrate 3M --upload-mix 50%:0,50%:4M --edges 40x1G --json");
    assert_eq!((&plan["enough"], &plan["guaranteed_after_seconds"]), (&json!(false), &Value::Null));
    let names: Vec<_> = plan["what_if"].as_array().unwrap().iter().map(|row| row["name"].as_str().unwrap()).collect();
    assert!(names.contains(&"uploads halved") && names.contains(&"an edge lost"), "{names:?}");
    let steady = |at: usize| plan["what_if"][at]["server_steady"].as_f64().unwrap();
    let twice = names.iter().position(|name| *name == "twice the viewers").unwrap();
    assert!((steady(twice) / steady(0) - 2.0).abs() < 0.01, "{} {}", steady(twice), steady(0));
    let served = printed("plan --viewers 50000 --bitrate 3M --upload-mix 50%:0,50%:4M --json");
    assert_eq!((&served["enough"], &served["guaranteed_after_seconds"]), (&json!(true), &json!(0.0)));
}

#[test]
fn figures_are_drawn() {
    let folder = tempfile::tempdir().unwrap();
    told(&trellis(&format!("model figures {P1} --runs 2 --out {}", folder.path().join("new").display())));
    for (name, begins) in [("figure2.svg", b"<svg".as_slice()), ("figure3.png", b"\x89PNG")] {
        assert!(std::fs::read(folder.path().join("new").join(name)).unwrap().starts_with(begins), "{name}");
    }
}

#[test]
fn the_committed_report_and_figures_are_what_the_library_says() {
    let documentation = include_str!("../../../docs/model.md");
    let figures = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/figures");
    let folder = tempfile::tempdir().unwrap();
    for (name, short, flags) in [("growth", "p2", P2), ("growth-p1", "p1", P1)] {
        let (_, report) = documentation.split_once(&format!("<!-- three ways: {name} -->")).unwrap();
        let (report, _) = report.split_once(&format!("<!-- end: {name} -->")).unwrap();
        let cells = |line: &str| line.split('|').skip(2).map(|cell| cell.trim().replace(',', "")).collect::<Vec<_>>();
        let rows: Vec<_> = report.lines().filter(|line| line.starts_with("| closed form |")).map(cells).collect();
        let [refused, supporting, once] = &rows[..] else { panic!("{name}: {rows:?}") };
        let answer = printed(&format!("model sgp {flags} --json"));
        let said = |key: &str, digits: usize| -> Vec<String> {
            let told = |value: &Value| format!("{:.digits$}", value.as_f64().unwrap());
            answer[key].as_array().map_or_else(|| vec![told(&answer[key])], |all| all.iter().map(told).collect())
        };
        let intervals = refused.len() - 1;
        assert_eq!(refused[..intervals], said("reject_by_interval", 3)[..intervals], "{name}: run `just model-report`");
        assert_eq!(supporting[..intervals], said("supporting_by_interval", 0)[..intervals], "{name}");
        assert_eq!(once[..3], [said("t0", 3), said("k", 3), said("rejected_total", 0)].concat(), "{name}");
        assert!(intervals as u64 > answer["k"].as_u64().unwrap(), "{name}: the interval in which nobody is refused");
        told(&trellis(&format!("model figures {flags} --runs 0 --out {}", folder.path().display())));
        let drawn = |path: std::path::PathBuf| std::fs::read_to_string(path).unwrap();
        let (committed, drawn) =
            (drawn(figures.join(format!("{short}-figure2.svg"))), drawn(folder.path().join("figure2.svg")));
        assert!(committed == drawn, "{short}-figure2.svg: run `just model-report`");
    }
}

#[test]
fn a_report_needs_what_was_measured_of_its_scenario() {
    let scenario = concat!(env!("CARGO_MANIFEST_DIR"), "/../../scenarios/growth.toml");
    let folder = tempfile::tempdir().unwrap();
    let measured = folder.path().join("other.json");
    for (json, says) in [("[]", "is not of growth"), ("{}", "--measured")] {
        std::fs::write(&measured, json).unwrap();
        let output = trellis(&format!("model report {scenario} --measured {}", measured.display()));
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && error.contains(says), "{json}: {error}");
    }
}

#[test]
fn every_key_and_flag_stands_in_the_documentation() {
    let documentation = include_str!("../../../docs/model.md");
    let stands = |name: &str, command: &str| assert!(documentation.contains(&format!("`{name}`")), "{command}: {name}");
    for command in [
        format!("model sgp {P1}"),
        format!("model reject {P1} --runs 2"),
        "model bottleneck --peers 10 --layers 1M".into(),
        "model bounds --server-bandwidth 1M --rate 1M --peers 9 --upload-mix 1M".into(),
        "plan --viewers 10 --bitrate 3M".into(),
    ] {
        let answer = printed(&format!("{command} --json"));
        for key in [&answer, &answer["simulated"], &answer["cost"]].into_iter().filter_map(Value::as_object).flatten() {
            stands(key.0, &command);
        }
    }
    for command in
        ["model sgp", "model reject", "model bottleneck", "model bounds", "model figures", "model report", "plan"]
    {
        let help = told(&trellis(&format!("{command} --help")));
        let flags =
            help.split_whitespace().filter(|word| word.starts_with("--") && word.len() > 2 && *word != "--help");
        for flag in flags.map(|flag| flag.trim_end_matches(|last: char| !last.is_ascii_alphanumeric())) {
            assert!(documentation.contains(flag), "{command}: {flag}");
        }
    }
}

#[test]
fn every_answer_can_be_drawn() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let bounds = "bounds --server-bandwidth 10G --rate 3M --peers 5000 --upload-mix 40%:0,60%:5M --overhead 3%";
    for (question, shows) in [
        (format!("sgp {P1}"), "mostly peers"),
        (format!("reject {P1} --runs 2"), "simulated: 95 %"),
        ("bottleneck --peers 1000 --layers 100k,150k,250k --upload 100k".into(), "with these uploads"),
        (bounds.into(), "this server, 10 Gbit/s"),
    ] {
        let plot = format!("--plot {} --plot {}", at("a.svg").display(), at("a.PNG").display());
        let drawn = printed(&format!("model {question} --json {plot}"));
        assert_eq!(drawn, printed(&format!("model {question} --json")), "{question}");
        let svg = std::fs::read_to_string(at("a.svg")).unwrap();
        assert!(svg.contains(shows) && svg.contains("prefers-color-scheme:dark"), "{question}");
        assert!(std::fs::read(at("a.PNG")).unwrap().starts_with(b"\x89PNG"), "{question}");
    }
}

#[test]
fn figures_are_drawn_though_the_process_cannot_be_simulated() {
    let folder = tempfile::tempdir().unwrap();
    let slow = "--server-bandwidth 10 --rate 0.1 --contribution 0.1 --arrivals 1 --length 3600";
    for (cluster, why) in
        [(slow, "(β), in whole bit/s"), (&P1.replace("--arrivals 1", "--arrivals 1000000"), "50000000")]
    {
        let output = trellis(&format!("model figures {cluster} --out {}", folder.path().display()));
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success() && said.contains(why), "{said}");
        assert!(!std::fs::read_to_string(folder.path().join("figure3.svg")).unwrap().contains("simulated"));
    }
}

#[test]
fn each_number_of_a_series_says_how_many_runs_had_it() {
    let ample = "--server-bandwidth 1G --rate 1M --contribution 1M --arrivals 0.25 --length 2000";
    let simulated = &printed(&format!("model reject {ample} --runs 3 --json"))["simulated"];
    assert_eq!((&simulated["runs"], &simulated["rejected_total"]["runs"]), (&json!(3), &json!(3)));
    assert_eq!((&simulated["first_refusal"]["runs"], &simulated["first_refusal"]["mean"]), (&json!(0), &Value::Null));
}

#[test]
fn a_viewer_who_gives_nothing_slows_nobody_down_and_losses_count_in_every_bound() {
    let bounds = |mix: &str, more: &str| {
        printed(&format!("model bounds --server-bandwidth 1M --rate 1M --peers 1000 --upload-mix {mix} --json{more}"))
    };
    let seconds = |answer: &Value| answer["delay_seconds"].as_f64().unwrap();
    assert_eq!(seconds(&bounds("5M", "")), seconds(&bounds("40%:0,60%:5M", "")));
    assert_eq!(bounds("0", "")["delay_seconds"], Value::Null, "nobody can");
    let universal = |more: &str| bounds("50%:0,50%:3M", more)["universal"].as_f64().unwrap();
    assert!(universal("") > 0.999, "{}", universal(""));
    let wide = "model bounds --server-bandwidth 100M --rate 2M --peers 1000 --upload-mix 40%:0,60%:5M --json";
    assert_eq!(printed(wide)["universal"], 1.0, "and no more");
    // 0.66 × 3 are fewer than two.
    assert!(universal(" --utilization 66%") < 0.6);
    assert_eq!(universal(" --overhead 1%"), 0.0, "the server has not even one copy");
}

#[test]
fn a_cdn_is_not_billed_with_what_the_mesh_adds() {
    let cdn = |overhead: &str| {
        let plan = printed(&format!("plan --viewers 1000 --bitrate 1M --overhead {overhead} --json"));
        (plan["cost"]["cdn"].as_f64().unwrap(), plan["delivered_bytes"].as_f64().unwrap())
    };
    let ((without, media), (with, all)) = (cdn("0%"), cdn("50%"));
    assert!((with / without - 1.0).abs() < 1e-9 && all > 1.4 * media, "{without} {with}, {media} {all}");
}

#[test]
fn errors_name_the_flag_and_what_is_allowed() {
    for (command, says) in [
        (format!("model sgp {P1}").replace("--rate 500k", "--rate 0"), ["--rate", "more than zero"]),
        (format!("model reject {P1} --runs 1"), ["--runs", "2..="]),
        (format!("model figures {P1} --out Cargo.toml/figures"), ["--out", "Cargo.toml/figures"]),
        ("model bottleneck --layers 1M,2M --subscribers 5".into(), ["--subscribers", "each of the 2 --layers"]),
        ("model bottleneck --layers 100k --subscribers 0".into(), ["--subscribers", "nobody takes the base"]),
        ("model bottleneck --layers 1e308,1e308 --peers 10".into(), ["--layers", "too much"]),
        (
            format!("model bottleneck --layers 100k --subscribers {} --upload 1e308", u64::MAX),
            ["--upload", "bandwidth"],
        ),
        (
            "model bounds --server-bandwidth 1M --rate 1M --peers 9 --upload-mix 40%:1M".into(),
            ["--upload-mix", "sum to 100 %"],
        ),
        ("plan --viewers 10 --bitrate 3M --edges 0x1G".into(), ["--edges", "500M or 4x1G"]),
        (format!("model sgp {P1} --plot figure.pdf"), ["--plot", ".svg or .png"]),
        (format!("model sgp {P1}").replace("--rate 500k", "--rate -1M"), ["--rate", "`-1M` is not a rate"]),
        (format!("model reject {P1} --steps -1"), ["--steps", "-1"]),
        ("model bottleneck --peers -1 --layers 1M".into(), ["--peers", "-1"]),
        ("model bottleneck --peers 1 --layers -1".into(), ["--layers", "`-1` is not a rate"]),
        (
            "model bounds --server-bandwidth 1M --rate 1M --peers 9 --upload-mix 1M --latency -1".into(),
            ["--latency", "`-1` is not a time"],
        ),
        ("plan --viewers 10 --bitrate 3M --price-cdn -1".into(), ["--price-cdn", "`-1` is not a price"]),
        ("plan --viewers 10 --bitrate 3M --stay 1e300".into(), ["--stay", "the stay, s, must be at most"]),
        (
            format!("model sgp {P1}").replace("--contribution 250k", "--contribution 1e308"),
            ["--contribution", "what a peer gives (α)"],
        ),
    ] {
        let output = trellis(&command);
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && says.iter().all(|part| error.contains(part)), "{command}: {error}");
    }
}

fn golden() -> Value {
    let vectors: Value = serde_json::from_str(include_str!("../../model/tests/vectors.json")).unwrap();
    vectors["growth"]["P1"].clone()
}

/// The same to 1e-9 of each number, with the same keys.
fn same(at: &str, is: &Value, expected: &Value) {
    match (is, expected) {
        (Value::Number(is), Value::Number(expected)) => {
            let (is, expected) = (is.as_f64().unwrap(), expected.as_f64().unwrap());
            assert!((is - expected).abs() <= 1e-9 * expected.abs().max(1.0), "{at}: {is}, not {expected}");
        }
        (Value::Array(is), Value::Array(expected)) => {
            assert_eq!(is.len(), expected.len(), "{at}");
            is.iter()
                .zip(expected)
                .enumerate()
                .for_each(|(k, (is, expected))| same(&format!("{at}[{k}]"), is, expected));
        }
        (Value::Object(is), Value::Object(expected)) => {
            assert_eq!(is.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
            is.iter().for_each(|(key, is)| same(key, is, &expected[key]));
        }
        _ => assert_eq!(is, expected, "{at}"),
    }
}

fn printed(command: &str) -> Value {
    serde_json::from_str(&told(&trellis(command))).unwrap()
}

fn told(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn trellis(command: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_trellis")).args(command.split(' ')).output().unwrap()
}

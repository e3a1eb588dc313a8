//! What is different between two runs? Figure by figure, what changed and by how much.

use serde_json::Value;

/// Figures that differ between any two runs and say nothing of the brain.
const OF_THE_MACHINE: [&str; 5] = ["wall_s", "core_s", "events_per_s", "simulated_s_per_s", "viewers_in_real_time"];

/// A table of the figures that differ, from two reports as JSON; or why it cannot be made.
pub fn compare(base: &str, new: &str) -> Result<String, String> {
    let parse = |text: &str, which| -> Result<serde_json::Map<String, Value>, String> {
        match serde_json::from_str(text) {
            Ok(Value::Object(figures)) => Ok(figures),
            Ok(_) => Err(format!("the {which} file is no report")),
            Err(why) => Err(format!("the {which} file is no JSON: {why}")),
        }
    };
    let (base, new) = (parse(base, "first")?, parse(new, "second")?);
    let name = |report: &serde_json::Map<String, Value>| {
        let text = |key| report.get(key).and_then(Value::as_str).unwrap_or("?").to_string();
        let seed = report.get("seed").and_then(Value::as_u64).unwrap_or(0);
        format!("{}, {}, seed {seed}, {}", text("scenario"), text("mesh"), text("payload"))
    };
    let (mut text, other) = (name(&base), name(&new));
    if other != text {
        text += &format!(" against {other}");
    }
    text += "\n";
    let mut same = 0;
    for (key, before) in &base {
        let (Some(a), Some(b)) = (before.as_f64(), new.get(key).and_then(Value::as_f64)) else { continue };
        if a == b {
            same += 1;
        } else if key != "seed" {
            let note = if OF_THE_MACHINE.contains(&key.as_str()) { "  (of this machine)" } else { "" };
            text += &format!("  {key:<26} {:>14} → {:<14} {}{note}\n", plain(a), plain(b), change(a, b));
        }
    }
    let hash = |report: &serde_json::Map<String, Value>| report.get("trace_hash").cloned();
    text += &format!("  {same} figures are the same\n");
    text += if hash(&base) == hash(&new) { "  the same run, event by event\n" } else { "  not the same run\n" };
    Ok(text)
}

fn plain(value: f64) -> String {
    if value.fract() == 0.0 && value.abs() < 1e15 { format!("{value}") } else { format!("{value:.4}") }
}

fn change(before: f64, after: f64) -> String {
    if before == 0.0 { String::new() } else { format!("{:+.1} %", (after / before - 1.0) * 100.0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_is_told_and_what_is_no_report_is_refused() {
        let base = r#"{"scenario":"a","payload":"x","seed":1,"trace_hash":"1","offload":0.5,"stalls":4,"wall_s":1.5}"#;
        let new = r#"{"scenario":"a","mesh":"pull","payload":"x","seed":1,"trace_hash":"2","offload":0.75,"stalls":4,"wall_s":3.0}"#;
        let text = compare(base, new).unwrap();
        assert!(text.contains("0.5000 → 0.7500         +50.0 %"), "{text}");
        assert!(text.contains("+100.0 %  (of this machine)") && text.contains("2 figures are the same"), "{text}");
        assert!(
            text.contains("not the same run") && text.contains("a, ?, seed 1, x against a, pull, seed 1, x"),
            "{text}"
        );
        assert!(compare(base, base).unwrap().contains("event by event"));
        assert!(compare("[]", base).is_err() && compare(base, "{").is_err());
    }
}

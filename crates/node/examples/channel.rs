//! What does a data channel between two native peers carry, and what does it cost? Prints a line per message size, for
//! people and for `bench/run channel`.

use std::time::Duration;

fn main() {
    println!("{:>8} {:>10} {:>22} {:>22}", "bytes", "Mbit/s", "sender, CPU s/Gbit", "receiver, CPU s/Gbit");
    for message in [4 * 1024, 16 * 1024 - 64, 64 * 1024] {
        match trellis_node::measure::channel_carries(message, Duration::from_secs(5)) {
            Ok(figures) => println!(
                "{message:>8} {:>10.0} {:>22.3} {:>22.3}",
                figures.bps / 1e6,
                figures.sender_s,
                figures.receiver_s
            ),
            Err(why) => println!("{message:>8} {why}"),
        }
    }
}

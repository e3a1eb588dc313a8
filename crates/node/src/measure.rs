//! How much does a data channel carry, and what does it cost? Two ends on loopback, each on a thread of its own; for
//! `examples/channel.rs`.

use std::net::Ipv4Addr;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use bytes::Bytes;
use trellis_proto::frame::PeerId;
use trellis_proto::signal::Signal;

use crate::links::{Event, Links};
use crate::sockets::Sockets;

/// One direction, for a while.
#[derive(Debug, Clone, Copy)]
pub struct Figures {
    /// What arrived, bit/s.
    pub bps: f64,
    /// CPU seconds of the sending end per Gbit.
    pub sender_s: f64,
    /// And of the receiving end.
    pub receiver_s: f64,
}

/// Sends messages of so many bytes as fast as they are taken, for so long.
///
/// # Errors
/// When the two ends cannot be linked.
pub fn channel_carries(message: usize, time: Duration) -> Result<Figures, String> {
    let ((to_sender, from_receiver), (to_receiver, from_sender)) = (channel(), channel());
    let sender = std::thread::spawn(move || End::run(Role::Sends(message), time, to_receiver, from_receiver));
    let receiver = std::thread::spawn(move || End::run(Role::Receives, time, to_sender, from_sender));
    let ended = |end: std::thread::JoinHandle<_>| end.join().unwrap_or_else(|_| Err("it panicked".into()));
    let (sent, received) = (ended(sender), ended(receiver));
    let sent = sent.map_err(|why| format!("at the sender: {why}"))?;
    let received = received.map_err(|why| format!("at the receiver: {why}"))?;
    let gbit = received.bytes as f64 * 8.0 / 1e9;
    Ok(Figures { bps: gbit * 1e9 / received.took_s, sender_s: sent.cpu_s / gbit, receiver_s: received.cpu_s / gbit })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Sends(usize),
    Receives,
}

struct End {
    bytes: u64,
    took_s: f64,
    cpu_s: f64,
}

impl End {
    fn run(role: Role, time: Duration, out: Sender<Signal>, signals: Receiver<Signal>) -> Result<Self, String> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| e.to_string())?;
        runtime.block_on(Self::work(role, time, out, signals))
    }

    async fn work(role: Role, time: Duration, out: Sender<Signal>, signals: Receiver<Signal>) -> Result<Self, String> {
        let other = PeerId(if role == Role::Receives { 1 } else { 2 });
        let sockets = Sockets::bind(Some(Ipv4Addr::LOCALHOST.into())).await.map_err(|error| error.to_string())?;
        let begin = Instant::now();
        let mut links = Links::new(sockets, None, begin);
        if role != Role::Receives {
            links.dial(begin, other);
        }
        let (mut bytes, mut since, mut room) = (0, None, 0i64);
        loop {
            let now = Instant::now();
            signals.try_iter().for_each(|signal| links.on_signal(now, other, signal));
            links.receive(now);
            if links.wake_at().is_some_and(|at| at <= now) {
                links.on_time(now);
            }
            // What is under way is told of a moment: before more is sent it has to be heard.
            loop {
                while let Some(event) = links.poll() {
                    match event {
                        Event::Signal(_, signal) => drop(out.send(signal)),
                        Event::Up(_) => (since, room) = (Some((now, cpu_s())), UNDER_WAY),
                        Event::Message(_, message) => bytes += message.len() as u64,
                        Event::Unsent(_, unsent) => room = UNDER_WAY - i64::from(unsent),
                        Event::Seen(_) => {}
                        Event::Down(_) => return Err("the link broke".into()),
                    }
                }
                let (Role::Sends(size), Some(_), true) = (role, since, room > 0) else { break };
                links.send(now, other, Bytes::from(vec![7; size]), Some(size));
                room -= size as i64;
            }
            match since {
                Some((start, cpu)) if now > start + time => {
                    return Ok(Self { bytes, took_s: (now - start).as_secs_f64(), cpu_s: cpu_s() - cpu });
                }
                None if now > begin + Duration::from_secs(5) => return Err("no link".into()),
                _ => {}
            }
            let wake = links.wake_at().unwrap_or(now + PAUSE).min(now + PAUSE);
            tokio::select! {
                () = links.readable() => {}
                () = tokio::time::sleep_until(wake.into()) => {}
            }
        }
    }
}

/// Of this thread, from what the kernel counts in hundredths.
fn cpu_s() -> f64 {
    let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap_or_default();
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let field = |at: usize| after_name.split_whitespace().nth(at).and_then(|text| text.parse::<f64>().ok());
    (field(11).unwrap_or(0.0) + field(12).unwrap_or(0.0)) / 100.0
}

/// More than the connection takes at once, so that it never waits for us.
const UNDER_WAY: i64 = 256 * 1024;
const PAUSE: Duration = Duration::from_millis(5);

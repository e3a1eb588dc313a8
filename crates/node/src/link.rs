//! One data channel to one other peer: how it comes to be, what waits to be sent on it, and what is under way.
//!
//! Invariant: after everything that is done to the connection, all it has to say is taken from it (`drain`), so that its
//! next deadline is always known. What waits is bounded: whoever takes nothing is no neighbor.

use std::collections::VecDeque;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use bytes::Bytes;
use str0m::change::{SdpAnswer, SdpOffer, SdpPendingOffer};
use str0m::channel::{ChannelConfig, ChannelId, Reliability};
use str0m::config::DtlsCert;
use str0m::{Candidate, Event, IceConnectionState, Input, Output, Rtc};
use trellis_proto::limits::FRAME_BYTES_MAX;

use crate::pace::Pace;
use crate::sockets::Sockets;

/// One connection, being made or made.
pub struct Link {
    rtc: Rtc,
    channel: Option<ChannelId>,
    /// Our offer, until it is answered.
    offered: Option<SdpPendingOffer>,
    /// The caller's number for this attempt.
    pub dial: u32,
    /// Connections are numbered as they begin: of two between the same sockets the newer one counts.
    pub number: u64,
    stage: Stage,
    /// Candidates that came before the answer did.
    early: Vec<Candidate>,
    candidates: usize,
    control: VecDeque<Bytes>,
    chunks: VecDeque<Bytes>,
    waiting_bytes: usize,
    /// What the brain thinks is under way, and since when.
    told: Told,
    next: Instant,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Until then at most.
    Dialling(Instant),
    Open,
    Over,
}

#[derive(Debug, Clone, Copy)]
struct Told {
    bytes: u32,
    at: Instant,
    /// It is something else by now, and too early to say so.
    stale: bool,
}

/// What a connection said.
#[derive(Debug)]
pub enum Heard {
    /// The channel is open.
    Open,
    /// A message came.
    Message(Bytes),
}

/// Nothing can be made of what the other sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unusable;

impl Link {
    /// An offer, and the connection that waits for its answer.
    pub fn call(dial: u32, number: u64, hosts: &[Candidate], now: Instant) -> Option<(Self, String)> {
        let mut link = Self::new(dial, number, hosts, now);
        let mut change = link.rtc.sdp_api();
        link.channel = Some(change.add_channel_with_config(channel()));
        let (offer, pending) = change.apply()?;
        link.offered = Some(pending);
        Some((link, offer.to_sdp_string()))
    }

    /// A connection from an offer, and the answer to it.
    pub fn answer(
        dial: u32,
        number: u64,
        hosts: &[Candidate],
        sdp: &str,
        now: Instant,
    ) -> Result<(Self, String), Unusable> {
        let mut link = Self::new(dial, number, hosts, now);
        let offer = SdpOffer::from_sdp_string(&resolved(sdp)).map_err(|_| Unusable)?;
        let answer = link.rtc.sdp_api().accept_offer(offer).map_err(|_| Unusable)?;
        link.channel = Some(link.rtc.direct_api().create_data_channel(channel()));
        Ok((link, answer.to_sdp_string()))
    }

    fn new(dial: u32, number: u64, hosts: &[Candidate], now: Instant) -> Self {
        let mut config = Rtc::builder()
            .clear_codecs()
            .set_mtu(DATAGRAM_BYTES..=DATAGRAM_BYTES)
            .set_sctp_max_buffered_amount(SEND_BUFFER_BYTES)
            .set_sctp_max_message_size(FRAME_BYTES_MAX as u32);
        // A peer that is gone is noticed in some seconds.
        config.set_max_stun_rto(Duration::from_millis(1_500));
        config.set_max_stun_retransmits(6);
        if let Some(certificate) = certificate() {
            config = config.set_dtls_cert(certificate.clone());
        }
        let mut rtc = config.build(now);
        hosts.iter().for_each(|host| {
            rtc.add_local_candidate(host.clone());
        });
        Self {
            rtc,
            channel: None,
            offered: None,
            dial,
            number,
            stage: Stage::Dialling(now + PATIENCE),
            early: Vec::new(),
            candidates: 0,
            control: VecDeque::new(),
            chunks: VecDeque::new(),
            waiting_bytes: 0,
            told: Told { bytes: 0, at: now, stale: false },
            next: now,
        }
    }

    /// The answer to our offer.
    pub fn on_answer(&mut self, sdp: &str) {
        // A second answer is of no meaning.
        let Some(pending) = self.offered.take() else { return };
        let answer = SdpAnswer::from_sdp_string(&resolved(sdp)).ok();
        match answer.and_then(|answer| self.rtc.sdp_api().accept_answer(pending, answer).ok()) {
            Some(()) => {
                std::mem::take(&mut self.early).into_iter().for_each(|early| self.rtc.add_remote_candidate(early))
            }
            None => self.stage = Stage::Over,
        }
    }

    /// An address of the other. One of a name (`….local`) cannot be resolved here and need not be: the other's own checks
    /// tell where it is.
    pub fn on_candidate(&mut self, text: &str) {
        self.candidates += 1;
        let candidate = Candidate::from_sdp_string(text.trim_start_matches("a=")).ok();
        let Some(candidate) = candidate.filter(|_| self.candidates <= CANDIDATES_MAX) else { return };
        match self.offered {
            Some(_) => self.early.push(candidate),
            None => self.rtc.add_remote_candidate(candidate),
        }
    }

    /// Is this datagram part of it?
    pub fn accepts(&self, input: &Input<'_>) -> bool {
        self.rtc.accepts(input)
    }

    /// A datagram came, or time passed.
    pub fn handle(&mut self, input: Input<'_>) {
        if self.rtc.handle_input(input).is_err() {
            self.stage = Stage::Over;
        }
    }

    /// Takes all it has to say; datagrams go out.
    pub fn drain(&mut self, sockets: &mut Sockets, mut hear: impl FnMut(Heard)) {
        loop {
            match self.rtc.poll_output() {
                Ok(Output::Timeout(next)) => {
                    self.next = next;
                    break;
                }
                Ok(Output::Transmit(datagram)) => sockets.put(datagram.destination, &datagram.contents),
                Ok(Output::Event(event)) => self.on_event(event, &mut hear),
                Err(_) => {
                    self.stage = Stage::Over;
                    break;
                }
            }
        }
        sockets.flush();
        if !self.rtc.is_alive() {
            self.stage = Stage::Over;
        }
    }

    fn on_event(&mut self, event: Event, hear: &mut impl FnMut(Heard)) {
        match event {
            Event::ChannelOpen(id, _) if Some(id) == self.channel => {
                self.stage = Stage::Open;
                hear(Heard::Open);
            }
            Event::ChannelData(data) if Some(data.id) == self.channel && data.binary => {
                hear(Heard::Message(data.data.into()));
            }
            // There is one channel, for binary messages; who does otherwise is no peer of ours.
            Event::ChannelOpen(..) | Event::ChannelData(_) | Event::ChannelClose(_) => self.stage = Stage::Over,
            Event::IceConnectionStateChange(IceConnectionState::Disconnected) => self.stage = Stage::Over,
            _ => {}
        }
    }

    /// Puts a message in line. False: too much waits already.
    pub fn push(&mut self, message: Bytes, chunk: Option<usize>) -> bool {
        if self.waiting_bytes + message.len() > WAITING_BYTES_MAX {
            return false;
        }
        self.waiting_bytes += message.len();
        match chunk {
            Some(payload) => {
                // The brain counts what it hands over by itself.
                self.told.bytes = self.told.bytes.saturating_add(payload as u32);
                self.chunks.push_back(message);
            }
            None => self.control.push_back(message),
        }
        true
    }

    /// Sends what waits as far as the connection and the pace allow; words before media.
    pub fn flush(&mut self, now: Instant, pace: &mut Pace, sockets: &mut Sockets, mut hear: impl FnMut(Heard)) {
        while self.stage == Stage::Open {
            let paced = self.control.is_empty();
            let Some(message) = self.control.front().or(self.chunks.front()).cloned() else { break };
            if paced && !pace.is_open(now) || !self.write(&message) {
                break;
            }
            if paced {
                pace.spend(message.len());
                self.chunks.pop_front();
            } else {
                self.control.pop_front();
            }
            self.waiting_bytes -= message.len();
            self.drain(sockets, &mut hear);
        }
    }

    /// False: it has no room now.
    fn write(&mut self, message: &[u8]) -> bool {
        let Some(mut channel) = self.channel.and_then(|id| self.rtc.channel(id)) else { return false };
        match channel.write(true, message) {
            Ok(taken) => taken,
            Err(_) => {
                self.stage = Stage::Over;
                false
            }
        }
    }

    /// What is to be told of the bytes under way, if it is time: at once that half of them or all are gone, else now
    /// and then.
    pub fn tell(&mut self, now: Instant) -> Option<u32> {
        let unsent = self.unsent();
        let much = unsent <= self.told.bytes / 2;
        self.told.stale = unsent != self.told.bytes;
        if !self.told.stale || !much && now < self.told.at + TELL_EVERY {
            return None;
        }
        self.told = Told { bytes: unsent, at: now, stale: false };
        Some(unsent)
    }

    /// Bytes that wait or are not acknowledged. Who has got one packet may wait 200 ms before it says so (RFC 9260 §6.2):
    /// the last one is not waited for, or a short message would look like a slow line.
    fn unsent(&mut self) -> u32 {
        let channel = self.channel.filter(|_| self.stage == Stage::Open).and_then(|id| self.rtc.channel(id));
        let under_way = channel.map_or(0, |mut channel| channel.buffered_amount());
        if self.waiting_bytes == 0 && under_way <= PACKET_BYTES {
            return 0;
        }
        (self.waiting_bytes + under_way) as u32
    }

    /// Does something wait for the pace?
    pub fn waits_for_pace(&self) -> bool {
        self.stage == Stage::Open && self.control.is_empty() && !self.chunks.is_empty()
    }

    /// When it has to be looked at again.
    pub fn wake_at(&self) -> Instant {
        let dialled = match self.stage {
            Stage::Dialling(until) => until,
            _ => self.next,
        };
        let tell = if self.told.stale { self.told.at + TELL_EVERY } else { self.next };
        self.next.min(dialled).min(tell)
    }

    /// Time passed.
    pub fn on_time(&mut self, now: Instant) {
        if now >= self.next {
            self.handle(Input::Timeout(now));
        }
        if matches!(self.stage, Stage::Dialling(until) if now >= until) {
            self.stage = Stage::Over;
        }
    }

    /// Can frames be sent?
    pub fn is_open(&self) -> bool {
        self.stage == Stage::Open
    }

    /// Is it at its end?
    pub fn is_over(&self) -> bool {
        self.stage == Stage::Over
    }

    /// Ends it; the other is told.
    pub fn close(mut self, sockets: &mut Sockets) {
        let _ = self.rtc.close();
        self.drain(sockets, |_| {});
    }
}

/// Negotiated out of band: `spec/wire.md` §11.5.
fn channel() -> ChannelConfig {
    ChannelConfig {
        label: "trellis".into(),
        ordered: false,
        reliability: Reliability::Reliable,
        negotiated: Some(0),
        protocol: String::new(),
    }
}

/// An SDP without the candidates that cannot be resolved here.
fn resolved(sdp: &str) -> String {
    let good = |line: &&str| match line.trim_end().strip_prefix("a=candidate:") {
        Some(rest) => Candidate::from_sdp_string(&format!("candidate:{rest}")).is_ok(),
        None => true,
    };
    sdp.split_inclusive('\n').filter(good).collect()
}

/// One for all connections of this process: making one takes a tenth of a second.
fn certificate() -> Option<&'static DtlsCert> {
    static CERTIFICATE: OnceLock<Option<DtlsCert>> = OnceLock::new();
    CERTIFICATE.get_or_init(|| str0m::crypto::from_feature_flags().dtls_provider.generate_certificate()).as_ref()
}

/// An attempt that is not open by then is over: `spec/wire.md` §11.5.
const PATIENCE: Duration = Duration::from_secs(3);
/// More costs time rather than bringing speed: what is under way is looked through with every packet.
const SEND_BUFFER_BYTES: usize = 128 * 1024;
/// Several times what the brain hands to one link, and room for words.
const WAITING_BYTES_MAX: usize = 512 * 1024;
const CANDIDATES_MAX: usize = 32;
const PACKET_BYTES: usize = 1_200;
/// The longest datagram, as QUIC's (RFC 9000 §14): none is cut on its way (quinn-udp forbids it), and what does not carry this
/// carries no QUIC either.
const DATAGRAM_BYTES: usize = 1_200;
const TELL_EVERY: Duration = Duration::from_millis(10);

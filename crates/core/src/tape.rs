//! What did a peer live through? Everything it was told, and when, with a digest of everything it wanted: enough to live
//! through it again elsewhere, step by step the same, or to say where it began to differ.
//!
//! A host records ([`Tape`]) what it tells its peer; [`replay`] tells another peer the same. Invariant: a tape never
//! grows beyond its bound, and of any bytes that are no tape an error comes back.
//!
//! ```text
//! tape   = "trellis tape" version:u8 key:bytes[32] seed:u64be start_us:varint config record*
//! record = after_us:varint digest:bytes[8] kind:u8 fields
//! ```
//! `after_us` is the time since the record before; `digest` the front of the BLAKE3 hash of all that was wanted so far.

use alloc::format;
use alloc::vec::Vec;
use core::time::Duration;

use bytes::Bytes;
use trellis_proto::frame::{Decoded, Frame, LayerId, Nat, PartId, PeerId};
use trellis_proto::limits::{FRAME_BYTES_MAX, LAYER_LIST_MAX, TICKET_BYTES_MAX};
use trellis_proto::wire::{DecodeError, Reader, Writer};
use trellis_proto::{PublicKey, RunId};

use crate::peer::{Config, Input, Mesh, Output, Peer, Seek, Support, UploadPolicy};
use crate::time::Instant;
use crate::trust::RealCrypto;
use crate::trust::table::Authority;

/// A recording that goes on.
#[derive(Debug, Clone)]
pub struct Tape {
    bytes: Vec<u8>,
    bytes_max: usize,
    before: Instant,
    wanted: Wanted,
    full: bool,
}

/// What a replay came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Replayed {
    /// How often the peer was told something.
    pub inputs: u64,
    /// How often it wanted something.
    pub outputs: u64,
    /// From the first record to the last.
    pub lasted: Duration,
}

/// Why a tape cannot be replayed to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unlike {
    /// These bytes are no tape.
    Malformed(DecodeError),
    /// The key in it is none.
    Key,
    /// By this input, counted from 0, the peer had wanted something else than the one that was recorded.
    Differs(u64),
}

impl core::fmt::Display for Unlike {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Malformed(why) => write!(f, "this is no tape of a peer: {why}"),
            Self::Key => f.write_str("the origin's key on this tape is none"),
            Self::Differs(input) => write!(f, "before input {input} the peer wanted something else than on the tape"),
        }
    }
}

impl core::error::Error for Unlike {}

/// The digest of what a peer wanted so far.
#[derive(Debug, Clone, Default)]
struct Wanted {
    hasher: blake3::Hasher,
    outputs: u64,
}

impl Wanted {
    fn add(&mut self, output: &Output<Bytes>) {
        self.outputs += 1;
        let mut w = Writer::onto(Vec::new());
        match output {
            Output::Send(to, frame) => {
                w.u8(1).varint(to.0.into()).bytes(&frame.encode());
            }
            Output::Part(part) => {
                let bytes: usize = part.chunks.iter().map(|chunk| chunk.payload().len()).sum();
                w.u8(2).array(&part.descriptor.run.0.to_be_bytes()).varint(part.descriptor.part);
                w.u8(part.of.rendition).u8(part.of.layer).varint(bytes as u64);
            }
            Output::Connect(peer) => {
                w.u8(3).varint(peer.0.into());
            }
            Output::Disconnect(peer) => {
                w.u8(4).varint(peer.0.into());
            }
            other => {
                w.u8(5).string(&format!("{other:?}"));
            }
        }
        self.hasher.update(&w.finish());
    }

    fn digest(&self) -> [u8; DIGEST] {
        *self.hasher.finalize().as_bytes().first_chunk().expect("a BLAKE3 hash has 32 bytes")
    }
}

impl Tape {
    /// Begins where the peer does, with what it is made of. Nothing is kept beyond `bytes_max`.
    pub fn new(config: &Config, key: &PublicKey, seed: u64, now: Instant, bytes_max: usize) -> Self {
        let mut w = Writer::onto(Vec::new());
        w.array(MAGIC).u8(VERSION).array(key).array(&seed.to_be_bytes()).varint(now.0);
        lay_config(&mut w, config);
        Self { bytes: w.finish(), bytes_max, before: now, wanted: Wanted::default(), full: false }
    }

    /// The peer is told this now.
    pub fn input(&mut self, now: Instant, input: &Input<Bytes>) {
        if self.full {
            return;
        }
        let mut w = Writer::onto(Vec::new());
        w.varint(now.since(self.before).as_micros() as u64).array(&self.wanted.digest());
        lay_input(&mut w, input);
        let record = w.finish();
        self.full = self.bytes.len() + record.len() > self.bytes_max;
        if !self.full {
            self.bytes.extend_from_slice(&record);
            self.before = now;
        }
    }

    /// The peer wants this.
    pub fn output(&mut self, output: &Output<Bytes>) {
        if !self.full {
            self.wanted.add(output);
        }
    }

    /// Nothing is kept beyond so many bytes from now on.
    pub fn bound(&mut self, bytes_max: usize) {
        self.bytes_max = bytes_max;
    }

    /// What was recorded so far.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Has it reached its bound? What came after is not on it.
    pub fn is_full(&self) -> bool {
        self.full
    }
}

/// Tells another peer what the recorded one was told; `see` is shown everything it wants, and when.
pub fn replay(tape: &[u8], mut see: impl FnMut(Instant, &Output<Bytes>)) -> Result<Replayed, Unlike> {
    let mut r = Reader::bare(tape);
    let (config, key, seed, start) = read_head(&mut r).map_err(Unlike::Malformed)?;
    let authority = Authority::new(&key).ok_or(Unlike::Key)?;
    let mut peer = Peer::new(config, RealCrypto(authority), seed, start);
    let (mut now, mut inputs, mut wanted) = (start, 0, Wanted::default());
    while !r.is_empty() {
        let (after, digest, input) = read_record(&mut r).map_err(Unlike::Malformed)?;
        if wanted.digest() != digest {
            return Err(Unlike::Differs(inputs));
        }
        now = now + after;
        peer.handle(now, input);
        while let Some(output) = peer.poll() {
            wanted.add(&output);
            see(now, &output);
        }
        inputs += 1;
    }
    Ok(Replayed { inputs, outputs: wanted.outputs, lasted: now.since(start) })
}

fn lay_config(w: &mut Writer, config: &Config) {
    w.bytes(&config.ticket);
    lay_layers(w, &config.layers);
    w.varint(config.declared_bps);
    lay_policy(w, config.upload);
    w.u8(match config.nat {
        Nat::Unknown => 0,
        Nat::Open => 1,
        Nat::Cone => 2,
        Nat::Symmetric => 3,
        Nat::Blocked => 4,
    });
    w.varint(config.behind.as_micros() as u64);
    w.u8(u8::from(config.support == Support::AfterCompletion));
    w.varint(config.keep_parts as u64);
    w.u8(match config.mesh {
        Mesh::Hybrid => 0,
        Mesh::Pull => 1,
        Mesh::Trees => 2,
    });
    w.u8(u8::from(config.on_schedule));
}

fn read_head(r: &mut Reader<'_>) -> Result<(Config, PublicKey, u64, Instant), DecodeError> {
    if r.array::<{ MAGIC.len() }>()? != *MAGIC {
        return Err(DecodeError::Field("tape"));
    }
    match r.u8()? {
        VERSION => {}
        other => return Err(DecodeError::Version(other)),
    }
    let (key, seed) = (r.array()?, u64::from_be_bytes(r.array()?));
    let start = Instant(r.varint("start_us", u64::MAX)?);
    let config = Config {
        ticket: Bytes::copy_from_slice(r.bytes("ticket", TICKET_BYTES_MAX)?),
        layers: read_layers(r)?,
        declared_bps: r.varint("declared_bps", u64::MAX)?,
        upload: read_policy(r)?,
        nat: [Nat::Unknown, Nat::Open, Nat::Cone, Nat::Symmetric, Nat::Blocked][one_of(r, "nat", 5)?],
        behind: Duration::from_micros(r.varint("behind_us", u64::MAX)?),
        support: [Support::WhileWatching, Support::AfterCompletion][one_of(r, "support", 2)?],
        keep_parts: r.count("keep_parts", KEEP_MAX)?,
        mesh: [Mesh::Hybrid, Mesh::Pull, Mesh::Trees][one_of(r, "mesh", 3)?],
        on_schedule: one_of(r, "on_schedule", 2)? == 1,
    };
    Ok((config, key, seed, start))
}

fn lay_input(w: &mut Writer, input: &Input<Bytes>) {
    match input {
        Input::Wake => w.u8(0),
        Input::Connected(peer) => w.u8(1).varint(peer.0.into()),
        Input::Lost(peer) => w.u8(2).varint(peer.0.into()),
        Input::Frame(from, frame) => w.u8(3).varint(from.0.into()).bytes(&frame.encode()),
        Input::Unsent(peer, bytes) => w.u8(4).varint(peer.0.into()).varint((*bytes).into()),
        Input::Seek(Seek::Live) => w.u8(5),
        Input::Seek(Seek::To(part)) => lay_part(w.u8(6), *part),
        Input::Switch(layers) => {
            lay_layers(w.u8(7), layers);
            w
        }
        Input::Pause(paused) => w.u8(8).u8(u8::from(*paused)),
        Input::Upload(policy) => {
            lay_policy(w.u8(9), *policy);
            w
        }
        Input::Renew(ticket) => w.u8(10).bytes(ticket),
        Input::Leave => w.u8(11),
        Input::Change(from) => lay_part(w.u8(12), *from),
    };
}

fn read_record(r: &mut Reader<'_>) -> Result<(Duration, [u8; DIGEST], Input<Bytes>), DecodeError> {
    let after = Duration::from_micros(r.varint("after_us", AFTER_MAX)?);
    let digest = r.array()?;
    let input = match r.u8()? {
        0 => Input::Wake,
        1 => Input::Connected(read_peer(r)?),
        2 => Input::Lost(read_peer(r)?),
        3 => Input::Frame(read_peer(r)?, read_frame(r)?),
        4 => Input::Unsent(read_peer(r)?, r.varint("unsent", u32::MAX.into())? as u32),
        5 => Input::Seek(Seek::Live),
        6 => Input::Seek(Seek::To(read_part(r)?)),
        7 => Input::Switch(read_layers(r)?),
        8 => Input::Pause(one_of(r, "paused", 2)? == 1),
        9 => Input::Upload(read_policy(r)?),
        10 => Input::Renew(Bytes::copy_from_slice(r.bytes("ticket", TICKET_BYTES_MAX)?)),
        11 => Input::Leave,
        12 => Input::Change(read_part(r)?),
        other => return Err(DecodeError::Kind(other)),
    };
    Ok((after, digest, input))
}

fn lay_part(w: &mut Writer, part: PartId) -> &mut Writer {
    w.array(&part.run.0.to_be_bytes()).varint(part.part)
}

fn read_part(r: &mut Reader<'_>) -> Result<PartId, DecodeError> {
    Ok(PartId { run: RunId(u64::from_be_bytes(r.array()?)), part: r.varint("part", u64::MAX)? })
}

fn read_frame(r: &mut Reader<'_>) -> Result<Frame, DecodeError> {
    match Frame::decode(Bytes::copy_from_slice(r.bytes("frame", FRAME_BYTES_MAX)?))? {
        Decoded::Frame(frame) => Ok(frame),
        Decoded::Unknown(kind) => Err(DecodeError::Kind(kind)),
    }
}

fn read_peer(r: &mut Reader<'_>) -> Result<PeerId, DecodeError> {
    Ok(PeerId(r.varint("peer", u32::MAX.into())? as u32))
}

fn lay_layers(w: &mut Writer, layers: &[LayerId]) {
    w.varint(layers.len() as u64);
    layers.iter().for_each(|layer| {
        w.u8(layer.rendition).u8(layer.layer);
    });
}

fn read_layers(r: &mut Reader<'_>) -> Result<Vec<LayerId>, DecodeError> {
    let count = r.count("layers", LAYER_LIST_MAX)?;
    (0..count).map(|_| Ok(LayerId { rendition: r.u8()?, layer: r.u8()? })).collect()
}

/// A cap of 0 is one, so what stands here is one more, and 0 is none.
fn lay_policy(w: &mut Writer, policy: UploadPolicy) {
    w.varint(policy.cap_bps.map_or(0, |cap| cap.saturating_add(1))).u8(u8::from(policy.receive_only));
}

fn read_policy(r: &mut Reader<'_>) -> Result<UploadPolicy, DecodeError> {
    let cap_bps = r.varint("cap_bps", u64::MAX)?.checked_sub(1);
    Ok(UploadPolicy { cap_bps, receive_only: one_of(r, "receive_only", 2)? == 1 })
}

fn one_of(r: &mut Reader<'_>, field: &'static str, count: u8) -> Result<usize, DecodeError> {
    let value = r.u8()?;
    if value < count { Ok(value.into()) } else { Err(DecodeError::Field(field)) }
}

const MAGIC: &[u8; 12] = b"trellis tape";
const VERSION: u8 = 1;
const DIGEST: usize = 8;
/// Parts a recorded peer may keep: more than a day of them.
const KEEP_MAX: usize = 1 << 20;
/// A year between two records.
const AFTER_MAX: u64 = 1 << 45;

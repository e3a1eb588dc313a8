//! What must hold for all frames and all messages of a link: the fuzz body, and round trips of arbitrary good values.

use bytes::Bytes;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use trellis_proto::frame::{
    Assign, Bits, Bye, Chunk, ChunkId, Complaint, Decoded, Fault, Frame, Give, Hello, LINK_VERSION, LayerId, Nat,
    PartId, PeerId, Receipt, Report, Row, Substreams, Take, Welcome,
};
use trellis_proto::limits::{CHUNK_BYTES_MAX, CHUNK_HEADER_BYTES_MAX, CHUNKS_MAX, NUMBER_MAX, RATE_MAX, TIME_US_MAX};
use trellis_proto::{RunId, fuzz};

const DATA_CHANNEL_MESSAGE: usize = 16 * 1024;

/// Mostly small, sometimes huge: so that rows meet the same part, the next, one far off and another run.
fn part() -> impl Strategy<Value = PartId> {
    let run = prop_oneof![4 => Just(7u64), 1 => any::<u64>()];
    let number = prop_oneof![4 => 0..4u64, 1 => 0..=NUMBER_MAX, 1 => Just(NUMBER_MAX)];
    (run, number).prop_map(|(run, part)| PartId { run: RunId(run), part })
}

fn layer() -> impl Strategy<Value = LayerId> {
    (0..16u8, 0..4u8).prop_map(|(rendition, layer)| LayerId { rendition, layer })
}

fn peer() -> impl Strategy<Value = PeerId> {
    any::<u32>().prop_map(PeerId)
}

fn not_edge() -> impl Strategy<Value = PeerId> {
    (1..=u32::MAX).prop_map(PeerId)
}

fn set() -> impl Strategy<Value = Substreams> {
    (layer(), any::<u16>()).prop_map(|(of, mask)| Substreams { of, mask })
}

fn bits() -> impl Strategy<Value = Bits> {
    prop_oneof![
        vec(0..CHUNKS_MAX, 0..20).prop_map(|numbers| numbers.into_iter().collect()),
        (0..=CHUNKS_MAX).prop_map(Bits::full),
    ]
}

fn rows() -> impl Strategy<Value = Vec<Row>> {
    vec((part(), layer(), bits()).prop_map(|(part, of, chunks)| Row { part, of, chunks }), 0..=64)
}

fn bytes(max: usize) -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 0..=max).prop_map(Bytes::from)
}

prop_compose! {
    fn hello()(
        ticket in bytes(256), declared_bps in 0..=RATE_MAX, receive_only: bool, nat in prop::sample::select(&NATS),
        layers in vec(layer(), 0..=64), behind_us in 0..=TIME_US_MAX,
    ) -> Hello {
        Hello { version: LINK_VERSION, ticket, declared_bps, receive_only, nat, layers, behind_us }
    }
}

prop_compose! {
    fn assign()(
        plan: u32, hold_back_us: u32,
        take in vec((set(), peer(), peer()).prop_map(|(set, parent, backup)| Take { set, parent, backup }), 0..=256),
        give in vec((set(), not_edge(), any::<bool>(), any::<u16>())
            .prop_map(|(set, child, reserved, below)| Give { set, child, reserved, below }), 0..=512),
        neighbors in option::of(vec(peer(), 0..=64)), layers in option::of(vec(layer(), 0..=64)),
    ) -> Assign {
        Assign { plan, hold_back_us, take, give, neighbors, layers }
    }
}

prop_compose! {
    fn report()(
        plan: u32, alpha_bps in 0..=RATE_MAX, at_us in 0..=TIME_US_MAX,
        [queue_us, delay_us, buffer_us, stalled_us, back_us] in any::<[u32; 5]>(),
        receipts in vec((peer(), any::<u32>(), any::<u16>(), any::<u32>())
            .prop_map(|(from, bytes, late, busy_us)| Receipt { from, bytes, late, busy_us }), 0..=256),
        complaints in vec((peer(), prop::sample::select(&FAULTS))
            .prop_map(|(peer, fault)| Complaint { peer, fault }), 0..=64),
    ) -> Report {
        Report { plan, alpha_bps, queue_us, delay_us, buffer_us, stalled_us, at_us, back_us, receipts, complaints }
    }
}

prop_compose! {
    fn chunk()(part in part(), of in layer(), index in 0..1024u16, hop: u8, payload in bytes(300)) -> Chunk<Bytes> {
        Chunk { id: ChunkId { part, of, index }, hop, payload }
    }
}

prop_compose! {
    fn welcome()(you in not_edge(), hold_back_us: u32, now_us: u64, credit_bps in 0..=RATE_MAX, start_us: u32) -> Welcome {
        Welcome { version: LINK_VERSION, you, hold_back_us, now_us, credit_bps, start_us }
    }
}

fn bye() -> impl Strategy<Value = Bye> {
    prop_oneof![prop::sample::select(&BYES), any::<u16>().prop_map(Bye::NoRoom)]
}

fn links() -> impl Strategy<Value = Frame> {
    prop_oneof![
        hello().prop_map(Frame::Hello),
        welcome().prop_map(Frame::Welcome),
        not_edge().prop_map(|from| Frame::Greet { version: LINK_VERSION, from }),
        bye().prop_map(Frame::Bye),
        any::<u64>().prop_map(|sent_us| Frame::Ping { sent_us }),
        any::<[u64; 2]>().prop_map(|[echo_us, now_us]| Frame::Pong { echo_us, now_us }),
        bytes(256).prop_map(Frame::Renew),
        (not_edge(), bytes(300)).prop_map(|(peer, body)| Frame::Signal { peer, body }),
        assign().prop_map(Frame::Assign),
        report().prop_map(Frame::Report),
        vec(layer(), 0..=64).prop_map(|layers| Frame::Switch { layers }),
        vec(peer(), 0..=64).prop_map(Frame::Exchange),
    ]
}

fn media() -> impl Strategy<Value = Frame> {
    prop_oneof![
        bytes(300).prop_map(Frame::Table),
        (part(), 1..=64u8).prop_map(|(from, count)| Frame::Ask { from, count }),
        chunk().prop_map(Frame::Chunk),
        rows().prop_map(Frame::Have),
        (rows(), any::<bool>()).prop_map(|(rows, urgent)| Frame::Want { rows, urgent }),
        rows().prop_map(Frame::Cancel),
        rows().prop_map(Frame::Deny),
        (vec(set(), 0..=64), part()).prop_map(|(set, from)| Frame::Subscribe { set, from }),
        vec(set(), 0..=64).prop_map(Frame::Unsubscribe),
    ]
}

proptest! {
    #[test]
    fn any_bytes_as_a_frame(bytes in vec(any::<u8>(), 0..200), kind in 0..0x24u8) {
        fuzz::frame(&bytes);
        fuzz::frame(&[&[kind], &bytes[..]].concat());
    }

    #[test]
    fn a_frame_comes_back_and_survives_damage(
        frame in prop_oneof![links(), media()], at: prop::sample::Index, to: u8, cut: prop::sample::Index,
    ) {
        let mut bytes = frame.encode();
        prop_assert_eq!(bytes.len(), frame.encoded_len(Bytes::len));
        let fits_a_data_channel = matches!(frame, Frame::Assign(_) | Frame::Report(_)) || bytes.len() <= DATA_CHANNEL_MESSAGE;
        prop_assert!(fits_a_data_channel);
        prop_assert_eq!(Frame::decode(bytes.clone().into()), Ok(Decoded::Frame(frame)));
        fuzz::frame(&bytes[..cut.index(bytes.len())]);
        let at = at.index(bytes.len());
        bytes[at] = to;
        fuzz::frame(&bytes);
    }

    #[test]
    fn a_chunk_of_any_size_fits_one_message(frame in chunk()) {
        let frame = Frame::Chunk(Chunk { payload: (), id: frame.id, hop: frame.hop });
        prop_assert!(frame.encoded_len(|()| 0) <= CHUNK_HEADER_BYTES_MAX);
        prop_assert!(frame.encoded_len(|()| CHUNK_BYTES_MAX) <= DATA_CHANNEL_MESSAGE);
    }
}

const NATS: [Nat; 5] = [Nat::Unknown, Nat::Open, Nat::Cone, Nat::Symmetric, Nat::Blocked];
const FAULTS: [Fault; 5] = [Fault::BadChunk, Fault::Gone, Fault::Silent, Fault::Unreachable, Fault::Protocol];
const BYES: [Bye; 9] = [
    Bye::Leaving,
    Bye::Ticket,
    Bye::Replaced,
    Bye::BadChunk,
    Bye::Protocol,
    Bye::Flood,
    Bye::Idle,
    Bye::Ended,
    Bye::Moved,
];

//! What must hold for all values and all bytes: the fuzz bodies, and round trips of arbitrary good values.

use proptest::collection::vec;
use proptest::prelude::*;
use trellis_proto::descriptor::{chunk_count, chunk_range};
use trellis_proto::limits::{CHUNK_BYTES_MAX, CHUNKS_MAX, PART_BYTES_MAX, TICKET_BYTES_MAX};
use trellis_proto::signal::candidate::Candidate;
use trellis_proto::signal::session::Sdp;
use trellis_proto::signal::{Signal, Step};
use trellis_proto::{
    Catalogue, Class, Descriptor, EndReason, Layer, LayerPart, Media, Mode, P2p, Rendition, RunEnd, RunId, SessionId,
    StreamId, Table, Ticket, TrackPart, fuzz,
};

fn stream() -> impl Strategy<Value = StreamId> {
    "[a-z0-9][a-z0-9._-]{0,63}".prop_map(|name| name.parse().unwrap())
}

fn media() -> impl Strategy<Value = Media> {
    prop_oneof![
        (any::<u16>(), any::<u16>(), 0..=1_000_000u32).prop_map(|(width, height, frame_rate_millihertz)| {
            Media::Video { width, height, frame_rate_millihertz }
        }),
        (0..=1_000_000u32, any::<u8>()).prop_map(|(sample_rate, channels)| Media::Audio { sample_rate, channels }),
    ]
}

prop_compose! {
    fn rendition()(
        media in media(), codecs in "[a-zA-Z0-9.,-]{1,64}", language in "[a-zA-Z0-9-]{0,16}", bandwidth in 0..=1u64 << 40, init_size in 0..=65_536u32,
        init_hash: [u8; 32], layers in vec((1..=16u8).prop_map(|substreams| Layer { substreams }), 1..=4),
    ) -> Rendition {
        Rendition { media, codecs, language, bandwidth, init_size, init_hash, layers }
    }
}

prop_compose! {
    fn catalogue()(
        stream in stream(), run: u64, key: [u8; 32], live: bool,
        (started_ms, first_msn, discontinuity) in (0..=1u64 << 48, 0..=1u64 << 40, 0..=1u64 << 40),
        part_target_us in 0..=10_000_000u32, segment_target_s: u8, window_s in 0..=86_400u32,
        renditions in vec(rendition(), 1..=16),
    ) -> Catalogue {
        let mode = if live { Mode::Live } else { Mode::Vod };
        Catalogue {
            stream, run: RunId(run), key, mode, started_ms, first_msn, discontinuity, part_target_us, segment_target_s,
            window_s, renditions,
        }
    }
}

/// A layer's part, cut for some K.
fn layer() -> impl Strategy<Value = LayerPart> {
    (0..200_000u32, 1..=16u8, any::<[u8; 16]>())
        .prop_map(|(size, k, hash)| LayerPart { size, hashes: vec![hash; chunk_count(size as usize, k)] })
}

prop_compose! {
    fn descriptor()(
        run: u64, (part, msn) in (0..=1u64 << 40, 0..=1u64 << 40), index: u16,
        [independent, last_of_segment, discontinuity] in any::<[bool; 3]>(), start_us in 0..=1u64 << 56,
        tracks in vec((0..=60_000_000u32, vec(layer(), 0..=4))
            .prop_map(|(duration_us, layers)| TrackPart { duration_us, layers }), 0..=16),
    ) -> Descriptor {
        Descriptor { run: RunId(run), part, msn, index, independent, last_of_segment, discontinuity, start_us, tracks }
    }
}

fn table() -> impl Strategy<Value = Table> {
    prop_oneof![
        catalogue().prop_map(Table::Catalogue),
        descriptor().prop_map(Table::Descriptor),
        (any::<u64>(), 0..=1u64 << 40, any::<bool>()).prop_map(|(run, parts, ended)| {
            let reason = if ended { EndReason::Ended } else { EndReason::Paused };
            Table::RunEnd(RunEnd { run: RunId(run), parts, reason })
        }),
    ]
}

prop_compose! {
    fn ticket()(
        session: [u8; 16], stream in stream(), edge in "[ -~]{0,64}", expires_s in 0..=1u64 << 40,
        max_rate in 0..=1u64 << 40, premium: bool, rejoins: bool,
        p2p in prop_oneof![Just(P2p::On), Just(P2p::ReceiveOnly), Just(P2p::Off)], viewers_min: u16,
    ) -> Ticket {
        let class = if premium { Class::Premium } else { Class::Standard };
        Ticket { session: SessionId(session), stream, edge, expires_s, max_rate, class, rejoins, p2p, viewers_min }
    }
}

fn candidate() -> impl Strategy<Value = String> {
    let host = prop_oneof![
        any::<std::net::Ipv4Addr>().prop_map(|ip| ip.to_string()),
        any::<std::net::Ipv6Addr>().prop_map(|ip| ip.to_string()),
        "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}[.]local",
    ];
    let origin = prop::sample::select(vec!["host", "srflx", "prflx", "relay"]);
    (any::<u64>(), any::<u32>(), host, any::<u16>(), origin).prop_map(|(foundation, priority, host, port, origin)| {
        format!("candidate:{foundation} 1 udp {priority} {host} {port} typ {origin} generation 0")
    })
}

fn sdp() -> impl Strategy<Value = String> {
    let setup = prop::sample::select(vec!["actpass", "active", "passive"]);
    let words = ("[!-~]{1,20}", "[!-~]{4,256}", "[!-~]{22,256}");
    (setup, words, any::<[u8; 32]>(), any::<u32>(), vec(candidate(), 0..=16)).prop_map(
        |(setup, (mid, ufrag, pwd), print, max, candidates)| {
            let print: Vec<_> = print.iter().map(|byte| format!("{byte:02x}")).collect();
            let candidates: String = candidates.iter().map(|candidate| format!("a={candidate}\r\n")).collect();
            format!(
                "v=0\r\na=group:BUNDLE {mid}\r\nm=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:{mid}\r\n\
                 a=setup:{setup}\r\na=ice-ufrag:{ufrag}\r\na=ice-pwd:{pwd}\r\na=fingerprint:sha-256 {}\r\n\
                 a=max-message-size:{max}\r\n{candidates}",
                print.join(":")
            )
        },
    )
}

fn signal() -> impl Strategy<Value = Signal> {
    let step = prop_oneof![
        sdp().prop_map(|sdp| Step::Offer(Sdp::new(sdp))),
        sdp().prop_map(|sdp| Step::Answer(Sdp::new(sdp))),
        candidate().prop_map(|candidate| Step::Candidate(Candidate::new(candidate))),
    ];
    (any::<u32>(), step).prop_map(|(dial, step)| Signal { dial, step })
}

fn encode(table: &Table) -> Vec<u8> {
    match table {
        Table::Catalogue(table) => table.encode(),
        Table::Descriptor(table) => table.encode(),
        Table::RunEnd(table) => table.encode(),
    }
}

proptest! {
    #[test]
    fn any_bytes_as_a_table_or_ticket(bytes in vec(any::<u8>(), 0..400)) {
        fuzz::table(&bytes);
        fuzz::ticket(&bytes);
        fuzz::signal(&bytes);
    }

    #[test]
    fn a_table_comes_back_and_survives_damage(table in table(), at: prop::sample::Index, to: u8, cut: prop::sample::Index) {
        let mut bytes = encode(&table);
        prop_assert_eq!(Table::decode(&bytes), Ok(table));
        fuzz::table(&bytes[..cut.index(bytes.len())]);
        let at = at.index(bytes.len());
        bytes[at] = to;
        fuzz::table(&bytes);
    }

    #[test]
    fn a_ticket_comes_back_and_survives_damage(ticket in ticket(), at: prop::sample::Index, to: u8) {
        let mut bytes = ticket.encode();
        prop_assert!(bytes.len() + 64 <= TICKET_BYTES_MAX);
        prop_assert_eq!(Ticket::decode(&bytes), Ok(ticket));
        let at = at.index(bytes.len());
        bytes[at] = to;
        fuzz::ticket(&bytes);
        fuzz::signal(&bytes);
    }

    #[test]
    fn a_signal_comes_back_and_survives_damage(signal in signal(), at: prop::sample::Index, to: u8, cut: prop::sample::Index) {
        let mut bytes = signal.encode();
        prop_assert!(bytes[0] > 0x10, "it is said briefly");
        fuzz::signal(&bytes);
        prop_assert_eq!(Signal::decode(&bytes), Ok(signal));
        fuzz::signal(&bytes[..cut.index(bytes.len())]);
        let at = at.index(bytes.len());
        bytes[at] = to;
        fuzz::signal(&bytes);
    }

    #[test]
    fn chunks_cover_a_layer_without_gaps(size in 0..=PART_BYTES_MAX, k in 1..=16u8) {
        let count = chunk_count(size, k);
        prop_assert!(count <= CHUNKS_MAX && count.is_multiple_of(usize::from(k)));
        let mut end = 0;
        for range in (0..count).map(|index| chunk_range(size, count, index)) {
            prop_assert!(range.start == end && range.len() <= CHUNK_BYTES_MAX);
            end = range.end;
        }
        prop_assert_eq!(end, size);
    }
}

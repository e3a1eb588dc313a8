//! The golden frames of `spec/vectors`: `frames.json` holds the values, `frames.hex` a line for each. Every value encodes
//! to its bytes, every message decodes to its value. `TRELLIS_BLESS=1` writes `frames.hex` anew.

mod support;

use std::collections::BTreeSet;

use bytes::Bytes;
use serde_json::Value;
use support::{json, list, number, path, text};
use trellis_proto::frame::{
    Assign, Bye, Chunk, ChunkId, Complaint, Decoded, Fault, Frame, Give, Hello, LayerId, Nat, PartId, PeerId, Receipt,
    Report, Row, Substreams, Take, Welcome,
};

#[test]
fn values_and_frames_are_each_others_image() {
    let golden = golden();
    let frames = json("frames");
    for (case, line) in frames.as_array().unwrap().iter().zip(golden.lines()) {
        let bytes = hex::decode(line).unwrap();
        let decoded = Frame::decode(bytes.clone().into());
        if text(&case["frame"]) == "unknown" {
            assert_eq!(decoded, Ok(Decoded::Unknown(number(&case["value"]["kind"]))), "{}", case["what"]);
            continue;
        }
        let frame = frame(case);
        assert_eq!(hex::encode(frame.encode()), line, "{}", case["what"]);
        assert_eq!(frame.encoded_len(Bytes::len), bytes.len(), "{}", case["what"]);
        assert_eq!(decoded, Ok(Decoded::Frame(frame)), "{}", case["what"]);
    }
    assert_eq!(golden.lines().count(), frames.as_array().unwrap().len());
}

#[test]
fn there_is_a_golden_frame_of_every_kind() {
    let frames = json("frames");
    let known = frames.as_array().unwrap().iter().filter(|case| text(&case["frame"]) != "unknown");
    let seen: BTreeSet<u8> = known.map(|case| frame(case).kind()).collect();
    let empty = |kind: u8| Frame::decode(vec![kind].into());
    let all: BTreeSet<u8> = (0..=u8::MAX).filter(|kind| empty(*kind) != Ok(Decoded::Unknown(*kind))).collect();
    assert_eq!(seen, all);
    assert!(all.iter().all(|kind| *kind < 0x80));
}

#[test]
fn payloads_and_tables_are_slices_of_their_message() {
    let inside = |message: &Bytes, part: &Bytes| message.as_ptr_range().contains(&part.as_ptr());
    for case in json("frames").as_array().unwrap().iter().filter(|case| text(&case["frame"]) != "unknown") {
        let message = Bytes::from(frame(case).encode());
        let Ok(Decoded::Frame(frame)) = Frame::decode(message.clone()) else { panic!("{}", case["what"]) };
        if let Frame::Chunk(Chunk { payload: part, .. }) | Frame::Table(part) = &frame {
            assert!(part.is_empty() || inside(&message, part), "{}", case["what"]);
        }
    }
}

#[test]
fn what_rows_share_is_said_once() {
    let row = |part, layer| Row {
        part: PartId { run: trellis_proto::RunId(u64::MAX), part },
        of: LayerId { rendition: 0, layer },
        chunks: [0, 1].into_iter().collect(),
    };
    let len = |rows| Frame::<Bytes>::Have(rows).encoded_len(Bytes::len);
    let alone = len(vec![row(1 << 30, 0)]);
    assert_eq!(len(vec![row(1 << 30, 0), row(1 << 30, 1)]) - alone, 3, "another layer: head, word count, word");
    assert_eq!(len(vec![row(1 << 30, 0), row((1 << 30) + 1, 0)]) - alone, 4, "the next part: one byte more");
}

/// 2.5 Mbit/s in 16 substreams, eight neighbors told five times a second of what came since, a giver for each substream.
/// All control may take 3 %; half of that is left for wants, plans and what else is rare.
#[test]
fn one_second_of_control_is_a_small_part_of_one_second_of_media() {
    let (media, parts, chunks) = (2_500_000 / 8, 3, 16);
    let part = PartId { run: trellis_proto::RunId(u64::MAX), part: 1 << 30 };
    let of = LayerId { rendition: 1, layer: 0 };
    let row = |part, layer| Row { part, of: LayerId { rendition: 1, layer }, chunks: (0..chunks).collect() };
    let len = |frame: Frame<()>| frame.encoded_len(|()| 0);
    let header = len(Frame::Chunk(Chunk { id: ChunkId { part, of, index: 15 }, hop: 9, payload: () }));
    let have = len(Frame::Have(vec![row(part, 0), row(PartId { part: part.part + 1, ..part }, 0), row(part, 1)]));
    let receipt = |from| Receipt { from: PeerId(from), bytes: 50_000, late: 1, busy_us: 500_000 };
    let receipts = (10_000..10_016).map(receipt).collect();
    let report = len(Frame::Report(Report { receipts, alpha_bps: 10_000_000, ..Report::default() }));
    let descriptor = 64 + 60 + 16 * chunks;
    let control = parts * (chunks * header + 1 + descriptor) + 5 * 8 * have + report / 2;
    assert!(control * 1000 <= media * 15, "{control} of {media}");
}

fn frame(case: &Value) -> Frame {
    let v = &case["value"];
    match text(&case["frame"]) {
        "hello" => Frame::Hello(Hello {
            version: number(&v["version"]),
            ticket: bytes(&v["ticket"]),
            declared_bps: number(&v["declared_bps"]),
            receive_only: v["receive_only"].as_bool().unwrap(),
            nat: nat(text(&v["nat"])),
            layers: list(&v["layers"], layer),
            behind_us: number(&v["behind_us"]),
        }),
        "welcome" => Frame::Welcome(Welcome {
            version: number(&v["version"]),
            you: peer(&v["you"]),
            hold_back_us: number(&v["hold_back_us"]),
            now_us: number(&v["now_us"]),
            credit_bps: number(&v["credit_bps"]),
            start_us: number(&v["start_us"]),
        }),
        "greet" => Frame::Greet { version: number(&v["version"]), from: peer(&v["from"]) },
        "bye" => Frame::Bye(bye(v)),
        "ping" => Frame::Ping { sent_us: number(&v["sent_us"]) },
        "pong" => Frame::Pong { echo_us: number(&v["echo_us"]), now_us: number(&v["now_us"]) },
        "renew" => Frame::Renew(bytes(&v["ticket"])),
        "signal" => Frame::Signal { peer: peer(&v["peer"]), body: bytes(&v["body"]) },
        "table" => Frame::Table(bytes(&v["table"])),
        "ask" => Frame::Ask { from: part(&v["from"]), count: number(&v["count"]) },
        "chunk" => Frame::Chunk(Chunk {
            id: ChunkId { part: part(&v["part"]), of: layer(&v["layer"]), index: number(&v["index"]) },
            hop: number(&v["hop"]),
            payload: bytes(&v["payload"]),
        }),
        "have" => Frame::Have(list(&v["rows"], row)),
        "want" => Frame::Want { rows: list(&v["rows"], row), urgent: v["urgent"].as_bool().unwrap() },
        "cancel" => Frame::Cancel(list(&v["rows"], row)),
        "deny" => Frame::Deny(list(&v["rows"], row)),
        "subscribe" => Frame::Subscribe { set: list(&v["set"], set), from: part(&v["from"]) },
        "unsubscribe" => Frame::Unsubscribe(list(&v["set"], set)),
        "assign" => Frame::Assign(assign(v)),
        "report" => Frame::Report(report(v)),
        "switch" => Frame::Switch { layers: list(&v["layers"], layer) },
        "exchange" => Frame::Exchange(list(&v["peers"], peer)),
        other => panic!("{other}"),
    }
}

fn assign(v: &Value) -> Assign {
    Assign {
        plan: number(&v["plan"]),
        hold_back_us: number(&v["hold_back_us"]),
        take: list(&v["take"], |v| Take { set: set(v), parent: peer(&v["parent"]), backup: peer(&v["backup"]) }),
        give: list(&v["give"], |v| Give {
            set: set(v),
            child: peer(&v["child"]),
            reserved: v["reserved"].as_bool().unwrap(),
            below: number(&v["below"]),
        }),
        neighbors: (!v["neighbors"].is_null()).then(|| list(&v["neighbors"], peer)),
        layers: (!v["layers"].is_null()).then(|| list(&v["layers"], layer)),
    }
}

fn report(v: &Value) -> Report {
    Report {
        plan: number(&v["plan"]),
        alpha_bps: number(&v["alpha_bps"]),
        queue_us: number(&v["queue_us"]),
        delay_us: number(&v["delay_us"]),
        buffer_us: number(&v["buffer_us"]),
        stalled_us: number(&v["stalled_us"]),
        at_us: number(&v["at_us"]),
        back_us: number(&v["back_us"]),
        receipts: list(&v["receipts"], |v| Receipt {
            from: peer(&v["from"]),
            bytes: number(&v["bytes"]),
            late: number(&v["late"]),
            busy_us: number(&v["busy_us"]),
        }),
        complaints: list(&v["complaints"], |v| Complaint { peer: peer(&v["peer"]), fault: fault(text(&v["fault"])) }),
    }
}

fn bye(v: &Value) -> Bye {
    match text(&v["reason"]) {
        "leaving" => Bye::Leaving,
        "ticket" => Bye::Ticket,
        "no_room" => Bye::NoRoom(number(&v["retry_s"])),
        "replaced" => Bye::Replaced,
        "bad_chunk" => Bye::BadChunk,
        "protocol" => Bye::Protocol,
        "flood" => Bye::Flood,
        "idle" => Bye::Idle,
        "ended" => Bye::Ended,
        "moved" => Bye::Moved,
        other => panic!("{other}"),
    }
}

fn nat(name: &str) -> Nat {
    match name {
        "unknown" => Nat::Unknown,
        "open" => Nat::Open,
        "cone" => Nat::Cone,
        "symmetric" => Nat::Symmetric,
        "blocked" => Nat::Blocked,
        other => panic!("{other}"),
    }
}

fn fault(name: &str) -> Fault {
    match name {
        "bad_chunk" => Fault::BadChunk,
        "gone" => Fault::Gone,
        "silent" => Fault::Silent,
        "unreachable" => Fault::Unreachable,
        "protocol" => Fault::Protocol,
        other => panic!("{other}"),
    }
}

fn row(v: &Value) -> Row {
    let chunks = list(&v["chunks"], number::<usize>).into_iter().collect();
    Row { part: part(&v["part"]), of: layer(&v["layer"]), chunks }
}

fn set(v: &Value) -> Substreams {
    let mask = list(&v["substreams"], number::<u16>).into_iter().fold(0, |mask, k| mask | 1 << k);
    Substreams { of: layer(&v["layer"]), mask }
}

/// As in URLs: the run, a dot, the number.
fn part(v: &Value) -> PartId {
    let (run, part) = text(v).split_once('.').unwrap();
    PartId { run: run.parse().unwrap(), part: part.parse().unwrap() }
}

fn layer(v: &Value) -> LayerId {
    LayerId { rendition: number(&v[0]), layer: number(&v[1]) }
}

fn peer(v: &Value) -> PeerId {
    PeerId(number(v))
}

fn bytes(v: &Value) -> Bytes {
    hex::decode(text(v)).unwrap().into()
}

fn golden() -> String {
    let path = path("frames", "hex");
    if std::env::var_os("TRELLIS_BLESS").is_some() {
        let line = |case: &Value| match text(&case["frame"]) {
            "unknown" => format!("{:02x}{}\n", number::<u8>(&case["value"]["kind"]), text(&case["value"]["rest"])),
            _ => hex::encode(frame(case).encode()) + "\n",
        };
        std::fs::write(&path, json("frames").as_array().unwrap().iter().map(line).collect::<String>()).unwrap();
    }
    std::fs::read_to_string(&path).unwrap()
}

//! The golden vectors of `spec/vectors`: every value encodes to its bytes, every message decodes to its value,
//! and what is malformed is refused for the reason given. `TRELLIS_BLESS=1` writes the `.hex` files anew.

mod support;

use ed25519_dalek::{Signer, SigningKey};
use serde_json::Value;
use support::{json, list, number, path, text};
use trellis_proto::descriptor::{chunk_count, chunk_range};
use trellis_proto::frame::{Frame, kind};
use trellis_proto::signal::candidate::Candidate;
use trellis_proto::signal::session::Sdp;
use trellis_proto::signal::{Signal, Step};
use trellis_proto::{
    Catalogue, Class, DecodeError, Descriptor, EndReason, Layer, LayerPart, Media, Mode, P2p, Rendition, RunEnd,
    SessionId, Table, Ticket, TrackPart, signed_part,
};

/// Anything that is signed.
#[derive(Debug, PartialEq)]
enum Message {
    Table(Table),
    Ticket(Ticket),
}

const MESSAGES: [&str; 8] = [
    "catalogue-live",
    "catalogue-vod",
    "descriptor-first",
    "descriptor-last",
    "run-end-paused",
    "run-end-ended",
    "ticket-standard",
    "ticket-premium",
];

#[test]
fn values_and_messages_are_each_others_image() {
    let key = signing_key();
    for name in MESSAGES {
        let json = json(name);
        let value = message(&json);
        let bytes = signed(name);
        assert_eq!(bytes.len(), number::<usize>(&json["body_bytes"]) + 64, "{name}");
        assert_eq!(hex::encode(&bytes), golden(name, &bytes), "{name}");
        let (body, signature) = signed_part(&bytes).unwrap();
        let decoded = match value {
            Message::Table(_) => Table::decode(body).map(Message::Table),
            Message::Ticket(_) => Ticket::decode(body).map(Message::Ticket),
        };
        assert_eq!(decoded, Ok(value), "{name}");
        let signature = ed25519_dalek::Signature::from_bytes(&signature);
        assert!(key.verifying_key().verify_strict(body, &signature).is_ok(), "{name}");
    }
}

#[test]
fn descriptors_fit_their_catalogue() {
    let Message::Table(Table::Catalogue(catalogue)) = message(&json("catalogue-live")) else { unreachable!() };
    for name in ["descriptor-first", "descriptor-last"] {
        let Message::Table(Table::Descriptor(mut descriptor)) = message(&json(name)) else { unreachable!() };
        assert!(descriptor.fits(&catalogue), "{name}");
        descriptor.tracks[0].layers[0].hashes.pop();
        assert!(!descriptor.fits(&catalogue), "{name}");
    }
}

#[test]
fn malformed_bytes_are_refused_for_their_reason() {
    for case in json("malformed").as_array().unwrap() {
        let bytes = hex::decode(text(&case["hex"])).unwrap();
        let error = match text(&case["read_as"]) {
            "table" => Table::decode(&bytes).unwrap_err(),
            "ticket" => Ticket::decode(&bytes).unwrap_err(),
            "frame" => Frame::decode(bytes.into()).unwrap_err(),
            "message" => signed_part(&bytes).unwrap_err(),
            other => panic!("{other}"),
        };
        assert_eq!(reason(error), text(&case["error"]), "{}", case["what"]);
    }
    assert_eq!(signed_part(&[0; 65_537]), Err(DecodeError::Field("table")));
    let frame = |head: &[u8], len| Frame::decode([head, &vec![0; len]].concat().into()).unwrap_err();
    assert_eq!(frame(&[kind::SIGNAL, 1], 4097), DecodeError::Field("body"));
    assert_eq!(frame(&[kind::CHUNK], 12 + 16_321), DecodeError::Field("payload"));
    assert_eq!(frame(&[0x7f], 65_537), DecodeError::Field("frame"));
}

#[test]
fn parts_are_cut_into_the_chunks_of_the_table() {
    for case in json("chunks")["cuts"].as_array().unwrap() {
        let size = number::<usize>(&case["size"]);
        let count = chunk_count(size, number(&case["substreams"]));
        assert_eq!(count, number::<usize>(&case["count"]), "{case}");
        let range = |index| chunk_range(size, count, index);
        for (key, index) in [("first", 0), ("last", count.saturating_sub(1))] {
            if let Some(expected) = case[key].as_array() {
                assert_eq!(
                    [range(index).start, range(index).end],
                    [number::<usize>(&expected[0]), number(&expected[1])]
                );
            }
        }
        let whole = (0..count).map(range).fold(0, |end, range| if range.start == end { range.end } else { usize::MAX });
        assert_eq!(whole, size, "{case}");
    }
}

#[test]
fn chunk_hashes_are_the_first_half_of_blake3() {
    let json = json("hashes");
    let bytes: Vec<u8> = (0..number::<usize>(&json["size"])).map(|i| (i % 251) as u8).collect();
    let count = chunk_count(bytes.len(), number(&json["substreams"]));
    let hashes: Vec<_> = (0..count)
        .map(|i| hex::encode(&blake3::hash(&bytes[chunk_range(bytes.len(), count, i)]).as_bytes()[..16]))
        .collect();
    let expected: Vec<_> = json["hashes"].as_array().unwrap().iter().map(text).collect();
    assert_eq!(hashes, expected);
    assert_eq!(blake3::hash(&bytes).to_hex().as_str(), text(&json["blake3"]));
}

#[test]
fn a_feed_is_messages_after_their_lengths() {
    let order = ["catalogue-live", "descriptor-first", "", "run-end-paused"];
    let mut feed = Vec::new();
    for name in order {
        let message = if name.is_empty() { Vec::new() } else { signed(name) };
        feed.extend((message.len() as u32).to_be_bytes());
        feed.extend(message);
    }
    assert_eq!(hex::encode(&feed), golden("feed", &feed));
}

/// The word for an error in `malformed.json`.
fn reason(error: DecodeError) -> String {
    match error {
        DecodeError::Short => "short".into(),
        DecodeError::Trailing => "trailing".into(),
        DecodeError::Version(version) => format!("version {version}"),
        DecodeError::Kind(kind) => format!("kind {kind}"),
        DecodeError::Varint => "varint".into(),
        DecodeError::Field(field) => format!("field {field}"),
    }
}

fn encode(message: &Message) -> Vec<u8> {
    match message {
        Message::Table(Table::Catalogue(value)) => value.encode(),
        Message::Table(Table::Descriptor(value)) => value.encode(),
        Message::Table(Table::RunEnd(value)) => value.encode(),
        Message::Ticket(value) => value.encode(),
    }
}

/// The message as it travels.
fn signed(name: &str) -> Vec<u8> {
    let mut bytes = encode(&message(&json(name)));
    bytes.extend(signing_key().sign(&bytes).to_bytes());
    bytes
}

fn message(json: &Value) -> Message {
    let value = &json["value"];
    match text(&json["kind"]) {
        "catalogue" => Message::Table(Table::Catalogue(catalogue(value))),
        "descriptor" => Message::Table(Table::Descriptor(descriptor(value))),
        "run_end" => Message::Table(Table::RunEnd(run_end(value))),
        "ticket" => Message::Ticket(ticket(value)),
        other => panic!("{other}"),
    }
}

fn catalogue(v: &Value) -> Catalogue {
    Catalogue {
        stream: text(&v["stream"]).parse().unwrap(),
        run: text(&v["run"]).parse().unwrap(),
        key: bytes(&v["key"]),
        mode: if text(&v["mode"]) == "live" { Mode::Live } else { Mode::Vod },
        started_ms: number(&v["started_ms"]),
        first_msn: number(&v["first_msn"]),
        discontinuity: number(&v["discontinuity"]),
        part_target_us: number(&v["part_target_us"]),
        segment_target_s: number(&v["segment_target_s"]),
        window_s: number(&v["window_s"]),
        renditions: list(&v["renditions"], rendition),
    }
}

fn rendition(v: &Value) -> Rendition {
    let media = match (&v["video"], &v["audio"]) {
        (Value::Null, audio) => {
            Media::Audio { sample_rate: number(&audio["sample_rate"]), channels: number(&audio["channels"]) }
        }
        (video, _) => Media::Video {
            width: number(&video["width"]),
            height: number(&video["height"]),
            frame_rate_millihertz: number(&video["frame_rate_millihertz"]),
        },
    };
    Rendition {
        media,
        codecs: text(&v["codecs"]).into(),
        language: text(&v["language"]).into(),
        bandwidth: number(&v["bandwidth"]),
        init_size: number(&v["init_size"]),
        init_hash: bytes(&v["init_hash"]),
        layers: list(&v["substreams"], |k| Layer { substreams: number(k) }),
    }
}

fn descriptor(v: &Value) -> Descriptor {
    Descriptor {
        run: text(&v["run"]).parse().unwrap(),
        part: number(&v["part"]),
        msn: number(&v["msn"]),
        index: number(&v["index"]),
        independent: v["independent"].as_bool().unwrap(),
        last_of_segment: v["last_of_segment"].as_bool().unwrap(),
        discontinuity: v["discontinuity"].as_bool().unwrap(),
        start_us: number(&v["start_us"]),
        tracks: list(&v["tracks"], |track| TrackPart {
            duration_us: number(&track["duration_us"]),
            layers: list(&track["layers"], |layer| LayerPart {
                size: number(&layer["size"]),
                hashes: list(&layer["hashes"], bytes),
            }),
        }),
    }
}

fn run_end(v: &Value) -> RunEnd {
    RunEnd {
        run: text(&v["run"]).parse().unwrap(),
        parts: number(&v["parts"]),
        reason: if text(&v["reason"]) == "paused" { EndReason::Paused } else { EndReason::Ended },
    }
}

fn ticket(v: &Value) -> Ticket {
    Ticket {
        session: SessionId(bytes(&v["session"])),
        stream: text(&v["stream"]).parse().unwrap(),
        edge: text(&v["edge"]).into(),
        expires_s: number(&v["expires_s"]),
        max_rate: number(&v["max_rate"]),
        class: if text(&v["class"]) == "premium" { Class::Premium } else { Class::Standard },
        rejoins: v["rejoins"].as_bool().unwrap(),
        p2p: match text(&v["p2p"]) {
            "receive_only" => P2p::ReceiveOnly,
            "off" => P2p::Off,
            _ => P2p::On,
        },
        viewers_min: number(&v["viewers_min"]),
    }
}

fn signing_key() -> SigningKey {
    let json = json("key");
    let key = SigningKey::from_bytes(&bytes(&json["seed"]));
    assert_eq!(key.verifying_key().to_bytes(), bytes(&json["public"]));
    key
}

fn bytes<const N: usize>(value: &Value) -> [u8; N] {
    hex::decode(text(value)).unwrap().try_into().unwrap()
}

/// The hexadecimal digits of a message, line breaks taken out.
fn golden(name: &str, actual: &[u8]) -> String {
    let path = path(name, "hex");
    if std::env::var_os("TRELLIS_BLESS").is_some() {
        let lines: String =
            hex::encode(actual).as_bytes().chunks(96).flat_map(|line| [line, b"\n"].concat()).map(char::from).collect();
        std::fs::write(&path, lines).unwrap();
    }
    std::fs::read_to_string(&path).unwrap_or_default().split_whitespace().collect()
}

#[test]
fn signals_and_their_bodies_are_each_others_image() {
    for row in json("signals").as_array().unwrap() {
        let body = hex::decode(text(&row["body"])).unwrap();
        let said = || text(&row["said"]).to_string();
        let step = match text(&row["step"]) {
            "offer" => Step::Offer(Sdp::new(said())),
            "answer" => Step::Answer(Sdp::new(said())),
            "candidate" => Step::Candidate(Candidate::new(said())),
            "hang up" => Step::Hangup,
            other => panic!("no step is called {other}"),
        };
        let signal = Signal { dial: number(&row["dial"]), step };
        assert_eq!(hex::encode(signal.encode()), hex::encode(&body));
        assert_eq!(Signal::decode(&body), Ok(signal.clone()));
        let put_back = match &signal.step {
            Step::Offer(sdp) | Step::Answer(sdp) => sdp.to_string(),
            Step::Candidate(candidate) => candidate.to_string(),
            Step::Hangup => String::new(),
        };
        assert_eq!(put_back, text(&row["put_back"]));
    }
}

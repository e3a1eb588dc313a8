//! Fuzz body of the packager; also run by the ordinary tests.

use bytes::Bytes;

use super::{Event, Options, Packager, Part};

/// Packages `data` whole and in chunks of `step` bytes: both must yield the same events, and those must keep the
/// packager's promises.
///
/// # Panics
/// When they do not: that is the bug a fuzzer looks for.
pub fn packager(data: &[u8], step: usize) {
    let whole = events(std::iter::once(data));
    let chunked = events(data.chunks(step.max(1)));
    assert_eq!(whole, chunked, "the events depend on the chunking (step {step})");
    check(&whole.0);
}

/// All events of a run that comes in these chunks, and the error it ended with.
pub fn events<'a>(chunks: impl Iterator<Item = &'a [u8]>) -> (Vec<Event>, Option<String>) {
    let mut packager = Packager::new(Options::default());
    let mut result = Ok(());
    for chunk in chunks {
        result = packager.push(Bytes::copy_from_slice(chunk));
        if result.is_err() {
            break;
        }
    }
    let result = result.and_then(|()| packager.finish());
    let events = std::iter::from_fn(|| packager.poll()).collect();
    (events, result.err().map(|error| error.to_string()))
}

/// One shape before all parts; parts without gaps in number, time and segments; tracks as many as renditions.
fn check(events: &[Event]) {
    let shapes = events.iter().filter(|event| matches!(event, Event::Shape(_))).count();
    let parts: Vec<&Part> =
        events.iter().filter_map(|event| if let Event::Part(part) = event { Some(part) } else { None }).collect();
    assert!(shapes == 1 || (shapes == 0 && parts.is_empty()), "{shapes} shapes, {} parts", parts.len());
    let renditions = events
        .iter()
        .find_map(|event| if let Event::Shape(shape) = event { Some(shape.renditions.len()) } else { None });
    let (mut start_us, mut opens) = (0, true);
    for (number, part) in parts.iter().enumerate() {
        assert_eq!(part.number, number as u64);
        assert_eq!(part.start_us, start_us);
        assert_eq!(part.segment_start, opens);
        assert_eq!(Some(part.tracks.len()), renditions);
        assert!(!part.tracks[0].data.is_empty());
        start_us += u64::from(part.duration_us);
        opens = part.last_of_segment;
    }
}

//! What does a playlist say? Read with nothing of the code under test.

/// The multivariant playlist.
#[derive(Debug, Clone, Default)]
pub struct Multivariant {
    /// Media playlists of the variants, in order.
    pub variants: Vec<String>,
    /// `RESOLUTION` of each.
    pub resolutions: Vec<String>,
    /// Media playlists of `EXT-X-MEDIA`.
    pub media: Vec<String>,
}

/// A media playlist.
#[derive(Debug, Clone, Default)]
pub struct Media {
    /// `EXT-X-TARGETDURATION`, s.
    pub target_s: f64,
    /// `PART-TARGET`, s.
    pub part_target_s: Option<f64>,
    /// `EXT-X-MEDIA-SEQUENCE`.
    pub first_msn: u64,
    /// Complete segments. Skipped ones are not among them.
    pub segments: Vec<Segment>,
    /// Parts of the segment that is still growing.
    pub growing: Vec<Part>,
    /// `EXT-X-PRELOAD-HINT` of a part.
    pub hint: Option<String>,
    /// Segments left out of a delta update.
    pub skipped: u64,
    /// `EXT-X-ENDLIST`.
    pub ended: bool,
    /// URIs of `EXT-X-RENDITION-REPORT`.
    pub reports: Vec<String>,
    /// Every URI, in order.
    pub uris: Vec<String>,
}

/// A complete segment.
#[derive(Debug, Clone)]
pub struct Segment {
    /// Its number.
    pub msn: u64,
    /// Its name.
    pub uri: String,
    /// `EXTINF`, s.
    pub duration_s: f64,
    /// The init segment that applies.
    pub map: String,
    /// It begins a new timeline.
    pub discontinuity: bool,
    /// Its parts, where they are listed.
    pub parts: Vec<Part>,
}

/// A part.
#[derive(Debug, Clone)]
pub struct Part {
    /// Its name.
    pub uri: String,
    /// `DURATION`, s.
    pub duration_s: f64,
    /// A decoder can begin here.
    pub independent: bool,
}

/// An attribute's value, without quotes.
pub fn attribute(line: &str, name: &str) -> Option<String> {
    let mut rest = line.split_once(':')?.1;
    while !rest.is_empty() {
        let (key, after) = rest.split_once('=')?;
        let (value, tail) = match after.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"')?,
            None => after.split_at(after.find(',').unwrap_or(after.len())),
        };
        if key.trim_start_matches(',') == name {
            return Some(value.to_owned());
        }
        rest = tail.trim_start_matches(',');
    }
    None
}

impl Multivariant {
    /// Reads the text.
    pub fn read(text: &str) -> Self {
        assert!(text.starts_with("#EXTM3U\n"), "no playlist: {text}");
        let mut read = Self::default();
        for line in text.lines() {
            if line.starts_with("#EXT-X-STREAM-INF:") {
                read.resolutions.push(attribute(line, "RESOLUTION").unwrap_or_default());
            } else if line.starts_with("#EXT-X-MEDIA:") {
                read.media.extend(attribute(line, "URI"));
            } else if !line.starts_with('#') && !line.is_empty() {
                read.variants.push(line.into());
            }
        }
        read
    }

    /// Every media playlist's name once.
    pub fn playlists(&self) -> Vec<String> {
        let mut names: Vec<_> = self.variants.iter().chain(&self.media).cloned().collect();
        names.sort();
        names.dedup();
        names
    }
}

impl Media {
    /// Reads the text.
    pub fn read(text: &str) -> Self {
        assert!(text.starts_with("#EXTM3U\n"), "no playlist: {text}");
        let mut reader = Reader::default();
        text.lines().for_each(|line| reader.line(line));
        reader.read
    }

    /// The number of the newest complete segment.
    pub fn last_msn(&self) -> Option<u64> {
        self.segments.last().map(|segment| segment.msn)
    }

    /// Segment and part number of the newest part: what `_HLS_msn` and `_HLS_part` would ask for to get this again.
    pub fn newest(&self) -> (u64, u64) {
        let last = self.last_msn().unwrap_or(self.first_msn);
        match self.growing.len() as u64 {
            0 => (last, (self.segments.last().map_or(0, |s| s.parts.len()) as u64).saturating_sub(1)),
            parts => (last + 1, parts - 1),
        }
    }

    /// All parts listed, oldest first.
    pub fn parts(&self) -> impl Iterator<Item = &Part> {
        self.segments.iter().flat_map(|segment| &segment.parts).chain(&self.growing)
    }
}

#[derive(Default)]
struct Reader {
    read: Media,
    duration_s: f64,
    map: String,
    discontinuity: bool,
}

impl Reader {
    fn line(&mut self, line: &str) {
        let read = &mut self.read;
        let number = |name: &str| attribute(line, name).and_then(|value| value.parse().ok());
        let plain = || line.split_once(':').and_then(|(_, value)| value.trim_end_matches(',').parse::<f64>().ok());
        let uri = attribute(line, "URI");
        match line.split(':').next().unwrap_or_default() {
            "#EXT-X-TARGETDURATION" => read.target_s = plain().expect("a number"),
            "#EXT-X-PART-INF" => read.part_target_s = number("PART-TARGET"),
            "#EXT-X-MEDIA-SEQUENCE" => read.first_msn = plain().expect("a number") as u64,
            "#EXT-X-SKIP" => read.skipped = number("SKIPPED-SEGMENTS").expect("a number") as u64,
            "#EXT-X-DISCONTINUITY" => self.discontinuity = true,
            "#EXT-X-ENDLIST" => read.ended = true,
            "#EXT-X-MAP" => self.map = uri.clone().expect("a map has a URI"),
            "#EXT-X-PRELOAD-HINT" => read.hint = uri.clone(),
            "#EXT-X-RENDITION-REPORT" => read.reports.extend(uri.clone()),
            "#EXTINF" => self.duration_s = plain().expect("a duration"),
            "#EXT-X-PART" => read.growing.push(Part {
                uri: uri.clone().expect("a part has a URI"),
                duration_s: number("DURATION").expect("a part has a duration"),
                independent: attribute(line, "INDEPENDENT").as_deref() == Some("YES"),
            }),
            _ if !line.starts_with('#') && !line.is_empty() => return self.segment(line),
            _ => {}
        }
        self.read.uris.extend(uri);
    }

    fn segment(&mut self, uri: &str) {
        let read = &mut self.read;
        let msn = read.first_msn + read.skipped + read.segments.len() as u64;
        read.uris.push(uri.into());
        read.segments.push(Segment {
            msn,
            uri: uri.into(),
            duration_s: self.duration_s,
            map: self.map.clone(),
            discontinuity: std::mem::take(&mut self.discontinuity),
            parts: std::mem::take(&mut read.growing),
        });
    }
}

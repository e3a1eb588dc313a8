//! What must be known of a peer to make a data channel with it? Of an SDP, the few lines that differ between peers.
//!
//! Invariant: what is read from bytes, or from text, is written in one way as bytes and as text.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt::{self, Display};
use core::str::FromStr;

use super::candidate::{Address, number};
use crate::limits::SIGNAL_BYTES_MAX;
use crate::wire::{DecodeError, Reader, Writer};

/// An SDP (RFC 8866) with one data channel section (RFC 8841).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sdp {
    /// One that can be said briefly.
    Brief(Session),
    /// Any other.
    Text(String),
}

/// What differs between the descriptions of data channels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    setup: Setup,
    /// The section's name, `a=mid`.
    mid: String,
    ufrag: String,
    pwd: String,
    /// SHA-256 of the certificate.
    fingerprint: [u8; 32],
    message_max: u32,
    candidates: Vec<Address>,
}

/// Who begins with DTLS, RFC 4145.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Setup {
    ActPass,
    Active,
    Passive,
}

const SETUPS: [(Setup, &str); 3] =
    [(Setup::ActPass, "actpass"), (Setup::Active, "active"), (Setup::Passive, "passive")];
/// A name or password of ICE has at most 256 characters, RFC 8839 §5.4.
const WORD_MAX: usize = 256;
/// More addresses than this has no machine that means well.
const CANDIDATES_MAX: usize = 16;
/// Lines that say what is always so.
const USUAL: [&str; 6] =
    ["v=0", "t=0 0", "a=extmap-allow-mixed", "a=sendrecv", "a=end-of-candidates", "a=sctp-port:5000"];
/// Beginnings of lines that say nothing to us.
const IDLE: [&str; 5] = ["o=", "s=", "c=IN IP", "a=msid-semantic:", "a=ice-options:"];

impl Sdp {
    /// The briefest way to say this.
    pub fn new(text: String) -> Self {
        text.parse().map_or(Self::Text(text), Self::Brief)
    }

    pub(super) fn write(&self, w: &mut Writer) {
        match self {
            Self::Brief(session) => session.write(w),
            Self::Text(text) => _ = w.string(text),
        }
    }

    pub(super) fn read_text(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        r.string("text", SIGNAL_BYTES_MAX).map(Self::Text)
    }
}

impl Display for Sdp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Brief(session) => session.fmt(f),
            Self::Text(text) => f.write_str(text),
        }
    }
}

impl Session {
    fn write(&self, w: &mut Writer) {
        let setup = SETUPS.iter().position(|(setup, _)| *setup == self.setup).unwrap_or(0) as u8;
        w.u8(setup).string(&self.mid).string(&self.ufrag).string(&self.pwd).array(&self.fingerprint);
        w.varint(self.message_max.into()).u8(self.candidates.len() as u8);
        self.candidates.iter().for_each(|address| address.write(w));
    }

    pub(super) fn read(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let setup = SETUPS.get(usize::from(r.u8()?)).ok_or(DecodeError::Field("setup"))?.0;
        let mut word = |field: &'static str| {
            let word = r.string(field, WORD_MAX)?;
            if is_word(&word) { Ok(word) } else { Err(DecodeError::Field(field)) }
        };
        let (mid, ufrag, pwd) = (word("mid")?, word("ufrag")?, word("pwd")?);
        let fingerprint = r.array()?;
        let message_max = r.varint("message_max", u32::MAX.into())? as u32;
        let count = usize::from(r.u8()?);
        if count > CANDIDATES_MAX {
            return Err(DecodeError::Field("candidates"));
        }
        let candidates = (0..count).map(|_| Address::read(r)).collect::<Result<_, _>>()?;
        Ok(Self { setup, mid, ufrag, pwd, fingerprint, message_max, candidates })
    }
}

/// Whatever a line says that is not understood, or said before, the whole is not.
impl FromStr for Session {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut lines = Lines::default();
        for line in text.lines().filter(|line| !line.is_empty()) {
            lines.read(line)?;
        }
        let session = Self {
            setup: lines.setup.ok_or(())?,
            mid: lines.mid.ok_or(())?,
            ufrag: lines.ufrag.ok_or(())?,
            pwd: lines.pwd.ok_or(())?,
            fingerprint: lines.fingerprint.ok_or(())?,
            message_max: lines.message_max.ok_or(())?,
            candidates: lines.candidates,
        };
        // The section is put back as a bundle of its own.
        let bundled = lines.bundle.is_some_and(|bundle| bundle == session.mid) && lines.section.is_some();
        if bundled && session.candidates.len() <= CANDIDATES_MAX { Ok(session) } else { Err(()) }
    }
}

/// What was read so far.
#[derive(Default)]
struct Lines {
    setup: Option<Setup>,
    bundle: Option<String>,
    mid: Option<String>,
    ufrag: Option<String>,
    pwd: Option<String>,
    fingerprint: Option<[u8; 32]>,
    message_max: Option<u32>,
    section: Option<()>,
    candidates: Vec<Address>,
}

impl Lines {
    fn read(&mut self, line: &str) -> Result<(), ()> {
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        match name {
            "a=setup" => once(&mut self.setup, SETUPS.iter().find(|(_, name)| *name == value).map(|found| found.0)),
            "a=group" => once(&mut self.bundle, value.strip_prefix("BUNDLE ").and_then(word)),
            "a=mid" => once(&mut self.mid, word(value)),
            "a=ice-ufrag" => once(&mut self.ufrag, word(value)),
            "a=ice-pwd" => once(&mut self.pwd, word(value)),
            "a=fingerprint" => once(&mut self.fingerprint, value.strip_prefix("sha-256 ").and_then(bytes_of)),
            "a=max-message-size" => once(&mut self.message_max, number(value).ok()),
            "a=candidate" => line["a=".len()..].parse().map(|address| self.candidates.push(address)),
            _ if is_section(line) => once(&mut self.section, Some(())),
            _ if USUAL.contains(&line) || IDLE.iter().any(|idle| line.starts_with(idle)) => Ok(()),
            _ => Err(()),
        }
    }
}

/// Takes what is understood and not known yet.
fn once<T>(place: &mut Option<T>, found: Option<T>) -> Result<(), ()> {
    match (place.is_none(), found) {
        (true, Some(found)) => {
            *place = Some(found);
            Ok(())
        }
        _ => Err(()),
    }
}

/// A section for data channels that was not turned down (port 0).
fn is_section(line: &str) -> bool {
    let port =
        line.strip_prefix("m=application ").and_then(|rest| rest.strip_suffix(" UDP/DTLS/SCTP webrtc-datachannel"));
    port.and_then(|port| port.parse::<u16>().ok()).is_some_and(|port| port > 0)
}

impl Display for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { setup, mid, ufrag, pwd, fingerprint, message_max, candidates } = self;
        let setup = SETUPS.iter().find(|(s, _)| s == setup).map_or("", |(_, name)| name);
        write!(f, "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE {mid}\r\n")?;
        f.write_str("m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\n")?;
        candidates.iter().try_for_each(|address| write!(f, "a={address}\r\n"))?;
        write!(f, "a=ice-ufrag:{ufrag}\r\na=ice-pwd:{pwd}\r\na=ice-options:trickle\r\na=fingerprint:sha-256 ")?;
        for (at, byte) in fingerprint.iter().enumerate() {
            write!(f, "{}{byte:02X}", if at > 0 { ":" } else { "" })?;
        }
        write!(f, "\r\na=setup:{setup}\r\na=mid:{mid}\r\na=sctp-port:5000\r\na=max-message-size:{message_max}\r\n")
    }
}

/// Something that ends no line and no word.
fn is_word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())
}

fn word(text: &str) -> Option<String> {
    (is_word(text) && text.len() <= WORD_MAX).then(|| text.to_string())
}

/// `B9:BC:…`
fn bytes_of(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    let mut pairs = text.split(':');
    for byte in &mut bytes {
        let pair = pairs.next().filter(|pair| pair.len() == 2 && pair.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
        *byte = u8::from_str_radix(pair, 16).ok()?;
    }
    pairs.next().is_none().then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHROMIUM: &str = "v=0\r\no=- 434226046897051200 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\na=extmap-allow-mixed\r\n\
a=msid-semantic: WMS\r\nm=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\na=ice-ufrag:GOaE\r\n\
a=ice-pwd:iICvmsklV2CmcmKyLN9ciYde\r\na=ice-options:trickle\r\na=fingerprint:sha-256 B9:BC:76:68:0C:45:BD:E1:D0:B4:96:09:50:E0:\
EC:76:CA:CC:79:A2:3C:39:1E:8B:96:C4:CD:63:03:79:BD:27\r\na=setup:actpass\r\na=mid:0\r\na=sctp-port:5000\r\na=max-message-size:262144\r\n";

    fn bytes(sdp: &Sdp) -> Vec<u8> {
        let mut w = Writer::onto(Vec::new());
        sdp.write(&mut w);
        w.finish()
    }

    #[test]
    fn a_browser_s_offer_is_said_in_a_seventh_and_means_the_same() {
        let sdp = Sdp::new(CHROMIUM.to_string());
        let Sdp::Brief(session) = &sdp else { panic!("not brief") };
        let said = bytes(&sdp);
        assert_eq!((CHROMIUM.len(), said.len()), (457, 69));
        assert_eq!(Session::read(&mut Reader::bare(&said)).as_ref(), Ok(session));
        let text = sdp.to_string();
        assert_eq!(Sdp::new(text.clone()), sdp);
        let idle = ["o=", "a=extmap-allow-mixed", "a=msid-semantic"];
        let lines = |text: &str| {
            text.lines().filter(|l| !idle.iter().any(|i| l.starts_with(i))).map(String::from).collect::<Vec<_>>()
        };
        assert_eq!(lines(&text), lines(CHROMIUM));
    }

    /// What Firefox adds and places otherwise.
    #[test]
    fn a_direction_that_is_the_usual_one_and_another_order_are_understood() {
        let fingerprint = CHROMIUM.lines().find(|line| line.starts_with("a=fingerprint")).expect("it has one");
        let firefox = CHROMIUM.replace(&alloc::format!("{fingerprint}\r\n"), "");
        let firefox = firefox.replace("t=0 0", &alloc::format!("t=0 0\r\na=sendrecv\r\n{fingerprint}"));
        let firefox = firefox.replace("a=setup", "a=sendrecv\r\na=setup");
        assert_eq!(Sdp::new(firefox), Sdp::new(CHROMIUM.to_string()));
    }

    #[test]
    fn addresses_in_the_description_come_along() {
        let line = "a=candidate:1 1 udp 2130706431 192.0.2.1 9 typ host\r\n";
        let sdp = Sdp::new(CHROMIUM.replace("a=setup", &alloc::format!("{line}a=end-of-candidates\r\na=setup")));
        assert!(matches!(&sdp, Sdp::Brief(session) if session.candidates.len() == 1), "{sdp:?}");
        assert!(sdp.to_string().contains(line));
        assert_eq!(bytes(&sdp).len(), 69 + 13);
    }

    #[test]
    fn what_is_not_understood_is_said_as_it_is() {
        let others = [
            CHROMIUM.replace("sctp-port:5000", "sctp-port:50001"),
            CHROMIUM.replace("application 9", "application 0"),
            CHROMIUM.replace("BUNDLE 0", "BUNDLE 0 1"),
            CHROMIUM.replace("a=group:BUNDLE 0\r\n", ""),
            CHROMIUM.replace("a=fingerprint", "a=fingerprint:sha-512 00\r\na=fingerprint"),
            CHROMIUM.replace("a=mid:0", "a=mid:0\r\na=mid:1"),
            CHROMIUM.replace("B9:BC", "+9:BC"),
            CHROMIUM.replace("t=0 0", "t=0 01"),
            CHROMIUM.replace("a=mid:0", "a=mid:0\r\na=sendonly"),
            CHROMIUM.replace("sha-256", "sha-512"),
            CHROMIUM.replace("B9:BC", "B9BC"),
            CHROMIUM.replace("a=setup:actpass\r\n", ""),
            CHROMIUM.replace("m=application", "m=video 9 UDP/TLS/RTP/SAVPF 96\r\nm=application"),
            alloc::format!("{CHROMIUM}{CHROMIUM}"),
            CHROMIUM.replace("a=setup", "a=candidate:1 1 tcp 1 192.0.2.1 9 typ host tcptype active\r\na=setup"),
            String::from("v=0"),
            String::new(),
        ];
        for text in others {
            assert_eq!(Sdp::new(text.clone()), Sdp::Text(text));
        }
    }

    #[test]
    fn a_line_in_a_word_is_refused() {
        let sdp = Sdp::new(CHROMIUM.replace("GOaE", "GO!E"));
        let mut said = bytes(&sdp);
        let at = said.iter().position(|byte| *byte == b'!').expect("it is there");
        said[at] = b'\n';
        assert_eq!(Session::read(&mut Reader::bare(&said)), Err(DecodeError::Field("ufrag")));
    }
}

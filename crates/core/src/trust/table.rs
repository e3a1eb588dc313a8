//! Was this signed by whom it should be?

use alloc::vec::Vec;

use ed25519_dalek::VerifyingKey;
use trellis_proto::{DecodeError, PublicKey, Table, Ticket, signed_part};

/// Why a signed message is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Distrust {
    /// The bytes are not such a message.
    Malformed(DecodeError),
    /// The signature is not by the expected key.
    Signature,
    /// A catalogue names another key than the one its run is checked with.
    ForeignKey,
}

impl core::fmt::Display for Distrust {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Malformed(why) => write!(f, "malformed: {why}"),
            Self::Signature => f.write_str("not signed by the expected key"),
            Self::ForeignKey => f.write_str("a catalogue that names a foreign key"),
        }
    }
}

impl core::error::Error for Distrust {}

/// A key that signatures are checked with.
#[derive(Debug, Clone)]
pub struct Authority(VerifyingKey);

impl Authority {
    /// None when the bytes are no point of the curve.
    pub fn new(key: &PublicKey) -> Option<Self> {
        VerifyingKey::from_bytes(key).ok().map(Self)
    }

    /// A table, believed. A catalogue must name this very key: whoever keeps it checks the run by what it says.
    pub fn table(&self, message: &[u8]) -> Result<Table, Distrust> {
        match Table::decode(self.signed(message)?).map_err(Distrust::Malformed)? {
            Table::Catalogue(catalogue) if catalogue.key != *self.0.as_bytes() => Err(Distrust::ForeignKey),
            table => Ok(table),
        }
    }

    /// A ticket, believed. Expiry, stream and edge are the caller's to check.
    pub fn ticket(&self, message: &[u8]) -> Result<Ticket, Distrust> {
        Ticket::decode(self.signed(message)?).map_err(Distrust::Malformed)
    }

    fn signed<'a>(&self, message: &'a [u8]) -> Result<&'a [u8], Distrust> {
        let (body, signature) = signed_part(message).map_err(Distrust::Malformed)?;
        let signature = ed25519_dalek::Signature::from_bytes(&signature);
        self.0.verify_strict(body, &signature).map_err(|_| Distrust::Signature)?;
        Ok(body)
    }
}

/// A message as it travels: body, then signature.
pub fn sealed(mut body: Vec<u8>, signature: &[u8; 64]) -> Vec<u8> {
    body.extend_from_slice(signature);
    body
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use ed25519_dalek::{Signer, SigningKey};
    use trellis_proto::{
        Catalogue, Class, EndReason, Layer, Media, Mode, P2p, Rendition, RunEnd, RunId, SessionId, signed_part,
    };

    use super::*;

    fn key(seed: u8) -> SigningKey {
        SigningKey::from_bytes(&[seed; 32])
    }

    fn public(seed: u8) -> PublicKey {
        key(seed).verifying_key().to_bytes()
    }

    fn sign(seed: u8, body: Vec<u8>) -> Vec<u8> {
        let signature = key(seed).sign(&body).to_bytes();
        sealed(body, &signature)
    }

    fn catalogue(key: PublicKey) -> Catalogue {
        let sound = Rendition {
            media: Media::Audio { sample_rate: 48_000, channels: 2 },
            codecs: "opus".into(),
            language: "en".into(),
            bandwidth: 96_000,
            init_size: 600,
            init_hash: [1; 32],
            layers: vec![Layer { substreams: 1 }],
        };
        Catalogue {
            stream: "demo".parse().unwrap(),
            run: RunId(1),
            key,
            mode: Mode::Live,
            started_ms: 0,
            first_msn: 0,
            discontinuity: 0,
            part_target_us: 333_334,
            segment_target_s: 2,
            window_s: 120,
            renditions: vec![sound],
        }
    }

    fn ticket() -> Ticket {
        Ticket {
            session: SessionId([7; 16]),
            stream: "demo".parse().unwrap(),
            edge: "edge-1".into(),
            expires_s: 1_790_000_000,
            max_rate: 8_000_000,
            class: Class::Standard,
            rejoins: false,
            p2p: P2p::On,
            viewers_min: 0,
        }
    }

    #[test]
    fn a_message_is_believed_for_what_it_is_from_whom_it_should_be_and_as_it_was_signed() {
        let ours = Authority::new(&public(1)).unwrap();
        let (good, end) = (catalogue(public(1)), RunEnd { run: RunId(1), parts: 3, reason: EndReason::Ended });
        let message = sign(1, good.encode());
        assert_eq!(ours.table(&message), Ok(Table::Catalogue(good.clone())));
        assert_eq!(ours.table(&sign(1, end.encode())), Ok(Table::RunEnd(end)));
        assert_eq!(ours.ticket(&sign(1, ticket().encode())), Ok(ticket()));
        for (what, message, why) in [
            ("another's signature", sign(2, good.encode()), Distrust::Signature),
            ("another's catalogue", sign(2, catalogue(public(2)).encode()), Distrust::Signature),
            ("a foreign key in ours", sign(1, catalogue(public(2)).encode()), Distrust::ForeignKey),
            ("a ticket", sign(1, ticket().encode()), Distrust::Malformed(DecodeError::Kind(16))),
            ("nothing", Vec::new(), Distrust::Malformed(DecodeError::Short)),
            ("a signature alone", message[message.len() - 64..].to_vec(), Distrust::Signature),
        ] {
            assert_eq!(ours.table(&message), Err(why), "{what} as a table");
        }
        assert_eq!(ours.ticket(&message), Err(Distrust::Malformed(DecodeError::Kind(1))), "a table as a ticket");
        assert_eq!(ours.ticket(&sign(2, ticket().encode())), Err(Distrust::Signature));
    }

    #[test]
    fn no_bit_of_a_message_can_be_turned() {
        let ours = Authority::new(&public(1)).unwrap();
        let messages = [sign(1, catalogue(public(1)).encode()), sign(1, ticket().encode())];
        for message in messages {
            for at in 0..message.len() {
                let mut turned = message.clone();
                turned[at] ^= 1 << (at % 8);
                assert_eq!(ours.table(&turned), Err(Distrust::Signature), "byte {at}");
                assert_eq!(ours.ticket(&turned), Err(Distrust::Signature), "byte {at}");
            }
        }
    }

    #[test]
    fn what_is_sealed_comes_apart_again_and_a_key_of_small_order_is_worth_nothing() {
        let signature = [9; 64];
        assert_eq!(signed_part(&sealed(vec![1, 2, 3], &signature)), Ok((&[1, 2, 3][..], signature)));
        // The neutral point "signs" everything, with R the neutral point and s zero, unless checks are strict.
        let neutral = core::array::from_fn(|at| u8::from(at == 0));
        let forged = core::array::from_fn(|at| u8::from(at == 0));
        let nobody = Authority::new(&neutral).unwrap();
        assert_eq!(nobody.table(&sealed(catalogue(neutral).encode(), &forged)), Err(Distrust::Signature));
    }
}

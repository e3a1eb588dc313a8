//! Where is a viewer, as far as its address tells? What addresses have in common, and what the operator knows of them.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use trellis_core::locality::Locality;

/// What the operator knows: which provider and which region an address prefix belongs to.
#[derive(Debug, Default)]
pub struct Prefixes {
    /// Longest first, each with its networks.
    by_length: Vec<(u8, HashMap<u128, Place>)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    isp: u32,
    region: u32,
}

/// Why a file of prefixes cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BadPrefixes {
    /// It is not there or not readable.
    #[error("cannot read {}: {source}; see `prefixes` in [edge] and [manager]", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A line that is none.
    #[error("{} line {line}: `{text}` is not `prefix,provider,region`, e.g. `198.51.100.0/24,AS64500,eu-west`", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What stands there.
        text: String,
    },
}

impl Prefixes {
    /// Reads lines of `prefix,provider,region`. Either name may be empty; lines with # and empty ones are passed over.
    pub fn load(path: &Path) -> Result<Self, BadPrefixes> {
        let text = std::fs::read_to_string(path).map_err(|source| BadPrefixes::Read { path: path.into(), source })?;
        Self::parse(&text).map_err(|line| {
            let text = text.lines().nth(line - 1).unwrap_or_default().to_owned();
            BadPrefixes::Line { path: path.into(), line, text }
        })
    }

    /// Err: the line that is none.
    fn parse(text: &str) -> Result<Self, usize> {
        let mut by_length = HashMap::<u8, HashMap<u128, Place>>::new();
        for (at, line) in text.lines().enumerate() {
            if line.trim().is_empty() || line.starts_with('#') {
                continue;
            }
            let (network, length, place) = read(line).ok_or(at + 1)?;
            by_length.entry(length).or_default().insert(network, place);
        }
        let mut by_length: Vec<_> = by_length.into_iter().collect();
        by_length.sort_by_key(|(length, _)| std::cmp::Reverse(*length));
        Ok(Self { by_length })
    }

    /// Where an address is: same address, same house; same prefix (/24, /48), same neighborhood; provider and region as the
    /// longest prefix that fits says.
    pub fn locality(&self, address: IpAddr) -> Locality {
        let bits = bits(address);
        let known = self.by_length.iter().find_map(|(length, networks)| networks.get(&(bits & mask(*length))));
        // Of IPv6 a house has a /64, and its machines change their addresses within it.
        let (lan, prefix) = if address.is_ipv4() { (128, 96 + 24) } else { (64, 48) };
        let Place { isp, region } = known.copied().unwrap_or(Place { isp: 0, region: 0 });
        Locality { lan: number(bits & mask(lan)), prefix: number(bits & mask(prefix)), isp, region }
    }
}

fn read(line: &str) -> Option<(u128, u8, Place)> {
    let mut fields = line.split(',').map(str::trim);
    let (prefix, isp, region) = (fields.next()?, fields.next()?, fields.next()?);
    let (address, length) = prefix.split_once('/')?;
    let (address, length) = (address.parse::<IpAddr>().ok()?, length.parse::<u8>().ok()?);
    let (longest, front) = if address.is_ipv4() { (32, 96) } else { (128, 0) };
    let name = |name: &str| if name.is_empty() { 0 } else { number(name) as u32 | 1 };
    let place = Place { isp: name(isp), region: name(region) };
    let good = length <= longest && fields.next().is_none();
    good.then(|| (bits(address) & mask(front + length), front + length, place))
}

/// All addresses in one row: those of IPv4 as IPv6 maps them.
fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().to_bits(),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

fn mask(length: u8) -> u128 {
    u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0)
}

/// Not 0, which means unknown.
fn number(what: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    what.hash(&mut hasher);
    hasher.finish().max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(prefixes: &Prefixes, address: &str) -> Locality {
        prefixes.locality(address.parse().unwrap())
    }

    #[test]
    fn addresses_are_near_as_far_as_they_are_alike_and_the_longest_known_prefix_counts() {
        let prefixes = Prefixes::parse(
            "# ours\n198.51.0.0/16, AS1, west\n198.51.100.0/24,AS2,west\n\n2001:db8::/32,AS1,\n0.0.0.0/0,,east\n",
        );
        let prefixes = prefixes.unwrap();
        let here = at(&prefixes, "198.51.100.7");
        for (address, distance) in
            [("198.51.100.7", 0), ("198.51.100.8", 1), ("198.51.7.1", 3), ("203.0.113.1", 4), ("2001:db8::1", 4)]
        {
            assert_eq!(here.distance(&at(&prefixes, address)), distance, "{address}");
        }
        let other = at(&prefixes, "198.51.7.1");
        assert_eq!(other.distance(&at(&prefixes, "2001:db8::1")), 2);
        let six = at(&prefixes, "2001:db8:1:2::1");
        assert_eq!(six.distance(&at(&prefixes, "2001:db8:1:2:ffff::9")), 0);
        assert_eq!(six.distance(&at(&prefixes, "2001:db8:1:3::1")), 1);
        assert_eq!(at(&Prefixes::default(), "198.51.100.7").isp, 0);
    }

    #[test]
    fn a_line_that_is_none_is_named() {
        for bad in
            ["198.51.100.0,a,b", "198.51.100.0/33,a,b", "198.51.100.0/24,a", "::/129,a,b", "x/8,a,b", "::/8,a,b,c"]
        {
            assert_eq!(Prefixes::parse(&format!("::/0,a,b\n{bad}\n")).unwrap_err(), 2, "{bad}");
        }
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "10.0.0.0/8,a,b\nnonsense\n").unwrap();
        let said = Prefixes::load(file.path()).unwrap_err().to_string();
        assert!(said.contains("line 2: `nonsense`"), "{said}");
    }
}

//! How near are two of them, viewers or servers? By what the host knows of their addresses.

/// Where somebody is: equal numbers, same place. 0: not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct Locality {
    /// Same outside address: one LAN, or one host.
    pub lan: u64,
    /// Same address prefix.
    pub prefix: u64,
    /// Same provider.
    pub isp: u32,
    /// Same region.
    pub region: u32,
}

/// The distance of those who share nothing that is known.
pub const FAR: u8 = 4;

impl Locality {
    /// 0 same LAN, 1 same prefix, 2 same provider, 3 same region, [`FAR`] none of these.
    pub fn distance(&self, other: &Self) -> u8 {
        let same = [
            self.lan != 0 && self.lan == other.lan,
            self.prefix != 0 && self.prefix == other.prefix,
            self.isp != 0 && self.isp == other.isp,
            self.region != 0 && self.region == other.region,
        ];
        same.iter().position(|same| *same).map_or(FAR, |at| at as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_narrowest_place_that_is_known_and_shared_counts() {
        let here = Locality { lan: 1, prefix: 2, isp: 3, region: 4 };
        assert_eq!(here.distance(&here), 0);
        assert_eq!(here.distance(&Locality { lan: 9, ..here }), 1);
        assert_eq!(here.distance(&Locality { lan: 9, prefix: 9, ..here }), 2);
        assert_eq!(here.distance(&Locality { region: 4, ..Locality::default() }), 3);
        assert_eq!(here.distance(&Locality { lan: 9, prefix: 9, isp: 9, region: 9 }), FAR);
        assert_eq!(Locality::default().distance(&Locality::default()), FAR, "what is not known is not shared");
    }
}

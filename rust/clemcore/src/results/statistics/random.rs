//! Random numbers by counter: the n-th number of a stream depends on nothing but the stream and n.
//!
//! So a figure does not change when other cells are added or computed in another order. The mixing function is that
//! of `SplitMix64` (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014).

const STEP: u64 = 0x9E37_79B9_7F4A_7C15;

/// A stream of random numbers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stream(u64);

impl Stream {
    /// The stream of a seed and some names.
    pub(crate) fn new(seed: u64, names: &[&str]) -> Self {
        let mut key = mix(seed.wrapping_add(STEP));
        for name in names {
            // FNV-1a; the length keeps ("ab", "c") and ("a", "bc") apart.
            let mut hash = 0xCBF2_9CE4_8422_2325_u64 ^ name.len() as u64;
            for byte in name.bytes() {
                hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3);
            }
            key = mix(key ^ hash);
        }
        Self(key)
    }

    /// The number at a place.
    #[inline]
    pub(crate) fn at(self, counter: u64) -> u64 {
        mix(self.0.wrapping_add(counter.wrapping_mul(STEP)))
    }
}

#[inline]
pub(super) fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_splitmix64() {
        // The first numbers of the published generator for the seed 1234567.
        let stream = Stream(1_234_567);
        let first = [1, 2, 3].map(|counter| stream.at(counter));
        assert_eq!(first, [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]);
    }

    #[test]
    fn streams_depend_on_every_name() {
        let first = |seed, names: &[&str]| Stream::new(seed, names).at(0);
        assert_ne!(first(0, &["ab", "c"]), first(0, &["a", "bc"]));
        assert_ne!(first(0, &["a"]), first(1, &["a"]));
        assert_eq!(first(0, &["a"]), first(0, &["a"]));
    }
}

//! Draws instances of an experiment again and again, with replacement, and sums what they add.
use super::random::Stream;

/// Adds to each resample the sums of as many drawn instances as there are.
pub(super) fn resample<const N: usize>(instances: &[[f64; N]], stream: Stream, sums: &mut [[f64; N]]) {
    let count = instances.len() as u64;
    let pairs = instances.len().div_ceil(2) as u64;
    for (number, sum) in sums.iter_mut().enumerate() {
        let first = number as u64 * pairs;
        let mut own = *sum;
        for pair in 0..count / 2 {
            // Two draws from each number: its halves.
            let bits = stream.at(first + pair);
            add(&mut own, instances, ((bits >> 32) * count) >> 32);
            add(&mut own, instances, ((bits & 0xFFFF_FFFF) * count) >> 32);
        }
        if count % 2 == 1 {
            add(&mut own, instances, ((stream.at(first + count / 2) >> 32) * count) >> 32);
        }
        *sum = own;
    }
}

#[inline]
#[allow(clippy::cast_possible_truncation, reason = "below the number of instances")]
fn add<const N: usize>(sum: &mut [f64; N], instances: &[[f64; N]], index: u64) {
    if let Some(instance) = instances.get(index as usize) {
        for (sum, number) in sum.iter_mut().zip(instance) {
            *sum += number;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_instance_is_drawn_equally_often() {
        let instances = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]];
        let mut sums = vec![[0.0; 3]; 100_000];
        resample(&instances, Stream::new(1, &[]), &mut sums);
        for which in 0..3 {
            let mean = sums.iter().map(|sum| sum[which]).sum::<f64>() / 1e5;
            let variance = sums.iter().map(|sum| (sum[which] - mean).powi(2)).sum::<f64>() / 1e5;
            assert!((mean - 1.0).abs() < 0.01, "{mean}");
            assert!((variance - 2.0 / 3.0).abs() < 0.01, "{variance}"); // 3 draws with probability 1/3
        }
        assert!(sums.iter().all(|sum| (sum.iter().sum::<f64>() - 3.0).abs() < 1e-9));
    }
}

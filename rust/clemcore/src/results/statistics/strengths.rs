//! Strengths of models that play against each other (Bradley and Terry, "Rank analysis of incomplete block designs",
//! 1952): the odds that one wins are the exponential of the difference of their strengths. A draw is half a win.
use super::interval::student;

const MOST_STEPS: usize = 200;

/// An episode that two models played against each other.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Match {
    /// The first model, by number.
    pub first: usize,
    /// The second model.
    pub second: usize,
    /// What the first one got: 1 for a win, 0.5 for a draw, 0 for a defeat.
    pub score: f64,
    /// The instance, by number: its episodes are not independent.
    pub instance: usize,
}

/// The strength of a model; the mean of all is 0.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Strength {
    /// The most likely strength.
    pub value: f64,
    /// Its interval; infinite if it is not known how results vary: for a single instance, or if all are alike.
    pub interval: [f64; 2],
}

/// The most likely strengths with intervals that allow for the dependence within instances.
///
/// # Errors
/// Why there are none: no finite strengths are the most likely ones if some models won against all others, or never
/// played, directly or not, against them (Ford, "Solution of a ranking problem from binary comparisons", 1957).
pub fn bradley_terry(matches: &[Match], count: usize, level: f64) -> Result<Vec<Strength>, &'static str> {
    let usable = |each: &&Match| each.first < count && each.second < count && each.first != each.second;
    let matches: Vec<Match> = matches.iter().filter(usable).copied().collect();
    if count < 2 || !is_connected(&matches, count) {
        return Err(
            "some models won or lost all their games against the others, so no strength is the most likely",
        );
    }
    let mut strengths = vec![0.0; count];
    for _ in 0..MOST_STEPS {
        let (slope, curvature) = derivatives(&matches, &strengths);
        let Some(inverse) = inverse(curvature) else { return Err("the strengths cannot be computed") };
        let step: Vec<f64> = inverse.iter().map(|row| product(row, &slope)).collect();
        // A step of more than one unit may overshoot.
        let longest = step.iter().fold(1.0_f64, |longest, each| longest.max(each.abs()));
        strengths.iter_mut().zip(&step).for_each(|(strength, step)| *strength += step / longest);
        if step.iter().all(|each| each.abs() < 1e-10) {
            break;
        }
    }
    let errors = errors(&matches, &strengths)?;
    Ok(strengths
        .iter()
        .zip(errors)
        .map(|(value, (error, freedom))| {
            let half = error * student(f64::midpoint(1.0, level), freedom);
            Strength { value: *value, interval: [value - half, value + half] }
        })
        .collect())
}

fn product(row: &[f64], column: &[f64]) -> f64 {
    row.iter().zip(column).map(|(one, other)| one * other).sum()
}

/// Whether each model can be reached from each other one by wins (a draw counts for both).
fn is_connected(matches: &[Match], count: usize) -> bool {
    let reaches_all = |forward: bool| {
        let mut is_reached = vec![false; count];
        let mut open = vec![0];
        while let Some(model) = open.pop() {
            if std::mem::replace(&mut is_reached[model], true) {
                continue;
            }
            for each in matches {
                let first_loses_something = each.score < 1.0;
                let second_loses_something = each.score > 0.0;
                let [to_second, to_first] = if forward {
                    [first_loses_something, second_loses_something]
                } else {
                    [second_loses_something, first_loses_something]
                };
                if each.first == model && to_second {
                    open.push(each.second);
                }
                if each.second == model && to_first {
                    open.push(each.first);
                }
            }
            open.retain(|each| !is_reached[*each]);
            open.sort_unstable();
            open.dedup();
        }
        is_reached.into_iter().all(|each| each)
    };
    reaches_all(true) && reaches_all(false)
}

fn chance(one: f64, other: f64) -> f64 {
    1.0 / (1.0 + (other - one).exp())
}

/// The slope of the log-likelihood, and its curvature with the opposite sign, made invertible by fixing the mean.
#[allow(clippy::cast_precision_loss, reason = "a count")]
fn derivatives(matches: &[Match], strengths: &[f64]) -> (Vec<f64>, Vec<Vec<f64>>) {
    let count = strengths.len();
    let mut slope = vec![0.0; count];
    let mut curvature = vec![vec![1.0 / count as f64; count]; count];
    for each in matches {
        let chance = chance(strengths[each.first], strengths[each.second]);
        let weight = chance * (1.0 - chance);
        slope[each.first] += each.score - chance;
        slope[each.second] -= each.score - chance;
        curvature[each.first][each.first] += weight;
        curvature[each.second][each.second] += weight;
        curvature[each.first][each.second] -= weight;
        curvature[each.second][each.first] -= weight;
    }
    (slope, curvature)
}

/// Standard errors that allow for dependence within instances (Liang and Zeger, "Longitudinal data analysis using
/// generalized linear models", 1986), and their degrees of freedom.
#[allow(clippy::cast_precision_loss, reason = "counts")]
fn errors(matches: &[Match], strengths: &[f64]) -> Result<Vec<(f64, f64)>, &'static str> {
    let (_, curvature) = derivatives(matches, strengths);
    let Some(inverse) = inverse(curvature) else { return Err("the strengths cannot be computed") };
    let mut sorted: Vec<&Match> = matches.iter().collect();
    sorted.sort_by_key(|each| each.instance);
    let instances: Vec<&[&Match]> = sorted.chunk_by(|one, other| one.instance == other.instance).collect();
    let number = instances.len() as f64;
    let mut squares = vec![0.0; strengths.len()];
    for instance in &instances {
        let mut slope = vec![0.0; strengths.len()];
        for each in *instance {
            let residual = each.score - chance(strengths[each.first], strengths[each.second]);
            slope[each.first] += residual;
            slope[each.second] -= residual;
        }
        for (square, row) in squares.iter_mut().zip(&inverse) {
            *square += product(row, &slope).powi(2);
        }
    }
    let freedom = (number - 1.0).max(1.0);
    // Instances that are all alike say nothing about how others would differ.
    let is_known = |square: f64| number > 1.0 && square > 1e-18;
    let of = |square: f64| if is_known(square) { (square * number / freedom).sqrt() } else { f64::INFINITY };
    Ok(squares.into_iter().map(|square| (of(square), freedom)).collect())
}

/// The inverse of a matrix by Gauss and Jordan, with the largest pivot.
fn inverse(mut matrix: Vec<Vec<f64>>) -> Option<Vec<Vec<f64>>> {
    let count = matrix.len();
    for (at, row) in matrix.iter_mut().enumerate() {
        row.extend((0..count).map(|column| f64::from(u8::from(column == at))));
    }
    for column in 0..count {
        let pivot = (column..count)
            .max_by(|one, other| matrix[*one][column].abs().total_cmp(&matrix[*other][column].abs()))?;
        matrix.swap(column, pivot);
        let divisor = matrix[column][column];
        if divisor.abs() < 1e-12 {
            return None;
        }
        matrix[column].iter_mut().for_each(|each| *each /= divisor);
        let own = matrix[column].clone();
        for (at, row) in matrix.iter_mut().enumerate() {
            if at != column {
                let factor = row[column];
                row.iter_mut().zip(&own).for_each(|(each, own)| *each -= factor * own);
            }
        }
    }
    Some(matrix.into_iter().map(|row| row[count..].to_vec()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn games(first: usize, second: usize, wins: usize, defeats: usize) -> Vec<Match> {
        let of = |score| move |instance| Match { first, second, score, instance };
        (0..wins).map(of(1.0)).chain((wins..wins + defeats).map(of(0.0))).collect()
    }

    #[test]
    fn two_models_differ_by_the_logarithm_of_their_odds() {
        let found = bradley_terry(&games(0, 1, 30, 10), 2, 0.95).unwrap();
        assert!((found[0].value - found[1].value - 3.0_f64.ln()).abs() < 1e-8);
        assert!((found[0].value + found[1].value).abs() < 1e-8);
        // The standard error of the difference is √(1/30 + 1/10).
        let half = found[0].interval[1] - found[0].value;
        assert!((2.0 * half / 2.02 - (1.0_f64 / 30.0 + 0.1).sqrt()).abs() < 0.01, "{half}");
    }

    #[test]
    fn instances_that_are_all_alike_give_no_interval() {
        let of =
            |instance| [[0, 1], [1, 0]].map(|[first, second]| Match { first, second, score: 1.0, instance });
        let alike: Vec<Match> = (0..9).flat_map(of).collect();
        for found in bradley_terry(&alike, 2, 0.95).unwrap() {
            assert!(found.value.abs() < 1e-9);
            assert!(found.interval.iter().all(|end| end.is_infinite()), "{found:?}");
        }
    }

    #[test]
    fn a_model_that_always_wins_has_no_strength() {
        assert!(bradley_terry(&games(0, 1, 5, 0), 2, 0.95).is_err());
        assert!(bradley_terry(&games(0, 1, 3, 2), 3, 0.95).is_err());
        assert!(bradley_terry(&[], 2, 0.95).is_err());
        let draws = vec![Match { first: 0, second: 1, score: 0.5, instance: 0 }; 4];
        assert!(bradley_terry(&draws, 2, 0.95).unwrap()[0].value.abs() < 1e-9);
    }
}

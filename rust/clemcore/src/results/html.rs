//! `results.html`: the table as pandas writes it.
use super::table::Table;
use std::fmt::Write as _;

/// Decimals before trailing zeros are removed.
const DECIMALS: usize = 6;
/// From this length on, a column with large numbers is written with exponents.
const LONGEST: usize = 12;
const LARGE: f64 = 1e6;

pub(super) fn table(table: &Table) -> String {
    let mut out = String::from(
        "<table border=\"1\" class=\"dataframe\">\n  <thead>\n    <tr style=\"text-align: right;\">\n      <th></th>\n",
    );
    for column in &table.columns {
        cell("th", column, &mut out);
    }
    out.push_str("    </tr>\n  </thead>\n  <tbody>\n");
    let columns: Vec<Vec<String>> = (0..table.columns.len())
        .map(|index| column(&table.cells.iter().map(|row| row[index]).collect::<Vec<_>>()))
        .collect();
    for (row, model) in table.models.iter().enumerate() {
        out.push_str("    <tr>\n");
        cell("th", model, &mut out);
        for column in &columns {
            cell("td", &column[row], &mut out);
        }
        out.push_str("    </tr>\n");
    }
    out.push_str("  </tbody>\n</table>");
    out
}

/// Appends a cell. Its text is not in an attribute, so three characters have to be escaped.
fn cell(tag: &str, text: &str, out: &mut String) {
    let text = text.trim().replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let _ = writeln!(out, "      <{tag}>{text}</{tag}>");
}

/// The numbers of a column, with as many decimals as one of them needs.
fn column(numbers: &[f64]) -> Vec<String> {
    let texts: Vec<String> = numbers.iter().map(|number| format!("{number:.DECIMALS$}")).collect();
    let is_decimal = |number: f64| number.is_finite();
    let zeros = |text: &String| text.len() - text.trim_end_matches('0').len();
    let decimals = texts.iter().zip(numbers).filter(|(_, number)| is_decimal(**number));
    let cut = decimals.map(|(text, _)| zeros(text).min(DECIMALS - 1)).min().unwrap_or(0);
    let shown: Vec<String> = texts
        .into_iter()
        .zip(numbers)
        .map(|(mut text, number)| {
            if is_decimal(*number) {
                text.truncate(text.len() - cut);
            }
            text
        })
        .collect();
    // A sign, or a blank in its place, counts.
    let longest = shown.iter().map(|text| text.trim_start_matches('-').len() + 1).max().unwrap_or(0);
    if longest > LONGEST && numbers.iter().any(|number| number.abs() > LARGE) {
        return numbers.iter().map(|number| scientific(*number)).collect();
    }
    shown
}

fn scientific(number: f64) -> String {
    let text = format!("{number:.DECIMALS$e}");
    match text.split_once('e') {
        Some((digits, exponent)) => {
            let (sign, exponent) = exponent.strip_prefix('-').map_or(('+', exponent), |rest| ('-', rest));
            format!("{digits}e{sign}{exponent:0>2}")
        }
        None => text, // NaN and inf
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_has_as_many_decimals_as_it_needs() {
        let nan = f64::NAN;
        assert_eq!(column(&[40.0, nan, 11.77]), ["40.00", "NaN", "11.77"]);
        assert_eq!(column(&[50.0, nan, 100.0]), ["50.0", "NaN", "100.0"]);
        assert_eq!(column(&[nan]), ["NaN"]);
        assert_eq!(column(&[1.5, f64::INFINITY]), ["1.5", "inf"]);
        assert_eq!(column(&[-5.5, 0.0]), ["-5.5", "0.0"]);
    }

    #[test]
    fn long_columns_have_exponents() {
        assert_eq!(column(&[1e7, 2.25]), ["10000000.00", "2.25"]);
        assert_eq!(column(&[12_345_678_901.5, 1.0]), ["1.234568e+10", "1.000000e+00"]);
        assert_eq!(column(&[1_000_001.0, 123_456_789.12]), ["1.000001e+06", "1.234568e+08"]);
    }
}

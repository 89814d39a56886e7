//! Dates: ISO, or every way in which they can be read.

/// The date that is meant, where a text can be read in one way only and is not an ISO date.
pub(super) fn certain(text: &str) -> Option<String> {
    let text = text.trim();
    match readings(text).as_slice() {
        [(date, _)] if !is_iso(text) && iso_parts(text).is_none() => Some(date.clone()),
        _ => None,
    }
}

/// What is wrong with a date and how to fix it; `None` for an ISO date and for an empty one (not known).
pub(super) fn fault(text: &str) -> Option<(String, String)> {
    if is_right(text) {
        return None;
    }
    let text = text.trim();
    let shown: String = text.chars().take(40).collect();
    if iso_parts(text).is_some() {
        return Some((
            format!("{shown} is not a day of the calendar"),
            "write the day as year-month-day".to_owned(),
        ));
    }
    let message = format!("{shown:?} is not an ISO date");
    let readings = readings(text);
    let help = match readings.as_slice() {
        [] => "write year-month-day, as 2024-01-31".to_owned(),
        [(date, _)] => format!("write {date}"),
        several => {
            let list: Vec<_> = several.iter().map(|(date, how)| format!("{date} ({how})")).collect();
            format!("it can mean {}; write the one that is meant", list.join(" or "))
        }
    };
    Some((message, help))
}

/// Whether there is nothing to be said.
pub(super) fn is_right(text: &str) -> bool {
    let text = text.trim();
    text.is_empty() || is_iso(text)
}

/// Year, year-month or year-month-day, perhaps with a time after it.
fn is_iso(text: &str) -> bool {
    let day = text.split(['T', ' ']).next().unwrap_or_default();
    match iso_parts(day) {
        Some((year, month, day)) => is_day(year, month.unwrap_or(1), day.unwrap_or(1)),
        None => false,
    }
}

fn iso_parts(text: &str) -> Option<(u32, Option<u32>, Option<u32>)> {
    let parts: Vec<&str> = text.split('-').collect();
    let lengths: Vec<usize> = parts.iter().map(|part| part.len()).collect();
    if !matches!(lengths[..], [4] | [4, 2] | [4, 2, 2]) {
        return None;
    }
    let mut numbers = Vec::new();
    for part in parts {
        numbers.push(number(part)?);
    }
    Some((numbers[0], numbers.get(1).copied(), numbers.get(2).copied()))
}

fn number(text: &str) -> Option<u32> {
    if text.is_empty() || text.len() > 4 || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

fn is_day(year: u32, month: u32, day: u32) -> bool {
    let leap = (year.is_multiple_of(4) && !year.is_multiple_of(100)) || year.is_multiple_of(400);
    let days = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 => 28 + u32::from(leap),
        _ => 0,
    };
    (1..=days).contains(&day)
}

/// The days that the text can mean, with the order in which it was read.
fn readings(text: &str) -> Vec<(String, &'static str)> {
    let parts: Vec<&str> = text.split(['-', '/', '.']).collect();
    let parts = match parts[..] {
        [a, b, c] => [a, b, c],
        [all] if all.len() == 8 && all.is_ascii() => [&all[..4], &all[4..6], &all[6..]],
        _ => return Vec::new(),
    };
    let (Some(a), Some(b), Some(c)) = (number(parts[0]), number(parts[1]), number(parts[2])) else {
        return Vec::new();
    };
    let orders = [(c, b, a, 2, "day first"), (c, a, b, 2, "month first"), (a, b, c, 0, "year first")];
    let mut found: Vec<(String, &str)> = Vec::new();
    for (year, month, day, at, how) in orders {
        // A part of four digits is the year, and only that one.
        let year_has_four = parts[at].len() == 4;
        if parts.iter().any(|part| part.len() > 2) && !year_has_four {
            continue;
        }
        let year = if year_has_four { year } else { 2000 + year };
        let date = format!("{year:04}-{month:02}-{day:02}");
        if is_day(year, month, day) && !found.iter().any(|(other, _)| *other == date) {
            found.push((date, how));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn help(text: &str) -> String {
        fault(text).map(|(_, help)| help).unwrap_or_default()
    }

    #[test]
    fn iso_dates_are_right() {
        for date in ["2024-01-06", "2024-02-29", "2024-01", "2024", "", " ", "2024-01-06T12:00:00Z"] {
            assert_eq!(fault(date), None, "{date}");
        }
        assert!(fault("2023-02-29").unwrap().0.contains("not a day of the calendar"));
    }

    #[test]
    fn every_reading_is_named() {
        assert_eq!(
            help("06-01-24"),
            "it can mean 2024-01-06 (day first) or 2024-06-01 (month first) or 2006-01-24 (year first); \
             write the one that is meant"
        );
        assert_eq!(
            help("24-08-23"),
            "it can mean 2023-08-24 (day first) or 2024-08-23 (year first); write the one that is meant"
        );
        assert_eq!(help("13/01/2024"), "write 2024-01-13");
        assert_eq!(help("2024/01/06"), "write 2024-01-06");
        assert_eq!(help("20240106"), "write 2024-01-06");
        assert_eq!(help("5.5.2024"), "write 2024-05-05");
        assert_eq!(certain("13/01/2024").as_deref(), Some("2024-01-13"));
        for doubtful in ["06-01-24", "2024-01-06", "2023-02-29", "January", ""] {
            assert_eq!(certain(doubtful), None, "{doubtful}");
        }
        assert_eq!(help("January"), "write year-month-day, as 2024-01-31");
    }
}

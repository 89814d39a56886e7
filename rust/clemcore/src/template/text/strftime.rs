//! `datetime.strftime` in the C locale, as glibc writes it, for a naive local time that the caller gives.

use std::fmt::Write as _;

use crate::template::budget::{look, spend};
use crate::template::error::{Error, Result};

/// A local time without zone: what `datetime.now()` gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    /// The year, 1 to 9999.
    pub year: i32,
    /// The month, 1 to 12.
    pub month: u32,
    /// The day of the month, from 1.
    pub day: u32,
    /// The hour, 0 to 23.
    pub hour: u32,
    /// The minute, 0 to 59.
    pub minute: u32,
    /// The second, 0 to 59.
    pub second: u32,
    /// The microsecond, 0 to 999999.
    pub microsecond: u32,
}

const DAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

impl Clock {
    fn day_of_year(&self) -> i32 {
        let leap = i32::from(self.year % 4 == 0 && (self.year % 100 != 0 || self.year % 400 == 0));
        let before = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];
        let month = self.month.clamp(1, 12) as usize - 1;
        before[month] + if month > 1 { leap } else { 0 } + self.day.cast_signed()
    }

    /// 0 is Sunday.
    fn weekday(&self) -> i32 {
        let year = i64::from(self.year) - 1;
        let days = year * 365 + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
        i32::try_from((days + i64::from(self.day_of_year())).rem_euclid(7)).unwrap_or(0)
    }

    /// The ISO year and week.
    fn iso_week(&self) -> (i32, i32) {
        let monday_based = (self.weekday() + 6) % 7;
        let week = (self.day_of_year() - 1 - monday_based + 10) / 7;
        if week < 1 {
            return (self.year - 1, weeks_in(self.year - 1));
        }
        if week > weeks_in(self.year) { (self.year + 1, 1) } else { (self.year, week) }
    }
}

fn weeks_in(year: i32) -> i32 {
    let day = |y: i32| (y + y.div_euclid(4) - y.div_euclid(100) + y.div_euclid(400)).rem_euclid(7);
    if day(year) == 4 || day(year - 1) == 3 { 53 } else { 52 }
}

/// One directive's flags.
#[derive(Clone, Copy, Default)]
struct Flags {
    pad: Option<char>,
    upper: bool,
    swap: bool,
    width: usize,
}

/// Writes `clock` in `format`.
pub(crate) fn strftime(clock: &Clock, format: &str) -> Result<String> {
    if format.contains('\0') {
        return Err(Error::unsupported("a zero byte in a time format")); // versions of Python differ
    }
    let mut out = String::new();
    let mut rest = format;
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        let before = out.len();
        rest = directive(clock, &rest[at..], &mut out)?;
        look(out.len().saturating_sub(before))?;
        spend(4)?;
    }
    out.push_str(rest);
    Ok(out)
}

/// Writes the directive at the start of `text`; gives what follows it.
fn directive<'f>(clock: &Clock, text: &'f str, out: &mut String) -> Result<&'f str> {
    let mut flags = Flags::default();
    let mut rest = &text[1..];
    loop {
        match rest.as_bytes().first() {
            Some(c @ (b'_' | b'-' | b'0')) => flags.pad = Some(char::from(*c)),
            Some(b'^') => flags.upper = true,
            Some(b'#') => flags.swap = true,
            _ => break,
        }
        rest = &rest[1..];
    }
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    if digits > 3 {
        return Err(Error::unsupported("a very wide strftime field"));
    }
    flags.width = rest[..digits].parse().unwrap_or(0);
    rest = &rest[digits..];
    let modified = rest.starts_with(['E', 'O']);
    let body = if modified { &rest[1..] } else { rest };
    let Some(kind) = body.chars().next() else {
        out.push_str(text);
        return Ok("");
    };
    let after = &body[kind.len_utf8()..];
    if modified || !write(clock, kind, flags, out)? {
        if modified {
            return Err(Error::unsupported("a modified strftime directive"));
        }
        out.push_str(&text[..text.len() - after.len()]);
    }
    Ok(after)
}

/// Writes one directive; false for an unknown one, which glibc copies as it is.
fn write(clock: &Clock, kind: char, flags: Flags, out: &mut String) -> Result<bool> {
    let hour12 = (clock.hour + 11) % 12 + 1;
    let yday = clock.day_of_year();
    let (wday, monday_based) = (clock.weekday(), (clock.weekday() + 6) % 7);
    let number = |value: i32, width: usize, pad: char| number(value, width, pad, flags);
    let month = MONTHS[clock.month.clamp(1, 12) as usize - 1];
    let day = DAYS[wday.rem_euclid(7).unsigned_abs() as usize];
    let again = |format: &str| strftime(clock, format).map(|s| text(&s, flags));
    let piece = match kind {
        'a' => text(&day[..3], flags),
        'A' => text(day, flags),
        'b' | 'h' => text(&month[..3], flags),
        'B' => text(month, flags),
        'c' => again("%a %b %e %H:%M:%S %Y")?,
        'C' => number(clock.year / 100, 2, '0'),
        'd' => number(clock.day.cast_signed(), 2, '0'),
        'D' | 'x' => again("%m/%d/%y")?,
        'e' => number(clock.day.cast_signed(), 2, ' '),
        'f' => format!("{:06}", clock.microsecond),
        'F' => again("%Y-%m-%d")?,
        'g' => number(clock.iso_week().0 % 100, 2, '0'),
        'G' => number(clock.iso_week().0, 1, '0'),
        'H' => number(clock.hour.cast_signed(), 2, '0'),
        'I' => number(hour12.cast_signed(), 2, '0'),
        'j' => number(yday, 3, '0'),
        'k' => number(clock.hour.cast_signed(), 2, ' '),
        'l' => number(hour12.cast_signed(), 2, ' '),
        'm' => number(clock.month.cast_signed(), 2, '0'),
        'M' => number(clock.minute.cast_signed(), 2, '0'),
        'n' => "\n".into(),
        'p' => half_day(clock, flags, false),
        'P' => half_day(clock, flags, true),
        'r' => again("%I:%M:%S %p")?,
        'R' => again("%H:%M")?,
        'S' => number(clock.second.cast_signed(), 2, '0'),
        't' => "\t".into(),
        'T' | 'X' => again("%H:%M:%S")?,
        'u' => number(if wday == 0 { 7 } else { wday }, 1, '0'),
        'U' => number((yday - 1 + 7 - wday) / 7, 2, '0'),
        'V' => number(clock.iso_week().1, 2, '0'),
        'w' => number(wday, 1, '0'),
        'W' => number((yday - 1 + 7 - monday_based) / 7, 2, '0'),
        'y' => number(clock.year.rem_euclid(100), 2, '0'),
        'Y' => number(clock.year, 1, '0'),
        'z' | 'Z' => String::new(),
        '%' => "%".into(),
        's' => return Err(Error::unsupported("strftime seconds since the epoch")),
        _ => return Ok(false),
    };
    out.push_str(&piece);
    Ok(true)
}

fn half_day(clock: &Clock, flags: Flags, lower: bool) -> String {
    let name = if clock.hour < 12 { "AM" } else { "PM" };
    if lower || flags.swap { name.to_lowercase() } else { text(name, flags) }
}

fn number(value: i32, width: usize, pad: char, flags: Flags) -> String {
    let mut out = String::new();
    let pad = match flags.pad {
        Some('_') => ' ',
        Some('0') => '0',
        Some(_) => return value.to_string(),
        None => pad,
    };
    let width = if flags.width > 0 { flags.width } else { width };
    let _ = if pad == '0' { write!(out, "{value:0width$}") } else { write!(out, "{value:width$}") };
    out
}

fn text(value: &str, flags: Flags) -> String {
    let value = if flags.upper || flags.swap { value.to_uppercase() } else { value.to_owned() };
    let missing = flags.width.saturating_sub(value.len());
    let fill = if flags.pad == Some('0') { '0' } else { ' ' };
    std::iter::repeat_n(fill, missing).collect::<String>() + &value
}

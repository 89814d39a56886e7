//! Random damage to real files: never a panic, a hang, or a place that is not in the file; and what is accepted is
//! read as `serde_json` reads it.
//!
//! `CLEMCORE_CORRUPTIONS` sets how many damaged texts are tried of each file (a hundred thousand make a long night),
//! `CLEMCORE_SHARED` a folder with `corpus/registries/*.json`, which are damaged too.
//!
//! We refuse, where `serde_json` does not: duplicate keys. It refuses, where we do not: a byte order mark (a warning
//! here), integers above 10^308 (kept exactly here), and depth 128 (127 is its last).
#![allow(clippy::unwrap_used, clippy::panic, reason = "a panic in a test is a failed test")]
use clemcore::json;
use clemcore::problem::{Problem, Severity};
use clemcore::registry::{Registry, check, check_slowly};
use clemcore::report::{Format, Report};
use clemcore::value::Value;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// What a check may take of the processor, whatever the file is; more is a hang.
const LIMIT: Duration = Duration::from_secs(2);

/// The time that this thread has had of the processor; on systems that do not tell, what the clock says.
fn used() -> Duration {
    static START: std::sync::LazyLock<Instant> = std::sync::LazyLock::new(Instant::now);
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanoseconds = told.and_then(|told| told.split(' ').next()?.parse().ok());
    nanoseconds.map_or_else(|| START.elapsed(), Duration::from_nanos)
}

/// A small generator of random numbers (splitmix64): the same on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit.max(1) as u64).unwrap()
    }
}

/// What is put into a text.
fn splinters() -> Vec<Vec<u8>> {
    let texts = [
        "\"",
        "'",
        "\\",
        "\\u",
        "\\ud800",
        "\\udc00",
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        ",,",
        "//",
        "/*",
        "#",
        "\n",
        "\r",
        "\r\n",
        "\t",
        "\0",
        "None",
        "True",
        "NaN",
        "-Infinity",
        "0",
        "00",
        "-",
        "+1",
        ".5",
        "1e999",
        "1e-999",
        "1e",
        "\u{feff}",
        "\u{a0}",
        "\u{2028}",
        "“",
        "”",
        "😀",
        "e\u{301}",
        "\"a\": 1,",
        "\"a\": 1, \"a\": 1,",
        "null",
        "=",
        "\"api_key\": \"sk-0123456789abcdefghijkl\",",
        "hf_0123456789abcdefghijklmn",
        "  ",
        "null,",
    ];
    let mut splinters: Vec<Vec<u8>> = texts.iter().map(|text| text.as_bytes().to_vec()).collect();
    let bytes: [&[u8]; 6] =
        [b"\xff", b"\xc3", b"\xe2\x82", b"\xed\xa0\x80", b"\xf5\x80\x80\x80", b"\xc0\xaf"];
    splinters.extend(bytes.iter().map(|bytes| bytes.to_vec()));
    let long = [
        "[".repeat(200),
        "{\"a\":".repeat(200),
        "9".repeat(400),
        "9".repeat(5000),
        "x".repeat(3000),
        "\n\"".repeat(99),
    ];
    splinters.extend(long.iter().map(|text| text.as_bytes().to_vec()));
    splinters
}

fn damage(original: &[u8], splinters: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let mut bytes = original.to_vec();
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len() + 1);
        let end = (at + random.below(40)).min(bytes.len());
        match random.below(8) {
            0 if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
            1 => bytes.truncate(at),
            2 => drop(bytes.drain(at..end)),
            3 => {
                let piece = bytes[at..end].to_vec();
                let to = random.below(bytes.len() + 1);
                bytes.splice(to..to, piece);
            }
            4 if at < bytes.len() => bytes[at] = u8::try_from(random.below(256)).unwrap(),
            _ => drop(bytes.splice(at..at, splinters[random.below(splinters.len())].iter().copied())),
        }
    }
    bytes
}

fn files() -> Vec<PathBuf> {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/registries");
    let mut folders = vec![fixtures.join("valid"), fixtures.join("invalid")];
    folders.extend(
        std::env::var_os("CLEMCORE_SHARED").map(|shared| Path::new(&shared).join("corpus/registries")),
    );
    let read =
        |folder: PathBuf| std::fs::read_dir(folder).into_iter().flatten().map(|file| file.unwrap().path());
    let mut files: Vec<_> = folders.into_iter().flat_map(read).collect();
    files.sort();
    assert!(files.len() > 40);
    files
}

/// Whether a problem is one of the text itself (R001 to R029) that stops it.
fn is_syntax(problem: &Problem) -> bool {
    problem.kind.severity == Severity::Error && problem.kind.code < "R030"
}

fn assert_places_exist(bytes: &[u8], report: &Report) {
    let text = String::from_utf8_lossy(bytes).replace("\r\n", "\n").replace('\r', "\n");
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let lines: Vec<usize> = text.split('\n').map(|line| line.chars().count()).collect();
    for problem in &report.problems {
        for (line, column) in [(problem.line, problem.column), (problem.end_line, problem.end_column)] {
            // A line may end with \r\n, and a place may lie between the two.
            assert!(column >= 1 && column <= lines[line - 1] + 2, "{problem}");
        }
        assert!((problem.line, problem.column) <= (problem.end_line, problem.end_column), "{problem}");
    }
}

fn assert_same(ours: &Value, theirs: &serde_json::Value) {
    use serde_json::Value as Json;
    match (ours, theirs) {
        (Value::Null, Json::Null) => {}
        (Value::Bool(a), Json::Bool(b)) => assert_eq!(a, b),
        (Value::String(a), Json::String(b)) => assert_eq!(a, b),
        // serde_json reads integers beyond 64 bits, and -0, as floats.
        (Value::Int(0), Json::Number(b)) => assert!(b.as_f64() == Some(0.0)),
        (Value::Int(a), Json::Number(b)) => assert_eq!(Some(*a), b.as_i64()),
        (Value::BigInt(a), Json::Number(b)) => match b.as_u64() {
            Some(b) => assert_eq!(**a, b.to_string()),
            None => close(a.parse().unwrap(), b.as_f64().unwrap()),
        },
        (Value::Float(a), Json::Number(b)) => close(*a, b.as_f64().unwrap()),
        (Value::List(a), Json::Array(b)) => {
            assert_eq!(a.len(), b.len());
            a.iter().zip(b).for_each(|(a, b)| assert_same(a, b));
        }
        (Value::Dict(a), Json::Object(b)) => {
            assert_eq!(a.len(), b.len());
            a.iter().for_each(|(key, value)| assert_same(value, &b[key]));
        }
        _ => panic!("{ours:?} is not {theirs:?}"),
    }
}

/// `serde_json` may be wrong in the last bit.
#[allow(clippy::float_cmp, reason = "infinities are out of range here, so equality is the quick case")]
fn close(ours: f64, theirs: f64) {
    assert!(ours == theirs || (ours - theirs).abs() <= ours.abs() * 1e-15, "{ours} is not {theirs}");
}

fn assert_agrees_with_serde(bytes: &[u8], report: &Report) {
    let without_mark = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    let theirs = serde_json::from_slice::<serde_json::Value>(without_mark);
    match (json::read("x.json", bytes), theirs) {
        (Ok((ours, _)), Ok(theirs)) => {
            assert_same(&ours, &theirs);
            assert!(!report.problems.iter().any(is_syntax));
        }
        (Err(report), Ok(_)) => {
            // The only thing in which we are stricter.
            let mut errors =
                report.problems.iter().filter(|problem| problem.kind.severity == Severity::Error);
            assert!(
                errors.all(|problem| problem.kind.code == "R030"),
                "{}",
                report.render(Format::Human, false)
            );
        }
        (Ok(_), Err(error)) => {
            let allowed = ["number out of range", "recursion limit"];
            assert!(allowed.iter().any(|words| error.to_string().contains(words)), "{error}");
        }
        // Of YAML no more is said than that it is YAML.
        (Err(_), Err(_)) if report.problems.iter().any(|problem| problem.kind.code == "R031") => {}
        (Err(ours), Err(_)) => assert!(report.count(Severity::Error) >= ours.count(Severity::Error)),
    }
}

/// Everything that must hold of any bytes.
fn try_out(name: &str, bytes: &[u8]) {
    let start = used();
    let report = check(name, bytes, None);
    let texts = [Format::Human, Format::Json, Format::Github].map(|format| report.render(format, false));
    let took = used().saturating_sub(start);
    assert!(took < LIMIT, "{name} took {took:?}");
    for secret in ["\"sk-0123456789abcdefghij", " hf_0123456789abcdefghij"] {
        assert!(texts.iter().all(|text| !text.contains(secret)), "{name}: {}", texts[0]);
    }
    assert_places_exist(bytes, &report);
    assert_agrees_with_serde(bytes, &report);
    assert_eq!(report, check_slowly(name, bytes, None));
    let slow = Registry::load_slowly(&[(name, bytes)], None);
    match (Registry::load(&[(name, bytes)], None), slow) {
        (Ok(quick), Ok(slow)) => assert_eq!(quick.warnings(), slow.warnings()),
        (Err(quick), Err(slow)) => assert_eq!(quick, slow),
        (quick, _) => panic!("the two ways of loading differ: {quick:?}"),
    }
}

#[test]
fn damaged_files_give_a_report_or_a_registry() {
    let setting = std::env::var("CLEMCORE_CORRUPTIONS").ok();
    let splinters = splinters();
    for path in files() {
        let original = std::fs::read(&path).unwrap();
        let name = path.file_name().unwrap().to_str().unwrap();
        let count =
            setting.as_deref().map_or(20_000 / (original.len() + 1500) + 3, |count| count.parse().unwrap());
        for seed in 0..count as u64 {
            let bytes = damage(
                &original,
                &splinters,
                &mut Random(seed.wrapping_mul(0x1_0001) ^ original.len() as u64),
            );
            let result = std::panic::catch_unwind(|| try_out(name, &bytes));
            if let Err(panic) = result {
                let kept = std::env::temp_dir().join("clemcore-corruption.json");
                std::fs::write(&kept, &bytes).unwrap();
                eprintln!("{name} with seed {seed}; the text is kept as {}", kept.display());
                std::panic::resume_unwind(panic);
            }
        }
    }
}

fn repeat(times: usize, item: impl Fn(usize) -> String) -> String {
    (0..times).map(item).collect::<Vec<_>>().concat()
}

#[test]
fn bad_shapes_take_no_time() {
    // Grown by CLEMCORE_CORRUPTIONS=1000 and more to the sizes that a person would try: 100 MB.
    let setting = std::env::var("CLEMCORE_CORRUPTIONS").ok().and_then(|count| count.parse::<usize>().ok());
    let size = if setting.unwrap_or(0) >= 1000 { 100_000_000 } else { 100_000 };
    // At that size, and only there, many single checks of values add up.
    let limit = if size > 1_000_000 { LIMIT * 3 } else { LIMIT };
    let entries = |members: &str| {
        let entry = |at| format!("{{\"model_name\": \"m{at}\", \"backend\": \"mock\", {members}}}");
        format!("[{}]", (0..size / (45 + members.len())).map(entry).collect::<Vec<_>>().join(","))
    };
    let shapes: [(&str, String); 30] = [
        ("one key again and again", format!("[{{{}}}]", vec!["\"a\": 1"; size / 8].join(","))),
        ("each key twice", format!("[{{{}}}]", repeat(size / 10, |at| format!("\"k{}\": 1,", at / 2)))),
        ("no entries", format!("[{}]", vec!["1"; size / 2].join(","))),
        (
            "numbers",
            format!(
                "[{{\"model_name\": \"m\", \"backend\": \"mock\", \"k\": [{}]}}]",
                vec!["1"; size / 2].join(",")
            ),
        ),
        ("dates", entries("\"release_date\": \"06-01-24\"")),
        ("languages", entries("\"languages\": [\"english\", \"german\"]")),
        ("aliases", entries("\"aliases\": [\"a\", \"b\"]")),
        ("allows", entries("\"lint\": {\"allow\": [\"R064\", \"x\"]}")),
        ("open lists", "[".repeat(size)),
        ("open objects", "{\"a\":".repeat(size / 5)),
        ("closing brackets", "]".repeat(size)),
        ("wrong brackets", "[}".repeat(size / 2)),
        ("one string", format!("[\"{}\"]", "x".repeat(size))),
        ("one open string", format!("[\"{}", "x".repeat(size))),
        ("one key", format!("[{{\"{}\": 1}}]", "k".repeat(size))),
        (
            "one name",
            format!(
                "[{{\"model_name\": \"{}\", \"backend\": 1, \"x\": [{}]}}]",
                "n".repeat(size),
                "1,,".repeat(500)
            ),
        ),
        ("one number", format!("[{}]", "9".repeat(size))),
        ("one comment", format!("[/*{}", "*".repeat(size))),
        ("many comments", "//\n".repeat(size / 3)),
        ("string of lines", format!("[\"{}\"]", "x\n".repeat(size / 2))),
        ("open string of lines", format!("[\"{}", "x\n".repeat(size / 2))),
        ("quotes on lines", "\"\n".repeat(size / 2)),
        ("escapes", format!("[\"{}\"]", "\\u0041".repeat(size / 6))),
        ("bad escapes", format!("[\"{}\"]", "\\q".repeat(size / 2))),
        ("whitespace", " ".repeat(size)),
        ("no-break spaces", "\u{a0}".repeat(size / 2)),
        ("half secrets", format!("[\"{}\"]", "sk-".repeat(size / 3))),
        ("near keys", format!("[{{{}}}]", repeat(size / 20, |at| format!("\"backen{at}\": 1,")))),
        (
            "same entries",
            format!("[{}]", vec!["{\"model_name\": \"m\", \"backend\": \"mock\"}"; size / 40].join(",")),
        ),
        (
            "same names",
            format!(
                "[{}]",
                (0..size / 50)
                    .map(|at| format!("{{\"model_name\": \"m\", \"backend\": \"mock\", \"a\": {at}}}"))
                    .collect::<Vec<_>>()
                    .join(",")
            ),
        ),
    ];
    for (name, text) in shapes {
        let start = used();
        assert!(text.len() > size / 2, "{name} has only {} bytes", text.len());
        let report = check(name, text.as_bytes(), None);
        let rendered = report.render(Format::Human, false);
        let took = used().saturating_sub(start);
        println!("{name}: {took:?}, {} problems", report.problems.len());
        assert!(took < limit, "{name} took {took:?}");
        assert!(rendered.len() < 2_000_000, "{name}: a report of {} bytes", rendered.len());
    }
}

//! `clemcore-check FILE…`: checks model registries in CI, without Python.
//!
//! Reads files, asks [`clemcore::registry::check`], writes the report. What a fault is, is decided there.
use clemcore::catalogue;
use clemcore::fix::fix;
use clemcore::problem::Severity;
use clemcore::registry::check;
use clemcore::report::{Format, Report, visible_lines};
use clemcore::schema::{self, BACKENDS, Backend};
use std::io::{self, IsTerminal, Read, Write};
use std::process::ExitCode;

#[path = "clemcore-check/replace.rs"]
mod replace;

const HELP: &str = "\
Check model registries: every fault with file, line, column and how to fix it.

Usage: clemcore-check [OPTIONS] FILE…      (- reads standard input)

Options:
  --format NAME                how the report is written: human, json, github, sarif [human]
  --fix                        fix what has only one meaning, then report the rest
  --diff                       with --fix: show what would change, write nothing
  --deny warnings              warnings fail too
  --backend NAME               a backend of your own that is known (can be repeated)
  --explain CODE|KEY           what a code such as R010, or a key such as context_size, means
  -h, --help                   this text
  -V, --version                the version

Exit status: 0 nothing that fails, 1 a fault that fails, 2 a file cannot be read or a wrong option.

Examples:
  clemcore-check model_registry.json
  clemcore-check --deny warnings --format github *.json
  clemcore-check --fix --diff model_registry.json
";

/// Nothing that fails was found.
const CLEAN: u8 = 0;
/// A registry has faults.
const FAULTY: u8 = 1;
/// A file cannot be read, or the command line is wrong.
const UNUSABLE: u8 = 2;

fn main() -> ExitCode {
    // arg_os: a path need not be UTF-8, but then it cannot be named in a report either.
    let arguments = std::env::args_os().skip(1).map(|argument| argument.to_string_lossy().into_owned());
    let status = match parse(arguments) {
        Ok(Command::Print(text)) => {
            print(&text);
            CLEAN
        }
        Ok(Command::Check(options)) => run(&options),
        Err(message) => {
            complain(&format!("{message}\nTry clemcore-check --help"));
            UNUSABLE
        }
    };
    ExitCode::from(status)
}

enum Command {
    Print(String),
    Check(Options),
}

struct Options {
    format: Format,
    deny_warnings: bool,
    fix: bool,
    diff: bool,
    backends: Vec<Backend>,
    files: Vec<String>,
}

fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Command, String> {
    let mut options = Options {
        format: Format::Human,
        deny_warnings: false,
        fix: false,
        diff: false,
        backends: BACKENDS.iter().map(|name| Backend::named(*name)).collect(),
        files: Vec::new(),
    };
    while let Some(argument) = arguments.next() {
        let (name, attached) = match argument.split_once('=') {
            Some((name, value)) if name.starts_with("--") => (name.to_owned(), Some(value.to_owned())),
            _ => (argument, None),
        };
        let mut value =
            || attached.clone().or_else(|| arguments.next()).ok_or(format!("{name} needs a value"));
        match name.as_str() {
            "-h" | "--help" => return Ok(Command::Print(HELP.to_owned())),
            "-V" | "--version" => {
                return Ok(Command::Print(format!("clemcore-check {}\n", env!("CARGO_PKG_VERSION"))));
            }
            "--explain" => return explain(&value()?),
            "--format" => options.format = format(&value()?)?,
            "--deny" => deny(&value()?, &mut options)?,
            // Its former spelling.
            "--deny-warnings" => options.deny_warnings = true,
            "--fix" => options.fix = true,
            "--diff" => options.diff = true,
            "--backend" => options.backends.push(Backend::named(value()?)),
            "--" => options.files.extend(arguments.by_ref()),
            _ if name.starts_with('-') && name != "-" => return Err(format!("unknown option {name}")),
            _ => options.files.push(name),
        }
    }
    if options.files.is_empty() {
        return Err("no file to check".to_owned());
    }
    if options.diff && !options.fix {
        return Err("--diff belongs to --fix".to_owned());
    }
    if options.fix && options.files.iter().any(|file| file == "-") {
        return Err("--fix needs files, not standard input".to_owned());
    }
    Ok(Command::Check(options))
}

fn format(name: &str) -> Result<Format, String> {
    Format::from_name(name)
        .ok_or_else(|| format!("--format is one of {}, not {name}", Format::NAMES.join(", ")))
}

fn deny(what: &str, options: &mut Options) -> Result<(), String> {
    if what != "warnings" {
        return Err(format!("--deny knows warnings, not {what}"));
    }
    options.deny_warnings = true;
    Ok(())
}

fn explain(what: &str) -> Result<Command, String> {
    let page = catalogue::explain(what).or_else(|| schema::explain(what));
    page.map(Command::Print).ok_or_else(|| format!("there is no code and no key {what}"))
}

fn run(options: &Options) -> u8 {
    let mut report = Report::default();
    let mut readable = true;
    for file in &options.files {
        let found = if options.fix { fix_file(file, options) } else { examine(file, options) };
        match found {
            Ok(found) => report.extend(found),
            Err(message) => {
                complain(&format!("{file}: {message}"));
                readable = false;
            }
        }
    }
    // Of a file that nobody has read there is nothing good to say; formats for machines stay whole.
    if readable || !report.problems.is_empty() || options.format != Format::Human {
        print(&report.render(options.format, color()));
    }
    let denied = options.deny_warnings && report.count(Severity::Warning) > 0;
    if !readable {
        UNUSABLE
    } else if denied || !report.is_usable() {
        FAULTY
    } else {
        CLEAN
    }
}

fn examine(file: &str, options: &Options) -> Result<Report, String> {
    let bytes = read(file).map_err(|error| format!("cannot be read: {error}"))?;
    let source = if file == "-" { "<stdin>" } else { file };
    Ok(check(source, &bytes, Some(&options.backends)))
}

/// Fixes a file, or shows what would be fixed; gives what is left.
fn fix_file(file: &str, options: &Options) -> Result<Report, String> {
    let path = std::fs::canonicalize(file).map_err(|error| format!("cannot be read: {error}"))?;
    let _lock = if options.diff {
        None
    } else {
        Some(replace::Lock::wait(&path).map_err(|error| format!("cannot be locked: {error}"))?)
    };
    let bytes = std::fs::read(&path).map_err(|error| format!("cannot be read: {error}"))?;
    let fixed = fix(file, &bytes, Some(&options.backends));
    if options.diff {
        let diff = fixed.diff(file);
        print(&if io::stdout().is_terminal() { visible_lines(&diff) } else { diff.into() });
    } else if fixed.is_changed() {
        replace::file(&path, fixed.text.as_bytes()).map_err(|error| format!("cannot be written: {error}"))?;
        complain(&format!("{file}: fixed {}", count(fixed.count)));
    }
    Ok(fixed.rest)
}

fn count(problems: usize) -> String {
    if problems == 1 { "1 problem".to_owned() } else { format!("{problems} problems") }
}

fn read(file: &str) -> io::Result<Vec<u8>> {
    if file != "-" {
        return std::fs::read(file);
    }
    let mut bytes = Vec::new();
    io::stdin().lock().read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Colours on a terminal, unless `NO_COLOR` says something.
fn color() -> bool {
    io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Writes to standard output; a reader that has gone away is not a fault.
fn print(text: &str) {
    let _ = io::stdout().lock().write_all(text.as_bytes());
}

fn complain(message: &str) {
    let _ = writeln!(io::stderr().lock(), "clemcore-check: {}", visible_lines(message));
}

//! `clemcore-check` as a process: what it prints where, and its exit status.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a panic in a test is a failed test")]
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

fn fixture(name: &str) -> String {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/registries");
    folder.join(name).to_str().unwrap().to_owned()
}

fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_clemcore-check")).args(arguments).stdin(Stdio::null()).output().unwrap()
}

fn run_with_input(arguments: &[&str], input: &[u8]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_clemcore-check"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    child.wait_with_output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn a_clean_file_passes() {
    let output = run(&[&fixture("valid/plain.json"), &fixture("valid/empty.json")]);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(stdout(&output), "no problems\n");
    assert_eq!(stderr(&output), "");
}

#[test]
fn a_faulty_file_fails_with_a_report_on_stdout() {
    let output = run_with_input(&["-"], b"[\n  {\"model_name\": \"m\", \"backend\": \"mock\",}\n]\n");
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(stderr(&output), "");
    let expected = "\
error[R010]: a comma after the last item
 --> <stdin>:2:40
  |
2 |   {\"model_name\": \"m\", \"backend\": \"mock\",}
  |                                        ^
  = in: entry 0 \"m\"
  = help: remove it

1 error
";
    assert_eq!(stdout(&output), expected);
}

#[test]
fn warnings_pass_unless_they_are_denied() {
    let file = fixture("invalid/R052_unknown-backend.json");
    let output = run(&[&file]);
    assert_eq!(output.status.code(), Some(0));
    assert!(stdout(&output).ends_with("\n3 warnings\n"));
    assert_eq!(run(&["--deny", "warnings", &file]).status.code(), Some(1));
    assert_eq!(run(&["--deny=warnings", &file]).status.code(), Some(1));
    assert_eq!(run(&["--deny-warnings", &file]).status.code(), Some(1));
    let known = ["--deny=warnings", "--backend", "vllm", "--backend=parrot", "--backend", "open_ai", &file];
    assert_eq!(run(&known).status.code(), Some(0));
    // A hint is never denied.
    assert_eq!(run(&["--deny=warnings", &fixture("invalid/R064_false-flag.json")]).status.code(), Some(0));
}

#[test]
fn machines_get_json_and_annotations() {
    let file = fixture("invalid/R010_trailing-comma.json");
    let output = run(&["--format", "json", &file]);
    assert_eq!(output.status.code(), Some(1));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&report["errors"], &report["warnings"]), (&3.into(), &0.into()));
    assert_eq!(report["problems"][0]["code"], "R010");
    assert_eq!(report["problems"][0]["source"], file.as_str());
    assert_eq!((&report["problems"][0]["line"], &report["problems"][0]["column"]), (&5.into(), &29.into()));
    assert_eq!(report["problems"][0]["model"], "tiny-chat");

    let output = run_with_input(&["--format=github", "-"], b"[1,]");
    let expected = "\
::error file=<stdin>,line=1,endLine=1,col=2,endColumn=3,title=R041 not an entry::an entry is an object, \
not an integer%0Ahelp: write {\"model_name\": …, \"backend\": …}
::error file=<stdin>,line=1,endLine=1,col=3,endColumn=4,title=R010 trailing comma::a comma after the last \
item%0Ahelp: remove it
";
    assert_eq!(stdout(&output), expected);
}

#[test]
fn what_cannot_be_read_or_understood_is_status_2() {
    let missing = fixture("invalid/no-such-file.json");
    let output = run(&[&missing, &fixture("invalid/R003_empty-file.json")]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("no-such-file.json: cannot be read: "));
    // The other file is checked all the same.
    assert!(stdout(&output).contains("error[R003]"));
    // "no problems" would be a lie about a file that nobody has read.
    assert_eq!(stdout(&run(&[&missing])), "");
    assert!(stdout(&run(&["--format", "json", &missing])).contains("\"problems\": []"));
    for wrong in [&[][..], &["--format"], &["--format", "xml", "-"], &["--deny", "hints", "-"], &["--strict"]]
    {
        let output = run(wrong);
        assert_eq!(output.status.code(), Some(2), "{wrong:?}");
        assert_eq!(stdout(&output), "");
        assert!(stderr(&output).starts_with("clemcore-check: "));
    }
}

#[test]
fn help_version_and_explanations_go_to_stdout() {
    assert!(stdout(&run(&["--help"])).contains("Usage: clemcore-check"));
    assert_eq!(stdout(&run(&["-V"])), format!("clemcore-check {}\n", env!("CARGO_PKG_VERSION")));
    let page = run(&["--explain", "r010"]);
    assert_eq!(page.status.code(), Some(0));
    assert!(stdout(&page).starts_with("R010 (trailing-comma, error): trailing comma\n\n"));
    assert_eq!(run(&["--explain", "R999"]).status.code(), Some(2));
}

#[test]
fn a_pipe_gets_no_colours() {
    assert!(!stdout(&run(&[&fixture("invalid/many-faults.json")])).contains('\u{1b}'));
}

/// A file of its own in a folder of its own.
fn scratch(name: &str, text: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("clemcore-check-{}-{name}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("model_registry.json");
    std::fs::write(&file, text).unwrap();
    file
}

const BROKEN: &str =
    "[\n  {'model_name': \"m\",   \"backend\": \"mock\", \"release_date\": \"06-01-24\",}\n]\n";
const MENDED: &str =
    "[\n  {\"model_name\": \"m\",   \"backend\": \"mock\", \"release_date\": \"06-01-24\"}\n]\n";

#[test]
fn fix_mends_the_file_and_reports_the_rest() {
    let file = scratch("fix", BROKEN);
    let name = file.to_str().unwrap();
    let output = run(&["--fix", name]);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), MENDED);
    assert_eq!(output.status.code(), Some(0));
    assert!(stdout(&output).contains("warning[R060]"));
    assert!(stdout(&output).ends_with("\n1 warning\n"));
    assert!(stderr(&output).ends_with("model_registry.json: fixed 2 problems\n"));
    // Nothing is left behind, and there is nothing more to do.
    assert_eq!(std::fs::read_dir(file.parent().unwrap()).unwrap().count(), 1);
    let again = run(&["--fix", "--deny-warnings", name]);
    assert_eq!((again.status.code(), stderr(&again)), (Some(1), String::new()));
    assert_eq!(run(&["--fix", "no-such-file.json"]).status.code(), Some(2));
}

#[test]
fn fix_with_diff_writes_nothing() {
    let file = scratch("diff", BROKEN);
    let name = file.to_str().unwrap();
    let output = run(&["--fix", "--diff", name]);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), BROKEN);
    assert!(
        stdout(&output)
            .starts_with(&format!("--- {name}\n+++ {name}\n@@ -1,3 +1,3 @@\n [\n-  {{'model_name'"))
    );
    assert_eq!(run(&["--diff", name]).status.code(), Some(2));
    assert_eq!(run(&["--fix", "-"]).status.code(), Some(2));
}

#[test]
fn sarif_names_rules_and_places() {
    let output = run(&["--format", "sarif", &fixture("invalid/R010_trailing-comma.json")]);
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["version"], "2.1.0");
    let run = &report["runs"][0];
    assert_eq!(run["tool"]["driver"]["rules"][0]["id"], "R010");
    let result = &run["results"][0];
    assert_eq!(
        (&result["ruleId"], &result["ruleIndex"], &result["level"]),
        (&"R010".into(), &0.into(), &"error".into())
    );
    let place = &result["locations"][0]["physicalLocation"];
    assert!(place["artifactLocation"]["uri"].as_str().unwrap().ends_with("invalid/R010_trailing-comma.json"));
    assert_eq!((&place["region"]["startLine"], &place["region"]["startColumn"]), (&5.into(), &29.into()));
}

//! Kinds of problems with the files of games: what describes them (G001 to G005), and their instances (G010 to G014).
//!
//! Whoever reads these files decides what is wrong with them. The rows are here so that reports look alike.
use super::Kind;
use crate::problem::Severity;

/// All kinds of problems with the files of games, in the order of their codes.
pub const GAMES: &[&Kind] = &[
    &NOT_A_GAME,
    &MISSING_GAME_FIELD,
    &GAME_FIELD,
    &SAME_GAME,
    &UNKNOWN_GAME_FIELD,
    &NO_EXPERIMENTS,
    &EXPERIMENT,
    &NOT_AN_INSTANCE,
    &GAME_ID,
    &SAME_INSTANCE,
];

/// G001: not a game.
pub const NOT_A_GAME: Kind = Kind {
    code: "G001",
    slug: "not-a-game",
    title: "not a game",
    severity: Severity::Error,
    explanation: "A `clemgame.json` holds one object that describes a game, or a list of such objects.",
    bad: r#"["taboo"]"#,
    good: r#"[{"game_name": "taboo", "players": 2}]"#,
};

/// G002: missing field of a game.
pub const MISSING_GAME_FIELD: Kind = Kind {
    code: "G002",
    slug: "missing-game-field",
    title: "missing field of a game",
    severity: Severity::Error,
    explanation: "Every game has a `game_name`, by which it is selected, and the number of its `players`. In a \
        `game_registry.json` it has a `game_path` as well.",
    bad: r#"{"game_name": "taboo"}"#,
    good: r#"{"game_name": "taboo", "players": 2}"#,
};

/// G003: invalid field of a game.
pub const GAME_FIELD: Kind = Kind {
    code: "G003",
    slug: "game-field",
    title: "invalid field of a game",
    severity: Severity::Error,
    explanation: "A field that clemcore reads has a value that it cannot have.",
    bad: r#"{"game_name": "taboo", "players": 0}"#,
    good: r#"{"game_name": "taboo", "players": 2}"#,
};

/// G004: two games with one name.
pub const SAME_GAME: Kind = Kind {
    code: "G004",
    slug: "same-game",
    title: "two games with one name",
    severity: Severity::Error,
    explanation: "Games are selected by name, and results lie in a folder of that name, so a name stands for one game.",
    bad: r#"[{"game_name": "taboo", "players": 2}, {"game_name": "taboo", "players": 1}]"#,
    good: r#"[{"game_name": "taboo", "players": 2}, {"game_name": "taboo_single", "players": 1}]"#,
};

/// G005: unknown field of a game.
pub const UNKNOWN_GAME_FIELD: Kind = Kind {
    code: "G005",
    slug: "unknown-game-field",
    title: "unknown field of a game",
    severity: Severity::Warning,
    explanation: "Games may have fields of their own. This one looks like a field that clemcore reads, so it is \
        probably misspelt and has no effect.",
    bad: r#"{"game_name": "taboo", "players": 2, "concurency": 1}"#,
    good: r#"{"game_name": "taboo", "players": 2, "concurrency": 1}"#,
};

/// G010: no experiments.
pub const NO_EXPERIMENTS: Kind = Kind {
    code: "G010",
    slug: "no-experiments",
    title: "no experiments",
    severity: Severity::Error,
    explanation: "A file of instances is an object whose key `experiments` holds a list of at least one experiment.",
    bad: r#"{"experiments": []}"#,
    good: r#"{"experiments": [{"name": "easy", "game_instances": [{"game_id": 0}]}]}"#,
};

/// G011: invalid experiment.
pub const EXPERIMENT: Kind = Kind {
    code: "G011",
    slug: "experiment",
    title: "invalid experiment",
    severity: Severity::Error,
    explanation: "An experiment is an object with a `name`, which names a folder of results, and a list of \
        `game_instances`.",
    bad: r#"{"experiments": [{"game_instances": []}]}"#,
    good: r#"{"experiments": [{"name": "easy", "game_instances": []}]}"#,
};

/// G012: not an instance.
pub const NOT_AN_INSTANCE: Kind = Kind {
    code: "G012",
    slug: "not-an-instance",
    title: "not an instance",
    severity: Severity::Error,
    explanation: "An instance is an object. Its fields are handed to the game as keyword arguments.",
    bad: r#"{"experiments": [{"name": "easy", "game_instances": ["apple"]}]}"#,
    good: r#"{"experiments": [{"name": "easy", "game_instances": [{"game_id": 0, "word": "apple"}]}]}"#,
};

/// G013: no integer as `game_id`.
pub const GAME_ID: Kind = Kind {
    code: "G013",
    slug: "game-id",
    title: "missing or invalid game_id",
    severity: Severity::Error,
    explanation: "The `game_id` of an instance is an integer. It identifies the instance within its experiment, and the \
        folder of its results is named after it.",
    bad: r#"{"experiments": [{"name": "easy", "game_instances": [{"game_id": "0"}]}]}"#,
    good: r#"{"experiments": [{"name": "easy", "game_instances": [{"game_id": 0}]}]}"#,
};

/// G014: two instances that cannot be told apart.
pub const SAME_INSTANCE: Kind = Kind {
    code: "G014",
    slug: "same-instance",
    title: "two instances with one game_id",
    severity: Severity::Error,
    explanation: "Two instances of one experiment have the same `game_id`, so the results of one would replace those \
        of the other. Experiments of one name count as one experiment.",
    bad: r#"{"experiments": [{"name": "easy", "game_instances": [{"game_id": 0}, {"game_id": 0}]}]}"#,
    good: r#"{"experiments": [{"name": "easy", "game_instances": [{"game_id": 0}, {"game_id": 1}]}]}"#,
};

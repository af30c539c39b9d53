//! Programs generated from a grammar, the same in every run.

use fastrand::Rng;

const SEED: u64 = 18;

const LEAVES: &[&str] = &[
    ".",
    ".a",
    ".tags",
    ".tags[]",
    ".[0]",
    ".[-1]",
    ".[1:]",
    ".[:-1]",
    ".[]",
    ".[]?",
    "..",
    ".name",
    ".form.id",
    ".count",
    ".missing",
    ".a?",
    ".a.b[1].d",
    ".z[0]",
    "1",
    "0",
    "-1",
    "2.5",
    "\"a\"",
    "\"vip\"",
    "null",
    "true",
    "false",
    "[]",
    "{}",
    "[3,1,2]",
    "{\"a\":1,\"b\":null}",
    "(1,2)",
    "empty",
    "length",
    "keys",
    "type",
    "tostring",
    "tojson",
    "not",
    "add",
    "sort",
    "unique",
    "reverse",
    "first",
    "last",
    "min",
    "max",
    "flatten",
    "to_entries",
    "explode",
    "ascii_downcase",
    "trim",
    "tonumber",
    "any",
    "all",
    "paths",
    "numbers",
    "strings",
    "scalars",
    "values",
    "floor",
    "@text",
    "@json",
    "@base64",
    "@uri",
    "range(3)",
    "error(\"e\")",
    "transpose",
    "keys_unsorted",
    "implode",
    "from_entries",
    "tostream",
];

const OPERATORS: &[&str] = &[
    "|", "|", "|", ",", "+", "-", "*", "/", "%", "//", "==", "!=", "<", "<=", ">", "and", "or",
    "=", "|=", "+=", "-=", "//=", "*=",
];

const WRAPPERS: &[&str] = &[
    "[X]",
    "{a: X}",
    "{(X | tostring): 1}",
    "map(X)",
    "select(X)",
    "try (X) catch \"c\"",
    "(X)?",
    "first(X)",
    "last(X)",
    "limit(2; X)",
    "skip(1; X)",
    "[path(X)]",
    "del(X)",
    "delpaths([path(X)])",
    "[limit(5; recurse(X))]",
    "map(X)?",
    "sort_by(X)",
    "group_by(X)",
    "unique_by(X)",
    "min_by(X)",
    "max_by(X)",
    "walk(X)",
    "with_entries(X)",
    "map_values(X)",
    "any(X; .)",
    "all(X; .)",
    "isempty(X)",
    "\"\\(X)-\"",
    "-(X)",
    "getpath([X])?",
    "X as $x | [$x, .]",
    "X as [$x] | $x",
    "X as {a: $x} | $x",
    "X as [$x] ?// $x | [$x]",
    "label $l | X | ., break $l",
    "if X then 1 else 2 end",
    "if X then . end",
    "reduce (X) as $x (0; . + 1)",
    "reduce (X) as $x (.; X)",
    "[limit(9; foreach (X) as $x (0; . + 1; [., $x]))]",
    "[limit(9; foreach (X) as $x (.; X))]",
    "add(X)",
    "pick(X)?",
    "test(X)?",
    "indices(X)",
    "index(X)",
    "has(X)",
    "contains(X)",
    "inside(X)",
    "ltrimstr(X)",
    "split(X)?",
    "join(X)",
    "startswith(X)?",
    "flatten(X)?",
    ".[X]?",
    ".[X:]?",
    ".[:X]?",
    "(X) |= .",
    "(X) = 1",
    "(X) |= empty",
    "(X) += 1",
    "(X) //= 2",
    "to_entries | map(X)",
    "[X] | sort",
    "[X] | unique",
    "[X] | add",
    "[.[]? | X]",
    "IN(X)",
    "INDEX(X)",
    "nth(0; X)",
    "until(true; X)",
    "[splits(X)]?",
    "sub(\"[aeiou]\"; X)?",
    "gsub(\"(?<v>[aeiou])\"; X)?",
    "paths(X)",
    "def f: X; f",
    "def f(g): [g, X]; f(.)",
    "def f($v): $v, X; f(1)",
];

/// `count` programs.
pub(super) fn programs(count: usize) -> Vec<String> {
    let mut rng = Rng::with_seed(SEED);
    (0..count).map(|_| term(&mut rng, 3)).collect()
}

fn pick<'t>(rng: &mut Rng, table: &[&'t str]) -> &'t str {
    table[rng.usize(..table.len())]
}

fn term(rng: &mut Rng, depth: usize) -> String {
    if depth == 0 || rng.u8(..10) < 2 {
        return pick(rng, LEAVES).to_owned();
    }
    match rng.bool() {
        true => {
            let inner = term(rng, depth - 1);
            format!(
                "({})",
                pick(rng, WRAPPERS).replace('X', &format!("({inner})"))
            )
        }
        false => {
            let (left, right) = (term(rng, depth - 1), term(rng, depth - 1));
            // Without parentheses, so that precedence matters; nested terms have their own.
            format!("({left} {} {right})", pick(rng, OPERATORS))
        }
    }
}

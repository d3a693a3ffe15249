//! No name in our SQL means what somebody else has made it mean: every function, operator, type and relation is qualified.
//!
//! The sources of this folder are read, so that a query that is written tomorrow is looked at as well.

use std::{fs, path::Path};

/// Syntax that looks like a call, or comes where a relation does.
const SYNTAX: [&str; 26] = [
    "all", "and", "any", "as", "by", "case", "coalesce", "else", "exists", "from", "join", "lateral", "not", "on",
    "only", "operator", "or", "over", "select", "then", "values", "when", "where", "why", "with", "in",
];

/// Syntax that looks operators up by the search path.
const LOOKS_UP: [&str; 11] =
    ["in", "between", "like", "ilike", "similar", "using", "distinct", "nullif", "overlaps", "isnull", "natural"];

#[test]
fn every_name_in_a_query_is_qualified() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/adapters/postgres");
    let mut queries = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "rs") || path.ends_with("statements.rs") {
            continue;
        }
        let source = fs::read_to_string(&path).unwrap();
        let source = source.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
        for statement in literals(source).iter().flat_map(|literal| literal.split(';')) {
            let words = statement.split_whitespace().next().unwrap_or_default();
            if ["SELECT", "WITH", "EXISTS"].contains(&words) {
                queries += 1;
                assert_eq!(unqualified(statement), Vec::<String>::new(), "in {}:\n{statement}", path.display());
            }
        }
    }
    assert!(queries > 12, "{queries}");
}

#[test]
fn a_name_that_is_not_qualified_is_found() {
    for (query, found) in [
        ("SELECT now()", "now()"),
        ("SELECT a.b FROM pg_roles a", "pg_roles"),
        ("SELECT a.b FROM pg_catalog.pg_roles a, pg_database d", "pg_database"),
        ("SELECT a.b FROM pg_catalog.pg_roles a JOIN pg_database d ON true", "pg_database"),
        ("SELECT a.b = 1", "="),
        ("SELECT a.b OPERATOR(pg_catalog.=) c AND d < 3", "<"),
        ("SELECT -a", "-"),
        ("SELECT a || b", "||"),
        ("SELECT a::text", "::text"),
        ("SELECT CAST (a AS text)", "cast()"),
        ("SELECT a IN (1, 2)", "in"),
        ("SELECT a IS DISTINCT FROM pg_catalog.b", "distinct"),
        ("SELECT public.now()", "public.now()"),
        ("SELECT a OPERATOR(public.=) b", "public.="),
        ("SELECT 1 FROM public.t", "public.t"),
    ] {
        assert_eq!(unqualified(query), [found], "{query}");
    }
    let fine = "SELECT pg_catalog.now(), a.\"b c\", '= now()', count.x, 'it''s <' FROM pg_catalog.pg_roles a, LATERAL (VALUES (1)) v
        WHERE EXISTS (SELECT FROM pg_catalog.x) AND a.n OPERATOR(pg_catalog.=) $1 AND b::pg_catalog.int4 IS NULL AND c.d > '1'";
    assert_eq!(unqualified(fine), [">"]);
}

/// What a query names without saying whose it is.
fn unqualified(query: &str) -> Vec<String> {
    let tokens = tokens(query);
    let text = |index: usize| tokens.get(index).map_or("", String::as_str);
    let mut found = Vec::new();
    // Whether a relation comes next, in this parenthesis and in those around it.
    let (mut relation, mut outer) = (false, Vec::new());
    for (index, token) in tokens.iter().enumerate() {
        let lower = token.to_lowercase();
        let is_word = token.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        let (before, after) = (if index == 0 { "" } else { text(index - 1) }, text(index + 1));
        match token.as_str() {
            "(" => outer.push(std::mem::take(&mut relation)),
            ")" => relation = outer.pop().is_some_and(|_| false),
            "," => relation = in_from(&tokens[..index]),
            "::" if !after.starts_with("pg_catalog.") => found.push(format!("::{after}")),
            _ if is_word && before == "(" && index >= 2 && text(index - 2) == "OPERATOR" => {
                found.extend((!token.starts_with("pg_catalog.")).then(|| token.clone()));
            }
            _ if is_word && before == "::" => {}
            _ if is_word && LOOKS_UP.contains(&lower.as_str()) => found.push(lower),
            _ if is_word && ["from", "join"].contains(&lower.as_str()) => relation = true,
            _ if is_word && lower == "lateral" => {}
            _ if is_word && relation && after != "(" && !SYNTAX.contains(&lower.as_str()) => {
                relation = false;
                if !token.starts_with("pg_catalog.") {
                    found.push(token.clone());
                }
            }
            _ if is_word && after == "(" && !SYNTAX.contains(&lower.as_str()) => {
                relation = false;
                if !token.starts_with("pg_catalog.") {
                    found.push(format!("{lower}()"));
                }
            }
            _ if is_word => {}
            "*" if before == "(" && after == ")" => {}
            _ if token.starts_with(|c: char| "+-*/<>=~!@#%^&|`?".contains(c)) => found.push(token.clone()),
            _ => {}
        }
    }
    found
}

/// Whether a comma here stands between relations: the last clause that was begun in this parenthesis is FROM.
fn in_from(before: &[String]) -> bool {
    let mut depth = 0;
    for token in before.iter().rev() {
        match token.to_lowercase().as_str() {
            ")" => depth += 1,
            "(" if depth == 0 => return false,
            "(" => depth -= 1,
            "from" if depth == 0 => return true,
            "select" | "where" | "by" | "values" if depth == 0 => return false,
            _ => {}
        }
    }
    false
}

/// Words with the dots between them, operators, and single marks. Text in quotes is left out, and what stands in for a value.
fn tokens(query: &str) -> Vec<String> {
    let characters: Vec<char> = query.chars().collect();
    let (mut tokens, mut at) = (Vec::new(), 0);
    while let Some(&first) = characters.get(at) {
        let run = |from: usize, part: fn(char) -> bool| {
            characters[from..].iter().take_while(|character| part(**character)).count()
        };
        let length = match first {
            '\'' => 2 + run(at + 1, |c| c != '\''),
            '$' => 1 + run(at + 1, |c| c.is_ascii_digit()),
            '{' => 2 + run(at + 1, |c| c != '}'),
            _ if first.is_ascii_digit() => run(at, |c| c.is_ascii_digit() || c == '_'),
            _ if first.is_alphabetic() || "_\"".contains(first) => {
                let word = run(at, |c| c.is_alphanumeric() || "_.\"".contains(c));
                // An operator belongs to the schema before it; a blank may stand in a quoted name.
                let quoted = characters[at..at + word].iter().filter(|c| **c == '"').count() % 2 == 1;
                let word = if quoted { word + 1 + run(at + word, |c| c != '"') } else { word };
                let ends_in_dot = characters[at..at + word].last() == Some(&'.');
                if ends_in_dot { word + run(at + word, |c| "+-*/<>=~!@#%^&|`?".contains(c)) } else { word }
            }
            ':' => run(at, |c| c == ':'),
            _ if "+-*/<>=~!@#%^&|`?".contains(first) => run(at, |c| "+-*/<>=~!@#%^&|`?".contains(c)),
            _ => 1,
        };
        let token: String = characters[at..(at + length).min(characters.len())].iter().collect();
        if !first.is_whitespace() && !"'$".contains(first) && !first.is_ascii_digit() {
            tokens.push(token);
        } else if !first.is_whitespace() {
            tokens.push("0".to_owned());
        }
        at += length;
    }
    tokens
}

/// The text between quotation marks in a source. Comments are none; no source here has raw text with marks in it.
fn literals(source: &str) -> Vec<String> {
    let (mut literals, mut rest) = (Vec::new(), source);
    while let Some(at) = rest.find(['"', '/', '\'']) {
        let here = &rest[at..];
        rest = if here.starts_with("//") {
            here.split_once('\n').map_or("", |(_, rest)| rest)
        } else if let Some(behind) = here.strip_prefix("'\"'") {
            behind
        } else if let Some(inside) = here.strip_prefix('"') {
            let mut text = String::new();
            let mut characters = inside.char_indices();
            let end = loop {
                match characters.next() {
                    Some((_, '\\')) => text.extend(characters.next().map(|(_, character)| character)),
                    Some((end, '"')) => break end + 1,
                    Some((_, character)) => text.push(character),
                    None => break inside.len(),
                }
            };
            literals.push(text);
            &inside[end..]
        } else {
            &here[1..]
        };
    }
    literals
}

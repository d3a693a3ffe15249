//! Patterns of names, as AWS writes them: `*` stands for any characters, also for none, and `?` for one.

/// Whether a text fits a pattern. It takes the product of their lengths at most: where characters do not fit, only the
/// last `*` takes one more.
pub(crate) fn fits(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    let (mut at, mut next, mut last) = (0, 0, None);
    while at < text.len() {
        match pattern.get(next) {
            Some('*') => {
                last = Some((next, at));
                next += 1;
            }
            Some(&one) if one == '?' || one == text[at] => (at, next) = (at + 1, next + 1),
            Some(_) | None => match &mut last {
                Some((star, taken)) => {
                    *taken += 1;
                    (at, next) = (*taken, *star + 1);
                }
                None => return false,
            },
        }
    }
    pattern[next..].iter().all(|one| *one == '*')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_star_is_any_text_and_a_question_mark_one_character() {
        for (pattern, text, expected) in [
            ("", "", true),
            ("*", "", true),
            ("a*", "a", true),
            ("a*c", "abc", true),
            ("a*c", "ab", false),
            ("*ab", "aab", true),
            ("*a*b", "xaxb", true),
            ("a?c", "aéc", true),
            ("a?c", "ac", false),
            ("?", "", false),
            ("ab*ba", "aba", false),
        ] {
            assert_eq!(fits(pattern, text), expected, "{pattern} {text}");
        }
    }

    /// What took longer than the universe is old, when every star tried every length.
    #[test]
    fn a_pattern_of_many_stars_is_answered() {
        assert!(!fits(&format!("{}b", "a*".repeat(400)), &"a".repeat(4_000)));
    }

    /// What a pattern means, said once more and slowly.
    fn means(pattern: &[u8], text: &[u8]) -> bool {
        match (pattern, text) {
            ([], []) => true,
            ([b'*', rest @ ..], _) => (0..=text.len()).any(|skipped| means(rest, &text[skipped..])),
            ([b'?', pattern @ ..], [_, text @ ..]) => means(pattern, text),
            ([one, pattern @ ..], [other, text @ ..]) => one == other && means(pattern, text),
            ([], [_, ..]) | ([_, ..], []) => false,
        }
    }

    proptest! {
        #[test]
        fn it_answers_as_the_definition_does(pattern in "[ab*?]{0,8}", text in "[ab]{0,8}") {
            prop_assert_eq!(fits(&pattern, &text), means(pattern.as_bytes(), text.as_bytes()));
        }
    }
}

//! GetRandomPassword.

use crate::{Cloud, Refused, refusal};

#[tokio::test]
async fn a_password_has_32_characters_of_all_four_kinds() {
    let cloud = Cloud::start().await;
    let mut earlier = Vec::new();
    for _ in 0..20 {
        let password = cloud.client.get_random_password().send().await.unwrap().random_password.unwrap();
        assert_eq!(password.len(), 32);
        let kinds: [fn(char) -> bool; 4] = [
            |c| c.is_ascii_lowercase(),
            |c| c.is_ascii_uppercase(),
            |c| c.is_ascii_digit(),
            |c| c.is_ascii_punctuation(),
        ];
        assert!(kinds.iter().all(|kind| password.contains(*kind)));
        assert!(!earlier.contains(&password));
        earlier.push(password);
    }
}

#[tokio::test]
async fn what_is_excluded_does_not_occur() {
    let cloud = Cloud::start().await;
    let ask = cloud.client.get_random_password().password_length(4096);
    let ask = ask.exclude_punctuation(true).exclude_uppercase(true).exclude_characters("abc0");
    let password = ask.send().await.unwrap().random_password.unwrap();
    assert_eq!(password.len(), 4096);
    assert!(password.chars().all(|c| (c.is_ascii_lowercase() || c.is_ascii_digit()) && !"abc0".contains(c)));
}

#[tokio::test]
async fn a_password_that_cannot_be_made_is_refused() {
    let cloud = Cloud::start().await;
    let ask = || cloud.client.get_random_password();
    for ask in [
        ask().password_length(3),
        ask().password_length(4097),
        ask().exclude_characters("0123456789"),
        ask().exclude_numbers(true).exclude_punctuation(true).exclude_uppercase(true).exclude_lowercase(true),
    ] {
        assert_eq!(ask.send().await.map_err(refusal).code(), "InvalidParameterException");
    }
}

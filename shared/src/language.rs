//! The languages in which people are told. Every sentence of an alert exists in each of them; logs and the command line
//! are English.
//!
//! A translation that is missing does not compile: a sentence is [chosen](Language::choose) among all its forms where it
//! is made, and whatever goes into one is [`Spoken`].

mod japanese;

use std::fmt::Display;

/// A language in which people are told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)]
pub enum Language {
    #[default]
    English,
    Japanese,
}

impl Language {
    /// Every language.
    pub const ALL: [Self; 2] = [Self::English, Self::Japanese];

    /// The language's name in settings, by ISO 639-1.
    pub const fn name(self) -> &'static str {
        match self {
            Language::English => "en",
            Language::Japanese => "ja",
        }
    }

    /// The form that is in this language.
    pub fn choose<T>(self, english: T, japanese: T) -> T {
        match self {
            Language::English => english,
            Language::Japanese => japanese,
        }
    }
}

/// What can be part of a sentence in every language; like a clause, without an end.
pub trait Spoken: Display {
    /// In English.
    fn english(&self) -> String {
        self.to_string()
    }

    /// In Japanese.
    fn japanese(&self) -> String;

    /// In a language.
    fn spoken(&self, language: Language) -> String {
        match language {
            Language::English => self.english(),
            Language::Japanese => self.japanese(),
        }
    }
}

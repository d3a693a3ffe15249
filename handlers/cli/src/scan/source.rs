//! Where logs are: files, folders, and standard input.

use crate::problem::Problem;
use indicatif::ProgressBar;
use relatch_events::cloudtrail::packed::inflated;
use std::{
    collections::HashSet,
    ffi::OsStr,
    fs::{self, File},
    io::{self, BufReader, ErrorKind, Read},
    path::{Path, PathBuf},
};

/// What is to be done about a file that is no log.
pub(super) const A_LOG: &str =
    "name logs of CloudTrail's, or what CloudWatch Logs or lookup-events has of them: docs/CLI.md";

/// What is to be done about a log of which something cannot be read.
pub(super) const LOOK: &str = "see what stands there; everything else was read";

/// How much is read of a file at once.
const BUFFER: usize = 64 * 1024;

/// Something to read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Source {
    StandardInput,
    File { path: PathBuf, size: u64 },
}

/// All there is to read, in the order in which it is to be read, and what is missing.
#[derive(Debug, Default)]
pub(crate) struct Sources {
    pub(crate) files: Vec<Source>,
    pub(crate) problems: Vec<Problem>,
}

impl Sources {
    /// What is at these paths: files as they are named, folders with the logs in them.
    ///
    /// Names of CloudTrail's tell when a file was delivered. In that order facts are nearly in theirs, from whichever
    /// regions and accounts; what has another name comes first, as it was named.
    pub(crate) fn at(paths: &[PathBuf]) -> Self {
        let mut sources = Self::default();
        for path in paths {
            if path == Path::new("-") {
                sources.files.push(Source::StandardInput);
                continue;
            }
            let before = sources.files.len();
            let found = fs::metadata(path).and_then(|data| match data.is_dir() {
                true => sources.walk(path, &mut HashSet::new()).map(|()| sources.files.len() > before),
                false => {
                    sources.files.push(Source::File { path: path.clone(), size: data.len() });
                    Ok(true)
                }
            });
            let name = path.display().to_string();
            match found {
                Ok(true) => (),
                Ok(false) => sources.problems.push(Problem::wrong_use(
                    name,
                    "there are no logs in this folder",
                    "name one with .json, .jsonl or .ndjson files, with .gz or without",
                )),
                Err(error) => sources.problems.push(unreadable(&name, &error)),
            }
        }
        sources.files.sort_by_cached_key(Source::delivered);
        sources
    }

    /// In the order of names. A folder is entered once, whichever links lead to it; links that lead nowhere are passed by, unless they are
    /// called like a log.
    fn walk(&mut self, folder: &Path, entered: &mut HashSet<PathBuf>) -> io::Result<()> {
        if !entered.insert(fs::canonicalize(folder)?) {
            return Ok(());
        }
        let mut paths = fs::read_dir(folder)?.map(|entry| entry.map(|it| it.path())).collect::<io::Result<Vec<_>>>()?;
        paths.sort();
        for path in paths {
            let visited = match fs::metadata(&path) {
                Ok(data) if data.is_dir() && !is_of_others(&path) => self.walk(&path, entered),
                Ok(data) if data.is_file() && is_log(&path) => {
                    self.files.push(Source::File { path: path.clone(), size: data.len() });
                    Ok(())
                }
                Err(error) if is_log(&path) => Err(error),
                Ok(_) | Err(_) => Ok(()),
            };
            if let Err(error) = visited {
                self.problems.push(unreadable(&path.display().to_string(), &error));
            }
        }
        Ok(())
    }
}

impl Source {
    pub(crate) fn name(&self) -> String {
        match self {
            Self::StandardInput => "standard input".to_owned(),
            Self::File { path, .. } => path.display().to_string(),
        }
    }

    /// In bytes, as it is stored; of standard input nobody knows.
    pub(crate) const fn size(&self) -> Option<u64> {
        match self {
            Self::StandardInput => None,
            Self::File { size, .. } => Some(*size),
        }
    }

    /// What is in it, inflated if it is compressed; `bar` moves on with each byte that is read.
    pub(crate) fn open(&self, bar: &ProgressBar) -> io::Result<Box<dyn Read>> {
        let input: Box<dyn Read> = match self {
            Self::StandardInput => Box::new(io::stdin().lock()),
            Self::File { path, .. } => Box::new(File::open(path)?),
        };
        inflated(BufReader::with_capacity(BUFFER, bar.wrap_read(input)))
    }

    /// When it was delivered, by its name: `<account>_CloudTrail_<region>_<YYYYMMDDTHHmmZ>_<unique>.json.gz`.
    ///
    /// Source: the CloudTrail user guide, "CloudTrail log file name format".
    fn delivered(&self) -> Option<String> {
        let Self::File { path, .. } = self else { return None };
        let is_time = |part: &&str| match part.as_bytes() {
            [day @ .., b'T', h1, h2, m1, m2, b'Z'] => {
                day.len() == 8 && day.iter().chain([h1, h2, m1, m2]).all(u8::is_ascii_digit)
            }
            _ => false,
        };
        path.file_name()?.to_str()?.split('_').find(is_time).map(str::to_owned)
    }
}

/// Why something cannot be read, or not to its end.
pub(crate) fn unreadable(name: &str, error: &io::Error) -> Problem {
    let known = [
        (ErrorKind::NotFound, "there is no such file or folder", "check the path"),
        (ErrorKind::PermissionDenied, "it may not be read", "check its permissions"),
        (ErrorKind::UnexpectedEof, "its gzip breaks off", "fetch it again"),
        // What flate2 says of damage.
        (ErrorKind::InvalidInput, "its gzip is damaged", "fetch it again"),
    ];
    match known.into_iter().find(|(kind, _, _)| *kind == error.kind()) {
        Some((_, why, to_do)) => Problem::wrong_use(name, why, to_do),
        None => Problem::wrong_use(name, error.to_string(), "check it, and try again"),
    }
}

/// By its name. In folders there are other things, too; a file that is named itself is always read.
fn is_log(path: &Path) -> bool {
    let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
    let name = name.strip_suffix(".gz").unwrap_or(name);
    [".json", ".jsonl", ".ndjson"].iter().any(|extension| name.ends_with(extension))
}

/// Signatures and insights lie beside CloudTrail's logs, in folders of their own.
fn is_of_others(path: &Path) -> bool {
    let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
    ["CloudTrail-Digest", "CloudTrail-Insight"].contains(&name)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn names(sources: &Sources) -> Vec<String> {
        let name = |source: &Source| source.name().rsplit('/').next().unwrap_or_default().to_owned();
        sources.files.iter().map(name).collect()
    }

    #[test]
    fn what_tells_when_it_was_delivered_is_read_in_that_order_and_what_does_not_before_it_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let (us, eu) =
            ("1_CloudTrail_us-east-1_20260131T1200Z_x.json.gz", "1_CloudTrail_eu-west-1_20260131T1205Z_a.json.gz");
        let all = ["b.ndjson", "a.jsonl.gz", "1_CloudTrail_eu-west-1_2026-01-31_a.json", us, eu, "notes.txt", "json"];
        for name in all {
            fs::write(folder.path().join(name), "").unwrap();
        }
        let sources = Sources::at(&[folder.path().to_owned()]);
        assert_eq!(names(&sources), [all[2], "a.jsonl.gz", "b.ndjson", us, eu]);
        assert_eq!(sources.problems, []);
    }

    #[test]
    fn a_file_that_is_named_is_read_whatever_it_is_called() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notes.txt");
        fs::write(&path, "").unwrap();
        let sources = Sources::at(&[path, "-".into(), folder.path().join("nowhere")]);
        assert_eq!(names(&sources), ["notes.txt", "standard input"]);
        assert_eq!(sources.problems.len(), 1);
    }

    #[test]
    fn a_link_that_leads_nowhere_is_a_problem_only_if_it_is_called_like_a_log() {
        let folder = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("nowhere", folder.path().join("latest")).unwrap();
        std::os::unix::fs::symlink("nowhere", folder.path().join("latest.json.gz")).unwrap();
        let problems = Sources::at(&[folder.path().to_owned()]).problems;
        assert!(problems.iter().any(|problem| problem.what.ends_with("latest.json.gz")), "{problems:?}");
        assert!(!problems.iter().any(|problem| problem.what.ends_with("latest")), "{problems:?}");
    }

    #[test]
    fn compressed_is_what_begins_like_gzip() {
        let folder = tempfile::tempdir().unwrap();
        let text = |name: &str, bytes: &[u8]| {
            let path = folder.path().join(name);
            fs::write(&path, bytes).unwrap();
            let mut text = String::new();
            let source = Source::File { path, size: 0 };
            source.open(&ProgressBar::hidden())?.read_to_string(&mut text).map(|_| text)
        };
        let gz = |bytes: &[u8]| {
            let mut deflated = Vec::new();
            flate2::bufread::GzEncoder::new(bytes, flate2::Compression::fast()).read_to_end(&mut deflated).unwrap();
            deflated
        };
        assert_eq!(text("a.json", b"[]").unwrap(), "[]");
        assert_eq!(text("a.json", &gz(b"[]")).unwrap(), "[]");
        assert_eq!(text("a.gz", &[gz(b"[]"), gz(b"[]")].concat()).unwrap(), "[][]");
        assert_eq!(text("a.gz", b"").unwrap(), "");
        // A browser has inflated it, and kept the name.
        assert_eq!(text("a.gz", b"[]").unwrap(), "[]");
    }
}

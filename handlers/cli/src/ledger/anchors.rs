//! Ends of the chain that a person has kept: answers of `relatch verify --json`, in files.

use crate::{Problem, scan::unreadable};
use relatch::{audit::chain::Anchor, config::Environment};
use serde::Deserialize;
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// An anchor as it is kept. One that does not say of which environment it is, is of any.
#[derive(Deserialize)]
struct Kept {
    #[serde(flatten)]
    anchor: Anchor,
    environment: Option<String>,
}

/// Those of an environment in files, one after the other in each, and in folders of files named `.json` or `.jsonl`.
pub(crate) fn in_files(paths: &[PathBuf], environment: Environment) -> Result<Vec<Anchor>, Problem> {
    let mut anchors = Vec::new();
    for path in paths {
        for file in files(path).map_err(|error| unreadable(&path.display().to_string(), &error))? {
            let name = file.display().to_string();
            let text = fs::read_to_string(&file).map_err(|error| unreadable(&name, &error))?;
            let kept = serde_json::Deserializer::from_str(&text).into_iter::<Kept>().collect::<Result<Vec<_>, _>>();
            let kept = kept.map_err(|error| {
                Problem::wrong_use(
                    name,
                    format!("it holds no end of a chain: {error}"),
                    "keep what `verify --json` says",
                )
            })?;
            let is_here = |kept: &Kept| kept.environment.as_deref().is_none_or(|name| name == environment.name());
            anchors.extend(kept.into_iter().filter(is_here).map(|kept| kept.anchor));
        }
    }
    Ok(anchors)
}

fn files(path: &Path) -> io::Result<Vec<PathBuf>> {
    if !fs::metadata(path)?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = fs::read_dir(path)?.map(|entry| entry.map(|it| it.path())).collect::<io::Result<Vec<_>>>()?;
    files.retain(|file| file.extension().is_some_and(|ending| ending == "json" || ending == "jsonl") && file.is_file());
    files.sort();
    Ok(files)
}

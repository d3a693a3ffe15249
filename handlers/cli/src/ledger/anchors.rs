//! Ends of the chain that were kept elsewhere: by a person, in files, as answers of `relatch verify --json`; and by `audit`,
//! in a bucket, signed.

use crate::{Outside, Problem, arguments::Verification, scan::unreadable};
use relatch::{
    adapters::anchors::{KmsKey, LockedBucket},
    audit::{
        anchor::{self, Kept as Signed, NotAnchored, PublicKey},
        chain::Anchor,
    },
    config::Environment,
    ports::Notary as _,
};
use serde::Deserialize;
use std::{
    env, fs, io,
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

/// Those that were signed, if a bucket is named: by the arguments, or the environment.
pub(crate) async fn signed(
    asked: &Verification,
    environment: Environment,
    outside: &Outside,
) -> Result<Option<Signed>, Problem> {
    let setting = |name: &str| env::var(name).ok().filter(|text| !text.is_empty());
    let Some(bucket) = asked.bucket.clone().or_else(|| setting("RELATCH_ANCHORS_BUCKET")) else { return Ok(None) };
    let mut keys = asked.public_key.iter().map(|path| public_key(path)).collect::<Result<Vec<_>, _>>()?;
    if keys.is_empty() {
        let missing = || {
            let why = "it is not said which key has signed what is in it";
            Problem::wrong_use(&bucket, why, "set RELATCH_ANCHORS_KEY, --key or --public-key")
        };
        let key = asked.key.clone().or_else(|| setting("RELATCH_ANCHORS_KEY")).ok_or_else(missing)?;
        keys.push(match KmsKey::new(&outside.sdk, &key).public_key().await {
            Ok(public) => public,
            Err(NotAnchored::Interrupted(error)) => return outside.told(&key, Err(error)).await,
            Err(problem @ (NotAnchored::WrongKey(_) | NotAnchored::Broken(_))) => {
                return Err(Problem::wrong_use(key, problem.to_string(), "name the key that audit signs with"));
            }
        });
    }
    let kept = anchor::kept(&LockedBucket::new(&outside.sdk, &bucket), environment, &keys, None).await;
    outside.told(&bucket, kept).await.map(Some)
}

fn public_key(path: &Path) -> Result<PublicKey, Problem> {
    let name = path.display().to_string();
    let bytes = fs::read(path).map_err(|error| unreadable(&name, &error))?;
    PublicKey::read(&bytes)
        .map_err(|problem| Problem::wrong_use(name, problem.to_string(), "`aws kms get-public-key` answers with it"))
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

//! The templates as AWS's SAM translator expands them.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

/// Expanded templates, each by its path from the project's folder.
#[derive(Debug, Clone)]
pub struct Templates(BTreeMap<String, Value>);

impl Templates {
    /// Expands templates, named by their paths from the project's folder, and the nested stacks that they name. Settings
    /// of an environment, in TOML, are taken along as they are.
    ///
    /// That takes Python a second, and each test is a process of its own: what came of it is kept in the user's cache
    /// under a hash of everything it was made of.
    ///
    /// # Errors
    /// When the translator is not installed (`scripts/setup tests`) or refuses a template.
    pub fn expand(roots: &[&str]) -> Result<Self> {
        let project = project();
        let python = environment(&project)?;
        let kept = kept(&project, roots)?;
        if let Ok(json) = fs::read(&kept) {
            return Ok(Self(serde_json::from_slice(&json)?));
        }
        let mut command = Command::new(python.join("bin/python"));
        let output = command.arg("scripts/expand").args(roots).current_dir(&project).output()?;
        ensure!(output.status.success(), "scripts/expand: {}", String::from_utf8_lossy(&output.stderr));
        let templates = serde_json::from_slice(&output.stdout)?;
        // Another test may do the same at this moment; whoever comes last replaces it by the same.
        let folder = kept.parent().context("a file is in a folder")?;
        fs::create_dir_all(folder)?;
        let file = tempfile::NamedTempFile::new_in(folder)?;
        fs::write(&file, &output.stdout)?;
        file.persist(&kept)?;
        Ok(Self(templates))
    }

    /// A template by its path from the project's folder.
    ///
    /// # Errors
    /// When it is not among them.
    pub fn get(&self, path: &str) -> Result<&Value> {
        self.0.get(path).with_context(|| format!("there is no template {path}"))
    }

    /// Every template, by its path.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(path, template)| (path.as_str(), template))
    }

    /// The same with a resource left out of one of them, as a later version may be.
    pub fn without(&self, path: &str, resource: &str) -> Self {
        let mut later = self.clone();
        let resources = later.0.get_mut(path).and_then(|template| template["Resources"].as_object_mut());
        resources.and_then(|all| all.remove(resource));
        later
    }

    /// All of them, as `scripts/expand` prints them.
    pub fn json(&self) -> String {
        Value::Object(self.0.clone().into_iter().collect()).to_string()
    }

    /// What IAM can allow at all, as cfn-lint lists it: the actions of every service, in small letters, each with
    /// whether it can be allowed on single resources.
    ///
    /// # Errors
    /// When cfn-lint is not installed (`scripts/setup tests`).
    pub fn actions() -> Result<BTreeMap<String, Vec<(String, bool)>>> {
        let python = environment(&project())?;
        let mut libraries = fs::read_dir(python.join("lib"))?;
        let library = libraries.next().context("a Python without a library")??.path();
        let list = library.join("site-packages/cfnlint/data/AdditionalSpecs/Policies.json");
        let services: BTreeMap<String, Value> = serde_json::from_slice(&fs::read(list)?)?;
        let actions = |service: &Value| {
            let all = service["Actions"].as_object()?;
            Some(all.iter().map(|(name, action)| (name.clone(), !action["Resources"].is_null())).collect())
        };
        services.into_iter().map(|(name, service)| Ok((name, actions(&service).context("no actions")?))).collect()
    }
}

/// The project's folder.
pub(super) fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// A Python with the packages of the scripts that deploy, in the project's folder.
///
/// # Errors
/// When they are not installed (`scripts/setup tests`).
pub fn python() -> Result<Command> {
    let project = project();
    let mut command = Command::new(environment(&project)?.join("bin/python"));
    command.current_dir(project);
    Ok(command)
}

/// The virtual environment of the linters, which has the translator; where `scripts/environment` says.
fn environment(project: &Path) -> Result<PathBuf> {
    let says = ". scripts/environment && printf %s \"$python_tools\"";
    let output = Command::new("bash").args(["-c", says]).current_dir(project).output()?;
    let python = PathBuf::from(String::from_utf8(output.stdout)?);
    if !python.join("complete").exists() {
        bail!("the SAM translator is not installed: run `scripts/setup tests`");
    }
    Ok(python)
}

/// Where the expansion is kept.
fn kept(project: &Path, roots: &[&str]) -> Result<PathBuf> {
    let mut files = vec![project.join("scripts/expand"), project.join("scripts/requirements.txt")];
    let mut folders = vec![project.join("infra")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|kind| kind == "yaml" || kind == "toml") {
                files.push(path);
            }
        }
    }
    files.sort();
    let mut hasher = DefaultHasher::new();
    roots.hash(&mut hasher);
    for file in files {
        (&file, fs::read(&file)?).hash(&mut hasher);
    }
    let cache = env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".cache"))).context("no HOME")?;
    Ok(cache.join(format!("relatch/templates/{:016x}.json", hasher.finish())))
}

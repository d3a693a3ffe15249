//! What a repair does with a secret's versions.

use jiff::{SignedDuration, Timestamp};
use relatch::{
    adapters::secrets_manager::SecretsManager,
    ports::{CallErrorKind, Custody, Label, Secrets, Which},
};
use relatch_events::secret::{SecretId, VersionId};
use relatch_integration::aws::{
    Endpoint, Store,
    store::{Schedule, Secret},
};
use secrecy::ExposeSecret;
use serde_json::json;

#[tokio::test]
async fn versions_without_a_label_are_found_and_read() {
    let scene = Scene::start().await;
    let labels = ["stray", "AWSPENDING"];
    for (n, label) in labels.into_iter().enumerate() {
        scene.store().put("app", &version(n), &format!("value {n}"), &[label]).unwrap();
    }
    scene.store().move_label("app", "stray", None).unwrap();
    let now = Timestamp::now();
    scene.made(&version(0), now - SignedDuration::from_hours(2));
    scene.made(&version(1), now - SignedDuration::from_hours(1));
    scene.made(&scene.current(), now - SignedDuration::from_hours(3));

    let versions = scene.secrets.versions(&scene.id).await.unwrap();
    let found: Vec<&str> = versions.iter().map(|kept| kept.id.as_str()).collect();
    assert_eq!(found, [version(1), version(0), scene.current()], "the newest first, and one without a label");
    assert!(versions.iter().all(|kept| kept.created.is_some()));

    let read = scene.secrets.read(&scene.id, Which::Kept(&versions[1].id)).await.unwrap().unwrap();
    assert_eq!(read.text.unwrap().expose_secret(), "value 0");
    assert_eq!(read.created, versions[1].created);
    let gone = VersionId::try_from(version(9)).unwrap();
    assert!(scene.secrets.read(&scene.id, Which::Kept(&gone)).await.unwrap().is_none());
}

#[tokio::test]
async fn pending_is_taken_off_only_where_it_still_is() {
    let scene = Scene::start().await;
    let (old, new) = (version(1), version(2));
    scene.store().put("app", &old, "old", &["AWSPENDING"]).unwrap();
    scene.store().put("app", &new, "new", &["AWSPENDING"]).unwrap();
    let unstage = async |version: &str| scene.secrets.unstage(&scene.id, &version.try_into().unwrap()).await;
    let problem = unstage(&old).await.unwrap_err();
    assert_eq!(problem.kind, CallErrorKind::Refused, "{problem}");
    assert_eq!(scene.holder(Label::Pending).await.as_deref(), Some(new.as_str()));
    unstage(&new).await.unwrap();
    assert_eq!(scene.holder(Label::Pending).await, None);
    assert_eq!(scene.holder(Label::Current).await, Some(scene.current()));
}

#[tokio::test]
async fn a_secret_tells_when_it_is_rotated() {
    let scene = Scene::start().await;
    let rotated = Timestamp::from_second(1_767_225_600).unwrap();
    scene
        .store()
        .edit("app", |secret| {
            let rules = json!({ "ScheduleExpression": "rate(36 hours)" });
            secret.rotation = Some(Schedule { enabled: true, lambda_arn: "arn:function".to_owned(), rules });
            secret.rotated = Some(rotated);
            secret.owning_service = Some("rds".to_owned());
        })
        .unwrap();
    let description = scene.secrets.describe(&scene.id).await.unwrap();
    assert!(description.rotation_enabled && !description.deleted);
    assert_eq!(description.rotation_function.as_deref(), Some("arn:function"));
    assert_eq!(description.rotated_every, Some(2));
    assert_eq!(description.rotated, Some(rotated));
    assert!(description.created.is_some());
    assert_eq!(description.owning_service.as_deref(), Some("rds"));
}

#[tokio::test]
async fn the_list_says_what_a_description_says_and_misses_none() {
    let scene = Scene::start().await;
    for n in 0..120 {
        scene.store().create(&format!("more-{n}"), "value").unwrap();
    }
    scene.store().edit("app", |secret| secret.tags.insert("relatch:kind".to_owned(), "postgres".to_owned())).unwrap();
    scene.store().edit("more-7", |secret| secret.deletion = Some(Timestamp::now())).unwrap();
    let mut secrets = Vec::new();
    let (mut next, mut pages) = (None, 0);
    loop {
        let page = scene.secrets.list(next.as_deref()).await.unwrap();
        secrets.extend(page.secrets);
        pages += 1;
        next = page.next;
        if next.is_none() {
            break;
        }
    }
    assert_eq!((secrets.len(), pages), (121, 2));
    let deleted: Vec<&str> = secrets.iter().filter(|(_, found)| found.deleted).map(|(id, _)| id.as_str()).collect();
    assert_eq!(deleted, [scene.store().secret("more-7").unwrap().arn]);
    let (id, listed) = secrets.iter().find(|(id, _)| id.as_str().contains(":secret:app-")).unwrap();
    assert_eq!(listed, &scene.secrets.describe(id).await.unwrap());
}

struct Scene {
    aws: Endpoint,
    secrets: SecretsManager,
    id: SecretId,
}

impl Scene {
    /// With a secret `app`.
    async fn start() -> Self {
        let aws = Endpoint::start().await.unwrap();
        let arn = aws.store().create("app", "value").unwrap();
        let secrets = SecretsManager::new(&aws.sdk(), None);
        Self { aws, secrets, id: arn.try_into().unwrap() }
    }

    fn store(&self) -> &Store {
        self.aws.store()
    }

    fn current(&self) -> String {
        self.store().labelled("app", "AWSCURRENT").unwrap().unwrap().id
    }

    async fn holder(&self, label: Label) -> Option<String> {
        let description = self.secrets.describe(&self.id).await.unwrap();
        description.holder(label).map(|id| id.as_str().to_owned())
    }

    fn made(&self, version: &str, at: Timestamp) {
        let edit = |secret: &mut Secret| {
            secret.versions.iter_mut().filter(|kept| kept.id == version).for_each(|kept| kept.created = at);
        };
        self.store().edit("app", edit).unwrap();
    }
}

fn version(n: usize) -> String {
    format!("00000000-0000-4000-8000-{n:012}")
}

//! The dead-man's check outside of AWS.

use crate::scene::Scene;
use relatch_integration::{
    cloud::Cloud,
    receiver::{Receiver, Service, Trouble},
};
use serde_json::json;

const CHANNELS: &str = "channels";

#[tokio::test]
async fn it_hears_of_every_sweep_by_a_url_that_no_configuration_shows() {
    let (scene, receiver) = (Scene::remembering().await, Receiver::start().await.unwrap());
    scene.cloud.aws.store().create(CHANNELS, &receiver.secret_with_check().to_string()).unwrap();
    let scene = checked(scene, &receiver);
    for beats in 1..=2 {
        scene.sweeps().await;
        assert_eq!(receiver.calls(Service::Heartbeat).len(), beats);
    }
    assert!(receiver.calls(Service::Heartbeat).iter().all(|call| call.status == 200));
    nothing_shows(&scene).await;
}

#[tokio::test]
async fn a_check_that_does_not_answer_or_is_no_https_url_is_said_and_keeps_no_sweep_from_its_end() {
    for (url, expected) in [
        ("http://127.0.0.1:9001/MARKED-check", "heartbeatUrl does not begin with `https://`"),
        ("https://hc.example.com/MARKED -check", "`heartbeatUrl` has a blank"),
    ] {
        let (scene, receiver) = (Scene::remembering().await, Receiver::start().await.unwrap());
        scene.cloud.aws.store().create(CHANNELS, &json!({ "heartbeatUrl": url }).to_string()).unwrap();
        let scene = checked(scene, &receiver);
        assert_eq!(scene.sweeps().await["sound"], 1);
        nothing_shows(&scene).await;
        assert!(said(&scene).contains(expected), "{}", said(&scene));
    }

    let (scene, receiver) = (Scene::remembering().await, Receiver::start().await.unwrap());
    receiver.always(Service::Heartbeat, Trouble::Status(503));
    scene.cloud.aws.store().create(CHANNELS, &receiver.secret_with_check().to_string()).unwrap();
    let scene = checked(scene, &receiver);
    assert_eq!(scene.sweeps().await["sound"], 1);
    nothing_shows(&scene).await;
    assert!(said(&scene).contains("HTTP status 503"), "{}", said(&scene));
}

/// `respond` knows of the channels' secret.
fn checked(scene: Scene, receiver: &Receiver) -> Scene {
    let memory = Cloud::memory();
    let mut settings: Vec<(&str, &str)> = memory.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let roots = receiver.roots().to_str().unwrap();
    settings.extend([("RELATCH_CHANNELS_SECRET", CHANNELS), ("SSL_CERT_FILE", roots)]);
    let respond = scene.cloud.respond_with(&settings).unwrap();
    Scene { respond, ..scene }
}

fn said(scene: &Scene) -> String {
    scene.respond.output().lines().into_iter().map(|line| line.text).collect::<Vec<_>>().join("\n")
}

async fn nothing_shows(scene: &Scene) {
    scene.respond.stop().await;
    assert!(!said(scene).contains("MARKED"), "{}", said(scene));
}

//! `make preview-alerts`: every alert as Slack shows it, so that a person can look at each. A page of all, and, where a
//! headless browser is installed, a picture of each condition.

use anyhow::{Context, Result, bail, ensure};
use jiff::{Timestamp, tz::TimeZone};
use relatch::{
    alert::{Audience, Condition, Local, Status, example, slack},
    language::Language,
};
use serde_json::Value;
use std::{env, fs, io::ErrorKind, path::Path, time::Duration};
use tokio::{process::Command, time::timeout};

/// Whichever is installed.
const BROWSERS: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

/// The longest that one picture may take.
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::main(flavor = "current_thread")]
#[allow(clippy::print_stdout, reason = "it is a program for people")]
async fn main() -> Result<()> {
    let program = env::current_exe()?;
    let target = program.parent().and_then(Path::parent).context("the program is in no target directory")?;
    let folder = target.join("alerts");
    fs::create_dir_all(&folder)?;
    let local = local()?;
    let all = folder.join("index.html");
    fs::write(&all, page(&Condition::ALL, &local)?)?;
    println!("{}", all.display());
    for condition in Condition::ALL {
        let file = folder.join(condition.name()).with_extension("html");
        fs::write(&file, page(&[condition], &local)?)?;
        let picture = file.with_extension("png");
        if !photograph(&file, &picture).await? {
            println!("No pictures: no headless browser is installed ({}).", BROWSERS.join(", "));
            break;
        }
        println!("{}", picture.display());
    }
    Ok(())
}

/// Tells whether there is a browser to do it.
async fn photograph(page: &Path, picture: &Path) -> Result<bool> {
    let profile = tempfile::tempdir()?;
    for browser in BROWSERS {
        let mut command = Command::new(browser);
        command
            .args(["--headless", "--disable-gpu", "--hide-scrollbars", "--no-first-run", "--window-size=1500,1250"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg(format!("--screenshot={}", picture.display()));
        if nix::unistd::geteuid().is_root() {
            // A browser does not isolate itself for root. What it shows is our own, and loads nothing.
            command.arg("--no-sandbox");
        }
        let output = command.arg(format!("file://{}", page.display())).kill_on_drop(true).output();
        match timeout(PATIENCE, output).await.with_context(|| format!("{browser} does not come to an end"))? {
            Ok(output) => {
                let said = String::from_utf8_lossy(&output.stderr);
                ensure!(output.status.success() && picture.is_file(), "{browser} took no picture: {said}");
                return Ok(true);
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error).with_context(|| format!("{browser} cannot be started")),
        }
    }
    Ok(false)
}

fn local() -> Result<Local> {
    let audience = Audience {
        time_zone: TimeZone::get("Asia/Tokyo")?,
        runbooks: Some("https://runbooks.example.com".to_owned()),
        region: Some("ap-northeast-1".to_owned()),
        ..Audience::default()
    };
    Ok(audience.local(Timestamp::now()))
}

/// Firing and resolved below each other, the languages side by side.
fn page(conditions: &[Condition], local: &Local) -> Result<String> {
    let mut body = String::new();
    for condition in conditions {
        body += &format!("<h1>{}</h1><div class=languages>", condition.name());
        for language in Language::ALL {
            body += &format!("<div lang={}>", language.name());
            for status in [Status::Firing, Status::Resolved] {
                let message = slack::message(&example::alert(*condition, status, language), language, local);
                body += &message_html(&message, local)?;
            }
            body += "</div>";
        }
        body += "</div>";
    }
    Ok(format!("<!doctype html><meta charset=utf-8><title>Alerts</title><style>{STYLE}</style>{body}\n"))
}

fn message_html(message: &Value, local: &Local) -> Result<String> {
    let blocks = message["blocks"].as_array().context("no blocks")?;
    let blocks: String = blocks.iter().map(block).collect::<Result<_>>()?;
    let time = local.time.strftime("%H:%M");
    Ok(format!(
        "<article><div class=avatar>R</div><div class=message>\
         <p class=author><b>Relatch</b> <span class=app>APP</span> <time>{time}</time></p>{blocks}</div></article>"
    ))
}

fn block(block: &Value) -> Result<String> {
    let every = |list: &str| -> Result<Vec<&Value>> {
        Ok(block[list].as_array().with_context(|| format!("no {list} in {block}"))?.iter().collect())
    };
    Ok(match block["type"].as_str() {
        Some("header") => format!("<h2>{}</h2>", text(&block["text"])?),
        Some("section") if block["fields"].is_array() => {
            let fields = every("fields")?.into_iter().map(|field| Ok(format!("<p>{}</p>", text(field)?)));
            format!("<div class=fields>{}</div>", fields.collect::<Result<String>>()?)
        }
        Some("section") => format!("<p>{}</p>", text(&block["text"])?),
        Some("actions") => {
            let buttons = every("elements")?.into_iter().map(|button| {
                let url = button["url"].as_str().context("a button without a URL")?;
                Ok(format!("<a class=button href=\"{}\">{}</a>", escaped(url), text(&button["text"])?))
            });
            format!("<div class=actions>{}</div>", buttons.collect::<Result<String>>()?)
        }
        Some("context") => {
            let texts = every("elements")?.into_iter().map(|element| Ok(format!("<span>{}</span>", text(element)?)));
            format!("<p class=context>{}</p>", texts.collect::<Result<String>>()?)
        }
        _ => bail!("a block that is not drawn here: {block}"),
    })
}

fn text(object: &Value) -> Result<String> {
    let text = object["text"].as_str().context("no text")?;
    Ok(match object["type"].as_str() {
        // Slack's entities are HTML's too.
        Some("mrkdwn") => marked(text),
        Some("plain_text") => escaped(text).replace('\n', "<br>"),
        _ => bail!("no text object: {object}"),
    })
}

/// As much of Slack's markup as alerts have: code, bold, lines.
fn marked(text: &str) -> String {
    let parts = text.split('`').enumerate().map(|(index, part)| match index % 2 {
        1 => format!("<code>{part}</code>"),
        _ => {
            let bold = part.split('*').enumerate();
            bold.map(|(index, part)| if index % 2 == 1 { format!("<b>{part}</b>") } else { part.to_owned() }).collect()
        }
    });
    parts.collect::<String>().replace('\n', "<br>")
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

const STYLE: &str = "
body { font: 15px/1.47 Lato, 'Noto Sans CJK JP', 'DejaVu Sans', 'Noto Color Emoji', sans-serif; color: #1d1c1d; margin: 24px; }
h1 { font-size: 14px; color: #616061; border-top: 1px solid #ddd; padding-top: 12px; }
.languages { display: grid; grid-template-columns: 1fr 1fr; gap: 24px; }
article { display: flex; gap: 8px; margin: 16px 0 28px; }
.avatar { flex: none; width: 36px; height: 36px; border-radius: 6px; background: #0b4f6c; color: #fff; font: bold 20px/36px Lato, sans-serif; text-align: center; }
.message { min-width: 0; }
.message p, .message h2 { margin: 0 0 8px; overflow-wrap: anywhere; }
.message h2 { font-size: 18px; line-height: 1.33; }
.author { margin: 0 !important; }
.app { background: #ebeaeb; color: #616061; font-size: 10px; padding: 1px 3px; border-radius: 2px; }
time, .context { color: #616061; font-size: 12px; }
.fields { display: grid; grid-template-columns: 1fr 1fr; gap: 0 16px; max-width: 520px; }
.context span { margin-right: 12px; }
code { font: 12px/1.5 Monaco, 'DejaVu Sans Mono', monospace; color: #e01e5a; background: #f7f7f7; border: 1px solid #ddd; border-radius: 3px; padding: 1px 3px; }
.context code { color: inherit; }
.button { display: inline-block; border: 1px solid #bbb; border-radius: 4px; padding: 4px 12px; margin: 0 8px 8px 0; font-size: 13px; font-weight: bold; color: inherit; text-decoration: none; }
";

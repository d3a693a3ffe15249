//! `docs/COSTS.md`, and what `README.md` has of it: what production costs in 30 days, and which quota is met first, computed
//! from the templates and from what is assumed here.

use std::fmt::Write;
use std::path::Path;
use std::{env, fs};

use relatch_integration::template::{Deployment, Parameters, Place, python};
use serde_json::Value;

use crate::evaluation::list;
use crate::scene::{ACCOUNT, ENVIRONMENTS, REGION, ROOT, TEMPLATES, as_deployed, parameters_of};

/// A list price of us-east-1 in US dollars.
struct Price {
    of: &'static str,
    dollars: f64,
    per: &'static str,
    /// Where it was looked up, and when; or that it was not.
    source: &'static str,
}

const fn price(of: &'static str, dollars: f64, per: &'static str, source: &'static str) -> Price {
    Price { of, dollars, per, source }
}

const ASSUMED: &str = "assumed; not looked up";

const SECRET: Price = price("a secret", 0.40, "month", "hivebook.wiki on Secrets Manager, 2026-11");
const SECRETS_CALL: Price = price("Secrets Manager", 0.05, "10,000 calls", "the same");
const REQUEST: Price = price("Lambda, arm64: a request", 0.20, "million", "cloudchipr.com on Lambda, 2026-11");
const GB_SECOND: Price = price("Lambda, arm64: memory and time", 0.000_013_333_4, "GB second", "the same");
const WRITE: Price = price("DynamoDB on demand: a write of 1 KB", 0.625, "million", "airbyte.com on DynamoDB, 2026-11");
const READ: Price = price("DynamoDB on demand: a consistent read of 4 KB", 0.125, "million", "the same");
const QUEUE: Price = price("SQS, standard", 0.40, "million requests", "cloudburn.io on SQS, 2026-03");
const ENDPOINT: Price =
    price("an interface endpoint in one zone", 0.01, "hour", "awsnegotiations.com on PrivateLink, 2026-05");
const EVENT: Price =
    price("EventBridge: events of AWS's own", 0.0, "million", "factualminds.com on EventBridge, 2026-06");
const ITEMS_KEPT: Price = price("DynamoDB: storage and point-in-time recovery", 0.45, "GB and month", ASSUMED);
const KEY: Price = price("a KMS key", 1.00, "month", ASSUMED);
const KEY_USE: Price = price("KMS", 0.03, "10,000 calls", ASSUMED);
const ALARM: Price = price("a metric in an alarm", 0.10, "month", ASSUMED);
const METRIC: Price = price("a metric of one's own", 0.30, "month", ASSUMED);
const DASHBOARD: Price = price("a dashboard", 3.00, "month", ASSUMED);
const LOG: Price = price("CloudWatch Logs", 0.50, "GB taken in", ASSUMED);
const TRACE: Price = price("X-Ray", 5.00, "million traces", ASSUMED);
const OBJECTS_KEPT: Price = price("S3, standard", 0.023, "GB and month", ASSUMED);
const TRAIL: Price = price("CloudTrail: the first copy of management events", 0.0, "million", ASSUMED);

const CAPACITY_UNIT: Price = price("Aurora Serverless v2: a capacity unit", 0.12, "hour", ASSUMED);
const INSTANCE: Price = price("RDS: db.t4g.medium in one zone", 0.065, "hour", ASSUMED);
const STORAGE: Price = price("RDS: gp3 storage in one zone", 0.115, "GB and month", ASSUMED);

const PRICES: [&Price; 22] = [
    &SECRET,
    &SECRETS_CALL,
    &REQUEST,
    &GB_SECOND,
    &WRITE,
    &READ,
    &QUEUE,
    &ENDPOINT,
    &EVENT,
    &ITEMS_KEPT,
    &KEY,
    &KEY_USE,
    &ALARM,
    &METRIC,
    &DASHBOARD,
    &LOG,
    &TRACE,
    &OBJECTS_KEPT,
    &TRAIL,
    &CAPACITY_UNIT,
    &INSTANCE,
    &STORAGE,
];

/// Secrets, each rotated, and reads a second that arrive at Secrets Manager.
const SIZES: [f64; 3] = [10.0, 1_000.0, 100_000.0];

const MONTH_SECONDS: f64 = 30.0 * 86_400.0;

/// What production is made of, as the templates have it.
struct Plant {
    endpoint_zones: f64,
    keys: f64,
    alarm_metrics: f64,
    dashboards: f64,
    mappings: f64,
    rotation_days: f64,
    rotation_window_seconds: f64,
    sweep_minutes: f64,
    access_log_days: f64,
    trail_days: f64,
    logged_trails: f64,
    /// GB, by function.
    rotate_gb: f64,
    respond_gb: f64,
    audit_gb: f64,
    sweep_timeout: f64,
    audit_concurrency: f64,
    queue_days: f64,
}

// What the programs do, as README.md ("Cost") and docs/BENCHMARKS.md have it; the rest is assumed.
const ROTATION_CALLS: f64 = 12.0;
const SWEEP_CALLS: f64 = 2.0;
const ROTATION_SECONDS: f64 = 2.0;
const LOOK_SECONDS: f64 = 0.05;
const ABREAST: f64 = 8.0;
/// `audit.batch_events_per_s`.
const AUDIT_EVENTS_A_SECOND: f64 = 2_580.0;
/// The read, and the use of the key that comes with it.
const EVENTS_PER_READ: f64 = 2.0;
const LINE_BYTES: f64 = 600.0;
/// An event of CloudTrail's, as it is; and compressed, in the trail's file.
const EVENT_BYTES: f64 = 1_570.0;
const RECORD_BYTES: f64 = EVENT_BYTES / 6.5;
const OWN_METRICS: f64 = 20.0;

#[test]
fn the_costs_and_quotas_are_those_of_the_templates() {
    let plant = Plant::of(&as_deployed("prod"), &parameters_of("prod"));
    let project = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let read = |file: &str| fs::read_to_string(project.join(file)).unwrap_or_default();
    let measured = format!("| `audit.batch_events_per_s` | {} /s ", grouped(AUDIT_EVENTS_A_SECOND));
    assert!(read("docs/BENCHMARKS.md").contains(&measured), "another speed of the audit was measured");
    let readme = read("README.md");
    let (before, rest) = readme.split_once(BEGIN).expect("the README has a place for it");
    let (_, after) = rest.split_once(END).expect("and that has an end");
    let readme = format!("{before}{BEGIN}{}{END}{after}", short(&plant));
    let prices = for_the_script();
    for (file, written) in [("docs/COSTS.md", page(&plant)), ("README.md", readme), (PRICES_FILE, prices)] {
        // `RELATCH_WRITE_DOCS=1 cargo nextest run the_costs_and_quotas` writes them anew.
        if env::var_os("RELATCH_WRITE_DOCS").is_some() {
            fs::write(project.join(file), &written).unwrap();
        }
        assert!(read(file) == written, "{file} is not what the templates say; RELATCH_WRITE_DOCS=1 writes it anew");
    }
}

/// What `make deploy` says before it begins is what the templates and these prices say, whichever database there is.
#[test]
fn make_deploy_says_what_the_templates_say_it_costs() {
    let folder = tempfile::tempdir().unwrap();
    let mut cases: Vec<_> = ENVIRONMENTS.map(|one| (one, parameters_of(one))).into();
    let rds = [("Database", "rds"), ("DatabaseStopAtNight", "false"), ("ApplicationEndpoints", "true")];
    for more in [&rds[..], &[("Network", "none"), ("Database", "none"), ("Observability", "false")]] {
        let mut parameters = parameters_of("staging");
        parameters.extend(more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        cases.push(("staging", parameters));
    }
    let expanded = folder.path().join("expanded.json");
    fs::write(&expanded, TEMPLATES.json()).unwrap();
    for (environment, parameters) in cases {
        let mut file = String::from("[default.deploy.parameters.parameter_overrides]\n");
        for (name, value) in &parameters {
            let _ = writeln!(file, "{name} = {value:?}");
        }
        let path = folder.path().join("environment.toml");
        fs::write(&path, file).unwrap();
        let output = python().unwrap().arg("scripts/costs.py").args([&path, &expanded]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let said: Vec<(String, f64)> = serde_json::from_slice(&output.stdout).unwrap();
        let computed = standing(&deployed(environment, &parameters), &parameters);
        let names = |lines: &[(String, f64)]| lines.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
        assert_eq!(names(&said), names(&computed), "{environment}");
        for ((name, said), (_, computed)) in said.iter().zip(&computed) {
            assert!((said - computed).abs() < 0.005, "{environment}: {name} is {computed}, and {said} is said");
        }
    }
}

/// Where the script has the prices from; written here.
const PRICES_FILE: &str = "infra/prices.toml";

fn for_the_script() -> String {
    let mut file = String::from(
        "# Prices for scripts/costs.py, written by the test of docs/COSTS.md, which says where they are from.\n",
    );
    let prices = [
        ("endpoint", &ENDPOINT),
        ("key", &KEY),
        ("alarm", &ALARM),
        ("metric", &METRIC),
        ("dashboard", &DASHBOARD),
        ("queue", &QUEUE),
        ("secret", &SECRET),
        ("capacity_unit", &CAPACITY_UNIT),
        ("storage", &STORAGE),
    ];
    for (name, Price { dollars, per, .. }) in prices {
        let _ = writeln!(file, "{name} = {dollars:?} # per {per}");
    }
    let _ = writeln!(file, "own_metrics = {OWN_METRICS:?}\n\n[instances]\n\"db.t4g.medium\" = {:?}", INSTANCE.dollars);
    file
}

/// What an environment costs in 30 days while nothing is read, line by line.
fn standing(deployment: &Deployment, parameters: &Parameters) -> Vec<(String, f64)> {
    let plant = Plant::of(deployment, parameters);
    let setting = |name: &str| setting(parameters, name);
    let count = |kind: &str| deployment.of_kind(kind).count() as f64;
    let lines =
        plant.lines(0.0).into_iter().filter(|(group, what, _)| *group == "stands" && !what.starts_with("what is held"));
    let mut lines: Vec<_> = lines.map(|(_, what, dollars)| (what.to_owned(), dollars)).collect();
    let copies = if setting("ReplicaRegion") == "" { 1.0 } else { 2.0 };
    lines.push(("the secrets themselves".to_owned(), count("AWS::SecretsManager::Secret") * copies * SECRET.dollars));
    let awake = if setting("DatabaseStopAtNight") == "true" { 13.0 * 5.0 / 7.0 / 24.0 } else { 1.0 };
    let hours = 720.0 * awake;
    if count("AWS::RDS::DBCluster") > 0.0 {
        let units = count("AWS::RDS::DBInstance") * number(&setting("DatabaseMinCapacity"));
        lines.push(("the database, at its least capacity".to_owned(), units * hours * CAPACITY_UNIT.dollars));
    } else if let Some(instance) = deployment.of_kind("AWS::RDS::DBInstance").next() {
        let zones = if instance.properties["MultiAZ"] == true { 2.0 } else { 1.0 };
        let storage = zones * number(&instance.properties["AllocatedStorage"]) * STORAGE.dollars;
        lines.push(("the database, db.t4g.medium".to_owned(), zones * hours * INSTANCE.dollars));
        lines.push(("its storage".to_owned(), storage));
    }
    lines
}

/// A parameter's value, or its default.
fn setting(parameters: &Parameters, name: &str) -> Value {
    let default = &TEMPLATES.get(ROOT).unwrap()["Parameters"][name]["Default"];
    parameters.get(name).map_or_else(|| default.clone(), |own| own.clone().into())
}

fn deployed(environment: &str, parameters: &Parameters) -> Deployment {
    let place =
        Place { account: ACCOUNT.to_owned(), region: REGION.to_owned(), stack: format!("relatch-{environment}") };
    TEMPLATES.deploy(ROOT, place, parameters).unwrap()
}

/// Between these the README has what is computed here.
const BEGIN: &str = "<!-- computed: costs -->\n";
const END: &str = "<!-- computed: end -->\n";

impl Plant {
    fn of(deployment: &Deployment, parameters: &Parameters) -> Self {
        let count = |kind: &str| deployment.of_kind(kind).count() as f64;
        let endpoints = deployment.of_kind("AWS::EC2::VPCEndpoint");
        let zones = endpoints.map(|endpoint| list(&endpoint.properties["SubnetIds"]).len() as f64).sum();
        let alarm_metrics = deployment.of_kind("AWS::CloudWatch::Alarm").map(|alarm| {
            let metrics = list(&alarm.properties["Metrics"]);
            let read = metrics.iter().filter(|metric| !metric["MetricStat"].is_null()).count().max(1);
            // A band of what is usual is two metrics more.
            let bands = metrics.iter().filter(|one| one["Expression"].as_str().is_some_and(|it| it.contains("_BAND")));
            (read + 2 * bands.count()) as f64
        });
        let function = |name: &str| {
            let mut functions = deployment.of_kind("AWS::Lambda::Function");
            &functions.find(|one| one.name.ends_with(name)).unwrap().properties
        };
        let memory = |name: &str| number(&function(name)["MemorySize"]) / 1_024.0;
        let setting = |name: &str| number(&setting(parameters, name));
        let mut mappings = deployment.of_kind("AWS::Lambda::EventSourceMapping");
        let of_events =
            mappings.find(|one| one.path.starts_with("AuditStack/") && one.path.ends_with("Records")).unwrap();
        let queue = deployment.of_kind("AWS::SQS::Queue").find(|one| one.path == "AuditStack/EventQueue").unwrap();
        let logged_trails = deployment
            .of_kind("AWS::CloudTrail::Trail")
            .filter(|trail| !trail.properties["CloudWatchLogsLogGroupArn"].is_null());
        Self {
            endpoint_zones: zones,
            keys: count("AWS::KMS::Key"),
            alarm_metrics: alarm_metrics.sum(),
            dashboards: count("AWS::CloudWatch::Dashboard"),
            mappings: count("AWS::Lambda::EventSourceMapping"),
            rotation_days: setting("RotationDays"),
            rotation_window_seconds: setting("RotationWindow") * 3_600.0,
            sweep_minutes: setting("SweepMinutes"),
            access_log_days: setting("AccessLogDays"),
            trail_days: setting("TrailDays"),
            logged_trails: logged_trails.count() as f64,
            rotate_gb: memory("-rotate"),
            respond_gb: memory("-respond"),
            audit_gb: memory("-audit"),
            sweep_timeout: number(&function("-respond")["Timeout"]),
            audit_concurrency: number(&of_events.properties["ScalingConfig"]["MaximumConcurrency"]),
            queue_days: number(&queue.properties["MessageRetentionPeriod"]) / 86_400.0,
        }
    }

    fn sweeps(&self) -> f64 {
        MONTH_SECONDS / 60.0 / self.sweep_minutes
    }

    /// How many secrets a sweep can look at in the time that it has.
    fn swept(&self) -> f64 {
        self.sweep_timeout.min(self.sweep_minutes * 60.0) * ABREAST / LOOK_SECONDS
    }

    /// What it costs in 30 days with so many secrets and as many reads a second, line by line.
    fn lines(&self, size: f64) -> Vec<(&'static str, &'static str, f64)> {
        let million = 1e6;
        let calls = |calls: f64| calls / 10_000.0 * SECRETS_CALL.dollars;
        let (looks, rotations) = (self.sweeps() * size.min(self.swept()), size * 30.0 / self.rotation_days);
        let sweep_seconds = self.sweeps() * (size.min(self.swept()) * LOOK_SECONDS / ABREAST).max(0.1);
        let flushes = MONTH_SECONDS / 60.0;
        let reads = size * MONTH_SECONDS;
        let events = reads * EVENTS_PER_READ;
        let batches = events / (size * EVENTS_PER_READ * 5.0).min(1_000.0);
        let invocations = flushes + self.sweeps() + rotations * 4.0 + batches;
        let gb = |bytes: f64| bytes / 1e9;
        vec![
            ("stands", "interface endpoints", self.endpoint_zones * 720.0 * ENDPOINT.dollars),
            ("stands", "keys", self.keys * KEY.dollars),
            (
                "stands",
                "alarms, metrics, dashboards",
                self.alarm_metrics * ALARM.dollars + OWN_METRICS * METRIC.dollars + self.dashboards * DASHBOARD.dollars,
            ),
            // Five pollers that wait 20 s each.
            ("stands", "waiting at queues", self.mappings * 5.0 * MONTH_SECONDS / 20.0 / million * QUEUE.dollars),
            (
                "stands",
                "what is held back, every minute",
                flushes
                    * (REQUEST.dollars / million + 0.05 * self.respond_gb * GB_SECOND.dollars + READ.dollars / million),
            ),
            (
                "secrets",
                "rotations",
                calls(rotations * ROTATION_CALLS)
                    + rotations
                        * (4.0 * REQUEST.dollars / million
                            + ROTATION_SECONDS * self.rotate_gb * GB_SECOND.dollars
                            + ROTATION_CALLS / 10_000.0 * KEY_USE.dollars),
            ),
            (
                "secrets",
                "sweeps",
                calls(looks * SWEEP_CALLS)
                    + looks * (KEY_USE.dollars / 10_000.0 + 2.0 * READ.dollars / million)
                    + sweep_seconds * self.respond_gb * GB_SECOND.dollars,
            ),
            ("reads", "queue", events * 1.2 / million * QUEUE.dollars),
            (
                "reads",
                "function",
                batches / million * REQUEST.dollars
                    + events / AUDIT_EVENTS_A_SECOND * self.audit_gb * GB_SECOND.dollars,
            ),
            // Once from EventBridge, once from the trail's file.
            ("reads", "table: looked up and written down", events / million * (2.0 * READ.dollars + WRITE.dollars)),
            (
                "reads",
                "table: kept",
                gb(size * EVENTS_PER_READ * 86_400.0 * self.access_log_days * LINE_BYTES) * ITEMS_KEPT.dollars,
            ),
            (
                "reads",
                "trail: kept",
                gb(size * EVENTS_PER_READ * 86_400.0 * self.trail_days * RECORD_BYTES) * OBJECTS_KEPT.dollars,
            ),
            ("reads", "trail: copied to the log", self.logged_trails * gb(events * EVENT_BYTES) * LOG.dollars),
            (
                "all",
                "logs and traces",
                gb((invocations + looks) * 500.0) * LOG.dollars
                    + invocations.min(MONTH_SECONDS * 1.5) / million * TRACE.dollars,
            ),
            ("application", "the secrets themselves", size * SECRET.dollars),
            ("application", "reading them", calls(reads) + reads / 10_000.0 * KEY_USE.dollars),
        ]
    }
}

fn number(value: &Value) -> f64 {
    // A window is in hours: `2h`.
    value
        .as_f64()
        .or_else(|| value.as_str()?.trim_end_matches('h').parse().ok())
        .unwrap_or_else(|| panic!("{value} is no number"))
}

fn dollars(amount: f64) -> String {
    if amount < 10.0 { format!("{amount:.2}") } else { grouped(amount) }
}

fn grouped(amount: f64) -> String {
    let digits = format!("{amount:.0}");
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

fn page(plant: &Plant) -> String {
    let mut page = String::from(
        "# Costs and quotas\n\n\
         Computed from the templates, from `infra/environments/prod.toml` and from [what is assumed](#assumed) by a test, which\n\
         fails when they say something else (`RELATCH_WRITE_DOCS=1 cargo nextest run the_costs_and_quotas` writes this page\n\
         anew). US dollars for 30 days, list prices of us-east-1, without a free tier, and without the database, which is\n\
         chosen by its own parameters.\n\n\
         ## What it costs\n\n\
         Each column is so many secrets that are rotated, and as many reads a second that arrive at Secrets Manager, day and\n\
         night.\n\n",
    );
    let sizes = SIZES.map(|size| plant.lines(size));
    let _ = writeln!(page, "| | {} |", SIZES.map(grouped).join(" | "));
    page.push_str("| --- | --: | --: | --: |\n");
    let heads = [
        ("stands", "what stands there"),
        ("secrets", "for the secrets"),
        ("reads", "for the reads: the audit"),
        ("all", "for both"),
    ];
    for (group, head) in heads {
        for index in sizes[0].iter().enumerate().filter(|(_, line)| line.0 == group).map(|(index, _)| index) {
            let cells = [0, 1, 2].map(|size| dollars(sizes[size][index].2)).join(" | ");
            let _ = writeln!(page, "| {head}: {} | {cells} |", sizes[0][index].1);
        }
    }
    let _ =
        writeln!(page, "| **Relatch** | {} |", totals(&sizes).map(|sum| format!("**{}**", dollars(sum))).join(" | "));
    for index in sizes[0].iter().enumerate().filter(|(_, line)| line.0 == "application").map(|(index, _)| index) {
        let cells = [0, 1, 2].map(|size| dollars(sizes[size][index].2)).join(" | ");
        let _ = writeln!(page, "| beside it: {} | {cells} |", sizes[0][index].1);
    }
    let cached = 100_000.0 / 300.0;
    let _ = write!(
        page,
        "\nWhat is read often should be read from a cache: with one that keeps a value for 300 seconds, 100,000 secrets with\n\
         one reader each are {cached:.0} reads a second, whatever the application does. The third column has ten times the\n\
         reads that Secrets Manager serves, and shows only what grows. The line that grows fastest is the\n\
         access log, which is kept for {} days (`AccessLogDays`).\n\n\
         ### Assumed\n\n\
         * A rotation takes {ROTATION_CALLS} calls and {ROTATION_SECONDS} seconds in four invocations; every {} days (`RotationDays`).\n\
         * A sweep looks at {ABREAST} secrets at a time, {} ms each, by {SWEEP_CALLS} calls; every {} minutes (`SweepMinutes`).\n\
         * Secrets are encrypted with a key of one's own, so that CloudTrail tells of {EVENTS_PER_READ} events for each read: the\n\
         \u{20}\u{20}read, and the use of the key. Both come through EventBridge and in the trail's files, and are written down once.\n\
         * The audit takes in {} events a second and invocation, as measured on the emulator (`audit.batch_events_per_s` in\n\
         \u{20}\u{20}[BENCHMARKS.md](BENCHMARKS.md)), which is where most of that time goes. A line of the access log has {LINE_BYTES}\n\
         \u{20}\u{20}bytes; an event {} in the trail's log, and {RECORD_BYTES:.0} compressed in the trail's file.\n\
         * Logs cost when they are taken in; keeping them is left out.\n\
         * {OWN_METRICS} metrics of its own. One trace and one line of log for each invocation, at most 1.5 traces a second.\n\
         * No trail beside this one: a second copy of management events costs by the event.\n\n\
         ### Prices\n\n| price of | US$ | per | from |\n| --- | --: | --- | --- |\n",
        plant.access_log_days,
        plant.rotation_days,
        LOOK_SECONDS * 1_000.0,
        plant.sweep_minutes,
        grouped(AUDIT_EVENTS_A_SECOND),
        grouped(EVENT_BYTES),
    );
    for Price { of, dollars, per, source } in PRICES {
        let _ = writeln!(page, "| {of} | {dollars} | {per} | {source} |");
    }
    page.push_str(
        "\n## What stands there in each environment\n\n\
         While nothing is read, the created database at its least capacity included; `make deploy` says it before it begins,\n\
         computed from the environment's file by `scripts/costs.py`.\n\n| US$ in 30 days |",
    );
    let each = ENVIRONMENTS.map(|one| standing(&as_deployed(one), &parameters_of(one)));
    let _ = writeln!(page, " {} |\n| --- | --: | --: | --: |", ENVIRONMENTS.join(" | "));
    for (index, (what, _)) in each[0].iter().enumerate() {
        let cells = [0, 1, 2].map(|environment| dollars(each[environment][index].1)).join(" | ");
        let _ = writeln!(page, "| {what} | {cells} |");
    }
    let sums = each.map(|lines| format!("**{}**", dollars(lines.iter().map(|(_, dollars)| dollars).sum())));
    let _ = writeln!(page, "| **in all** | {} |", sums.join(" | "));
    page.push_str(
        "\n## Which quota is met first\n\nIn the order in which they are met, per region and account.\n\n\
         | limit | how much | met at | what is done about it |\n| --- | --- | --- | --- |\n",
    );
    for [limit, much, at, done] in quotas(plant) {
        let _ = writeln!(page, "| {limit} | {much} | {at} | {done} |");
    }
    page.push_str(
        "\nSecrets Manager's are from its User Guide, \"AWS Secrets Manager quotas\" (2026-11); DynamoDB's, EventBridge's and\n\
         Lambda's are assumed, as their documentation had them.\n",
    );
    page
}

/// The README's: the lines that are a tenth of a sum or more, the sums, and the quotas that are met first.
fn short(plant: &Plant) -> String {
    let sizes = SIZES.map(|size| plant.lines(size));
    let totals = totals(&sizes);
    let mut page = format!("\n| US$ in 30 days | {} |\n| --- | --: | --: | --: |\n", SIZES.map(grouped).join(" | "));
    let mut rest = totals;
    for (index, (group, what, _)) in sizes[0].iter().enumerate() {
        let amounts = [0, 1, 2].map(|size| sizes[size][index].2);
        if *group != "application" && amounts.iter().zip(totals).any(|(amount, total)| amount * 10.0 >= total) {
            rest.iter_mut().zip(amounts).for_each(|(rest, amount)| *rest -= amount);
            let of = if *group == "reads" { "the audit: " } else { "" };
            let _ = writeln!(page, "| {of}{what} | {} |", amounts.map(dollars).join(" | "));
        }
    }
    let _ = writeln!(page, "| all else | {} |", rest.map(dollars).join(" | "));
    let _ = writeln!(page, "| **Relatch** | {} |", totals.map(|sum| format!("**{}**", dollars(sum))).join(" | "));
    let _ = write!(
        page,
        "\nWhat grows is the audit: it writes down every read, and keeps that for {} days (`AccessLogDays`). The reads are those\n\
         that arrive at Secrets Manager; an application that keeps a value for five minutes makes one in that time, however\n\
         often it needs it. Each secret is rotated every {} days and looked at every {} minutes. Not in it are the database, and\n\
         what Secrets Manager takes for the secrets and for the application's reads.\n",
        plant.access_log_days, plant.rotation_days, plant.sweep_minutes,
    );
    page.push_str("\n| met first | at | what is done about it |\n| --- | --- | --- |\n");
    for [limit, much, at, done] in quotas(plant).into_iter().take(3) {
        let _ = writeln!(page, "| {limit}: {much} | {at} | {done} |");
    }
    page.push('\n');
    page
}

/// What Relatch itself costs at each size.
fn totals(sizes: &[Vec<(&str, &str, f64)>; 3]) -> [f64; 3] {
    let own = |(group, ..): &&(&str, &str, f64)| *group != "application";
    [0, 1, 2].map(|size| sizes[size].iter().filter(own).map(|(.., amount)| amount).sum())
}

/// In the order of the sizes at which they are met: the limit, how much it is, where it is met, and what is done about it.
fn quotas(plant: &Plant) -> Vec<[String; 4]> {
    let audited = plant.audit_concurrency * AUDIT_EVENTS_A_SECOND;
    let sweep_calls = |secrets: f64| SWEEP_CALLS * secrets.min(plant.swept()) / (plant.sweep_minutes * 60.0);
    let writes_in_window = 50.0 * plant.rotation_window_seconds / 2.0;
    let executions = 1_000.0 * plant.rotation_window_seconds / ROTATION_SECONDS;
    let mut quotas = vec![
        (
            audited / EVENTS_PER_READ,
            [
            "the audit's own: invocations at a time (`MaximumConcurrency`)".to_owned(),
            format!("{}, so {} events/s", plant.audit_concurrency, grouped(audited)),
            format!("{} reads/s", grouped(audited / EVENTS_PER_READ)),
            format!(
                "what is more waits in the queue, {} days; its age raises an alarm. Raise the number: what all of them write, \
                 the chain and what is known of readers, is what bounds it",
                plant.queue_days
            ),
            ],
        ),
        (
            1_000.0 / EVENTS_PER_READ,
            [
            "DynamoDB: a partition".to_owned(),
            "1,000 writes/s".to_owned(),
            format!("{} reads/s of one secret", grouped(1_000.0 / EVENTS_PER_READ)),
            "every secret is a partition of its own, and its lines lie in the order of time, so that DynamoDB can split it"
                .to_owned(),
            ],
        ),
        (
            4_000.0 / EVENTS_PER_READ,
            [
            "DynamoDB: a new table on demand".to_owned(),
            "4,000 writes/s, doubled as it is used".to_owned(),
            format!("{} reads/s", grouped(4_000.0 / EVENTS_PER_READ)),
            "throttled batches come again from the queue".to_owned(),
            ],
        ),
        (
            18_750.0 / EVENTS_PER_READ,
            [
            "EventBridge: invocations of targets".to_owned(),
            "18,750/s in the largest regions".to_owned(),
            format!("{} reads/s", grouped(18_750.0 / EVENTS_PER_READ)),
            "EventBridge delays what is more; the trail's files bring the same events".to_owned(),
            ],
        ),
        (
            10_000.0,
            [
            "Secrets Manager: DescribeSecret and GetSecretValue".to_owned(),
            "10,000/s".to_owned(),
            format!(
                "10,000 reads/s; sweeps take {:.0}/s at 1,000 secrets and {:.0}/s at most",
                sweep_calls(1_000.0),
                sweep_calls(100_000.0)
            ),
            "applications read from a cache; a throttled sweep leaves secrets to the next, and begins at another one each \
             time"
                .to_owned(),
            ],
        ),
        (
            plant.swept(),
            [
            "`respond`'s own: the time of a sweep".to_owned(),
            format!("{} s, {ABREAST} secrets at a time", plant.sweep_timeout),
            format!("{} secrets", grouped(plant.swept())),
            "those that are left are told of (`sweep-unfinished`), and each sweep begins at another secret. Rotations \
             do not depend on it"
                .to_owned(),
            ],
        ),
        (
            writes_in_window,
            [
            "Secrets Manager: PutSecretValue and UpdateSecretVersionStage".to_owned(),
            "50/s".to_owned(),
            format!("{} secrets in one window of rotation", grouped(writes_in_window)),
            "Secrets Manager spreads rotations over the window (`RotationWindow`); a throttled step is tried again by it"
                .to_owned(),
            ],
        ),
        (
            executions,
            [
            "Lambda: concurrent executions".to_owned(),
            "1,000 (10 in a new account)".to_owned(),
            format!(
                "{} secrets in one window of rotation ({})",
                grouped(executions),
                grouped(10.0 * plant.rotation_window_seconds / ROTATION_SECONDS)
            ),
            "`ReservedConcurrency` sets some aside for rotations, and bounds how many a database meets at once".to_owned(),
            ],
        ),
        (
            500_000.0,
            [
            "Secrets Manager: secrets".to_owned(),
            "500,000".to_owned(),
            "500,000 secrets".to_owned(),
            "one deployment for each account and region".to_owned(),
            ],
        ),
    ];
    quotas.sort_by(|(one, _), (other, _)| one.total_cmp(other));
    quotas.into_iter().map(|(_, quota)| quota).collect()
}

//! What the audit has written down.
//!
//! A change is appended by one transaction: its record, where it is found, the mark of its event, and the chain's end, on
//! condition that the end is as it was read. So of several writers one succeeds, the others read again, and nobody ever
//! sees half of it. A writer whose answer was lost finds its own mark.

use super::{
    DynamoTable, Item,
    batch::{name_of, pause, unbuildable},
    count, key, nonce, number, partition, string, text,
};
use crate::{
    adapters::aws::call_error,
    audit::{
        chain::{Digest, Head, Record},
        ledger::{Appended, Entry, Noted, Page, Past, Question, UNREADABLE_END, time_key},
    },
    config::Environment,
    ports::{CallError, CallErrorKind, Ledger},
};
use aws_sdk_dynamodb::{
    error::{ProvideErrorMetadata, SdkError},
    operation::transact_write_items::TransactWriteItemsError,
    types::{AttributeValue, CancellationReason, Put, TransactWriteItem, builders::PutBuilder},
};
use jiff::{SignedDuration, Timestamp};
use relatch_events::moment::Moment;
use std::collections::{HashMap, HashSet};

/// DynamoDB's limit of a transaction, in writes; one of them is of the chain's end.
const TRANSACTION: usize = 100;
/// The text of one transaction, in bytes. DynamoDB takes 4 MB of it with everything around it.
const TRANSACTION_BYTES: usize = 2_000_000;
/// How often another writer may come first.
const MOST_CONFLICTS: u32 = 50;
/// How often a turn may be throttled or unanswered, after what the SDK has repeated by itself.
const MOST_FAILURES: u32 = 3;

const HEAD: &str = "head";
const MARK: &str = "mark";
const RECORD: &str = "record#";

impl Ledger for DynamoTable {
    async fn known(&self, environment: Environment, noted: &[Noted]) -> Result<Vec<bool>, CallError> {
        let place = |noted: &Noted| match noted {
            Noted::Access(entry) => {
                let subject = entry.subjects().first().copied().unwrap_or_default();
                key(&ledger(environment, subject), &access_key(entry))
            }
            Noted::Change(entry) => mark_key(environment, entry),
        };
        let places: Vec<Item> = noted.iter().map(place).collect();
        let found = self.all_of(places.clone()).await?;
        let found: HashSet<_> = found.iter().map(name_of).collect();
        Ok(places.iter().map(|place| found.contains(&name_of(place))).collect())
    }

    async fn record_accesses(
        &self,
        environment: Environment,
        accesses: &[Entry],
        kept: SignedDuration,
    ) -> Result<(), CallError> {
        // DynamoDB removes nothing that has expired more than five years ago.
        let now = Timestamp::now().as_millisecond();
        let kept = i64::try_from(kept.as_millis()).unwrap_or(i64::MAX);
        let mut items = Vec::with_capacity(accesses.len());
        let mut places = HashSet::new();
        for entry in accesses {
            let (sk, content) = (access_key(entry), entry.to_text());
            let happened = entry.at.map_or(now, Moment::as_millis);
            let expires = happened.saturating_add(kept).max(now) / 1_000;
            for subject in entry.subjects() {
                let mut item = key(&ledger(environment, subject), &sk);
                // DynamoDB refuses a batch that writes an item twice.
                if places.insert((ledger(environment, subject), sk.clone())) {
                    item.insert("entry".to_owned(), string(&content));
                    item.insert("expires".to_owned(), number(expires));
                    items.push(item);
                }
            }
        }
        self.put_all(&items).await
    }

    async fn append(&self, environment: Environment, changes: &[Entry]) -> Result<Vec<Appended>, CallError> {
        let mut appended = Vec::with_capacity(changes.len());
        for turn in turns(changes) {
            appended.extend(self.take_turn(environment, turn).await?);
        }
        Ok(appended)
    }

    async fn accesses(&self, question: Question<'_>) -> Result<Page<Entry>, CallError> {
        let page = self.asked("access#", question).await?;
        let entries = page.found.iter().filter_map(|item| Entry::from_text(text(item, "entry")?));
        Ok(Page { found: entries.collect(), next: page.next })
    }

    async fn history(&self, question: Question<'_>) -> Result<Page<Past>, CallError> {
        let page = self.asked("change#", question).await?;
        let listed: Vec<(u64, &str)> =
            page.found.iter().filter_map(|item| count(item, "sequence").zip(text(item, "sk"))).collect();
        let places = listed.iter().map(|(sequence, _)| record_key(question.environment, *sequence)).collect();
        let records = self.all_of(places).await?;
        let records: HashMap<u64, Record> =
            records.iter().map(read_record).map(|record| (record.sequence, record)).collect();
        let past = |(sequence, sk)| {
            let is_it = |record: &&Record| record.entry().is_none_or(|entry| change_key(&entry) == sk);
            Past { sequence, record: records.get(&sequence).filter(is_it).cloned() }
        };
        Ok(Page { found: listed.into_iter().map(past).collect(), next: page.next })
    }

    async fn head(&self, environment: Environment) -> Result<Head, CallError> {
        read_head(environment, self.all_of(vec![head_key(environment)]).await?.first())
    }

    async fn records(
        &self,
        environment: Environment,
        after: u64,
        page: Option<&str>,
        limit: u16,
    ) -> Result<Page<Record>, CallError> {
        let between = (record_name(after.saturating_add(1)), format!("{RECORD}~"));
        let page = self.page(&chain(environment), between, Order::Upwards, page, limit).await?;
        Ok(Page { found: page.found.iter().map(read_record).collect(), next: page.next })
    }

    async fn unlisted(&self, environment: Environment, records: &[Record]) -> Result<Vec<u64>, CallError> {
        let places: Vec<(u64, Item)> = records
            .iter()
            .filter_map(|record| Some((record.sequence, record.entry()?)))
            .flat_map(|(sequence, entry)| listed(environment, &entry).into_iter().map(move |item| (sequence, item)))
            .collect();
        let found = self.all_of(places.iter().map(|(_, place)| place.clone()).collect()).await?;
        let found: HashMap<_, _> = found.iter().map(|item| (name_of(item), count(item, "sequence"))).collect();
        let is_unlisted =
            |(sequence, place): &&(u64, Item)| found.get(&name_of(place)).copied().flatten() != Some(*sequence);
        let mut unlisted: Vec<u64> = places.iter().filter(is_unlisted).map(|(sequence, _)| *sequence).collect();
        unlisted.dedup();
        Ok(unlisted)
    }
}

/// Why a turn was not taken.
enum Missed {
    /// Somebody else has appended meanwhile, or is about to.
    Conflict,
    /// There is a record after what was read as the chain's end.
    Blocked(Head),
    /// The call failed.
    Call(CallError),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    Upwards,
    Downwards,
}

impl DynamoTable {
    /// Appends what fits into one transaction.
    async fn take_turn(&self, environment: Environment, turn: &[Entry]) -> Result<Vec<Appended>, CallError> {
        let writer = nonce();
        let (mut conflicts, mut failures, mut blocked) = (0, 0, None);
        loop {
            match self.try_turn(environment, turn, &writer).await {
                Ok(places) => return Ok(places),
                // Had somebody appended that record, the end would not be where it was.
                Err(Missed::Blocked(head)) if blocked == Some(head) => {
                    let message = "the chain of changes is broken: there is a record after its end".to_owned();
                    return Err(problem(CallErrorKind::Refused, message));
                }
                Err(missed @ (Missed::Conflict | Missed::Blocked(_))) if conflicts < MOST_CONFLICTS => {
                    blocked = if let Missed::Blocked(head) = missed { Some(head) } else { None };
                    conflicts += 1;
                    pause(conflicts).await;
                }
                Err(Missed::Conflict | Missed::Blocked(_)) => {
                    return Err(problem(CallErrorKind::Throttled, "other writers always came first".to_owned()));
                }
                // It may have happened. The marks will tell.
                Err(Missed::Call(error)) if failures < MOST_FAILURES && passes(error.kind) => {
                    failures += 1;
                    pause(failures).await;
                }
                Err(Missed::Call(error)) => return Err(error),
            }
        }
    }

    /// Reads where the chain ends, and appends what is new if it still ends there.
    async fn try_turn(&self, environment: Environment, turn: &[Entry], writer: &str) -> Result<Vec<Appended>, Missed> {
        let (head, marks) = self.look(environment, turn).await.map_err(Missed::Call)?;
        let (mut end, mut records) = (head, Vec::new());
        let mut places = HashMap::new();
        let mut appended = Vec::with_capacity(turn.len());
        for entry in turn {
            let event = entry.event.as_str();
            let place = match (places.get(event), marks.get(event)) {
                (Some(sequence), _) => Appended::Before(*sequence),
                (None, Some((sequence, by))) if by == writer => Appended::Now(*sequence),
                (None, Some((sequence, _))) => Appended::Before(*sequence),
                (None, None) => {
                    let record = Record::after(end, Moment::from_millis(Timestamp::now().as_millisecond()), entry);
                    end = record.head();
                    records.push((entry, record));
                    Appended::Now(end.sequence)
                }
            };
            places.insert(event, place.sequence());
            appended.push(place);
        }
        self.commit(environment, head, &records, writer).await.map(|()| appended)
    }

    /// The chain's end; and of the events that are in it already, their sequence numbers and who wrote them.
    async fn look(
        &self,
        environment: Environment,
        turn: &[Entry],
    ) -> Result<(Head, HashMap<String, (u64, String)>), CallError> {
        let marks = turn.iter().map(|entry| mark_key(environment, entry));
        let items = self.all_of(marks.chain([head_key(environment)]).collect()).await?;
        let (heads, marks): (Vec<Item>, Vec<Item>) = items.into_iter().partition(|item| text(item, "sk") == Some(HEAD));
        let mark = |item: &Item| {
            let event = text(item, "pk")?.strip_prefix(&event(environment, ""))?.to_owned();
            Some((event, (count(item, "sequence")?, text(item, "writer").unwrap_or_default().to_owned())))
        };
        Ok((read_head(environment, heads.first())?, marks.iter().filter_map(mark).collect()))
    }

    async fn commit(
        &self,
        environment: Environment,
        head: Head,
        records: &[(&Entry, Record)],
        writer: &str,
    ) -> Result<(), Missed> {
        let Some((_, last)) = records.last() else { return Ok(()) };
        let mut writes = vec![self.head_put(environment, head, last.head())];
        let mut places = Vec::new();
        for (entry, record) in records {
            let mut mark = mark_key(environment, entry);
            mark.insert("sequence".to_owned(), sequence(record.sequence));
            mark.insert("writer".to_owned(), string(writer));
            places.push(writes.len());
            writes.push(self.new_put(write_record(environment, record)));
            writes.push(self.new_put(mark));
            for mut place in listed(environment, entry) {
                place.insert("sequence".to_owned(), sequence(record.sequence));
                writes.push(Put::builder().set_item(Some(place)));
            }
        }
        let writes = writes.into_iter().map(|put| {
            let put = put.table_name(&self.name).build().map_err(|_| Missed::Call(unbuildable(APPEND)))?;
            Ok(TransactWriteItem::builder().put(put).build())
        });
        let writes = writes.collect::<Result<Vec<_>, Missed>>()?;
        // The SDK gives the call a token, so that its own repetition of a call whose answer was lost is answered as the
        // first one was.
        let answer = self.client.transact_write_items().set_transact_items(Some(writes)).send().await;
        answer.map(drop).map_err(|error| missed(&error, head, &places))
    }

    fn head_put(&self, environment: Environment, seen: Head, end: Head) -> PutBuilder {
        let mut item = head_key(environment);
        item.insert("sequence".to_owned(), sequence(end.sequence));
        item.insert("digest".to_owned(), string(end.digest));
        let put = Put::builder().set_item(Some(item));
        match seen.sequence {
            0 => put.condition_expression("attribute_not_exists(pk)"),
            _ => put
                .condition_expression("#sequence = :sequence AND digest = :digest")
                .expression_attribute_names("#sequence", "sequence")
                .expression_attribute_values(":sequence", sequence(seen.sequence))
                .expression_attribute_values(":digest", string(seen.digest)),
        }
    }

    fn new_put(&self, item: Item) -> PutBuilder {
        Put::builder().set_item(Some(item)).condition_expression("attribute_not_exists(pk)")
    }

    /// A page of what is known of a subject, the last first.
    async fn asked(&self, kind: &str, question: Question<'_>) -> Result<Page<Item>, CallError> {
        let time = |at: Timestamp| time_key(Moment::from_millis(at.as_millisecond()));
        // An event's id follows the time, so that what happened at the end is after it; "~" is after every time.
        let from = format!("{kind}{}", question.from.map(time).unwrap_or_default());
        let until = format!("{kind}{}", question.until.map_or("~".to_owned(), time));
        if from > until {
            return Ok(Page { found: Vec::new(), next: None });
        }
        let pk = ledger(question.environment, question.subject);
        self.page(&pk, (from, until), Order::Downwards, question.after, question.limit).await
    }

    async fn page(
        &self,
        pk: &str,
        (from, until): (String, String),
        order: Order,
        after: Option<&str>,
        limit: u16,
    ) -> Result<Page<Item>, CallError> {
        let answer = self
            .client
            .query()
            .table_name(&self.name)
            .consistent_read(true)
            .key_condition_expression("pk = :pk AND sk BETWEEN :from AND :until")
            .expression_attribute_values(":pk", string(pk))
            .expression_attribute_values(":from", string(from))
            .expression_attribute_values(":until", string(until))
            .scan_index_forward(order == Order::Upwards)
            .set_exclusive_start_key(after.map(|sk| key(pk, sk)))
            .limit(i32::from(limit.max(1)))
            .send()
            .await
            .map_err(|error| call_error("dynamodb:Query", &error))?;
        let next = answer.last_evaluated_key.as_ref().and_then(|key| text(key, "sk")).map(str::to_owned);
        Ok(Page { found: answer.items.unwrap_or_default(), next })
    }
}

const APPEND: &str = "dynamodb:TransactWriteItems";

/// Changes, as many at a time as fit into a transaction; at least one.
fn turns(changes: &[Entry]) -> Vec<&[Entry]> {
    let (mut turns, mut rest) = (Vec::new(), changes);
    while !rest.is_empty() {
        let (mut writes, mut bytes) = (1, 0);
        let fits = |entry: &&Entry| {
            writes += 2 + entry.subjects().len();
            bytes += entry.to_text().len();
            writes <= TRANSACTION && bytes <= TRANSACTION_BYTES
        };
        let (turn, after) = rest.split_at(rest.iter().take_while(fits).count().max(1));
        turns.push(turn);
        rest = after;
    }
    turns
}

/// `head`: what was read as the chain's end; `places`: which of the writes are records.
fn missed<R>(error: &SdkError<TransactWriteItemsError, R>, head: Head, places: &[usize]) -> Missed
where
    SdkError<TransactWriteItemsError, R>: ProvideErrorMetadata,
{
    let reasons = match error.as_service_error() {
        Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) => cancelled.cancellation_reasons(),
        Some(TransactWriteItemsError::TransactionInProgressException(_)) => return Missed::Conflict,
        Some(_) | None => return Missed::Call(call_error(APPEND, error)),
    };
    let code = |index: usize| reasons.get(index).and_then(CancellationReason::code);
    if places.iter().any(|place| code(*place) == Some("ConditionalCheckFailed")) {
        return Missed::Blocked(head);
    }
    let of = |wanted: &[&str]| reasons.iter().find(|reason| reason.code().is_some_and(|code| wanted.contains(&code)));
    if let Some(reason) = of(&["ValidationError", "ItemCollectionSizeLimitExceeded"]) {
        let message = format!("TransactionCanceledException: {}", reason.message().unwrap_or_default());
        return Missed::Call(problem(CallErrorKind::Refused, message));
    }
    match of(&["ThrottlingError", "ProvisionedThroughputExceeded"]) {
        Some(_) => Missed::Call(problem(CallErrorKind::Throttled, "TransactionCanceledException".to_owned())),
        None => Missed::Conflict,
    }
}

fn problem(kind: CallErrorKind, message: String) -> CallError {
    CallError { operation: APPEND, kind, message }
}

const fn passes(kind: CallErrorKind) -> bool {
    match kind {
        CallErrorKind::Throttled | CallErrorKind::NoAnswer => true,
        CallErrorKind::Denied | CallErrorKind::NotFound | CallErrorKind::Refused => false,
    }
}

fn ledger(environment: Environment, subject: &str) -> String {
    partition("ledger", environment, subject)
}

fn access_key(entry: &Entry) -> String {
    format!("access#{}#{}", entry.sort_key(), entry.event)
}

fn change_key(entry: &Entry) -> String {
    format!("change#{}#{}", entry.sort_key(), entry.event)
}

/// Where a change is found.
fn listed(environment: Environment, entry: &Entry) -> Vec<Item> {
    let sk = change_key(entry);
    entry.subjects().into_iter().map(|subject| key(&ledger(environment, subject), &sk)).collect()
}

fn chain(environment: Environment) -> String {
    format!("chain#{}", environment.name())
}

fn head_key(environment: Environment) -> Item {
    key(&chain(environment), HEAD)
}

fn record_name(sequence: u64) -> String {
    format!("{RECORD}{sequence:020}")
}

fn record_key(environment: Environment, sequence: u64) -> Item {
    key(&chain(environment), &record_name(sequence))
}

fn event(environment: Environment, id: &str) -> String {
    format!("event#{}#{id}", environment.name())
}

fn mark_key(environment: Environment, entry: &Entry) -> Item {
    key(&event(environment, &entry.event), MARK)
}

fn sequence(sequence: u64) -> AttributeValue {
    AttributeValue::N(sequence.to_string())
}

fn write_record(environment: Environment, record: &Record) -> Item {
    let Record { sequence, recorded, previous, entry, digest } = record;
    let mut item = record_key(environment, *sequence);
    item.extend(
        [
            ("entry", string(entry)),
            ("recordedAt", number(recorded.as_millis())),
            ("previous", string(*previous)),
            ("digest", string(*digest)),
        ]
        .map(|(name, value)| (name.to_owned(), value)),
    );
    item
}

/// What is missing, or is not as it was written, is empty: then the digest does not fit, or the place.
fn read_record(item: &Item) -> Record {
    let digest = |name| text(item, name).and_then(|text| text.parse().ok()).unwrap_or(Digest::NONE);
    let sequence = text(item, "sk").and_then(|sk| sk.strip_prefix(RECORD)).filter(|digits| digits.len() == 20);
    let recorded = item.get("recordedAt").and_then(|value| value.as_n().ok()?.parse().ok());
    Record {
        sequence: sequence.and_then(|digits| digits.parse().ok()).unwrap_or_default(),
        recorded: Moment::from_millis(recorded.unwrap_or_default()),
        previous: digest("previous"),
        entry: text(item, "entry").unwrap_or_default().to_owned(),
        digest: digest("digest"),
    }
}

fn read_head(environment: Environment, item: Option<&Item>) -> Result<Head, CallError> {
    let Some(item) = item else { return Ok(Head::beginning(environment)) };
    let sequence = count(item, "sequence").filter(|sequence| *sequence > 0);
    let digest = text(item, "digest").and_then(|text| text.parse().ok());
    sequence.zip(digest).map(|(sequence, digest)| Head { sequence, digest }).ok_or_else(|| CallError {
        operation: "dynamodb:BatchGetItem",
        kind: CallErrorKind::Refused,
        message: UNREADABLE_END.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use aws_sdk_dynamodb::types::error::TransactionCanceledException;
    use serde_json::json;

    #[test]
    fn a_transaction_that_was_cancelled_tells_what_to_do() {
        const HELD: &str = "None";
        let conflict = "TransactionConflict";
        let condition = "ConditionalCheckFailed";
        let head = Head::beginning(Environment::Prod);
        // Of the chain's end, a record, its mark.
        for (codes, expected) in [
            ([condition, HELD, HELD], "conflict"),
            ([conflict, HELD, HELD], "conflict"),
            ([HELD, HELD, condition], "conflict"),
            ([HELD, HELD, conflict], "conflict"),
            ([HELD, condition, HELD], "blocked"),
            ([conflict, condition, condition], "blocked"),
            ([condition, condition, condition], "blocked"),
            ([HELD, "ValidationError", HELD], "refused"),
            (["ThrottlingError", HELD, HELD], "throttled"),
            ([HELD, HELD, "ProvisionedThroughputExceeded"], "throttled"),
        ] {
            let reasons = codes.map(|code| CancellationReason::builder().code(code).build()).to_vec();
            let cancelled = TransactionCanceledException::builder().set_cancellation_reasons(Some(reasons)).build();
            let error = SdkError::service_error(TransactWriteItemsError::TransactionCanceledException(cancelled), ());
            let found = match missed(&error, head, &[1]) {
                Missed::Conflict => "conflict".to_owned(),
                Missed::Blocked(_) => "blocked".to_owned(),
                Missed::Call(error) => error.kind.to_string(),
            };
            assert_eq!(found, expected, "{codes:?}");
        }
    }

    #[test]
    fn a_turn_fits_into_a_transaction() {
        let entry = |targets: usize, bytes: usize| {
            let targets: Vec<String> = (0..targets).map(|n| n.to_string()).collect();
            let what = "x".repeat(bytes);
            let entry = json!({ "event": "e", "targets": targets, "principal": "", "action": "", "what": what });
            Entry::from_text(&entry.to_string()).unwrap()
        };
        let lengths = |entries: &[Entry]| turns(entries).iter().map(|turn| turn.len()).collect::<Vec<_>>();
        assert_eq!(lengths(&[]), [0; 0]);
        assert_eq!(lengths(&vec![entry(1, 0); 70]), [33, 33, 4]);
        assert_eq!(lengths(&vec![entry(0, 0); 34]), [33, 1], "what names nothing has a place, too");
        assert_eq!(lengths(&vec![entry(80, 0); 3]), [1, 1, 1]);
        assert_eq!(lengths(&vec![entry(1, 900_000); 3]), [2, 1]);
        assert_eq!(
            lengths(&vec![entry(1, 3_000_000); 2]),
            [1, 1],
            "what does not fit by itself is DynamoDB's to refuse"
        );
    }
}

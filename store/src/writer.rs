//! The one writer: whoever comes while a transaction is being made durable shares the next one.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;
use std::mem;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::changes::{Change, apply};
use crate::database::Database;
use crate::error::StoreError;
use crate::row::JobRow;
use crate::thing::Thing;

/// Changes of several threads on their way into one transaction.
#[derive(Debug, Default)]
struct Batch {
    changes: Vec<Change>,
    result: Option<Result<(), Arc<StoreError>>>,
}

#[derive(Debug, Default)]
struct Queue {
    /// Who comes now joins this one.
    next: Arc<Mutex<Batch>>,
    /// Somebody is making a transaction.
    busy: bool,
}

/// Puts changes into the database.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    queue: Mutex<Queue>,
    done: Condvar,
    notes: Mutex<Notes>,
}

/// What the rows do not know yet, and what need not be durable at once.
#[derive(Debug, Default)]
struct Notes {
    /// Last uses, in Unix seconds.
    uses: BTreeMap<Thing, u64>,
    /// Jobs that ended, oldest first.
    jobs: Vec<JobRow>,
}

impl Notes {
    fn is_due(&self) -> bool {
        self.uses.len() >= NOTES_MAX || self.jobs.len() >= NOTES_MAX
    }
}

/// So many notes of a kind are collected before they are written by themselves.
const NOTES_MAX: usize = 64;

impl Writer {
    /// Makes changes durable, in one transaction with those of whoever else is waiting.
    ///
    /// All of them, in order, or none.
    pub(crate) fn submit(
        &self,
        db: &Database,
        action: &'static str,
        changes: Vec<Change>,
    ) -> Result<(), StoreError> {
        let mut queue = lock(&self.queue);
        let batch = Arc::clone(&queue.next);
        lock(&batch).changes.extend(changes);
        loop {
            if let Some(result) = lock(&batch).result.clone() {
                return result.map_err(|error| told(db, action, error));
            }
            if queue.busy {
                queue = self.done.wait(queue).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            queue.busy = true;
            let ours = mem::take(&mut queue.next);
            drop(queue);
            // Whatever happens in there, the others must not wait for ever.
            let result = self.commit(db, action, mem::take(&mut lock(&ours).changes));
            lock(&ours).result = Some(result.map_err(Arc::new));
            queue = lock(&self.queue);
            queue.busy = false;
            self.done.notify_all();
        }
    }

    fn commit(
        &self,
        db: &Database,
        action: &'static str,
        mut changes: Vec<Change>,
    ) -> Result<(), StoreError> {
        let Notes { uses, mut jobs } = mem::take(&mut *lock(&self.notes));
        if !uses.is_empty() {
            changes.push(Change::Use { uses: uses.clone() });
        }
        if !jobs.is_empty() {
            changes.push(Change::AddJobs { jobs: jobs.clone() });
        }
        let result = db.write(action, |txn| apply(txn, &changes));
        if result.is_err() {
            let mut notes = lock(&self.notes);
            for (thing, used_unix_s) in uses {
                note(&mut notes.uses, thing, used_unix_s);
            }
            jobs.append(&mut notes.jobs);
            notes.jobs = jobs;
        }
        result
    }

    /// Notes a use, which is written with the next transaction; says whether so much is noted that it
    /// should be written now.
    pub(crate) fn touch(&self, thing: Thing, now_unix_s: u64) -> bool {
        let mut notes = lock(&self.notes);
        note(&mut notes.uses, thing, now_unix_s);
        notes.is_due()
    }

    /// Notes a job; as [`touch`](Self::touch).
    pub(crate) fn note_job(&self, job: JobRow) -> bool {
        let mut notes = lock(&self.notes);
        notes.jobs.push(job);
        notes.is_due()
    }

    /// The last use that is noted and perhaps not written.
    pub(crate) fn noted_use(&self, thing: Thing) -> u64 {
        lock(&self.notes).uses.get(&thing).copied().unwrap_or(0)
    }

    /// All last uses that are noted and perhaps not written.
    pub(crate) fn noted_uses(&self) -> BTreeMap<Thing, u64> {
        lock(&self.notes).uses.clone()
    }

    pub(crate) fn has_notes(&self) -> bool {
        let notes = lock(&self.notes);
        !notes.uses.is_empty() || !notes.jobs.is_empty()
    }
}

fn note(uses: &mut BTreeMap<Thing, u64>, thing: Thing, used_unix_s: u64) {
    let latest = uses.entry(thing).or_default();
    *latest = used_unix_s.max(*latest);
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The error of a transaction that was made for several, as each of them is told.
fn told(db: &Database, action: &'static str, error: Arc<StoreError>) -> StoreError {
    match Arc::try_unwrap(error) {
        Ok(error) => error,
        Err(shared) => {
            StoreError::Txn { action, path: db.path().to_owned(), source: Box::new(Shared(shared)) }
        }
    }
}

#[derive(Debug)]
struct Shared(Arc<StoreError>);

impl fmt::Display for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl Error for Shared {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::changes::make_tables;

    #[test]
    fn those_who_wait_share_a_transaction_and_all_are_told() {
        let dir = tempfile::tempdir().unwrap();
        let db = Database::open(&dir.path().join("db")).unwrap();
        db.write("make the tables", make_tables).unwrap();
        let before = db.commits();
        let writer = Writer::default();
        std::thread::scope(|scope| {
            for number in 0..64 {
                let (writer, db) = (&writer, &db);
                scope.spawn(move || {
                    let name = format!("image-{number}");
                    let change = Change::NameImage { name, digest: "sha256:00".to_owned() };
                    writer.submit(db, "name an image", vec![change]).unwrap();
                });
            }
        });
        let transactions = db.commits() - before;
        assert!((1..64).contains(&transactions), "{transactions} transactions");
        let names = db.read("count", |txn| {
            use redb::ReadableTableMetadata as _;
            Ok(txn.open_table(crate::tables::IMAGE_NAMES)?.len()?)
        });
        assert_eq!(names.unwrap(), 64);
    }
}

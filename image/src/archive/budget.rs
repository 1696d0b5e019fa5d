//! Counts what comes out of an archive, so that a small hostile one cannot fill disk or memory.

use std::cell::Cell;
use std::io::{self, Read};

use crate::request::Limits;

/// Longest run of headers before one entry, in bytes: long names and pax records are held in
/// memory.
const HEADERS_MAX_B: u64 = 1 << 20;

/// What may still come out of all archives of one import.
#[derive(Debug)]
pub(crate) struct Budget {
    pub(super) limits: Limits,
    read_left_b: Cell<u64>,
    written_left_b: Cell<u64>,
    entries: Cell<u64>,
}

impl Budget {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            read_left_b: Cell::new(limits.unpacked_b),
            written_left_b: Cell::new(limits.unpacked_b),
            entries: Cell::new(0),
        }
    }

    /// Counts one more entry; `false` where it is one too many.
    pub(super) fn take_entry(&self) -> bool {
        self.entries.set(self.entries.get() + 1);
        self.entries.get() <= self.limits.entries
    }

    pub(super) fn entries(&self) -> u64 {
        self.entries.get()
    }

    pub(super) fn written_b(&self) -> u64 {
        self.limits.unpacked_b - self.written_left_b.get()
    }
}

/// What happened to the stream of one archive; read once the tar reader has given up.
#[derive(Debug)]
pub(super) struct Meter<'a> {
    budget: &'a Budget,
    headers_left_b: Cell<u64>,
    ended: Cell<bool>,
    over: Cell<bool>,
}

impl<'a> Meter<'a> {
    pub(super) fn new(budget: &'a Budget) -> Self {
        Self {
            budget,
            headers_left_b: Cell::new(HEADERS_MAX_B),
            ended: Cell::new(false),
            over: Cell::new(false),
        }
    }

    /// From here on headers are read: not many.
    pub(super) fn expect_headers(&self) {
        self.headers_left_b.set(HEADERS_MAX_B);
    }

    /// From here on content is read.
    pub(super) fn expect_content(&self) {
        self.headers_left_b.set(u64::MAX);
    }

    /// Whether the stream came to its end.
    pub(super) fn ended(&self) -> bool {
        self.ended.get()
    }

    /// Whether the byte limit was hit.
    pub(super) fn over(&self) -> bool {
        self.over.get()
    }

    fn exceeded(&self) -> io::Error {
        self.over.set(true);
        io::Error::other("the byte limit is used up")
    }
}

/// The stream of an archive, counted.
pub(super) struct Stream<'a, R> {
    pub(super) inner: R,
    pub(super) meter: &'a Meter<'a>,
}

impl<R: Read> Read for Stream<'_, R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let Meter { budget, headers_left_b, ended, over: _ } = self.meter;
        let count = self.inner.read(into)?;
        if count == 0 && !into.is_empty() {
            ended.set(true);
        }
        let left_b = budget.read_left_b.get().checked_sub(count as u64);
        budget.read_left_b.set(left_b.ok_or_else(|| self.meter.exceeded())?);
        let left_b = headers_left_b.get().checked_sub(count as u64);
        headers_left_b.set(left_b.ok_or_else(|| io::Error::other("a header of more than 1 MiB"))?);
        Ok(count)
    }
}

/// The content of one entry, counted again: a sparse file is larger than its part of the stream.
pub(super) struct Content<'a, R> {
    pub(super) inner: R,
    pub(super) meter: &'a Meter<'a>,
    /// Whether reading failed, and not writing.
    pub(super) failed: bool,
}

impl<R: Read> Read for Content<'_, R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let left_b = &self.meter.budget.written_left_b;
        let count = self.inner.read(into).and_then(|count| {
            let left = left_b.get().checked_sub(count as u64);
            left_b.set(left.ok_or_else(|| self.meter.exceeded())?);
            Ok(count)
        });
        self.failed |= matches!(&count, Err(e) if e.kind() != io::ErrorKind::Interrupted);
        count
    }
}

//! The spool: what a program recorded and the store does not have yet, sealed on the program's own disk.
//!
//! Append-only segments of frames, each frame some records of any type as compressed JSON lines under AES-256-GCM, bound to its
//! segment and place. A thread of its own writes: nobody who records waits for a disk. What was written survives the
//! death of the process; of what had been received and not written the number is known, since every frame says how
//! many records there ever were, and a counter beside it how many were received.

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey},
    rand,
};
use drmwatch_tokens::hexadecimal;
use serde::{Serialize, de::DeserializeOwned};
use std::{
    fs::{self, File},
    io::{self, Write},
    marker::PhantomData,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    time::{Duration, Instant},
};
use tracing::{error, warn};

/// The first bytes of a segment.
const MAGIC: &[u8; 8] = b"drmwspl1";
/// Bytes before the first frame: magic, id, number of records before it.
const HEAD: usize = 8 + 16 + 8;
/// Bytes before a frame's text: its length, its records, records until its end, nonce.
const FRAME: usize = 4 + 4 + 8 + NONCE_LEN;
/// Longest text of a frame: what is beyond is damage.
const LONGEST: usize = 64 << 20;
/// Records that wait in memory.
const WAITING: usize = 16_384;
/// How long records are gathered for a frame.
const GATHER: Duration = Duration::from_millis(100);
/// How often what is written is made to reach the disk.
const SYNC: Duration = Duration::from_secs(1);
/// A segment of this size is closed.
const FULL: u64 = 16 << 20;

/// How a spool is kept.
#[derive(Debug, Clone)]
pub struct Limits {
    /// A segment is closed, and can be shipped, after so long.
    pub close_after: Duration,
    /// Most bytes on the disk; what would go beyond is lost, and counted.
    pub most_bytes: u64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            close_after: Duration::from_secs(300),
            most_bytes: 2 << 30,
        }
    }
}

/// What became of records. Counts since the spool was opened, unless it says otherwise.
#[derive(Debug, Default)]
pub struct Counts {
    /// Received.
    pub received: AtomicU64,
    /// Lost, since memory or disk were full or the disk broken; or by the process before, when it died.
    pub lost: AtomicU64,
    /// Bytes on the disk, now.
    pub bytes: AtomicU64,
}

/// What was found when a spool was opened.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Records that the process before had received and not written.
    pub lost: u64,
    /// Bytes of a frame that was not written to its end.
    pub torn: u64,
}

/// What a spool can hold. JSON lines keep it, so the type can grow fields with defaults.
pub trait Frame: Serialize + DeserializeOwned + Send + 'static {}
impl<T: Serialize + DeserializeOwned + Send + 'static> Frame for T {}

/// Takes records. Clones share it.
pub struct Spool<T> {
    sender: mpsc::SyncSender<Order<T>>,
    counts: Arc<Counts>,
}

impl<T> Clone for Spool<T> {
    fn clone(&self) -> Spool<T> {
        Spool {
            sender: self.sender.clone(),
            counts: self.counts.clone(),
        }
    }
}

enum Order<T> {
    Keep(Box<T>),
    Close(mpsc::Sender<()>),
}

/// The records of segments that were closed.
pub struct Shelf<T> {
    folder: PathBuf,
    cipher: Arc<Cipher>,
    open: Arc<Mutex<PathBuf>>,
    records: PhantomData<fn() -> T>,
}

/// A segment that was read.
#[derive(Debug)]
pub struct Segment<T> {
    path: PathBuf,
    id: [u8; 16],
    /// Its records.
    pub records: Vec<T>,
    /// Records of frames that were damaged.
    pub damaged: u64,
    /// Bytes at the end that are no whole frame.
    pub torn: u64,
    until: u64,
}

impl<T> Segment<T> {
    /// What its batch is called: 32 hexadecimal digits.
    pub fn name(&self) -> String {
        hexadecimal(&self.id)
    }
}

/// What a segment begins with. `base`: how many records there were before it.
fn head(id: &[u8; 16], base: u64) -> Vec<u8> {
    [&MAGIC[..], id, &base.to_le_bytes()].concat()
}

struct Cipher(RandomizedNonceKey);

impl Cipher {
    fn aad(id: &[u8; 16], index: u32, count: u32, until: u64) -> Aad<Vec<u8>> {
        let mut of = id.to_vec();
        of.extend(index.to_le_bytes());
        of.extend(count.to_le_bytes());
        of.extend(until.to_le_bytes());
        Aad::from(of)
    }

    fn seal<T: Frame>(&self, id: &[u8; 16], index: u32, records: &[T], until: u64) -> io::Result<Vec<u8>> {
        let mut lines = Vec::new();
        for record in records {
            serde_json::to_writer(&mut lines, record)?;
            lines.push(b'\n');
        }
        let mut text = zstd::bulk::compress(&lines, 1)?;
        let count = records.len() as u32;
        let nonce = self
            .0
            .seal_in_place_append_tag(Cipher::aad(id, index, count, until), &mut text);
        let nonce = nonce.map_err(|_| io::Error::other("a frame can't be sealed"))?;
        let mut frame = (text.len() as u32).to_le_bytes().to_vec();
        frame.extend(count.to_le_bytes());
        frame.extend(until.to_le_bytes());
        frame.extend(nonce.as_ref());
        frame.extend(text);
        Ok(frame)
    }

    fn open<T: Frame>(&self, aad: Aad<Vec<u8>>, nonce: &[u8], text: &[u8]) -> Option<Vec<T>> {
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut text = text.to_vec();
        let lines = zstd::stream::decode_all(&*self.0.open_in_place(nonce, aad, &mut text).ok()?).ok()?;
        let lines = lines.split(|b| *b == b'\n').filter(|l| !l.is_empty());
        lines.map(|line| serde_json::from_slice(line).ok()).collect()
    }

    /// Reads what is whole in a segment.
    fn read<T: Frame>(&self, path: &Path) -> io::Result<Segment<T>> {
        let bytes = fs::read(path)?;
        let mut segment = Segment {
            path: path.to_owned(),
            id: [0; 16],
            records: Vec::new(),
            damaged: 0,
            torn: 0,
            until: 0,
        };
        let field = |at: usize, long: usize| bytes.get(at..at + long);
        let number = |at: usize| {
            field(at, 4)
                .and_then(|b| b.try_into().ok())
                .map(u32::from_le_bytes)
        };
        let long = |at: usize| {
            field(at, 8)
                .and_then(|b| b.try_into().ok())
                .map(u64::from_le_bytes)
        };
        let head = field(0, 8)
            .filter(|m| *m == MAGIC)
            .and(field(8, 16))
            .zip(long(24));
        let Some((id, base)) = head else {
            segment.torn = bytes.len() as u64;
            return Ok(segment);
        };
        let id: [u8; 16] = id.try_into().unwrap_or_default();
        (segment.id, segment.until) = (id, base);
        let (mut at, mut index) = (HEAD, 0);
        while let (Some(length), Some(count), Some(until)) = (number(at), number(at + 4), long(at + 8)) {
            let length = length as usize;
            let Some((nonce, text)) = field(at + 16, NONCE_LEN)
                .zip(field(at + FRAME, length))
                .filter(|_| length <= LONGEST)
            else {
                break;
            };
            match self.open(Cipher::aad(&id, index, count, until), nonce, text) {
                Some(records) => {
                    segment.records.extend(records);
                    segment.until = segment.until.max(until);
                }
                None => segment.damaged += u64::from(count),
            }
            (at, index) = (at + FRAME + length, index + 1);
        }
        segment.torn = (bytes.len() - at.min(bytes.len())) as u64;
        Ok(segment)
    }
}

fn segments(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder)? {
        paths.push(entry?.path());
    }
    paths.retain(|p| p.extension().is_some_and(|e| e == "spool"));
    // Names begin with a number that only grows.
    paths.sort();
    Ok(paths)
}

/// Opens the spool in a folder, which is made if need be. `key`: 32 bytes. Only one process may have it open.
pub fn open<T: Frame>(
    folder: &Path,
    key: &[u8; 32],
    limits: Limits,
) -> io::Result<(Spool<T>, Shelf<T>, Found)> {
    fs::create_dir_all(folder)?;
    let lock = File::create(folder.join("lock"))?;
    lock.try_lock().map_err(|e| {
        io::Error::other(format!(
            "{}: another process has the spool open: {e}",
            folder.display()
        ))
    })?;
    let key = RandomizedNonceKey::new(&AES_256_GCM, key)
        .map_err(|_| io::Error::other("the key is not 32 bytes"))?;
    let cipher = Arc::new(Cipher(key));
    let counter = fs::OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(folder.join("received"))?;
    let mut bytes = [0; 8];
    let received = counter
        .read_exact_at(&mut bytes, 0)
        .map_or(0, |()| u64::from_le_bytes(bytes));
    let (mut found, mut until, mut size, mut last) = (Found::default(), 0, 0, 0);
    let old = segments(folder)?;
    for path in &old {
        size += path.metadata()?.len();
        last = number_of(path).max(last);
    }
    if let Some(path) = old.last() {
        let segment = cipher.read::<T>(path)?;
        found.torn = segment.torn;
        until = segment.until;
    }
    found.lost = received.saturating_sub(until);
    let counts = Arc::new(Counts::default());
    counts.lost.store(found.lost, Ordering::Relaxed);
    counts.bytes.store(size, Ordering::Relaxed);
    let (sender, orders) = mpsc::sync_channel(WAITING);
    let open = Arc::new(Mutex::new(PathBuf::new()));
    let mut writer = Writer {
        folder: folder.to_owned(),
        cipher: cipher.clone(),
        limits,
        counts: counts.clone(),
        counter,
        received: received.max(until),
        number: last,
        current: None,
        open: open.clone(),
        broken: false,
        _lock: lock,
    };
    writer.begin()?;
    std::thread::Builder::new()
        .name("spool".into())
        .spawn(move || writer.run(&orders))?;
    let shelf = Shelf {
        folder: folder.to_owned(),
        cipher,
        open,
        records: PhantomData,
    };
    Ok((Spool { sender, counts }, shelf, found))
}

fn number_of(path: &Path) -> u64 {
    let name = path.file_name().and_then(|n| n.to_str());
    name.and_then(|n| n.split_once('-')?.0.parse().ok()).unwrap_or(0)
}

impl<T: Frame> Spool<T> {
    /// Takes a record; never waits. Where there is no room it is lost, and counted.
    pub fn keep(&self, record: T) {
        self.counts.received.fetch_add(1, Ordering::Relaxed);
        if self.sender.try_send(Order::Keep(Box::new(record))).is_err() {
            self.counts.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Closes the segment that is written to, and waits until all that was kept before is on the disk.
    pub fn close_segment(&self) {
        let (done, wait) = mpsc::channel();
        if self.sender.send(Order::Close(done)).is_ok() {
            let _ = wait.recv();
        }
    }

    /// What became of records.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }
}

struct Current {
    file: File,
    id: [u8; 16],
    frames: u32,
    bytes: u64,
    since: Instant,
    synced: Instant,
    dirty: bool,
}

struct Writer {
    folder: PathBuf,
    cipher: Arc<Cipher>,
    limits: Limits,
    counts: Arc<Counts>,
    counter: File,
    received: u64,
    number: u64,
    current: Option<Current>,
    open: Arc<Mutex<PathBuf>>,
    broken: bool,
    _lock: File,
}

impl Writer {
    /// Begins a segment.
    fn begin(&mut self) -> io::Result<()> {
        let mut id = [0; 16];
        rand::fill(&mut id).map_err(|_| io::Error::other("no random numbers"))?;
        self.number += 1;
        let path = self
            .folder
            .join(format!("{:020}-{}.spool", self.number, hexadecimal(&id)));
        // Whoever reads closed segments must not take this one.
        *self.open.lock().unwrap_or_else(|e| e.into_inner()) = path.clone();
        let mut file = fs::OpenOptions::new().append(true).create_new(true).open(&path)?;
        let head = head(&id, self.received);
        file.write_all(&head)?;
        self.counts.bytes.fetch_add(head.len() as u64, Ordering::Relaxed);
        let now = Instant::now();
        self.current = Some(Current {
            file,
            id,
            frames: 0,
            bytes: HEAD as u64,
            since: now,
            synced: now,
            dirty: true,
        });
        Ok(())
    }

    fn run<T: Frame>(mut self, orders: &mpsc::Receiver<Order<T>>) {
        loop {
            let mut batch: Vec<T> = Vec::new();
            let mut close = Vec::new();
            let until = Instant::now() + SYNC;
            let mut deadline = until;
            loop {
                match orders.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                    Ok(Order::Keep(record)) => {
                        if batch.is_empty() {
                            deadline = until.min(Instant::now() + GATHER);
                        }
                        self.received += 1;
                        // Should the process die now, it will be known that this one was there.
                        let _ = self.counter.write_all_at(&self.received.to_le_bytes(), 0);
                        batch.push(*record);
                        if batch.len() < 4096 {
                            continue;
                        }
                    }
                    Ok(Order::Close(done)) => close.push(done),
                    Err(mpsc::RecvTimeoutError::Timeout) => {}
                    Err(mpsc::RecvTimeoutError::Disconnected) => {
                        self.write(&batch);
                        self.sync();
                        return;
                    }
                }
                break;
            }
            self.write(&batch);
            self.turn(!close.is_empty());
            for done in close {
                let _ = done.send(());
            }
        }
    }

    /// Writes a frame. What can't be written is lost, and counted.
    fn write<T: Frame>(&mut self, records: &[T]) {
        if records.is_empty() {
            return;
        }
        let written = self.frame(records);
        match &written {
            Err(error) if !self.broken => {
                error!(%error, "results can't be kept: the spool is full or broken")
            }
            Ok(()) if self.broken => warn!("results are kept again"),
            _ => {}
        }
        self.broken = written.is_err();
        if written.is_err() {
            self.counts
                .lost
                .fetch_add(records.len() as u64, Ordering::Relaxed);
        }
    }

    fn frame<T: Frame>(&mut self, records: &[T]) -> io::Result<()> {
        if self.current.is_none() {
            self.begin()?;
        }
        let Some(current) = &mut self.current else {
            return Ok(());
        };
        let frame = self
            .cipher
            .seal(&current.id, current.frames, records, self.received)?;
        let bytes = self.counts.bytes.load(Ordering::Relaxed) + frame.len() as u64;
        if bytes > self.limits.most_bytes {
            return Err(io::Error::other(format!("{bytes} bytes would be on the disk")));
        }
        if let Err(error) = current.file.write_all(&frame) {
            // What is half written must not be in front of what comes.
            self.current = None;
            return Err(error);
        }
        self.counts.bytes.fetch_add(frame.len() as u64, Ordering::Relaxed);
        current.frames += 1;
        current.bytes += frame.len() as u64;
        current.dirty = true;
        Ok(())
    }

    fn sync(&mut self) {
        if let Some(current) = self.current.as_mut().filter(|c| c.dirty) {
            if let Err(error) = current.file.sync_data() {
                warn!(%error, "the spool can't be made to reach the disk");
            }
            (current.dirty, current.synced) = (false, Instant::now());
        }
    }

    /// Syncs, and turns to a new segment, where it is time.
    fn turn(&mut self, now: bool) {
        let Some(current) = &self.current else { return };
        let over = current.frames > 0
            && (current.since.elapsed() >= self.limits.close_after || current.bytes >= FULL || now);
        if over || current.synced.elapsed() >= SYNC {
            self.sync();
        }
        if over && let Err(error) = self.begin() {
            warn!(%error, "a new segment of the spool can't be begun");
            self.current = None;
        }
    }
}

impl<T: Frame> Shelf<T> {
    /// Segments that are closed, the oldest first.
    pub fn closed(&self) -> io::Result<Vec<PathBuf>> {
        let open = self.open.lock().unwrap_or_else(|e| e.into_inner()).clone();
        let mut paths = segments(&self.folder)?;
        paths.retain(|p| *p != open);
        Ok(paths)
    }

    /// Reads one.
    pub fn read(&self, path: &Path) -> io::Result<Segment<T>> {
        self.cipher.read(path)
    }

    /// What is in it is in the store now.
    pub fn done(&self, segment: &Segment<T>, spool: &Spool<T>) -> io::Result<()> {
        let size = segment.path.metadata()?.len();
        fs::remove_file(&segment.path)?;
        spool.counts.bytes.fetch_sub(size, Ordering::Relaxed);
        Ok(())
    }

    /// Of a segment only these records are to be shipped yet.
    pub fn keep_only(&self, segment: &Segment<T>, records: &[T], spool: &Spool<T>) -> io::Result<()> {
        let mut bytes = head(&segment.id, segment.until);
        bytes.extend(self.cipher.seal(&segment.id, 0, records, segment.until)?);
        let before = segment.path.metadata()?.len();
        let unfinished = segment.path.with_extension("tmp");
        fs::write(&unfinished, &bytes)?;
        File::open(&unfinished)?.sync_all()?;
        fs::rename(&unfinished, &segment.path)?;
        spool.counts.bytes.fetch_sub(before, Ordering::Relaxed);
        spool
            .counts
            .bytes
            .fetch_add(bytes.len() as u64, Ordering::Relaxed);
        Ok(())
    }
}

//! Tests of the reader and the writer against a vector, in both runtimes, direct and through
//! the page cache.

mod support;

use std::io::{ErrorKind, SeekFrom};

use support::{BLOCK, Temp, in_both, pattern};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncSeekExt, AsyncWriteExt, copy_buf};

/// A linear congruential generator.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (self.0 >> 33) as usize % limit
    }
}

#[test]
fn a_writer_writes_what_a_vector_has() {
    in_both(|| async {
        for (direct, seed) in [(false, 1), (true, 2), (true, 3)] {
            let temp = Temp::new();
            let file = temp.open(direct).await;
            let mut random = Random(seed);
            let mut model: Vec<u8> = Vec::new();
            let mut position = random.below(BLOCK);
            let mut writer = file.writer(position as u64).with_capacity(2 * BLOCK);
            for step in 0..120 {
                match random.below(10) {
                    0 => writer.flush().await.unwrap(),
                    1 => {
                        let by = random.below(1000) as i64 - 500;
                        let target = match random.below(3) {
                            0 => SeekFrom::Start(random.below(8 * BLOCK) as u64),
                            1 => SeekFrom::Current(by.max(-(position as i64))),
                            _ => SeekFrom::End(by.max(-(model.len() as i64))),
                        };
                        let right = match target {
                            SeekFrom::Start(start) => start,
                            SeekFrom::Current(by) => (position as i64 + by) as u64,
                            SeekFrom::End(by) => (model.len() as i64 + by) as u64,
                        };
                        assert_eq!(writer.seek(target).await.unwrap(), right);
                        position = right as usize;
                    }
                    _ => {
                        let bytes = vec![step as u8 + 1; random.below(3 * BLOCK)];
                        writer.write_all(&bytes).await.unwrap();
                        let end = position + bytes.len();
                        if !bytes.is_empty() {
                            model.resize(model.len().max(end), 0);
                        }
                        model[position.min(end)..end].copy_from_slice(&bytes);
                        position = end;
                    }
                }
                assert_eq!(writer.position(), position as u64);
            }
            writer.shutdown().await.unwrap();
            file.sync_data().await.unwrap();
            assert!(temp.content() == model, "direct: {direct}");
        }
    });
}

#[test]
fn a_reader_reads_what_a_vector_has() {
    in_both(|| async {
        let content = pattern(10 * BLOCK + 77);
        let temp = Temp::with(&content);
        for (direct, seed) in [(false, 1), (true, 2)] {
            let file = temp.open(direct).await;
            let mut random = Random(seed);
            let mut reader = file.reader(5).with_capacity(2 * BLOCK);
            let mut position = 5;
            for _ in 0..300 {
                if random.below(4) == 0 {
                    let target = match random.below(3) {
                        0 => SeekFrom::Start(random.below(12 * BLOCK) as u64),
                        1 => SeekFrom::Current(random.below(2 * BLOCK) as i64),
                        _ => SeekFrom::End(-(random.below(BLOCK) as i64)),
                    };
                    let right = match target {
                        SeekFrom::Start(start) => start as usize,
                        SeekFrom::Current(by) => position + by as usize,
                        SeekFrom::End(by) => (content.len() as i64 + by) as usize,
                    };
                    assert_eq!(reader.seek(target).await.unwrap(), right as u64);
                    position = right;
                }
                let mut bytes = vec![0; random.below(3 * BLOCK) + 1];
                let count = reader.read(&mut bytes).await.unwrap();
                let rest = content.get(position..).unwrap_or_default();
                assert_eq!(count == 0, rest.is_empty());
                assert!(bytes[..count] == rest[..count]);
                position += count;
                assert_eq!(reader.position(), position as u64);
            }
            let refused = reader.seek(SeekFrom::Current(-(position as i64) - 1)).await;
            assert_eq!(refused.unwrap_err().kind(), ErrorKind::InvalidInput);
        }
    });
}

#[test]
fn lines_and_copies_go_through_the_streams() {
    in_both(|| async {
        let content: Vec<u8> = (0..5_000)
            .flat_map(|i| format!("line {i}\n").into_bytes())
            .collect();
        let (from, to) = (Temp::with(&content), Temp::new());
        for direct in [false, true] {
            let (source, target) = (from.open(direct).await, to.open(direct).await);
            let mut lines = source.reader(0).lines();
            let mut count = 0;
            while let Some(line) = lines.next_line().await.unwrap() {
                assert_eq!(line, format!("line {count}"));
                count += 1;
            }
            assert_eq!(count, 5_000);
            let mut writer = target.writer(0);
            copy_buf(&mut source.reader(0), &mut writer).await.unwrap();
            writer.flush().await.unwrap();
            assert!(to.content() == content);
            target.set_len(0).await.unwrap();
        }
    });
}

/// What could not be written stays in the buffer.
#[test]
fn an_error_of_a_writer_is_returned_again() {
    in_both(|| async {
        let full = linux_aio_tokio::OpenOptions::new()
            .write(true)
            .open("/dev/full")
            .await;
        let full = full.unwrap();
        let mut writer = full.writer(0);
        writer.write_all(b"text").await.unwrap();
        for _ in 0..2 {
            let error = writer.flush().await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::StorageFull);
        }
        assert_eq!(writer.position(), 4);
    });
}

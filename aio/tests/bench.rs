//! Tests of `aio bench`. That its figures are right is a matter of comparison with fio
//! (the last test, where fio is installed), which needs a machine without other work.

mod common;

use std::fs;
use std::os::unix::process::ExitStatusExt;

use common::*;
use serde_json::Value;

fn bench(arguments: &[&str]) -> Value {
    let mut words = vec!["bench", "--json", "--seconds", "1"];
    words.extend(arguments);
    let output = aio(&words).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Checks the results for each block size, depth and engine.
fn check(report: &Value, blocks: &[u64], depths: &[u64], plain: &str) {
    let results = report["results"].as_array().unwrap();
    assert_eq!(results.len(), blocks.len() * depths.len() * 2, "{report}");
    let mut results = results.iter();
    for &block in blocks {
        for &depth in depths {
            for engine in ["aio", plain] {
                let result = results.next().unwrap();
                assert_eq!(result["block"], block, "{report}");
                assert_eq!(result["depth"], depth, "{report}");
                assert_eq!(result["engine"], engine, "{report}");
                let number = |name: &str| result[name].as_u64().unwrap();
                assert!(number("operations") > 0, "{result}");
                assert!(number("p50_ns") > 0, "{result}");
                assert!(number("p50_ns") <= number("p99_ns"), "{result}");
                assert!(number("p99_ns") <= number("p999_ns"), "{result}");
                assert_eq!(number("bytes_per_second"), number("iops") * block);
                // Rate, depth and latency go together (Little's law), roughly, since the
                // median is not the mean.
                let in_flight = number("iops") as f64 * number("p50_ns") as f64 / 1e9;
                assert!(in_flight < depth as f64 * 1.5, "{result}");
                // Less than the time that all processors have.
                let nanoseconds = report["nanoseconds"].as_u64().unwrap();
                let spent = number("cpu_ns") * number("operations");
                let processors = std::thread::available_parallelism().unwrap().get() as u64;
                assert!(spent <= nanoseconds * (processors + 1), "{result}");
            }
        }
    }
}

#[test]
fn reads_of_a_file_are_measured_and_change_nothing() {
    let directory = directory();
    let (file, data) = (directory.path().join("a"), bytes(1 << 20));
    fs::write(&file, &data).unwrap();
    let name = file.to_str().unwrap();
    let report = bench(&["--block", "4K,16384", "--depth", "1,8", name]);
    check(&report, &[4096, 16384], &[1, 8], "pread");
    assert_eq!(report["direct"], direct_works());
    assert_eq!(report["size"], 1 << 20);
    assert!(fs::read(&file).unwrap() == data);

    // The page cache, if requested: then AIO runs inside io_submit, and says nothing.
    let report = bench(&["--block", "1000", "--depth", "2", "--buffered", name]);
    check(&report, &[1000], &[2], "pread");
    assert_eq!(report["direct"], false);
}

#[test]
fn writes_need_an_own_file_or_a_flag() {
    let directory = directory();
    let (file, data) = (directory.path().join("a"), bytes(1 << 20));
    fs::write(&file, &data).unwrap();
    let name = file.to_str().unwrap();
    let output = aio(&["bench", "--write", name]).output().unwrap();
    fails(
        &output,
        &format!(
            "aio: bench: {name}: '--write' destroys its data, which needs '--overwrite'; or name \
             a directory"
        ),
    );
    assert!(fs::read(&file).unwrap() == data);

    let at = directory.path().to_str().unwrap();
    let report = bench(&["--write", "--size=1M", "--block=4K", "--depth=2", at]);
    check(&report, &[4096], &[2], "pwrite");
    assert_eq!(names(directory.path()), ["a"], "its own file stays");
    assert!(fs::read(&file).unwrap() == data);

    let report = bench(&["--write", "--overwrite", "--block=4K", "--depth=2", name]);
    check(&report, &[4096], &[2], "pwrite");
    let after = fs::read(&file).unwrap();
    assert!(after.len() == data.len() && after != data);
}

#[test]
fn the_table_says_what_is_gained() {
    let directory = directory();
    let at = directory.path().to_str().unwrap();
    let output = aio(&[
        "bench",
        "--size=1M",
        "--seconds=1",
        "--block=4K",
        "--depth=1,4",
        at,
    ])
    .output()
    .unwrap();
    assert!(output.status.success(), "{output:?}");
    let shown = stdout(&output);
    assert!(
        shown.lines().skip(1).all(|line| line.len() <= 80),
        "{shown}"
    );
    assert!(shown.contains("   4K     4 AIO   "), "{shown}");
    assert!(shown.contains("#\n"), "{shown}");
    assert!(
        shown.contains("AIO is worth it: at depth")
            || shown.contains("AIO gains nothing: at depth"),
        "{shown}"
    );
}

#[test]
fn what_cannot_be_measured_is_reported() {
    let directory = directory();
    let small = directory.path().join("small");
    fs::write(&small, "x").unwrap();
    let small = small.to_str().unwrap();
    for (name, text) in [
        (
            "/dev/null",
            "neither a file, nor a block device, nor a directory",
        ),
        ("/no/such", "no such file or directory (ENOENT)"),
        (small, "smaller than a block of 4096 bytes"),
    ] {
        let output = aio(&["bench", name]).output().unwrap();
        fails(&output, &format!("aio: bench: {name}: {text}"));
    }
    // A sandbox without AIO: pread is measured.
    let at = directory.path().to_str().unwrap();
    let arguments = [
        "bench",
        "--size=1M",
        "--seconds=1",
        "--block=4K",
        "--depth=1",
        at,
    ];
    let output = without_aio(&mut aio(&arguments), libc::EPERM)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(
        stderr(&output).starts_with("aio: bench: a sandbox forbids AIO"),
        "{output:?}"
    );
    assert!(stdout(&output).contains(" pread "), "{output:?}");
    let calls = [libc::SYS_io_setup];
    let output = forbidding(&mut aio(&arguments), &calls, libc::SECCOMP_RET_KILL_PROCESS)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(
        stderr(&output).contains("a process ended without a result"),
        "{output:?}"
    );
}

/// The processes of a measurement end with the tool.
#[test]
fn a_killed_measurement_leaves_no_process() {
    let directory = directory();
    let at = directory.path().to_str().unwrap();
    // Each of the two measurements would last a minute.
    let arguments = [
        "bench",
        "--size=1M",
        "--seconds=120",
        "--block=4K",
        "--depth=8",
        at,
    ];
    let mut child = aio(&arguments)
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let children = format!("/proc/{0}/task/{0}/children", child.id());
    let list = || fs::read_to_string(&children).unwrap_or_default();
    wait_until(|| !list().is_empty());
    let workers: Vec<String> = list().split_whitespace().map(str::to_owned).collect();
    child.kill().unwrap();
    assert_eq!(child.wait().unwrap().signal(), Some(libc::SIGKILL));
    for worker in workers {
        wait_until(|| {
            let status = fs::read_to_string(format!("/proc/{worker}/status"));
            status.map_or(true, |status| status.contains("State:\tZ"))
        });
    }
}

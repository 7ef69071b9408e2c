//! Tests of the program from outside have the standard library.

use std::process::Command;

#[test]
fn it_greets() {
    let output = Command::new(env!("CARGO_BIN_EXE_hello")).output().unwrap();
    assert!(output.status.success());
    assert_eq!(output.stdout, b"hello\n");
}

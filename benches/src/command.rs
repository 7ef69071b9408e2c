//! Runs the commands that build and measure.

use std::process::Command;

/// A result whose error is a message.
pub(crate) type Result<T> = std::result::Result<T, String>;

/// Runs a command and returns its output, or its error output if it fails.
pub(crate) fn run(command: &mut Command) -> Result<String> {
    let name = format!("{command:?}");
    let output = command
        .output()
        .map_err(|error| format!("{name}: {error}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{name}: {}\n{said}", output.status));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

// The texts of the program, prepared by the build script, which `include!`s this file.

/// Writes the text of `aio probe --syscalls`, from the page of which `tests/syscalls.rs`
/// verifies the table.
fn write_syscalls() {
    // A link to the page of docs/, so that it is in the package.
    let path = "sandboxes.md";
    println!("cargo::rerun-if-changed={path}");
    let page = std::fs::read_to_string(path).unwrap();
    let after = |mark: &str| page.split_once(mark).unwrap_or_else(|| panic!("{mark}")).1;

    let mut text = "The system calls of each step of the library linux-aio, on x86_64:\n\n".to_owned();
    let rows = after("| step | system calls |\n|---|---|\n");
    for row in rows.lines().take_while(|row| row.starts_with('|')) {
        let (step, calls) = row[2..].split_once(" | ").unwrap();
        let calls = calls.trim_end_matches(" |");
        text += &format!("  {}\n      {calls}\n", step.replace('`', ""));
    }
    text += "\nTo be added to the calls that the program itself needs, in a unit of systemd:\n\n";
    text += after("```ini\n").split("```").next().unwrap();
    text += "\nAmong the \"syscalls\" of a profile of the OCI runtime specification:\n\n";
    let profile = after("```json\n").split("```").next().unwrap();
    text += profile;
    let output = std::env::var_os("OUT_DIR").unwrap();
    let output = std::path::Path::new(&output);
    std::fs::write(output.join("syscalls.txt"), text).unwrap();
    std::fs::write(output.join("profile.json"), profile).unwrap();
}

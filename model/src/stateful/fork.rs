//! A forked child.

/// Runs `body` in a child process, and returns its error.
pub(super) fn in_child(body: impl FnOnce() -> Result<(), String>) -> Result<(), String> {
    // SAFETY: the child has this thread alone, the allocator works there, and it ends
    // by _exit.
    unsafe {
        match libc::fork() {
            -1 => Err(format!("fork: {}", std::io::Error::last_os_error())),
            0 => {
                let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(body));
                let message = match outcome {
                    Ok(Ok(())) => libc::_exit(0),
                    Ok(Err(message)) => message + "\n",
                    Err(_) => "the child panicked\n".into(),
                };
                libc::write(2, message.as_ptr().cast(), message.len());
                libc::_exit(1)
            }
            child => {
                let mut status = 0;
                while libc::waitpid(child, &raw mut status, 0) != child {}
                if status == 0 {
                    Ok(())
                } else {
                    Err(format!("a forked child ended with status {status:#x}"))
                }
            }
        }
    }
}

/// Forks. Returns true in the child, which ends with [`leave`]. The parent returns
/// false after it has waited for the child.
pub(super) fn split() -> Result<bool, String> {
    // SAFETY: the child has this thread alone, the allocator works there, and it ends
    // by _exit.
    unsafe {
        match libc::fork() {
            -1 => Err(format!("fork: {}", std::io::Error::last_os_error())),
            0 => Ok(true),
            child => {
                let mut status = 0;
                while libc::waitpid(child, &raw mut status, 0) != child {}
                if status == 0 {
                    Ok(false)
                } else {
                    Err(format!("a forked child ended with status {status:#x}"))
                }
            }
        }
    }
}

/// Ends the child, and reports its error to the parent.
pub(super) fn leave(outcome: Result<(), String>) -> ! {
    // SAFETY: `message` is valid for reads of its length. `_exit` runs no exit handlers
    // and no destructors of the parent's state.
    unsafe {
        if let Err(message) = outcome {
            let message = message + "\n";
            libc::write(2, message.as_ptr().cast(), message.len());
            libc::_exit(1)
        }
        libc::_exit(0)
    }
}

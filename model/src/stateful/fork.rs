//! A forked child.

/// Runs `body` in a child, and tells what it says went wrong.
pub(super) fn in_child(body: impl FnOnce() -> Result<(), String>) -> Result<(), String> {
    // SAFETY: the child has this thread alone, the allocator works there, and
    // it ends by _exit.
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

/// Forks; whether this is the child, which ends by [`leave`]. The parent has
/// waited for it.
pub(super) fn split() -> Result<bool, String> {
    // SAFETY: the child has this thread alone, the allocator works there, and
    // it ends by _exit.
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

/// A child ends, and tells its parent what went wrong.
pub(super) fn leave(outcome: Result<(), String>) -> ! {
    // SAFETY: nothing of the parent's is to be done here.
    unsafe {
        if let Err(message) = outcome {
            let message = message + "\n";
            libc::write(2, message.as_ptr().cast(), message.len());
            libc::_exit(1)
        }
        libc::_exit(0)
    }
}

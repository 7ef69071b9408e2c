# Verifies that calls between the library's functions can be intercepted, as those of
# libaio. Sourced by `run`.

# intercepted ARGUMENT...: builds a program that defines functions of libaio, and verifies
# that the calls inside the library reach them.
intercepted() {
    gcc -O2 -Wall -Wextra -Werror -I"$ours/include" "$programs/interposer.c" "$@" -o "$work/interposer" || return
    [ "$("$work/interposer")" = "1 1 1" ]
}

# preloaded COMMAND...: runs a program below an interposer whose contexts the library does
# not know.
preloaded() {
    gcc -shared -fPIC -DSHARED -O2 -Wall -Wextra -Werror -I"$ours/include" \
        "$programs/interposer.c" -ldl -o "$work/interposer.so" || return
    LD_PRELOAD=$work/interposer.so "$@"
}

# The callbacks of io_queue_run, the event of io_getevents.
preloaded_early() {
    gcc -O2 -Wall -Wextra -Werror -I"$ours/include" "$programs/queue.c" "$ours/lib/libaio.so" \
        -Wl,-rpath,"$ours/lib" -o "$work/queue" || return
    "$work/queue" && preloaded "$work/queue"
}

check "a program's own functions, static" intercepted "$ours/lib/libaio.a"
check "a program's own functions, shared" intercepted "$ours/lib/libaio.so" -Wl,-rpath,"$ours/lib"
check "a program's own functions, Debian 12's archive" intercepted "$ref_a"
check "--wrap" intercepted -DWRAP -Wl,--wrap=io_setup,--wrap=io_getevents "$ours/lib/libaio.a"
check "--wrap, Debian 12's archive" intercepted -DWRAP -Wl,--wrap=io_setup,--wrap=io_getevents "$ref_a"
check "LD_PRELOAD with contexts of its own" preloaded_early

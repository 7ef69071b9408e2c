# Verifies that the comparison fails on deliberately broken libraries. Sourced by `run`,
# after `behaviour`.

broken=$work/broken
limit=8
tree=$broken/tree
rm -rf "$tree"
mkdir -p "$tree"
git ls-files -co --exclude-standard -z | xargs -0 cp --parents -t "$tree"

# seen NAME: verifies that the comparison detects the library of that name. The first
# difference is printed.
seen() {
    local line
    LD_LIBRARY_PATH=$broken/$1 traces "broken-$1" "$work/differential-reference"
    if same_traces "broken-$1" reference >"$broken/$1.diff"; then
        echo "nothing detected it"
        return 1
    fi
    line=$(sed -n 's/^> *//p' "$broken/$1.diff" | head -n 1)
    echo "note: ${line##*/differential-reference: }"
}

# make_changed NAME FILE SED: builds a library with the source changed.
make_changed() {
    local name=$1 file=$2 change=$3 status
    sed -i "$change" "$tree/$file" || return
    if cmp "$file" "$tree/$file"; then
        echo "the change does not apply"
        return 1
    fi
    rm -rf "$broken/$name.installed"
    CARGO_TARGET_DIR=$broken/target LINUX_AIO_COPY=$tree \
        "$capi_install" --destdir "$broken/$name.installed"
    status=$?
    cp "$file" "$tree/$file"
    [ "$status" = 0 ] || return
    rm -rf "${broken:?}/$name"
    cp -r "$broken/$name.installed/usr/local/lib" "$broken/$name"
}

changed() {
    make_changed "$@" && seen "$1"
}

# Verifies that the stress test detects a library that takes events in user space. The
# library must not do that, because readers in the kernel take events from the same
# ring.
raced() {
    local change='if nr > 0 \&\& ctx != AioContext::NONE {
        let ring = unsafe { crate::ring::RingMap::attach(ctx) };
        let space = unsafe { core::slice::from_raw_parts_mut(events, nr as usize) };
        if let Some(taken @ 1..) = unsafe { ring.take(space) } { return Ok(taken); }
    }'
    make_changed raced src/sys/getevents/mod.rs "s/    let call = Call {/    ${change//$'\n'/ } &/" || return
    gcc -O2 -pthread -I"$ours/include" "$programs/stress.c" "$broken/raced/libaio.a" -o "$broken/stress" || return
    if timeout 20 "$broken/stress" 2 2>"$broken/stress.log"; then
        echo "nothing detected it"
        return 1
    fi
    echo "note: $(cat "$broken/stress.log")"
}

# without NAME FUNCTION...: links the library again without some functions.
without() {
    local name=$1 function objects=$broken/$1.objects
    shift
    rm -rf "$objects"
    cp -r "$target/capi/libaio/shared" "$objects"
    for function in "$@"; do
        rm "$objects/$function.o" || return
    done
    mkdir -p "$broken/$name"
    cc -shared -nostdlib -Wl,--version-script="$target/capi/libaio/libaio.map" \
        -Wl,-soname,libaio.so.1 -o "$broken/$name/libaio.so.1" "$objects"/*.o || return
    [ "$(exported "$broken/$name/libaio.so.1" | grep -c ' io_')" = $((13 - $#)) ] || return
    seen "$name"
}

check "broken: no io_pgetevents" without pgetevents io_pgetevents
check "broken: no io_cancel of 0.1" without cancel io_cancel_0_1
check "broken: no io_getevents of 0.1" without getevents io_getevents_0_1
check "broken: no io_queue_wait of 0.1" without queue_wait io_queue_wait_0_1
check "broken: -1 for each error" changed minus-one capi/src/lib.rs \
    's/-errno.raw_os_error()/-1/'
check "broken: io_pgetevents answers ENOSYS" changed enosys capi/src/lib.rs \
    's/getevents::get_events_masked([^)]*)/Err(Errno::NOSYS)/'
check "broken: the mask is ignored" changed mask capi/src/lib.rs \
    's/timeout, sigmask)/timeout, core::ptr::null())/'
check "broken: 0.1's io_getevents waits for none" changed old capi/src/lib.rs \
    's/io_getevents(ctx, 1, nr/io_getevents(ctx, 0, nr/'
check "broken: io_queue_run takes none" changed run capi/src/queue.rs \
    's/io_getevents(ctx, 0, 1,/io_getevents(ctx, 0, 0,/'
check "broken: io_queue_run swaps the results" changed swapped capi/src/queue.rs \
    's/event.res as c_long, event.res2 as c_long/event.res2 as c_long, event.res as c_long/'
check "broken: io_queue_init keeps the old value" changed kept capi/src/queue.rs \
    '/\*ctxp = AioContext::NONE;/d'
check "broken: io_queue_wait requests one event" changed asks capi/src/queue.rs \
    's/io_getevents(ctx, 0, 0, null_mut()/io_getevents(ctx, 0, 1, null_mut()/'
check "broken: every ring is empty" changed empty src/sys/getevents/mod.rs \
    's/ring_is_empty(ctx)/true/'
check "broken: the magic number of the ring is not checked" changed magic src/ring/peek.rs \
    's/(\*header).magic == RingHeader::MAGIC/true/'
check "broken: waits that are not restarted" changed restarted src/sys/getevents/call.rs \
    's/sys::io_pgetevents(ctx, min_nr, nr, events, time, mask)/if mask.is_null() { sys::io_getevents(ctx, min_nr, nr, events, time) } else { & }/'
check "broken: events taken in user space" raced

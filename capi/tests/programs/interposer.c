/*
 * Defines functions of libaio in place of the library's, in one of three ways, and
 * verifies which calls they receive.
 *
 * SHARED: as a library that is loaded before, with contexts of its own: a context is
 * the number of the real one plus one, which no function of the library accepts.
 * WRAP: as the functions that --wrap substitutes.
 * Otherwise: as functions of the program.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <libaio.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

extern int io_queue_wait(io_context_t ctx, struct timespec *timeout);

#ifdef SHARED

static io_context_t inside(io_context_t ctx)
{
	return (io_context_t)((char *)ctx - 1);
}

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

int io_setup(int maxevents, io_context_t *ctxp)
{
	int result = NEXT(io_setup)(maxevents, ctxp);
	if (!result)
		*ctxp = (io_context_t)((char *)*ctxp + 1);
	return result;
}

int io_destroy(io_context_t ctx)
{
	return NEXT(io_destroy)(inside(ctx));
}

int io_submit(io_context_t ctx, long nr, struct iocb *ios[])
{
	return NEXT(io_submit)(inside(ctx), nr, ios);
}

int io_getevents(io_context_t ctx, long min_nr, long nr,
		 struct io_event *events, struct timespec *timeout)
{
	return NEXT(io_getevents)(inside(ctx), min_nr, nr, events, timeout);
}

#else

#ifdef WRAP
#define NAME(name) __wrap_##name
extern int NAME(io_setup)(int, io_context_t *);
extern int NAME(io_getevents)(io_context_t, long, long, struct io_event *,
			      struct timespec *);
#else
#define NAME(name) name
#endif

static int setups, waits;

/* Neither calls the library's function, which need not be linked at all. */
int NAME(io_setup)(int maxevents, io_context_t *ctxp)
{
	setups++;
	return (int)syscall(SYS_io_setup, maxevents, ctxp) ? -errno : 0;
}

int NAME(io_getevents)(io_context_t ctx, long min_nr, long nr,
		       struct io_event *events, struct timespec *timeout)
{
	long result;

	waits++;
	result = syscall(SYS_io_getevents, ctx, min_nr, nr, events, timeout);
	return result < 0 ? -errno : (int)result;
}

static int called;

static void callback(io_context_t ctx, struct iocb *iocb, long res, long res2)
{
	(void)ctx, (void)iocb, (void)res2;
	called += res == -EBADF ? 0 : 1;
}

int main(void)
{
	struct iocb iocb, *batch = &iocb;
	struct timespec now = { 0, 0 };
	io_context_t ctx;
	int ends[2];

	if (pipe(ends) || io_queue_init(4, &ctx))
		return 1;
	io_prep_poll(&iocb, ends[1], 4 /* POLLOUT */);
	io_set_callback(&iocb, callback);
	if (io_submit(ctx, 1, &batch) != 1)
		return 2;
	while (!called)
		if (io_queue_run(ctx))
			return 3;
	if (io_queue_wait(ctx, &now) || io_queue_release(ctx))
		return 4;
	printf("%d %d %d\n", setups, waits > 2, called);
	return 0;
}

#endif

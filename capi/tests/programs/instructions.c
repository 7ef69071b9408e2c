/*
 * Calls each function a hundred times, so that callgrind can count the
 * instructions in libaio and in the C library below it.
 */
#include <fcntl.h>
#include <libaio.h>
#include <time.h>

enum { TIMES = 100 };

__attribute__((noinline)) static int empty(io_context_t ctx)
{
	struct timespec zero = { 0, 0 };
	struct io_event event;

	return io_getevents(ctx, 0, 1, &event, &zero);
}

__attribute__((noinline)) static int ready(io_context_t ctx)
{
	struct io_event event;

	return io_getevents(ctx, 1, 1, &event, NULL);
}

__attribute__((noinline)) static int submit(io_context_t ctx,
					    struct iocb **iocbs)
{
	return io_submit(ctx, 1, iocbs);
}

__attribute__((noinline)) static int destroy(void)
{
	/* Without a context: the path to the kernel and back is the same. */
	return io_destroy(NULL);
}

int main(void)
{
	io_context_t ctx = NULL;
	char byte;
	int file = open("/proc/self/exe", O_RDONLY), bad = io_setup(8, &ctx);
	struct iocb iocb, *iocbs[] = { &iocb };

	for (int i = 0; i < TIMES; i++) {
		io_prep_pread(&iocb, file, &byte, 1, 0);
		bad |= empty(ctx) != 0;
		bad |= submit(ctx, iocbs) != 1;
		bad |= ready(ctx) != 1;
		bad |= destroy() != -22;
	}
	return bad;
}

/*
 * Polls an empty ring between two marks that strace records, then a ready ring.
 * The argument is the number of calls of each function of libaio.
 */
#include <libaio.h>
#include <fcntl.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	int times = argc > 1 ? atoi(argv[1]) : 1, bad = 0;
	struct timespec zero = { 0, 0 };
	io_context_t ctx = NULL;
	struct iocb iocb, *iocbs[] = { &iocb };
	struct io_event events[8];
	char byte;

	bad |= io_setup(8, &ctx) != 0;
	bad |= write(2, "[", 1) != 1;
	for (int i = 0; i < times; i++) {
		bad |= io_getevents(ctx, 0, 8, events, &zero) != 0;
		bad |= io_getevents(ctx, 1, 8, events, &zero) != 0;
		bad |= io_pgetevents(ctx, 1, 8, events, &zero, NULL) != 0;
		bad |= io_queue_run(ctx) != 0;
	}
	bad |= write(2, "]", 1) != 1;
	io_prep_pread(&iocb, open("/proc/self/exe", O_RDONLY), &byte, 1, 0);
	bad |= io_submit(ctx, 1, iocbs) != 1;
	bad |= io_getevents(ctx, 0, 8, events, &zero) != 1;
	bad |= io_destroy(ctx) != 0;
	return bad;
}

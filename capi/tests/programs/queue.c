/* Uses a context through io_queue_* and io_getevents: 0 if all results are right. */
#include <fcntl.h>
#include <libaio.h>
#include <stddef.h>
#include <time.h>

static long read_bytes;

static void callback(io_context_t ctx, struct iocb *iocb, long res, long res2)
{
	(void)ctx, (void)iocb, (void)res2;
	read_bytes += res;
}

int main(int argc, char **argv)
{
	struct timespec second = { 1, 0 };
	struct iocb iocb, *batch = &iocb;
	struct io_event event;
	io_context_t ctx;
	char bytes[8];
	int file = open(argv[argc - 1], O_RDONLY);

	if (file < 0 || io_queue_init(4, &ctx))
		return 1;
	io_prep_pread(&iocb, file, bytes, sizeof bytes, 0);
	if (io_submit(ctx, 1, &batch) != 1 ||
	    io_getevents(ctx, 1, 1, &event, &second) != 1 || event.res != 8)
		return 2;
	io_set_callback(&iocb, callback);
	if (io_submit(ctx, 1, &batch) != 1 || io_queue_run(ctx) ||
	    read_bytes != 8)
		return 3;
	return io_queue_release(ctx);
}

/*
 * Sums the bytes of a file, with eight reads in flight, through the interface of libaio.
 * The same source works with libaio and with its replacement in this folder:
 *
 *     cargo capi-install --destdir /        # to /usr/local; then ldconfig
 *     cc -O2 -o sum capi/examples/sum.c -laio
 *     ./sum FILE
 *
 * A program without changes to its environment finds the library that ldconfig knows.
 * LD_LIBRARY_PATH=/usr/local/lib selects this one for a single run.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <libaio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { DEPTH = 8, BLOCK = 65536, ALIGNMENT = 4096 };

/* Errors are negated numbers: errno is not set. */
static int check(int result, const char *what)
{
	if (result < 0) {
		fprintf(stderr, "%s: %s\n", what, strerror(-result));
		exit(1);
	}
	return result;
}

int main(int argc, char **argv)
{
	static unsigned char blocks[DEPTH][BLOCK] __attribute__((aligned(ALIGNMENT)));
	static struct iocb iocbs[DEPTH];
	io_context_t context = NULL; /* has to be zero before io_setup */
	struct io_event events[DEPTH];
	unsigned long long bytes = 0, sum = 0;
	long long offset = 0, end;
	int fd, i, in_flight = 0;

	if (argc != 2) {
		fprintf(stderr, "usage: sum FILE\n");
		return 2;
	}
	/* Only direct reads are asynchronous. Not every file system has them. */
	fd = open(argv[1], O_RDONLY | O_DIRECT);
	if (fd < 0 && errno == EINVAL)
		fd = open(argv[1], O_RDONLY);
	if (fd < 0 || (end = lseek(fd, 0, SEEK_END)) < 0) {
		perror(argv[1]);
		return 1;
	}
	check(io_setup(DEPTH, &context), "io_setup");

	for (i = 0; i < DEPTH && offset < end; i++) {
		struct iocb *iocb = &iocbs[i];

		io_prep_pread(iocb, fd, blocks[i], BLOCK, offset);
		iocb->data = blocks[i];
		/* One at a time; io_submit may take fewer than it is given. */
		check(io_submit(context, 1, &iocb), "io_submit");
		offset += BLOCK;
		in_flight++;
	}
	while (in_flight > 0) {
		int n = io_getevents(context, 1, DEPTH, events, NULL);

		if (n == -EINTR)
			continue;
		check(n, "io_getevents");
		for (i = 0; i < n; i++) {
			struct iocb *iocb = events[i].obj;
			unsigned char *block = events[i].data;
			long read = (long)events[i].res, at;

			/* `res` is unsigned, and a negated number if the read failed. */
			check(read < 0 ? (int)read : 0, "read");
			for (at = 0; at < read; at++)
				sum += block[at];
			bytes += (unsigned long long)read;
			in_flight--;
			if (offset < end) {
				io_prep_pread(iocb, fd, block, BLOCK, offset);
				iocb->data = block;
				check(io_submit(context, 1, &iocb), "io_submit");
				offset += BLOCK;
				in_flight++;
			}
		}
	}
	/* Waits for everything in flight; nothing is. */
	check(io_destroy(context), "io_destroy");
	printf("%llu bytes, sum %llu\n", bytes, sum);
	return 0;
}

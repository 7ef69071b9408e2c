/*
 * Runs threads on one context for the given number of seconds, while the
 * library reads the ring beside readers in the kernel. It verifies:
 *
 * - a lone reader that was notified of an event finds it immediately;
 * - with pollers and sleepers, no event is lost and none is taken twice.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <libaio.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { DEPTH = 64, READERS = 4, LIMIT = 1 << 22 };

static io_context_t ctx;
static atomic_long submitted, taken;
static atomic_int stop, ready;
static atomic_uchar *seen;
static struct timespec zero, soon = { 0, 1000000 };
static int file;
static double end;

static double now(void)
{
	struct timespec time;
	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void fail(const char *what, long number)
{
	fprintf(stderr, "%s: %ld\n", what, number);
	exit(1);
}

/* Submits a buffered read, which has completed when io_submit returns. */
static void submit(long number)
{
	static char byte;
	struct iocb iocb, *iocbs[] = { &iocb };
	int res;

	io_prep_pread(&iocb, file, &byte, 1, 0);
	iocb.data = (void *)(intptr_t)number;
	do
		res = io_submit(ctx, 1, iocbs);
	while (res == -11 && !sched_yield());
	if (res != 1)
		fail("io_submit", res);
}

static void *lone(void *unused)
{
	struct io_event event;
	int res;

	(void)unused;
	for (long next = 0;; next++) {
		while (!atomic_load(&ready)) {
			if (atomic_load(&stop))
				return NULL;
			sched_yield();
		}
		res = io_getevents(ctx, 0, 1, &event, &zero);
		if (res != 1 || (long)(intptr_t)event.data != next)
			fail("an event was not available", res);
		if (io_getevents(ctx, 0, 1, &event, &zero) != 0)
			fail("an event too many", next);
		atomic_store(&ready, 0);
	}
}

static void *reader(void *sleeps)
{
	struct io_event events[8];

	while (!atomic_load(&stop) ||
	       atomic_load(&taken) < atomic_load(&submitted)) {
		int res = io_getevents(ctx, sleeps ? 1 : 0, 8, events,
				       sleeps ? &soon : &zero);
		if (res < 0)
			fail("io_getevents", res);
		for (int i = 0; i < res; i++)
			if (atomic_fetch_add(&seen[(intptr_t)events[i].data], 1))
				fail("twice", (intptr_t)events[i].data);
		atomic_fetch_add(&taken, res);
		if (!res && !sleeps)
			sched_yield();
	}
	return NULL;
}

int main(int argc, char **argv)
{
	double seconds = argc > 1 ? atof(argv[1]) : 1;
	pthread_t threads[READERS];
	long rounds = 0, number = 0;

	file = open("/proc/self/exe", O_RDONLY);
	seen = calloc(LIMIT, 1);
	if (!seen || io_setup(DEPTH, &ctx))
		return 2;

	end = now() + seconds;
	pthread_create(&threads[0], NULL, lone, NULL);
	for (; now() < end; rounds++) {
		submit(rounds);
		atomic_store(&ready, 1);
		while (atomic_load(&ready))
			sched_yield();
	}
	atomic_store(&stop, 1);
	pthread_join(threads[0], NULL);

	atomic_store(&stop, 0);
	end = now() + seconds;
	for (int i = 0; i < READERS; i++)
		pthread_create(&threads[i], NULL, reader, i % 2 ? &soon : NULL);
	for (; number < LIMIT && now() < end; number++) {
		submit(number);
		atomic_fetch_add(&submitted, 1);
	}
	atomic_store(&stop, 1);
	for (int i = 0; i < READERS; i++)
		pthread_join(threads[i], NULL);
	if (taken != number)
		fail("taken", taken);
	for (long i = 0; i < number; i++)
		if (seen[i] != 1)
			fail("lost", i);
	printf("note: %ld seen at once, %ld by %d readers\n", rounds, number,
	       READERS);
	return io_destroy(ctx) != 0;
}

/*
 * Waits for 50 milliseconds, which a struct timespec of the other width would
 * not represent. The exit status is 0 if the wait took that long.
 */
#include <libaio.h>
#include <time.h>

static long milliseconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (long)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int main(void)
{
	struct timespec time = { 0, 50000000 };
	io_context_t ctx = NULL;
	struct io_event event;
	sigset_t mask;
	long before;
	int bad = io_setup(1, &ctx) != 0;

	sigemptyset(&mask);
	before = milliseconds();
	bad |= io_getevents(ctx, 1, 1, &event, &time) != 0;
	bad |= milliseconds() - before < 49;
	before = milliseconds();
	bad |= io_pgetevents(ctx, 1, 1, &event, &time, &mask) != 0;
	bad |= milliseconds() - before < 49;
	return bad;
}

/*
 * Calls the functions of a libaio at random, with bad arguments as well, and
 * prints the result of each call. A seed gives the same sequence of calls with
 * every library, so the outputs of two equivalent libraries are identical.
 *
 *	differential SEED CALLS FILE
 *
 * Invariant: the output does not depend on time or on other processes. An
 * operation that completes later has an eventfd, which is read before the next
 * call. A call that would wait for ever gets a timeout.
 *
 * OLD: the functions of LIBAIO_0.1 are called by their symbol versions (in a
 * shared library); otherwise by their definitions in terms of the others.
 * TIME64: a 32-bit program with 64-bit time.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <libaio.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern int io_queue_wait(io_context_t ctx, struct timespec *timeout);

#ifdef TIME64
/* These read a time of the other width, so the program cannot call them. */
#define io_queue_wait(ctx, timeout) io_getevents(ctx, 0, 0, NULL, timeout)
#endif

#ifdef OLD
extern int cancel_old(io_context_t, struct iocb *);
extern int getevents_old(io_context_t, long, struct io_event *,
			 const struct timespec *);
extern int queue_wait_old(io_context_t, struct timespec *);
__asm__(".symver cancel_old, io_cancel@LIBAIO_0.1");
__asm__(".symver getevents_old, io_getevents@LIBAIO_0.1");
__asm__(".symver queue_wait_old, io_queue_wait@LIBAIO_0.1");
#else
static int cancel_old(io_context_t ctx, struct iocb *iocb)
{
	struct io_event event;
	return io_cancel(ctx, iocb, &event);
}
static int getevents_old(io_context_t ctx, long nr, struct io_event *events,
			 const struct timespec *timeout)
{
	return io_getevents(ctx, 1, nr, events, (struct timespec *)timeout);
}
static int queue_wait_old(io_context_t ctx, struct timespec *timeout)
{
	return io_queue_wait(ctx, timeout);
}
#endif

enum { CONTEXTS = 3, IOCBS = 12, PIPES = 4, BYTES = 512 };

static io_context_t contexts[CONTEXTS];
static int ready[CONTEXTS]; /* events in the ring */
static struct iocb iocbs[IOCBS];
static struct iovec vectors[IOCBS][2];
static char buffers[IOCBS][BYTES];
static int in_flight[IOCBS]; /* 0, or the number of the context plus 1 */
static int signals_of[IOCBS]; /* an eventfd for each iocb */
static int pipes[PIPES][2];
static int busy[PIPES]; /* 0, or the number of the polling iocb plus 1 */
static int file, readable, writable;
static volatile sig_atomic_t caught;
static char *fake, *zeros, *constant; /* pages */

static uint64_t state;

static unsigned below(unsigned limit)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (unsigned)(state >> 32) % limit;
}

static void handler(int signal)
{
	caught += signal == SIGUSR1 ? 1 : 100;
}

static unsigned sum(const char *bytes)
{
	unsigned sum = 0;
	for (int i = 0; i < BYTES; i++)
		sum = sum * 31 + (unsigned char)bytes[i];
	return sum;
}

/* Prints the result of a call. The calls must not change errno. */
static int result(const char *call, int result)
{
	printf("%s = %d, errno %d, signals %d\n", call, result, errno, caught);
	errno = 77;
	return result;
}

static void wait_for(int iocb)
{
	uint64_t count;
	if (read(signals_of[iocb], &count, sizeof count) != sizeof count)
		abort();
}

static int number(struct io_event *event)
{
	struct iocb *iocb = event->obj;
	return iocb >= iocbs && iocb < iocbs + IOCBS ? (int)(iocb - iocbs) : -1;
}

static void done(int context, int iocb)
{
	if (iocb < 0)
		abort();
	in_flight[iocb] = 0;
	ready[context]--;
}

static void callback(io_context_t ctx, struct iocb *iocb, long res, long res2)
{
	int which = 0;
	while (which < CONTEXTS && contexts[which] != ctx)
		which++;
	printf("\tcallback(%d, %d, %ld, %ld)\n", which, (int)(iocb - iocbs),
	       res, res2);
	done(which, (int)(iocb - iocbs));
}

static void print_events(int context, struct io_event *events, int count)
{
	for (int i = 0; i < count; i++) {
		int iocb = number(&events[i]);
		printf("\tevent(%d, %d, %ld, %ld) %x\n", iocb,
		       events[i].data == iocbs[iocb].data, (long)events[i].res,
		       (long)events[i].res2, sum(buffers[iocb]));
		done(context, iocb);
	}
}

static int live(void)
{
	int context = (int)below(CONTEXTS);
	for (int i = 0; i < CONTEXTS; i++, context = (context + 1) % CONTEXTS)
		if (contexts[context])
			return context;
	return -1;
}

static void setup(void)
{
	static const int sizes[] = { -1, 0, 1, 8, 20, 5000000 };
	int size = sizes[below(6)], context = (int)below(CONTEXTS), res;
	io_context_t garbage = (io_context_t)zeros, *ctxp = &contexts[context];

	if (contexts[context]) {
		result("setup of one that is set up", io_setup(size, ctxp));
		return;
	}
	switch (below(6)) {
	case 0:
		result("setup, garbage", io_setup(size, &garbage));
		printf("\t%d\n", garbage == (io_context_t)zeros);
		break;
	case 1:
		result("setup, null", io_setup(size, NULL));
		break;
	case 2:
		result("setup, bad", io_setup(size, (void *)-1));
		break;
	case 3:
		*ctxp = (io_context_t)zeros;
		res = result("queue_init", io_queue_init(size, ctxp));
		printf("\t%d\n", *ctxp == (io_context_t)zeros);
		if (res)
			*ctxp = NULL;
		break;
	default:
		result("setup", io_setup(size, ctxp));
		printf("\t%d\n", *ctxp != NULL);
	}
}

static void destroy(void)
{
	int context = live();
	io_context_t ctx;

	switch (below(6)) {
	case 0:
		result("destroy, null", io_destroy(NULL));
		return;
	case 1:
		result("destroy, garbage", io_destroy((io_context_t)zeros));
		return;
	case 2:
		result("queue_release, bad",
		       io_queue_release((io_context_t)-1));
		return;
	}
	if (context < 0 || below(3))
		return;
	ctx = contexts[context];
	if (below(2))
		result("destroy", io_destroy(ctx));
	else
		result("queue_release", io_queue_release(ctx));
	result("destroy again", io_destroy(ctx));
	result("submit, destroyed", io_submit(ctx, 0, NULL));
	contexts[context] = NULL;
	ready[context] = 0;
	for (int i = 0; i < IOCBS; i++)
		if (in_flight[i] == context + 1) {
			uint64_t count;
			in_flight[i] = 0;
			/* Cancelled, or completed but never read. */
			poll(&(struct pollfd){ signals_of[i], POLLIN, 0 }, 1, 0) &&
				read(signals_of[i], &count, sizeof count) < 0 &&
				(abort(), 0);
		}
	for (int i = 0; i < PIPES; i++)
		if (busy[i] && !in_flight[busy[i] - 1])
			busy[i] = 0;
}

/*
 * Fills a free iocb. Returns 0 if it picked a pipe that is being polled. Sets
 * *waits to 1 for an fsync, to 2 plus the number of the pipe for a poll, and
 * otherwise to 0: only those stay in flight for a while.
 */
static int prepare(int i, int *waits)
{
	struct iocb *iocb = &iocbs[i];
	long long offset = (long long)below(4) * 128 - (below(8) ? 0 : 700);
	int fds[] = { file, file, file, readable, writable, -1, 999 };
	int fd = fds[below(7)], pipe;

	*waits = 0;
	vectors[i][0] = (struct iovec){ buffers[i], 100 };
	vectors[i][1] = (struct iovec){ buffers[i] + 200, below(300) };
	switch (below(10)) {
	case 0:
		io_prep_pread(iocb, fd, buffers[i], below(BYTES), offset);
		break;
	case 1:
		io_prep_pwrite(iocb, fd, buffers[i], below(BYTES), offset);
		break;
	case 2:
		io_prep_preadv(iocb, fd, vectors[i], (int)below(4) - 1, offset);
		break;
	case 3:
		io_prep_pwritev(iocb, fd, vectors[i], (int)below(3), offset);
		break;
	case 4:
		io_prep_preadv2(iocb, fd, vectors[i], 2, offset,
				below(2) ? 0x10000 : 0);
		break;
	case 5:
		io_prep_pwritev2(iocb, fd, vectors[i], 2, offset,
				 below(2) ? 0x40000000 : 2);
		break;
	case 6:
		io_prep_fsync(iocb, fd);
		*waits = 1;
		break;
	case 7:
		io_prep_fdsync(iocb, fd);
		*waits = 1;
		break;
	case 8:
		pipe = (int)below(PIPES);
		if (busy[pipe])
			return 0;
		io_prep_poll(iocb, pipes[pipe][0], POLLIN | POLLRDHUP);
		*waits = 2 + pipe;
		break;
	default:
		io_prep_pread(iocb, fd, buffers[i], BYTES, offset);
		switch (below(5)) {
		case 0:
			iocb->aio_lio_opcode = (short)below(12);
			if (iocb->aio_lio_opcode == IO_CMD_POLL ||
			    iocb->aio_lio_opcode == IO_CMD_FSYNC ||
			    iocb->aio_lio_opcode == IO_CMD_FDSYNC)
				iocb->aio_lio_opcode = 77;
			break;
		case 1:
			iocb->u.c.buf = NULL;
			break;
		case 2:
			iocb->u.c.buf = (void *)-1;
			break;
		case 3:
			iocb->u.c.nbytes = (unsigned long)-1;
			break;
		case 4:
			iocb->u.c.__pad3 = 1;
		}
	}
	io_set_callback(iocb, callback);
	io_set_eventfd(iocb, signals_of[i]);
	if (!below(20))
		iocb->u.c.resfd = 999;
	return 1;
}

static void submit(void)
{
	struct iocb *batch[4] = { 0 };
	int waits[4], context = live(), count = 0, want = (int)below(5), res;
	long nr;

	for (int i = 0; i < IOCBS && count < want; i++)
		if (!in_flight[i] && below(3) && prepare(i, &waits[count])) {
			if (waits[count] > 1)
				busy[waits[count] - 2] = i + 1;
			batch[count] = &iocbs[i];
			/* An fsync is the last one, or the order varies. */
			if (waits[count++] == 1)
				break;
		}
	nr = count;
	switch (below(12)) {
	case 0:
		result("submit, null context", io_submit(NULL, nr, batch));
		context = -1;
		break;
	case 1:
		result("submit, bad context",
		       io_submit((io_context_t)-1, nr, batch));
		context = -1;
		break;
	case 2:
		result("submit, garbage",
		       io_submit((io_context_t)zeros, nr, batch));
		context = -1;
		break;
	}
	if (context < 0) {
		for (int i = 0; i < count; i++)
			if (waits[i] > 1)
				busy[waits[i] - 2] = 0;
		return;
	}
	switch (below(12)) {
	case 0:
		result("submit, no array", io_submit(contexts[context], 1, NULL));
		break;
	case 1:
		result("submit, bad array",
		       io_submit(contexts[context], 2, (void *)-1));
		break;
	case 2:
		result("submit, negative",
		       io_submit(contexts[context], -1, batch));
		break;
	case 3:
		nr = count < 4 ? count + 1 : count; /* ends in a null */
	}
	res = result("submit", io_submit(contexts[context], nr, batch));
	for (int i = 0; i < count; i++) {
		int iocb = (int)(batch[i] - iocbs);
		if (i >= res) {
			if (waits[i] > 1)
				busy[waits[i] - 2] = 0;
			continue;
		}
		in_flight[iocb] = context + 1;
		if (waits[i] > 1)
			continue;
		/* Buffered transfers have completed; an fsync will soon. */
		wait_for(iocb);
		ready[context]++;
	}
}

static void trigger(void)
{
	int pipe = (int)below(PIPES), iocb = busy[pipe] - 1;
	char byte = 0;

	if (!busy[pipe] || write(pipes[pipe][1], "", 1) != 1)
		return;
	wait_for(iocb);
	if (read(pipes[pipe][0], &byte, 1) != 1)
		abort();
	ready[in_flight[iocb] - 1]++;
	busy[pipe] = 0;
	printf("poll %d is over\n", iocb);
}

static void cancel(void)
{
	struct io_event event = { 0 };
	int pipe = (int)below(PIPES), iocb, context = live();
	int old = (int)below(2);

	switch (below(6)) {
	case 0:
		result("cancel, null", io_cancel(NULL, &iocbs[0], &event));
		return;
	case 1:
		result("cancel, bad context",
		       io_cancel((io_context_t)-1, &iocbs[0], &event));
		return;
	}
	if (context < 0)
		return;
	switch (below(6)) {
	case 0:
		result("cancel, no iocb",
		       old ? cancel_old(contexts[context], NULL)
			   : io_cancel(contexts[context], NULL, &event));
		return;
	case 1:
		iocbs[0].key = in_flight[0] ? 0 : below(2);
		if (in_flight[0] && iocbs[0].aio_lio_opcode == IO_CMD_POLL)
			return;
		result("cancel, not to be",
		       old ? cancel_old(contexts[context], &iocbs[0])
			   : io_cancel(contexts[context], &iocbs[0], NULL));
		return;
	}
	if (!busy[pipe])
		return;
	iocb = busy[pipe] - 1;
	context = in_flight[iocb] - 1;
	result("cancel", old ? cancel_old(contexts[context], &iocbs[iocb])
			     : io_cancel(contexts[context], &iocbs[iocb],
					 &event));
	wait_for(iocb);
	ready[context]++;
	busy[pipe] = 0;
}

/*
 * Passes a timeout that cannot be read. With READS_TIME in the environment the call is
 * omitted: Debian 13's functions fault, as all of them read the timeout themselves.
 */
static void bad_time(int how, io_context_t ctx, long min_nr, long nr,
		     struct io_event *to, sigset_t *sigmask)
{
	struct timespec *timeout = (void *)-1;
	int res;

	if (getenv("READS_TIME"))
		return;
	if (how == 2)
		res = io_queue_wait(ctx, timeout);
	else if (how >= 4)
		res = io_pgetevents(ctx, min_nr, nr, to, timeout, sigmask);
	else
		res = io_getevents(ctx, min_nr, nr, to, timeout);
	printf("bad time, %d = %d, errno %d\n", how, res, errno);
}

static void get_events(void)
{
	static const long min_nrs[] = { -1, 0, 0, 1, 1, 2, 5 };
	static const long nrs[] = { -1, 0, 1, 1, 2, 8, 8 };
	static struct timespec times[] = {
		{ 0, 0 }, { 0, 0 }, { 0, 1 }, { 0, 1000000 }, { 1, 0 },
		{ -1, 0 }, { 0, -1 }, { 0, 2000000000 },
	};
	struct io_event events[8], *to = events;
	long min_nr = min_nrs[below(7)], nr = nrs[below(7)];
	struct timespec *timeout = &times[below(8)], *given = timeout;
	int context = live(), how = (int)below(6), bad = 0, res;
	io_context_t ctx = context < 0 ? NULL : contexts[context];
	sigset_t mask, *sigmask = NULL, before;

	memset(events, 0x5a, sizeof events);
	if (!below(4))
		timeout = given = NULL;
	switch (below(12)) {
	case 0:
		ctx = NULL, bad = 1;
		/* The old functions of Debian 12 read the timeout themselves. */
		if (!below(3) && how != 1 && how != 3)
			timeout = (void *)-1;
		break;
	case 1:
		ctx = (io_context_t)zeros, bad = 1;
		break;
	case 2: /* a page that resembles an empty ring */
		ctx = (io_context_t)fake, bad = 1;
		break;
	case 3:
		to = NULL;
		break;
	case 4:
		to = (void *)-1;
		break;
	case 5:
		to = (void *)constant;
	}
	if (how == 1)
		min_nr = 1;
	if (how == 2 || how == 3)
		min_nr = nr = 0;
	/* The call must not wait for a missing event, or too long. */
	if (ctx && !bad && min_nr > ready[context] && min_nr <= nr)
		if (!given || given->tv_sec || given->tv_nsec < 0 ||
		    given->tv_nsec > 1000000)
			timeout = &times[2];
	if (how >= 4) {
		switch (below(5)) {
		case 0:
			break;
		case 1:
			sigmask = (void *)-1;
			break;
		case 2:
			sigfillset(&mask);
			sigmask = &mask;
			break;
		default:
			sigemptyset(&mask);
			sigmask = &mask;
			if (!below(3))
				kill(getpid(), SIGUSR1);
		}
	}
	errno = 77;
	if (timeout == (void *)-1) {
		bad_time(how, ctx, min_nr, nr, to, sigmask);
		return;
	}
	switch (how) {
	case 1:
		res = result("getevents of 0.1",
			     getevents_old(ctx, nr, to, timeout));
		break;
	case 2:
		res = result("queue_wait", io_queue_wait(ctx, timeout));
		break;
	case 3:
		res = result("queue_wait of 0.1", queue_wait_old(ctx, timeout));
		break;
	case 4:
	case 5:
		res = result("pgetevents", io_pgetevents(ctx, min_nr, nr, to,
							 timeout, sigmask));
		sigprocmask(SIG_BLOCK, NULL, &before);
		printf("\tmask %d\n", sigismember(&before, SIGUSR1));
		break;
	default:
		res = result("getevents",
			     io_getevents(ctx, min_nr, nr, to, timeout));
	}
	printf("\t%ld %ld of %d %s\n", min_nr, nr, ctx && !bad ? ready[context] : 0,
	       timeout ? "in time" : "for ever");
	if (res > 0)
		print_events(context, events, res);
}

/* Interrupts a wait by a signal, repeated until one arrives in the wait. */
static void interrupted(void)
{
	struct itimerval often = { { 0, 3000 }, { 0, 3000 } }, never = { 0 };
	struct io_event events[8];
	int context = live(), before = caught, res;

	if (context < 0 || ready[context] > 1)
		return;
	setitimer(ITIMER_REAL, &often, NULL);
	res = io_getevents(contexts[context], 2, 8, events, NULL);
	setitimer(ITIMER_REAL, &never, NULL);
	/* As if only one had arrived. */
	caught = before + 100;
	result("getevents, a signal", res);
	if (res > 0)
		print_events(context, events, res);
}

enum { STOPPED, TRACED, NO_HANDLER, HANDLER, RESTARTING, DISTURBANCES };

/* Disturbs the parent, which is in a wait. */
static void disturb(int how)
{
	pid_t parent = getppid();

	/* The handlers end the wait at the first signal that arrives in it. */
	for (int i = 0; i < (how < HANDLER ? 3 : 300); i++) {
		usleep(3000);
		switch (how) {
		case STOPPED:
			kill(parent, SIGSTOP);
			usleep(1000);
			kill(parent, SIGCONT);
			break;
		case TRACED:
			if (ptrace(PTRACE_ATTACH, parent, NULL, NULL))
				_exit(1);
			waitpid(parent, NULL, __WALL);
			ptrace(PTRACE_DETACH, parent, NULL, NULL);
			break;
		case NO_HANDLER:
			kill(parent, SIGWINCH);
			break;
		default:
			kill(parent, SIGUSR2);
		}
	}
	_exit(0);
}

/*
 * Waits while signals arrive that run no handler, or one. The lines start with
 * "disturbed": a library that calls io_getevents(2) returns EINTR for some.
 */
static void disturbed(void)
{
	static const char *const names[] = { "stopped", "traced", "no handler",
					     "handler", "SA_RESTART" };
	int how = (int)below(DISTURBANCES), call = (int)below(4), res;
	int context = live(), before = caught, error;
	struct sigaction action = { .sa_handler = handler };
	struct timespec time = { how < HANDLER ? 0 : 10, 30000000 };
	struct io_event events[8];
	sigset_t mask;
	pid_t pid;

	if (context < 0 || ready[context])
		return;
	action.sa_flags = how == RESTARTING ? SA_RESTART : 0;
	sigaction(SIGUSR2, &action, NULL);
	sigemptyset(&mask);
	fflush(stdout);
	errno = 77;
	pid = fork();
	if (pid == 0)
		disturb(how);
	switch (call) {
	case 0:
		res = io_getevents(contexts[context], 1, 8, events, &time);
		break;
	case 1:
		res = getevents_old(contexts[context], 8, events, &time);
		break;
	default:
		res = io_pgetevents(contexts[context], 1, 8, events, &time,
				    call == 2 ? NULL : &mask);
	}
	error = errno;
	if (how >= HANDLER)
		kill(pid, SIGKILL);
	while (waitpid(pid, NULL, 0) < 0)
		;
	printf("disturbed, %s, call %d = %d, errno %d%s\n", names[how], call,
	       res, error, caught > before ? ", caught" : "");
	caught = before;
}

static void run(void)
{
	int context = live();

	switch (below(4)) {
	case 0:
		result("queue_run, null", io_queue_run(NULL));
		return;
	case 1:
		result("queue_run, garbage", io_queue_run((io_context_t)zeros));
		return;
	}
	if (context >= 0)
		result("queue_run", io_queue_run(contexts[context]));
}

/* Calls the functions in a child, which cannot use its parent's contexts. */
static void child(void)
{
	struct timespec zero = { 0, 0 };
	struct io_event events[8];
	int context = live(), status;
	io_context_t ctx = context < 0 ? NULL : contexts[context];
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		result("child: poll", io_getevents(ctx, 0, 8, events, &zero));
		result("child: wait", io_getevents(ctx, 0, 8, events, NULL));
		result("child: run", io_queue_run(ctx));
		result("child: submit", io_submit(ctx, 0, NULL));
		result("child: destroy", io_destroy(ctx));
		ctx = NULL;
		result("child: setup", io_setup(1, &ctx));
		result("child: poll its own",
		       io_getevents(ctx, 0, 1, events, &zero));
		fflush(stdout);
		_exit(0);
	}
	waitpid(pid, &status, 0);
	printf("child: %x\n", status);
}

/* A ring header: id, nr, head, tail, magic, and the remaining fields. */
static const uint32_t empty_ring[8] = { 0, 128, 5, 5, 0xa10a10a1, 1, 0, 32 };

static char *page(const void *content, size_t bytes, int protection)
{
	char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (page == MAP_FAILED)
		abort();
	if (bytes)
		memcpy(page, content, bytes);
	mprotect(page, 4096, protection);
	return page;
}

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_handler = handler };
	sigset_t usr1;
	int calls;

	if (argc != 4)
		return 2;
	state = strtoull(argv[1], NULL, 0) * 0x9e3779b97f4a7c15 + 1;
	calls = atoi(argv[2]);
	file = open(argv[3], O_RDWR | O_CREAT | O_TRUNC, 0600);
	readable = open(argv[3], O_RDONLY);
	writable = open(argv[3], O_WRONLY);
	if (file < 0 || readable < 0 || writable < 0)
		return 2;
	for (int i = 0; i < IOCBS; i++) {
		memset(buffers[i], 'a' + i, BYTES);
		signals_of[i] = eventfd(0, EFD_CLOEXEC);
	}
	for (int i = 0; i < PIPES; i++)
		if (pipe(pipes[i]))
			return 2;
	zeros = page(NULL, 0, PROT_READ);
	constant = page(NULL, 0, PROT_READ);
	fake = page(empty_ring, sizeof empty_ring, PROT_READ);
	sigaction(SIGUSR1, &action, NULL);
	sigaction(SIGALRM, &action, NULL);
	sigemptyset(&usr1);
	sigaddset(&usr1, SIGUSR1);
	sigprocmask(SIG_BLOCK, &usr1, NULL);
	errno = 77;

	for (int call = 0; call < calls; call++) {
		switch (below(20)) {
		case 0:
		case 1:
			setup();
			break;
		case 2:
			destroy();
			break;
		case 3:
		case 4:
		case 5:
		case 6:
		case 7:
			submit();
			break;
		case 8:
		case 9:
			trigger();
			break;
		case 10:
		case 11:
			cancel();
			break;
		case 12:
			run();
			break;
		case 13:
			if (!below(4))
				interrupted();
			else if (!below(2))
				disturbed();
			break;
		case 14:
			if (!below(4))
				child();
			break;
		default:
			get_events();
		}
		errno = 77;
	}
	printf("%d calls, file %lld\n", calls, (long long)lseek(file, 0, SEEK_END));
	return 0;
}

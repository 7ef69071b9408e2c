/*
 * Verifies two cases in which the original libaio faults: the kernel refuses a
 * bad context, and an event without a callback is discarded. A zero timeout with
 * a destroyed context faults here, too.
 */
#include <errno.h>
#include <fcntl.h>
#include <libaio.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int bad;

static void refused(const char *what, int result)
{
	printf("%s: %d\n", what, result);
	bad |= result != -EINVAL;
}

int main(void)
{
	struct timespec zero = { 0, 0 }, soon = { 0, 1000 };
	struct io_event event;
	struct iocb iocb, *iocbs[] = { &iocb };
	io_context_t ctx = NULL;
	char byte;
	void *page;
	pid_t child;
	int status;

	refused("no address", io_getevents((io_context_t)-1, 0, 1, &event, &zero));
	refused("no page", io_getevents((io_context_t)&event, 0, 1, &event, &zero));
	refused("run", io_queue_run((io_context_t)-1));
	refused("with a mask", io_pgetevents((io_context_t)-1, 0, 1, &event, &zero, NULL));
	bad |= io_setup(1, &ctx) | io_destroy(ctx);
	refused("destroyed", io_getevents(ctx, 0, 1, &event, &soon));
	refused("destroyed, for ever", io_getevents(ctx, 0, 1, &event, NULL));
	child = fork();
	if (child == 0)
		_exit(io_getevents(ctx, 0, 1, &event, &zero) == -EINVAL);
	bad |= child < 0 || waitpid(child, &status, 0) != child;
	bad |= !WIFSIGNALED(status) || WTERMSIG(status) != SIGSEGV;
	page = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	refused("a page", io_getevents(page, 0, 1, &event, &zero));

	ctx = NULL;
	io_prep_pread(&iocb, open("/proc/self/exe", O_RDONLY), &byte, 1, 0);
	bad |= io_setup(1, &ctx) || io_submit(ctx, 1, iocbs) != 1;
	bad |= io_queue_run(ctx) != 0;
	bad |= io_getevents(ctx, 0, 1, &event, &zero) != 0;
	return bad;
}

/*
 * Calls libaio in the first instructions of a process, in a program without a C
 * library and its start-up code. Standard input is the file to read. The exit
 * status is 0, or the line of the failed check.
 */
#include <libaio.h>

static struct iocb iocb;
static struct io_event event;
static struct { long sec, nsec; } zero;
static char buffer[16];

static void leave(int status)
{
#ifdef __x86_64__
	__asm__ volatile("syscall" : : "a"(231), "D"(status));
#else
	__asm__ volatile("int $0x80" : : "a"(252), "b"(status));
#endif
	for (;;)
		;
}

#define CHECK(what)                                                            \
	do                                                                     \
		if (!(what))                                                   \
			leave(__LINE__);                                       \
	while (0)

__attribute__((used)) void begin(void)
{
	io_context_t ctx = NULL;
	struct iocb *iocbs[] = { &iocb };

	iocb.aio_lio_opcode = IO_CMD_PREAD;
	iocb.u.c.buf = buffer;
	iocb.u.c.nbytes = sizeof buffer;
	CHECK(io_setup(8, &ctx) == 0);
	CHECK(io_getevents(ctx, 0, 1, &event, (void *)&zero) == 0);
	CHECK(io_submit(ctx, 1, iocbs) == 1);
	CHECK(io_getevents(ctx, 1, 1, &event, NULL) == 1);
	CHECK(event.obj == &iocb && event.res == sizeof buffer);
	CHECK(io_pgetevents(ctx, 0, 1, &event, (void *)&zero, NULL) == 0);
	CHECK(io_queue_run(ctx) == 0);
	CHECK(io_submit(NULL, 1, iocbs) == -22);
	CHECK(io_destroy(ctx) == 0);
	CHECK(io_destroy(ctx) == -22);
	leave(0);
}

#ifdef __x86_64__
__asm__(".globl _start\n_start: xor %ebp, %ebp\nand $-16, %rsp\ncall begin");
#else
__asm__(".globl _start\n_start: xor %ebp, %ebp\nand $-16, %esp\ncall begin");
#endif

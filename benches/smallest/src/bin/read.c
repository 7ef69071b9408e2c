/* What `read.rs` does, in C, with nolibc of Linux 6.1 and the linker's arguments of
   `linux-aio-build`:

   cc -Oz -fno-asynchronous-unwind-tables -fno-ident -fno-stack-protector -fcf-protection=none
     -fno-pic -ffunction-sections -fdata-sections -I tools/include/nolibc -fuse-ld=lld read.c
*/
#include "nolibc.h"
#include <linux/aio_abi.h>

int main(void)
{
	char buffer[64];
	aio_context_t context = 0;
	struct io_event event;
	struct iocb read = { 0 }, *list[1] = { &read };
	long done, destroyed;

	read.aio_lio_opcode = IOCB_CMD_PREAD;
	read.aio_buf = (unsigned long)buffer;
	read.aio_nbytes = sizeof(buffer);
	done = my_syscall2(__NR_io_setup, 1, &context);
	if (done < 0)
		return -done;
	done = my_syscall3(__NR_io_submit, context, 1, list);
	if (done >= 0)
		done = my_syscall5(__NR_io_getevents, context, 1, 1, &event, 0);
	destroyed = my_syscall1(__NR_io_destroy, context);
	if (destroyed < 0)
		return -destroyed;
	if (done < 0)
		return -done;
	if (event.res < 0)
		return -event.res;
	done = my_syscall3(__NR_write, 1, buffer, event.res);
	return done < 0;
}

/*
 * The constants, sizes and offsets of libaio.h, as the bytes of a separate
 * section. Two equivalent headers result in the same bytes.
 */
#include <libaio.h>
#include <stddef.h>

#define SIZE(type) sizeof(type)
#define MEMBER(type, member) offsetof(type, member), sizeof(((type *)0)->member)
#define SIGNED(type, member) ((__typeof__(((type *)0)->member))-1 < 0)

__attribute__((section("facts"), used)) const unsigned short numbers[] = {
	IO_CMD_PREAD, IO_CMD_PWRITE, IO_CMD_FSYNC, IO_CMD_FDSYNC, IO_CMD_POLL,
	IO_CMD_NOOP, IO_CMD_PREADV, IO_CMD_PWRITEV,

	SIZE(io_context_t), SIZE(io_iocb_cmd_t), SIZE(io_callback_t),

	SIZE(struct iocb), _Alignof(struct iocb),
	MEMBER(struct iocb, data), MEMBER(struct iocb, key),
	MEMBER(struct iocb, aio_rw_flags), MEMBER(struct iocb, aio_lio_opcode),
	MEMBER(struct iocb, aio_reqprio), MEMBER(struct iocb, aio_fildes),
	MEMBER(struct iocb, u), MEMBER(struct iocb, u.c),
	MEMBER(struct iocb, u.v), MEMBER(struct iocb, u.poll),
	MEMBER(struct iocb, u.saddr), MEMBER(struct iocb, u.c.buf),
	MEMBER(struct iocb, u.c.nbytes), MEMBER(struct iocb, u.c.offset),
	MEMBER(struct iocb, u.c.__pad3), MEMBER(struct iocb, u.c.flags),
	MEMBER(struct iocb, u.c.resfd), MEMBER(struct iocb, u.v.vec),
	MEMBER(struct iocb, u.v.nr), MEMBER(struct iocb, u.v.offset),
	MEMBER(struct iocb, u.poll.events), MEMBER(struct iocb, u.saddr.addr),
	MEMBER(struct iocb, u.saddr.len),

	SIGNED(struct iocb, key), SIGNED(struct iocb, aio_rw_flags),
	SIGNED(struct iocb, aio_lio_opcode), SIGNED(struct iocb, aio_reqprio),
	SIGNED(struct iocb, aio_fildes), SIGNED(struct iocb, u.c.nbytes),
	SIGNED(struct iocb, u.c.offset), SIGNED(struct iocb, u.c.flags),
	SIGNED(struct iocb, u.c.resfd), SIGNED(struct iocb, u.v.nr),
	SIGNED(struct iocb, u.poll.events),

	SIZE(struct io_event), _Alignof(struct io_event),
	MEMBER(struct io_event, data), MEMBER(struct io_event, obj),
	MEMBER(struct io_event, res), MEMBER(struct io_event, res2),
	SIGNED(struct io_event, res), SIGNED(struct io_event, res2),

	SIZE(struct io_sigset), SIZE(struct io_sigset_compat),
	MEMBER(struct io_sigset, ss), MEMBER(struct io_sigset, ss_len),
	MEMBER(struct io_sigset_compat, ss),
	MEMBER(struct io_sigset_compat, ss_len),
};

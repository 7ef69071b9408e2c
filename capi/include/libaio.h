/*
 * Linux native AIO: the interface of libaio 0.3.113.
 *
 * Part of linux-aio, and under its licence: MIT OR Apache-2.0. Written for it,
 * from the interface's names, layouts and signatures.
 *
 * Every function returns a count, or zero, or a negated error number; errno is
 * left alone.
 */
/* Guarded by the name that libaio's own header has: the first one counts. */
#ifndef __LIBAIO_H
#define __LIBAIO_H

#include <signal.h>
#include <string.h>
#include <sys/select.h> /* sigset_t, also in strict C */
#include <sys/types.h>
#if defined __has_include
#if __has_include(<linux/types.h>)
#include <linux/types.h> /* as the header of newer Debian releases */
#endif
#endif

#ifdef __cplusplus
extern "C" {
#endif

struct iovec;
struct sockaddr;
struct timespec;

/* Also in strict C90 and C++98, which lack it. */
#if defined __cplusplus && defined __GNUC__
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wlong-long"
#endif
__extension__ typedef long long linux_aio_wide;
#if defined __cplusplus && defined __GNUC__
#pragma GCC diagnostic pop
#endif

/* A context: the kernel's name for it. Starts as NULL. */
typedef struct io_context *io_context_t;

/* iocb.aio_lio_opcode */
typedef enum io_iocb_cmd {
	IO_CMD_PREAD = 0,
	IO_CMD_PWRITE = 1,
	IO_CMD_FSYNC = 2,
	IO_CMD_FDSYNC = 3,
	IO_CMD_POLL = 5,
	IO_CMD_NOOP = 6,
	IO_CMD_PREADV = 7,
	IO_CMD_PWRITEV = 8
} io_iocb_cmd_t;

/*
 * The kernel's fields are 64 bits wide, whatever a pointer or a long is here.
 * LINUX_AIO_WIDE declares one that is narrower: it lies in the low half.
 */
#if defined __SIZEOF_POINTER__ && __SIZEOF_POINTER__ == 8
#define LINUX_AIO_WIDE(member, pad) member
#elif __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#define LINUX_AIO_WIDE(member, pad) unsigned int pad; member
#else
#define LINUX_AIO_WIDE(member, pad) member; unsigned int pad
#endif

/* The same for an int, and for two that change places with the byte order. */
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#define LINUX_AIO_PAIR(low, high) unsigned int high; low
#else
#define LINUX_AIO_PAIR(low, high) low; unsigned int high
#endif

/* IO_CMD_POLL. The event's res is the mask of what is ready. */
struct io_iocb_poll {
	LINUX_AIO_PAIR(int events, __pad1);
};

/* Of no command that the kernel has. */
struct io_iocb_sockaddr {
	LINUX_AIO_WIDE(struct sockaddr *addr, __pad1);
	LINUX_AIO_WIDE(unsigned long len, __pad2);
};

/* IO_CMD_PREAD and IO_CMD_PWRITE; the flags are of every command. */
struct io_iocb_common {
	LINUX_AIO_WIDE(void *buf, __pad1);
	LINUX_AIO_WIDE(unsigned long nbytes, __pad2);
	linux_aio_wide offset;
	linux_aio_wide __pad3;
	unsigned int flags;
	unsigned int resfd;
};

/* IO_CMD_PREADV and IO_CMD_PWRITEV. */
struct io_iocb_vector {
	LINUX_AIO_WIDE(const struct iovec *vec, __pad1);
	LINUX_AIO_WIDE(unsigned long nr, __pad2);
	linux_aio_wide offset;
};

/* One operation. The kernel copies it at submission, and writes key. */
struct iocb {
	LINUX_AIO_WIDE(void *data, __pad1); /* comes back in the event */
	LINUX_AIO_PAIR(unsigned int key, aio_rw_flags); /* RWF_* */

	short aio_lio_opcode;
	short aio_reqprio;
	int aio_fildes;

	union {
		struct io_iocb_common c;
		struct io_iocb_vector v;
		struct io_iocb_poll poll;
		struct io_iocb_sockaddr saddr;
	} u;
};

/* One completion. */
struct io_event {
	LINUX_AIO_WIDE(void *data, __pad1);
	LINUX_AIO_WIDE(struct iocb *obj, __pad2);
	LINUX_AIO_WIDE(unsigned long res, __pad3); /* a count; a negated error */
	LINUX_AIO_WIDE(unsigned long res2, __pad4);
};

/*
 * The argument of the system call io_pgetevents, which io_pgetevents() builds: the mask
 * and its size. The second form is that of 32-bit programs on some 64-bit kernels.
 */
struct io_sigset {
	unsigned long ss;
	unsigned long ss_len;
};

struct io_sigset_compat {
	LINUX_AIO_WIDE(unsigned long ss, __ss_pad);
	unsigned long ss_len;
};

#undef LINUX_AIO_WIDE
#undef LINUX_AIO_PAIR

/* What io_queue_run calls: its address is in iocb.data. */
typedef void (*io_callback_t)(io_context_t ctx, struct iocb *iocb, long res,
			      long res2);

/*
 * A 32-bit program with 64-bit time has a longer struct timespec, and calls
 * the functions that read it.
 */
#if defined __SIZEOF_LONG__ && __SIZEOF_LONG__ == 4 && \
	!defined __x86_64__ && defined _TIME_BITS && _TIME_BITS == 64
#define LINUX_AIO_STRING(name) #name
#define LINUX_AIO_PREFIXED(prefix, name) LINUX_AIO_STRING(prefix) name
#define LINUX_AIO_TIME64(name) \
	__asm__(LINUX_AIO_PREFIXED(__USER_LABEL_PREFIX__, name "_time64"))
#else
#define LINUX_AIO_TIME64(name)
#endif

/* The calls of the kernel. */
extern int io_setup(int maxevents, io_context_t *ctxp);
extern int io_destroy(io_context_t ctx);
extern int io_submit(io_context_t ctx, long nr, struct iocb *ios[]);
extern int io_cancel(io_context_t ctx, struct iocb *iocb,
		     struct io_event *evt);
extern int io_getevents(io_context_t ctx, long min_nr, long nr,
			struct io_event *events, struct timespec *timeout)
	LINUX_AIO_TIME64("io_getevents");
extern int io_pgetevents(io_context_t ctx, long min_nr, long nr,
			 struct io_event *events, struct timespec *timeout,
			 sigset_t *sigmask) LINUX_AIO_TIME64("io_pgetevents");

/* The same with less to pass, and the calling of callbacks. */
extern int io_queue_init(int maxevents, io_context_t *ctxp);
extern int io_queue_release(io_context_t ctx);
extern int io_queue_run(io_context_t ctx);

/* Fills an iocb; what it held before is gone. */
static __inline__ void linux_aio_prep(struct iocb *iocb, io_iocb_cmd_t command,
				      int fd)
{
	memset(iocb, 0, sizeof *iocb);
	iocb->aio_lio_opcode = (short)command;
	iocb->aio_fildes = fd;
}

static __inline__ void
linux_aio_prep_rw(struct iocb *iocb, io_iocb_cmd_t command, int fd,
		  const void *buf, size_t count, linux_aio_wide offset)
{
	linux_aio_prep(iocb, command, fd);
	memcpy(&iocb->u.c.buf, &buf, sizeof buf);
	iocb->u.c.nbytes = count;
	iocb->u.c.offset = offset;
}

static __inline__ void io_prep_pread(struct iocb *iocb, int fd, void *buf,
				     size_t count, linux_aio_wide offset)
{
	linux_aio_prep_rw(iocb, IO_CMD_PREAD, fd, buf, count, offset);
}

static __inline__ void io_prep_pwrite(struct iocb *iocb, int fd, void *buf,
				      size_t count, linux_aio_wide offset)
{
	linux_aio_prep_rw(iocb, IO_CMD_PWRITE, fd, buf, count, offset);
}

/*
 * The number of pieces goes as it is: a negative one becomes one that is too
 * large, and the kernel refuses it.
 */
static __inline__ void
io_prep_preadv(struct iocb *iocb, int fd, const struct iovec *iov, int iovcnt,
	       linux_aio_wide offset)
{
	linux_aio_prep_rw(iocb, IO_CMD_PREADV, fd, iov, (size_t)iovcnt, offset);
}

static __inline__ void
io_prep_pwritev(struct iocb *iocb, int fd, const struct iovec *iov, int iovcnt,
		linux_aio_wide offset)
{
	linux_aio_prep_rw(iocb, IO_CMD_PWRITEV, fd, iov, (size_t)iovcnt, offset);
}

static __inline__ void
io_prep_preadv2(struct iocb *iocb, int fd, const struct iovec *iov, int iovcnt,
		linux_aio_wide offset, int flags)
{
	io_prep_preadv(iocb, fd, iov, iovcnt, offset);
	iocb->aio_rw_flags = (unsigned int)flags;
}

static __inline__ void
io_prep_pwritev2(struct iocb *iocb, int fd, const struct iovec *iov, int iovcnt,
		 linux_aio_wide offset, int flags)
{
	io_prep_pwritev(iocb, fd, iov, iovcnt, offset);
	iocb->aio_rw_flags = (unsigned int)flags;
}

static __inline__ void io_prep_fsync(struct iocb *iocb, int fd)
{
	linux_aio_prep(iocb, IO_CMD_FSYNC, fd);
}

static __inline__ void io_prep_fdsync(struct iocb *iocb, int fd)
{
	linux_aio_prep(iocb, IO_CMD_FDSYNC, fd);
}

/* events: the POLL* of poll(2). */
static __inline__ void io_prep_poll(struct iocb *iocb, int fd, int events)
{
	linux_aio_prep(iocb, IO_CMD_POLL, fd);
	iocb->u.poll.events = events;
}

/* For io_queue_run. It takes the place of data. */
static __inline__ void io_set_callback(struct iocb *iocb, io_callback_t cb)
{
	memcpy(&iocb->data, &cb, sizeof cb);
}

/* The eventfd that the completion is to be counted in. */
static __inline__ void io_set_eventfd(struct iocb *iocb, int eventfd)
{
	iocb->u.c.flags |= 1; /* IOCB_FLAG_RESFD */
	iocb->u.c.resfd = (unsigned int)eventfd;
}

/* Fill, and submit at once. */
static __inline__ int linux_aio_submit(io_context_t ctx, struct iocb *iocb,
				       io_callback_t cb)
{
	io_set_callback(iocb, cb);
	return io_submit(ctx, 1, &iocb);
}

static __inline__ int io_poll(io_context_t ctx, struct iocb *iocb,
			      io_callback_t cb, int fd, int events)
{
	io_prep_poll(iocb, fd, events);
	return linux_aio_submit(ctx, iocb, cb);
}

static __inline__ int io_fsync(io_context_t ctx, struct iocb *iocb,
			       io_callback_t cb, int fd)
{
	io_prep_fsync(iocb, fd);
	return linux_aio_submit(ctx, iocb, cb);
}

static __inline__ int io_fdsync(io_context_t ctx, struct iocb *iocb,
				io_callback_t cb, int fd)
{
	io_prep_fdsync(iocb, fd);
	return linux_aio_submit(ctx, iocb, cb);
}

#undef LINUX_AIO_TIME64

#ifdef __cplusplus
}
#endif

#endif

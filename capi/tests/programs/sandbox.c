/*
 * Runs a program in a sandbox in which io_pgetevents fails with ERRNO, as on
 * old kernels (ENOSYS) and in some containers (EPERM).
 *
 *	sandbox ERRNO PROGRAM ARGUMENT...
 */
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

/* The numbers on x86_64 and on i386, whose programs can be run as well. */
enum { PGETEVENTS = 333, I386 = 385, I386_TIME64 = 416 };

#define LOAD(field)                                                            \
	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define IF(value, then, otherwise)                                             \
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, then, otherwise)

int main(int argc, char **argv)
{
	unsigned refusal = SECCOMP_RET_ERRNO | (argc > 1 ? atoi(argv[1]) : 0);
	struct sock_filter filter[] = {
		LOAD(arch),
		IF(AUDIT_ARCH_X86_64, 0, 2),
		LOAD(nr),
		IF(PGETEVENTS, 4, 3),
		LOAD(nr),
		IF(I386, 2, 0),
		IF(I386_TIME64, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
		BPF_STMT(BPF_RET | BPF_K, refusal),
	};
	struct sock_fprog program = { sizeof filter / sizeof *filter, filter };

	if (argc < 3)
		return 2;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program)) {
		perror("sandbox");
		return 2;
	}
	execvp(argv[2], argv + 2);
	perror(argv[2]);
	return 2;
}

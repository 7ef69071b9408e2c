/*
 * The first process of a kernel: runs the programs in /cases, each in its own process,
 * and prints their exit statuses.
 *
 * A case that has not ended after a minute is killed. A line is "case NAME: STATUS", or
 * "case NAME: signal N"; the last one is "cases: end".
 */
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void create(const char *path, mode_t mode)
{
	int file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	if (file < 0 || write(file, "test\n", 5) != 5 || fchmod(file, mode))
		printf("cannot create %s\n", path);
	close(file);
}

static void run(const char *name)
{
	char path[300];
	int status;
	pid_t pid;

	snprintf(path, sizeof path, "/cases/%s", name);
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		int log = open("/log", O_WRONLY | O_CREAT | O_TRUNC, 0600);

		dup2(log, 1);
		dup2(log, 2);
		alarm(60);
		execl(path, path, path, (char *)NULL);
		_exit(127);
	}
	waitpid(pid, &status, 0);
	if (WIFSIGNALED(status))
		printf("case %s: signal %d\n", name, WTERMSIG(status));
	else
		printf("case %s: %d\n", name, WEXITSTATUS(status));
}

int main(void)
{
	struct dirent **names;
	int count;

	setvbuf(stdout, NULL, _IONBF, 0);
	mkdir("/proc", 0755);
	mkdir("/dev", 0755);
	mkdir("/work", 0755);
	mount("proc", "/proc", "proc", 0, NULL);
	mount("devtmpfs", "/dev", "devtmpfs", 0, NULL);
	mount("work", "/work", "tmpfs", 0, NULL);
	if (chdir("/work"))
		return 1;
	mkdir("testdir", 0755);
	create("testdir/rofile", 0400);
	create("testdir/wofile", 0200);
	create("testdir/rwfile", 0600);
	count = scandir("/cases", &names, NULL, alphasort);
	for (int i = 0; i < count; i++)
		if (names[i]->d_name[0] != '.')
			run(names[i]->d_name);
	printf("cases: end\n");
	sync();
	reboot(RB_AUTOBOOT);
	reboot(RB_POWER_OFF);
	for (;;)
		pause();
}

// SPDX-License-Identifier: LGPL-2.1 OR BSD-2-Clause
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "command.h"

/* In the child; an error goes through fd, which exec closes. */
static void __attribute__((noreturn))
child(char **argv, const sigset_t *mask, int fd)
{
	sigset_t trap;
	ssize_t ret;
	int error;

	sigemptyset(&trap);
	sigaddset(&trap, SIGTRAP);
	if (!sigprocmask(SIG_SETMASK, mask, NULL) &&
	    !sigprocmask(SIG_UNBLOCK, &trap, NULL) &&
	    !ptrace(PTRACE_TRACEME, 0, 0, 0))
		execvp(argv[0], argv);
	error = errno;
	ret = write(fd, &error, sizeof(error));
	_exit(ret == sizeof(error) ? 127 : 1);
}

/* Wait for the stop after exec; 0, or the error that the child met. */
static int wait_for_exec(struct command *command, int fd)
{
	int status, error = 0;

	for (;;) {
		if (waitpid(command->pid, &status, 0) < 0) {
			if (errno == EINTR)
				continue;
			return errno;
		}
		if (!WIFSTOPPED(status)) {
			command->pid = 0;
			if (read(fd, &error, sizeof(error)) == sizeof(error))
				return error;
			return ECHILD;
		}
		if (WSTOPSIG(status) == SIGTRAP)
			return 0;
		/* A signal from outside, before exec: the child's own. */
		ptrace(PTRACE_CONT, command->pid, 0, WSTOPSIG(status));
	}
}

int command_start(struct command *command, char **argv, const sigset_t *mask)
{
	int fd[2], error;

	if (pipe2(fd, O_CLOEXEC)) {
		warn("command '%s'", argv[0]);
		return -errno;
	}
	/* Who starts us may ignore it, and then there is no status to wait for. */
	signal(SIGCHLD, SIG_DFL);
	command->pid = fork();
	if (!command->pid)
		child(argv, mask, fd[1]);
	error = command->pid < 0 ? errno : 0;
	close(fd[1]);
	if (error)
		command->pid = 0;
	else
		error = wait_for_exec(command, fd[0]);
	close(fd[0]);
	if (error) {
		errno = error;
		warn("command '%s'", argv[0]);
	}
	return -error;
}

int command_release(struct command *command)
{
	if (!ptrace(PTRACE_DETACH, command->pid, 0, 0))
		return 0;
	warn("command, PID %d", command->pid);
	return -errno;
}

void command_kill(struct command *command, int sig)
{
	if (command->pid)
		kill(command->pid, sig);
}

int command_wait(struct command *command)
{
	int status;

	if (!command->pid)
		return command->status;
	while (waitpid(command->pid, &status, 0) < 0) {
		if (errno != EINTR) {
			warn("command, PID %d", command->pid);
			command->pid = 0;
			return 1;
		}
	}
	command->pid = 0;
	if (WIFSIGNALED(status))
		command->status = 128 + WTERMSIG(status);
	else
		command->status = WEXITSTATUS(status);
	return command->status;
}

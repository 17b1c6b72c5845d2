// SPDX-License-Identifier: LGPL-2.1 OR BSD-2-Clause
/*
 * kview-threads-test: a process whose first thread is not its last, for the tests of
 * the tracing tools.
 *
 * kview-threads-test exit STATUS	  the first thread ends, then another one exits
 * kview-threads-test exec PROGRAM [ARG...]  another thread than the first executes it
 */
#include <err.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static pthread_t first;

static void *exit_process(void *arg)
{
	const char *status = arg;

	if (pthread_join(first, NULL))
		errx(1, "the first thread cannot be waited for");
	exit(atoi(status));
}

static void *exec_program(void *arg)
{
	char **argv = arg;

	execvp(argv[0], argv);
	err(1, "%s", argv[0]);
}

int main(int argc, char **argv)
{
	void *(*run)(void *) = NULL;
	void *arg = NULL;
	pthread_t thread;

	if (argc == 3 && !strcmp(argv[1], "exit")) {
		run = exit_process;
		arg = argv[2];
	} else if (argc > 2 && !strcmp(argv[1], "exec")) {
		run = exec_program;
		arg = argv + 2;
	} else {
		fprintf(stderr,
			"usage: %s exit STATUS | exec PROGRAM [ARG...]\n",
			argv[0]);
		return 2;
	}
	first = pthread_self();
	if (pthread_create(&thread, NULL, run, arg))
		errx(1, "no thread");
	if (run == exit_process)
		pthread_exit(NULL);
	pthread_join(thread, NULL);
	return 1;
}

// SPDX-License-Identifier: LGPL-2.1 OR BSD-2-Clause
/*
 * What a get costs a memcached server: the time that its threads ran, which is
 * the number of instructions under qemu/vm --clock icount, in user space and in
 * the kernel. One get at a time, the same each time; the server sleeps when
 * its time is read.
 *
 * kview-memcached-bench PID PORT GETS
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define MAX_THREADS 64
#define WARM_UP 200

static int threads[MAX_THREADS];
static int nr_threads;

static void open_threads(const char *pid)
{
	char path[300];
	struct dirent *entry;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%.16s/task", pid);
	dir = opendir(path);
	if (!dir)
		err(1, "process %s", pid);
	while ((entry = readdir(dir))) {
		if (entry->d_name[0] == '.')
			continue;
		if (nr_threads == MAX_THREADS)
			errx(1, "process %s has too many threads", pid);
		snprintf(path, sizeof(path), "/proc/%.16s/task/%.16s/schedstat",
			 pid, entry->d_name);
		threads[nr_threads] = open(path, O_RDONLY | O_CLOEXEC);
		if (threads[nr_threads++] < 0)
			err(1, "%s", path);
	}
	closedir(dir);
}

static uint64_t runtime(void)
{
	uint64_t sum = 0;
	char text[64];

	for (int i = 0; i < nr_threads; i++) {
		ssize_t n = pread(threads[i], text, sizeof(text) - 1, 0);

		if (n <= 0)
			err(1, "schedstat");
		text[n] = 0;
		sum += strtoull(text, NULL, 10);
	}
	return sum;
}

static int connect_to(int port)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr = { htonl(INADDR_LOOPBACK) },
	};
	int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)))
		err(1, "port %d", port);
	if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)))
		err(1, "TCP_NODELAY");
	return fd;
}

/* Send a request and read its answer, to the expected end. */
static void ask(int fd, const char *request, const char *end)
{
	char answer[1024];
	size_t got = 0, length = strlen(end);

	if (write(fd, request, strlen(request)) != (ssize_t)strlen(request))
		err(1, "write");
	while (got < length || memcmp(answer + got - length, end, length)) {
		ssize_t n = read(fd, answer + got, sizeof(answer) - got);

		if (n <= 0)
			errx(1, "no answer");
		got += n;
	}
	/* Let the server find out that there is nothing more to do. */
	usleep(200);
}

static int compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

int main(int argc, char **argv)
{
	double sum = 0, squares = 0;
	uint32_t *costs, usual = 0;
	size_t gets, best = 0;
	int fd;

	if (argc != 4 || atoi(argv[3]) < 2)
		errx(2, "usage: kview-memcached-bench PID PORT GETS");
	gets = atoi(argv[3]);
	costs = calloc(gets, sizeof(*costs));
	if (!costs)
		err(1, "memory");
	open_threads(argv[1]);
	fd = connect_to(atoi(argv[2]));
	ask(fd, "set kview 0 0 10\r\n0123456789\r\n", "STORED\r\n");
	for (size_t i = 0; i < WARM_UP; i++)
		ask(fd, "get kview\r\n", "END\r\n");
	for (size_t i = 0; i < gets; i++) {
		uint64_t before = runtime();

		ask(fd, "get kview\r\n", "END\r\n");
		costs[i] = runtime() - before;
		sum += costs[i];
		squares += (double)costs[i] * costs[i];
	}
	qsort(costs, gets, sizeof(*costs), compare);
	for (size_t i = 0, j; i < gets; i = j) {
		for (j = i; j < gets && costs[j] == costs[i];)
			j++;
		if (j - i > best) {
			best = j - i;
			usual = costs[i];
		}
	}
	printf("%.2f\t%.2f\t%u\t%.3f\n", sum / gets,
	       sqrt((squares - sum * sum / gets) / (gets - 1)), usual,
	       (double)best / gets);
	return 0;
}

// SPDX-License-Identifier: LGPL-2.1 OR BSD-2-Clause
/*
 * kview-rw-tracer-all: trace the reads and writes of processes, with their data.
 */
#include "rw.h"

int main(int argc, char **argv)
{
	return rw_main(argc, argv, "kview-rw-tracer-all", true);
}

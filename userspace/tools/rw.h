/* SPDX-License-Identifier: LGPL-2.1 OR BSD-2-Clause */
#ifndef RW_H
#define RW_H

#include <stdbool.h>

/* Both tools that trace reads and writes; with_data: what they transfer, too. */
int rw_main(int argc, char **argv, const char *name, bool with_data);

#endif

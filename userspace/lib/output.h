/* SPDX-License-Identifier: LGPL-2.1 OR BSD-2-Clause */
#ifndef OUTPUT_H
#define OUTPUT_H

#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/*
 * One walk over the data makes a table or JSON: an array of objects, one for
 * each row. A field is a column of the table, under its key in capitals, in
 * the order of first appearance; numbers are aligned to the right.
 *
 * A row may hold a list of rows, which comes last in it. In a table the fields
 * of the outer row stand in the first of the inner rows.
 */
struct output;

/* NULL, with errno set, without memory. */
struct output *output_open(FILE *file, bool json);

void output_row(struct output *out);
void output_row_end(struct output *out);
void output_rows(struct output *out, const char *key);
void output_rows_end(struct output *out);

void output_str(struct output *out, const char *key, const char *value);
void output_num(struct output *out, const char *key, __u64 value);

/* For JSON only: what the table says otherwise. */
bool output_is_json(const struct output *out);
void output_bool(struct output *out, const char *key, bool value);
void output_real(struct output *out, const char *key, double value);
void output_array(struct output *out, const char *key);
void output_item(struct output *out, __u64 value);
void output_array_end(struct output *out);

/* A text in quotes, as JSON has it; what is no UTF-8 is replaced. */
void output_json_string(FILE *file, const char *text);
/* A text with '?' for what would move the cursor. */
void output_text(FILE *file, const char *text);

/* Write what is left. Returns 0, or a negative error, and frees it. */
int output_close(struct output *out);

#endif

// SPDX-License-Identifier: LGPL-2.1 OR BSD-2-Clause
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "output.h"

#define MAX_COLUMNS 16

struct column {
	const char *key;
	size_t width;
	bool right;
};

struct line {
	char *cells[MAX_COLUMNS];
};

struct output {
	FILE *file;
	bool json;
	bool comma; /* JSON: the next value is not the first in its list */
	int depth;
	bool failed; /* table: no memory */
	bool used; /* table: the line at the end holds an inner row */
	struct column columns[MAX_COLUMNS];
	size_t nr_columns;
	struct line *lines;
	size_t nr_lines;
};

struct output *output_open(FILE *file, bool json)
{
	struct output *out = calloc(1, sizeof(*out));

	if (!out)
		return NULL;
	out->file = file;
	out->json = json;
	if (json)
		fputc('[', file);
	return out;
}

bool output_is_json(const struct output *out)
{
	return out->json;
}

/* How many bytes of UTF-8 the text starts with as one character, 0: none. */
static size_t utf8(const unsigned char *s)
{
	size_t n = *s < 0xc2 ? 0 : *s < 0xe0 ? 2 : *s < 0xf0 ? 3 : 4, i;

	if (*s < 0x80)
		return 1;
	if (!n || *s > 0xf4)
		return 0;
	for (i = 1; i < n; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	}
	/* Too long a form, a surrogate, too high. */
	if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) ||
	    (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
		return 0;
	return n;
}

void output_json_string(FILE *file, const char *text)
{
	const unsigned char *s = (const unsigned char *)text;
	size_t n;

	fputc('"', file);
	while (*s) {
		n = utf8(s);
		if (!n) {
			fputs("\\ufffd", file);
			n = 1;
		} else if (*s == '"' || *s == '\\') {
			fprintf(file, "\\%c", *s);
		} else if (*s < 0x20 || *s == 0x7f) {
			fprintf(file, "\\u%04x", *s);
		} else {
			fwrite(s, 1, n, file);
		}
		s += n;
	}
	fputc('"', file);
}

void output_text(FILE *file, const char *text)
{
	for (; *text; text++)
		fputc(iscntrl((unsigned char)*text) ? '?' : *text, file);
}

static void json_next(struct output *out)
{
	if (out->comma)
		fputs(", ", out->file);
	out->comma = true;
}

static void json_key(struct output *out, const char *key)
{
	json_next(out);
	fprintf(out->file, "\"%s\": ", key);
}

static void json_row(struct output *out)
{
	int i;

	fputs(out->comma ? ",\n" : "\n", out->file);
	for (i = 0; i < out->depth; i++)
		fputs("  ", out->file);
	fputc('{', out->file);
	out->comma = false;
}

static void new_line(struct output *out)
{
	struct line *lines;

	lines = reallocarray(out->lines, out->nr_lines + 1, sizeof(*lines));
	if (!lines) {
		out->failed = true;
		return;
	}
	out->lines = lines;
	memset(&lines[out->nr_lines++], 0, sizeof(*lines));
}

void output_row(struct output *out)
{
	out->depth++;
	if (out->json) {
		json_row(out);
		return;
	}
	/* The first inner row goes on in the line of the outer one. */
	if (out->depth == 1 || out->used)
		new_line(out);
	out->used = out->depth > 1;
}

void output_row_end(struct output *out)
{
	out->depth--;
	if (out->json) {
		fputc('}', out->file);
		out->comma = true;
	}
}

void output_rows(struct output *out, const char *key)
{
	if (out->json) {
		json_key(out, key);
		fputc('[', out->file);
		out->comma = false;
	}
}

void output_rows_end(struct output *out)
{
	if (out->json) {
		fputc(']', out->file);
		out->comma = true;
	}
}

static void cell(struct output *out, const char *key, char *text, bool right)
{
	struct column *column;
	size_t i, len;
	char *s;

	if (!text || out->failed || !out->nr_lines) {
		out->failed = true;
		free(text);
		return;
	}
	for (i = 0; i < out->nr_columns; i++) {
		if (!strcmp(out->columns[i].key, key))
			break;
	}
	if (i == MAX_COLUMNS) {
		free(text);
		return;
	}
	column = &out->columns[i];
	if (i == out->nr_columns) {
		column->key = key;
		column->width = strlen(key);
		column->right = right;
		out->nr_columns++;
	}
	for (s = text; *s; s++) {
		if (iscntrl((unsigned char)*s))
			*s = '?';
	}
	len = strlen(text);
	if (len > column->width)
		column->width = len;
	free(out->lines[out->nr_lines - 1].cells[i]);
	out->lines[out->nr_lines - 1].cells[i] = text;
}

void output_str(struct output *out, const char *key, const char *value)
{
	if (out->json) {
		json_key(out, key);
		output_json_string(out->file, value);
	} else {
		cell(out, key, strdup(value), false);
	}
}

void output_num(struct output *out, const char *key, __u64 value)
{
	char text[32];

	if (out->json) {
		json_key(out, key);
		fprintf(out->file, "%llu", value);
		return;
	}
	snprintf(text, sizeof(text), "%llu", value);
	cell(out, key, strdup(text), true);
}

void output_bool(struct output *out, const char *key, bool value)
{
	if (!out->json)
		return;
	json_key(out, key);
	fputs(value ? "true" : "false", out->file);
}

void output_real(struct output *out, const char *key, double value)
{
	if (!out->json)
		return;
	json_key(out, key);
	fprintf(out->file, "%.9f", value);
}

void output_array(struct output *out, const char *key)
{
	if (!out->json)
		return;
	json_key(out, key);
	fputc('[', out->file);
	out->comma = false;
}

void output_item(struct output *out, __u64 value)
{
	if (!out->json)
		return;
	json_next(out);
	fprintf(out->file, "%llu", value);
}

void output_array_end(struct output *out)
{
	if (!out->json)
		return;
	fputc(']', out->file);
	out->comma = true;
}

static void print_cell(struct output *out, const struct column *column,
		       const char *text, bool last)
{
	if (column->right)
		fprintf(out->file, "%*s", (int)column->width, text);
	else if (last)
		fputs(text, out->file);
	else
		fprintf(out->file, "%-*s", (int)column->width, text);
	fputs(last ? "\n" : "  ", out->file);
}

static void print_table(struct output *out)
{
	const struct column *column;
	char title[64];
	size_t i, j, k;

	for (i = 0; i < out->nr_columns; i++) {
		column = &out->columns[i];
		for (k = 0; column->key[k] && k < sizeof(title) - 1; k++)
			title[k] = toupper((unsigned char)column->key[k]);
		title[k] = '\0';
		print_cell(out, column, title, i + 1 == out->nr_columns);
	}
	for (j = 0; j < out->nr_lines; j++) {
		for (i = 0; i < out->nr_columns; i++)
			print_cell(out, &out->columns[i],
				   out->lines[j].cells[i] ?: "",
				   i + 1 == out->nr_columns);
	}
}

int output_close(struct output *out)
{
	int ret = 0;
	size_t i, j;

	if (out->json)
		fputs(out->comma ? "\n]\n" : "]\n", out->file);
	else if (!out->failed)
		print_table(out);
	else
		ret = -ENOMEM;
	if (fflush(out->file) || ferror(out->file))
		ret = ret ?: errno ? -errno : -EIO;
	for (j = 0; j < out->nr_lines; j++) {
		for (i = 0; i < MAX_COLUMNS; i++)
			free(out->lines[j].cells[i]);
	}
	free(out->lines);
	free(out);
	return ret;
}

/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Processes that do what a number says: nodes of a tree, which fork, exec, run
 * threads, get signals and die in all ways there are. What a node does depends on
 * its own number only; that of a child is drawn by its parent.
 *
 * Every now and then a node meets the controller: it says so, and sleeps in
 * recvfrom() until it is answered.
 */
#ifndef KVIEW_ORACLE_TREE_H
#define KVIEW_ORACLE_TREE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include "kselftest.h"

struct node {
	uint64_t random;
	uint32_t id;
	/* The controller, whose address is made of it. */
	pid_t controller;
	/* How many processes may be below it, and how deep. */
	unsigned int budget;
	unsigned int depth;
	/* Operations to go. */
	unsigned int steps;
	/* Children and meetings so far. */
	unsigned int children;
	unsigned int meetings;
	/* It may be disturbed when it sleeps, so no meetings any more. */
	bool restless;
	/* Shares its memory with its parent. */
	bool guest;
};

/* What a node says when it meets the controller. */
struct hello {
	uint32_t id;
	uint32_t meeting;
	/* It will die without another one. */
	bool last;
	bool guest;
};

uint64_t draw(uint64_t *state);
unsigned int below(uint64_t *state, unsigned int limit);
uint64_t mixed(uint64_t a, uint64_t b);

/* A name for the controller's socket, without the leading zero. */
void meeting_place(char *name, size_t size, pid_t controller);

/* Do all that there is to do, and die. */
void __noreturn run_node(struct node *node);

/* Go on after exec. */
void __noreturn run_executed(char **argv);

#endif

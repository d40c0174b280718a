/* The versions of every library that the program runs with, and which of them it refuses. */
#ifndef AIGW_VERSIONS_H
#define AIGW_VERSIONS_H

#include <stdio.h>

#include "check.h"

/* One line each, "(refused: why)" behind a bad one. False when there is one. */
bool versions_print(FILE *out);
/* Prints only bad ones; false when there is one. */
bool versions_check(FILE *out);

/* Pure: "3.6.6" against a bound of the same form; missing parts are 0, what follows digits and dots is ignored. */
int versions_compare(const char *a, const char *b);

#endif

/* Completion scripts of the shells, written out from the token table. */
#ifndef AIGW_COMPLETE_H
#define AIGW_COMPLETE_H

#include "command.h"
#include "put.h"

/* "bash", "zsh" or "fish"; false for another shell. */
bool complete_script(struct put *p, struct slice shell);

#endif

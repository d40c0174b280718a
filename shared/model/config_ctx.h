/* Private to the configuration (config*.c): what one load works on. Errors are messages and do not stop the load, so that all
 * are found at once; only what is not a message (no memory) sticks in `rc` and makes every later step idle. */
#ifndef AIGW_CONFIG_CTX_H
#define AIGW_CONFIG_CTX_H

#include "config.h"
#include "hint.h"
#include "ptable.h"
#include "yaml_tree.h"

#define CONFIG_MAGIC 0xc0f16001u

struct config {
	unsigned magic;
	struct arena arena;
	struct yaml_node *root; /* merged and expanded, paths absolute: what config_print() writes */
	struct ptable table;    /* in the arena, secrets too, which are wiped with it */
	size_t warnings;
};

struct config_ctx {
	const struct config_opts *opts;
	struct config *c;
	struct arena *a; /* = &c->arena */
	struct buf *messages;
	size_t errors;
	enum errc rc;
	const char **overlays; /* names of the overlay files, as in yaml_pos.file */
	size_t overlays_n;
};

void config_ctx_error(struct config_ctx *x, struct yaml_pos pos, const char *fmt, ...)
	PRINTF_LIKE(3, 4);
void config_ctx_warn(struct config_ctx *x, struct yaml_pos pos, const char *fmt, ...)
	PRINTF_LIKE(3, 4);
/* Notes that there is no memory. */
void config_ctx_nomem(struct config_ctx *x);

/* " (did you mean `name`?)" for the best name of h, or an empty text. Valid as long as the arena. */
const char *config_ctx_hint_text(struct config_ctx *x, const struct hint *h);
/* The same over the keys of a mapping (NULL: none). */
const char *config_ctx_hint_keys(struct config_ctx *x, struct slice wanted,
				 const struct yaml_node *map);

/* The value of an environment variable; p is NULL when it is not set. Borrowed from the options. */
struct slice config_ctx_env(const struct config_ctx *x, struct slice name);
bool config_ctx_is_overlay(const struct config_ctx *x, struct yaml_pos pos);
/* Formats into the arena, NUL-terminated; an empty text without memory, which is noted. */
struct slice config_ctx_fmt(struct config_ctx *x, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* A path as seen from the folder of the file at `pos`, made absolute. */
struct slice config_ctx_absolute(struct config_ctx *x, struct yaml_pos pos, struct slice path);
/* Has the bytes, which are the arena's, wiped when the configuration is freed. */
void config_ctx_wipe_later(struct config_ctx *x, struct slice bytes);
/* Zeroed array in the arena; NULL (noted) without memory. n may be 0. */
void *config_ctx_array(struct config_ctx *x, size_t n, size_t size);

/* Who may read a file: of those that are secret nobody but the owner, and the group where it is root's (systemd hands credentials over
 * like that) or, for a private key, any (as ssl-cert); to write it is the owner's in all of these. */
enum config_ctx_readers { CONFIG_CTX_ALL, CONFIG_CTX_GROUP, CONFIG_CTX_OWNER };

/* Reads a regular file of at most `max` bytes into the arena; what is looked at is the file that is read. On failure *why says what is
 * wrong (an errno's text or words) and p is NULL; ERRC_NOTFOUND only when it does not exist, ERRC_PERM when others may read it. */
MUSTCHECK enum errc config_ctx_read_file(struct config_ctx *x, const char *path,
					 enum config_ctx_readers who, size_t max, struct slice *out,
					 const char **why);

/* The text of a scalar; false, with an error that says `what` was expected, for anything else. */
bool config_ctx_text(struct config_ctx *x, const struct yaml_node *n, const char *path,
		     const char *what, struct slice *out);
/* A list of texts; one text alone counts as a list of one. Errors are told; what was good is in *out (arena). */
void config_ctx_texts(struct config_ctx *x, const struct yaml_node *n, const char *path,
		      struct settings_list *out);

#endif

/* The configuration: reads aigw.yaml with what it includes, merges, applies overlays, expands the short form from the
 * catalog, checks everything, and makes of it the typed settings and the blob that ptable_decode() reads. All errors are
 * found at once. A struct config is immutable; the master holds the committed one and compares the next with it. */
#ifndef AIGW_CONFIG_H
#define AIGW_CONFIG_H

#include "buf.h"
#include "settings.h"

struct config;

struct config_opts {
	const char *path; /* of aigw.yaml; NULL: no file, the embedded default (contract B1) */
	struct slice text; /* p is not NULL: stands for what the file at `path` holds; it cannot name other files then */
	bool strict;          /* warnings about unset secrets are errors */
	char *const *env;     /* "NAME=value", NULL-terminated; NULL: none */
	const char *hostname; /* for ${hostname}; NULL: asked from the system */
	const char *catalog_dir; /* where `catalog_dir` is not set; NULL: beside a build tree's program, else the installed one */
};

/* One message a line: "file:line:column: text" for an error, "file:line:column: warning: text". */
#define CONFIG_MESSAGES_MAX (256 * 1024)
/* What config_print() may write. */
#define CONFIG_PRINT_MAX ((size_t)256 * 1024 * 1024)

/* *out is owned by the caller until config_free(). ERRC_INVAL when there are errors; messages (errors and warnings, also of a
 * success) are appended to `messages`, whose ceiling may cut the list short. Reads files and file: secrets; blocks. */
MUSTCHECK enum errc config_load(const struct config_opts *opts, struct buf *messages,
				struct config **out);
void config_free(struct config **c);

/* Valid until config_free(). Defaults that depend on the user (state, admin.socket) are filled in; shared_memory stays
 * empty when not set, for its default needs the ledger's id. */
const struct settings *config_settings(const struct config *c);
/* Providers in use (not off), models and offers, for the one line that a start or reload logs. */
void config_counts(const struct config *c, size_t *providers, size_t *models, size_t *offers);

/* Writes the merged result, short form expanded and paths absolute, so that it parses again to the same; secrets as ***.
 * With `origin` each value's place follows as a comment. */
MUSTCHECK enum errc config_print(const struct config *c, bool origin, struct buf *out);

/* The blob for keeper and workers, with the secrets: wipe it after use (secret_wipe). */
MUSTCHECK enum errc config_blob(const struct config *c, uint64_t generation, struct buf *out);

/* The same, but settings that wait for a restart are those of `boot`, the configuration of the start. */
MUSTCHECK enum errc config_blob_kept(const struct config *c, const struct config *boot,
				     uint64_t generation, struct buf *out);

enum config_change_kind { CONFIG_ADDED, CONFIG_REMOVED, CONFIG_CHANGED };

struct config_change {
	struct slice path; /* "limits.body", "providers.openai", "models.gpt-5.2", "listen 0.0.0.0:8080" */
	enum config_change_kind kind;
	enum settings_reload reload; /* SETTINGS_RESTART: waits for a restart */
};

/* Calls `each` for every difference, settings in table order, then listeners, providers, models by name; the change is valid
 * during the call. Returns how many there were: 0 means that nothing changed (no new generation). */
size_t config_diff(const struct config *old, const struct config *new_config,
		   void (*each)(void *arg, const struct config_change *ch), void *arg);

/* What `aigwd -t` does: loads, appends messages and a closing line ("aigw.yaml: ok, 2 providers, …") to `messages`. */
MUSTCHECK enum errc config_check(const struct config_opts *opts, struct buf *messages);

/* The file that is read when none is given: $AIGW_CONFIG, /etc/aigw/aigw.yaml, or none (false). `out` holds n bytes. */
bool config_default_path(char *const *env, char *out, size_t n);
/* The control socket of a node with that file, or with none, for aigwctl. False when it does not fit. */
bool config_default_socket(char *const *env, char *out, size_t n);
/* The state folder of a node with the file `path`, NULL: with that default file or none. False when it cannot be told. */
bool config_state(char *const *env, const char *path, char *out, size_t n);

#endif

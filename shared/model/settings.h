/* The global settings, typed. A struct settings is plain data: its texts point into the memory of what holds it (a
 * struct config or a struct ptable), are NUL-terminated, and are valid as long as that. The rows stand in settings_tbl.h. */
#ifndef AIGW_SETTINGS_H
#define AIGW_SETTINGS_H

#include "buf.h"
#include "ipnet.h"

/* Choices of the ENUM rows: constant and word. */
#define SETTINGS_DURABILITY(X) \
	X(DURABILITY_SETTLE, "settle") X(DURABILITY_GROUP, "group") X(DURABILITY_ASYNC, "async")
#define SETTINGS_LOG_FORMAT(X) X(LOG_FORMAT_TEXT, "text") X(LOG_FORMAT_JSON, "json")
#define SETTINGS_LOG_LEVEL(X)       \
	X(LOG_LEVEL_ERROR, "error") \
	X(LOG_LEVEL_WARN, "warn") X(LOG_LEVEL_INFO, "info") X(LOG_LEVEL_DEBUG, "debug")
#define SETTINGS_CLIENT_GONE(X)       X(CLIENT_GONE_ABORT, "abort") X(CLIENT_GONE_DRAIN, "drain")
#define SETTINGS_CONSTANT(name, word) SETTINGS_##name,
#define SETTINGS_CHOICE(name, word)   word "|"

enum settings_durability { SETTINGS_DURABILITY(SETTINGS_CONSTANT) SETTINGS_DURABILITY_COUNT };
enum settings_log_format {
	SETTINGS_LOG_FORMAT(SETTINGS_CONSTANT) SETTINGS_LOG_FORMAT_COUNT
}; /* = enum log_format */
enum settings_log_level {
	SETTINGS_LOG_LEVEL(SETTINGS_CONSTANT) SETTINGS_LOG_LEVEL_COUNT
}; /* = enum log_level */
enum settings_client_gone { SETTINGS_CLIENT_GONE(SETTINGS_CONSTANT) SETTINGS_CLIENT_GONE_COUNT };

enum settings_type {
	SETTINGS_INT,
	SETTINGS_AUTO,
	SETTINGS_BYTES,
	SETTINGS_MS,
	SETTINGS_BOOL,
	SETTINGS_RATIO,
	SETTINGS_TEXT,
	SETTINGS_PATH,
	SETTINGS_LIST,
	SETTINGS_ENUM,
	SETTINGS_NODE, /* only in the tables of providers, models and offers: read by code of its own */
};

enum settings_reload { SETTINGS_LIVE, SETTINGS_CALLS, SETTINGS_RESTART };

struct settings_list {
	const struct slice *v;
	size_t n;
};

#define SETTINGS_TRUSTED_MAX 64

struct settings_listener {
	struct slice address; /* as written, "0.0.0.0:8080", "[::1]:8080"; names the listener */
	struct slice host;    /* a literal IPv4 or IPv6 address without brackets */
	int port;             /* 0: any free one */
	bool tls;
	struct slice certificate, key; /* files, absolute; empty without tls */
	struct slice certificate_pem,
		key_pem; /* what they held when the configuration was read; the key is wiped with its holder */
	const struct ipnet *trusted; /* proxies whose x-forwarded-for counts */
	size_t trusted_n;            /* at most SETTINGS_TRUSTED_MAX */
};

#define SETTINGS_CTYPE_INT   int64_t
#define SETTINGS_CTYPE_AUTO  int64_t
#define SETTINGS_CTYPE_BYTES int64_t
#define SETTINGS_CTYPE_MS    int64_t
#define SETTINGS_CTYPE_BOOL  bool
#define SETTINGS_CTYPE_RATIO int64_t
#define SETTINGS_CTYPE_TEXT  struct slice
#define SETTINGS_CTYPE_PATH  struct slice
#define SETTINGS_CTYPE_LIST  struct settings_list
#define SETTINGS_CTYPE_ENUM  int

struct settings {
#define SETTING(type, member, path, min, max, def, unit, reload, sentence) \
	SETTINGS_CTYPE_##type member;
#include "settings_tbl.h"
#undef SETTING
	/* The one setting that is more than a value: `listen`. Added, removed and changed ones are taken by a reload. */
	const struct settings_listener *listeners;
	size_t listeners_n;
	struct slice upstream_ca_pem; /* what upstream_ca_file held; empty: the system's store */
};

struct settings_row {
	const char *path; /* "limits.body" */
	enum settings_type type;
	size_t offset; /* of the member */
	int64_t min, max;
	const char *def;
	const char *unit; /* for ENUM the choices: "settle|group|async|" */
	enum settings_reload reload;
	const char *sentence;
};

/* All rows in the order of the table. */
extern const struct settings_row settings_rows[];
extern const size_t settings_rows_n;

/* The same machinery reads providers, models and offers: `base` is then the struct that the rows' offsets belong to. */

/* Reads one written value (not LIST, not NODE) into its member. ERRC_SYNTAX when it is not of the row's type, ERRC_RANGE when
 * it is out of bounds; a text is borrowed: the member is valid as long as `text`. */
MUSTCHECK enum errc settings_parse(const struct settings_row *row, struct slice text, void *base);
/* Reads "0.125", "12.5%" or "1/8" in millionths. */
bool settings_ratio(struct slice text, int64_t *out);
/* Writes the value as an operator would, without quotes; a LIST is written as "a, b". */
MUSTCHECK enum errc settings_print(const struct settings_row *row, const void *base,
				   struct buf *out);
/* Writes what the row expects, for messages: "a time span from 100ms to 1h, such as 15s". */
MUSTCHECK enum errc settings_expected(const struct settings_row *row, struct buf *out);
bool settings_equal(const struct settings_row *row, const void *a, const void *b);
/* Puts the members that only a restart may change back to those of `boot`, whose texts then are borrowed. */
void settings_keep(struct settings *s, const struct settings *boot);
/* All defaults; texts are static. No listener. */
void settings_defaults(struct settings *s);

#endif

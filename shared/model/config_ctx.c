#include "config_ctx.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mem.h"

#define MESSAGE_MAX 1000
/* A text is made of a few of the configuration's, each of which may be a whole file. */
#define TEXT_MAX (4 * YAML_BYTES_MAX)

/* One line whatever the texts in it hold. */
static void sanitize(char *p, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if ((unsigned char)p[i] < 0x20 || p[i] == 0x7f)
			p[i] = '?';
	}
}

static void add_message(struct config_ctx *x, struct yaml_pos pos, const char *kind,
			const char *fmt, va_list ap)
{
	char text[MESSAGE_MAX];
	enum errc rc;

	vsnprintf(text, sizeof(text), fmt, ap);
	sanitize(text, strlen(text));
	if (pos.file)
		rc = buf_addf(x->messages, "%s:%u:%u: %s%s\n", pos.file, pos.line, pos.column, kind,
			      text);
	else
		rc = buf_addf(x->messages, "(default): %s%s\n", kind, text);
	if (rc == ERRC_NOMEM)
		config_ctx_nomem(x);
}

void config_ctx_error(struct config_ctx *x, struct yaml_pos pos, const char *fmt, ...)
{
	va_list ap;

	x->errors++;
	va_start(ap, fmt);
	add_message(x, pos, "", fmt, ap);
	va_end(ap);
}

void config_ctx_warn(struct config_ctx *x, struct yaml_pos pos, const char *fmt, ...)
{
	va_list ap;

	x->c->warnings++;
	va_start(ap, fmt);
	add_message(x, pos, "warning: ", fmt, ap);
	va_end(ap);
}

void config_ctx_nomem(struct config_ctx *x)
{
	if (x->rc == ERRC_OK)
		x->rc = ERRC_NOMEM;
}

const char *config_ctx_hint_text(struct config_ctx *x, const struct hint *h)
{
	if (!h->best.p)
		return "";
	return config_ctx_fmt(x, " (did you mean `" SLICE_FMT "`?)", SLICE_ARG(h->best)).p;
}

const char *config_ctx_hint_keys(struct config_ctx *x, struct slice wanted,
				 const struct yaml_node *map)
{
	struct hint h;

	hint_init(&h, wanted);
	for (const struct yaml_node *c = map ? map->first : NULL; c; c = c->next)
		hint_add(&h, c->key);
	return config_ctx_hint_text(x, &h);
}

struct slice config_ctx_env(const struct config_ctx *x, struct slice name)
{
	for (char *const *e = x->opts->env; e && *e; e++) {
		struct slice rest = slice_str(*e), head;

		if (slice_cut(&rest, '=', &head) && slice_eq(head, name))
			return rest;
	}
	return SLICE_NONE;
}

bool config_ctx_is_overlay(const struct config_ctx *x, struct yaml_pos pos)
{
	for (size_t i = 0; i < x->overlays_n; i++) {
		if (x->overlays[i] == pos.file)
			return true;
	}
	return false;
}

struct slice config_ctx_fmt(struct config_ctx *x, const char *fmt, ...)
{
	struct buf b;
	struct slice s = {"", 0};
	va_list ap;
	enum errc rc;

	buf_init(&b, TEXT_MAX);
	va_start(ap, fmt);
	rc = buf_addvf(&b, fmt, ap);
	va_end(ap);
	if (rc == ERRC_OK)
		s = arena_dup(x->a, buf_slice(&b));
	buf_fini(&b);
	if (rc == ERRC_OK && s.p)
		return s;
	config_ctx_nomem(x);
	return (struct slice){"", 0};
}

struct slice config_ctx_absolute(struct config_ctx *x, struct yaml_pos pos, struct slice path)
{
	char folder[PATH_MAX], full[PATH_MAX];
	const char *slash = pos.file ? strrchr(pos.file, '/') : NULL;

	if (path.n == 0 || path.p[0] == '/')
		return path;
	while (slice_has_prefix(path, SLICE_LIT("./")))
		path = slice_sub(path, 2, path.n);
	if (!slash)
		snprintf(folder, sizeof(folder), ".");
	else
		snprintf(folder, sizeof(folder), "%.*s",
			 slash == pos.file ? 1 : (int)MIN_OF(slash - pos.file, PATH_MAX - 1),
			 pos.file);
	if (!realpath(folder, full)) {
		config_ctx_error(x, pos, "the folder of this file cannot be found: %s",
				 strerror(errno));
		return path;
	}
	return config_ctx_fmt(x, "%s/" SLICE_FMT, strcmp(full, "/") == 0 ? "" : full,
			      SLICE_ARG(path));
}

static void wipe(void *arg)
{
	const struct slice *s = arg;

	secret_wipe((char *)(uintptr_t)s->p, s->n);
}

void config_ctx_wipe_later(struct config_ctx *x, struct slice bytes)
{
	struct slice *s;

	if (bytes.n == 0)
		return;
	s = arena_new(x->a, struct slice);
	if (!s || arena_on_fini(x->a, wipe, s) != ERRC_OK) {
		config_ctx_nomem(x);
		secret_wipe((char *)(uintptr_t)bytes.p, bytes.n);
		return;
	}
	*s = bytes;
}

void *config_ctx_array(struct config_ctx *x, size_t n, size_t size)
{
	void *p = arena_zero(x->a, n ? n * size : 1);

	if (!p)
		config_ctx_nomem(x);
	return p;
}

/* Reads n bytes and tries one more, for which there is room: a file that grew is not what was measured. NULL, or what is wrong. */
static const char *read_all(int fd, char *p, size_t n)
{
	size_t got = 0;

	while (got <= n) {
		ssize_t r = read(fd, p + got, n + 1 - got);

		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return strerror(errno);
		if (r == 0)
			break;
		got += (size_t)r;
	}
	p[n] = '\0';
	return got == n ? NULL : "it changed while it was read";
}

static bool is_open_to(const struct stat *st, enum config_ctx_readers who)
{
	bool group = (st->st_mode & S_IRGRP) && st->st_gid != 0;

	return who != CONFIG_CTX_ALL &&
	       ((st->st_mode & (S_IRWXO | S_IWGRP)) || (group && who == CONFIG_CTX_OWNER));
}

enum errc config_ctx_read_file(struct config_ctx *x, const char *path, enum config_ctx_readers who,
			       size_t max, struct slice *out, const char **why)
{
	struct stat st;
	enum errc rc = ERRC_IO;
	char *p;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	*out = SLICE_NONE;
	if (fd < 0) {
		*why = strerror(errno);
		return errno == ENOENT || errno == ENOTDIR ? ERRC_NOTFOUND : ERRC_IO;
	}
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
		*why = "not a regular file";
		goto out;
	}
	if (is_open_to(&st, who)) {
		*why = "it can be read or written by others than its owner: chmod 0400 it";
		rc = ERRC_PERM;
		goto out;
	}
	if ((uintmax_t)st.st_size > max) {
		*why = "too large";
		goto out;
	}
	p = arena_get(x->a, (size_t)st.st_size + 1);
	if (!p) {
		config_ctx_nomem(x);
		*why = "no memory";
		goto out;
	}
	*why = read_all(fd, p, (size_t)st.st_size);
	if (*why) {
		secret_wipe(p, (size_t)st.st_size + 1);
		goto out;
	}
	*out = slice_of(p, (size_t)st.st_size);
	rc = ERRC_OK;
out:
	close(fd);
	return rc;
}

bool config_ctx_text(struct config_ctx *x, const struct yaml_node *n, const char *path,
		     const char *what, struct slice *out)
{
	static const char *const kinds[] = {"a text", "a list", "a mapping"};

	if (n->kind == YAML_SCALAR && !n->is_null) {
		*out = n->text;
		return true;
	}
	if (n->is_null && n->text.n)
		config_ctx_error(x, n->pos, "`%s` must be %s; `~` removes, and only in an overlay",
				 path, what);
	else
		config_ctx_error(x, n->pos, "`%s` must be %s, not %s", path, what,
				 n->is_null ? "empty" : kinds[n->kind]);
	return false;
}

void config_ctx_texts(struct config_ctx *x, const struct yaml_node *n, const char *path,
		      struct settings_list *out)
{
	struct slice *v;

	*out = (struct settings_list){0};
	if (n->is_null)
		return;
	v = config_ctx_array(x, n->kind == YAML_LIST ? n->n : 1, sizeof(*v));
	if (!v)
		return;
	out->v = v;
	if (n->kind != YAML_LIST) {
		out->n = config_ctx_text(x, n, path, "a list of texts", &v[0]);
		return;
	}
	for (const struct yaml_node *c = n->first; c; c = c->next) {
		if (config_ctx_text(x, c, path, "a list of texts", &v[out->n]))
			out->n++;
	}
}

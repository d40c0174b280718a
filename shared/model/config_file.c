#include "config_file.h"

#include <errno.h>
#include <glob.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config_merge.h"

#define FILES_MAX 1000
#define DEPTH_MAX 8

struct file_id {
	dev_t dev;
	ino_t ino;
	struct yaml_pos named;
};

struct loading {
	struct config_ctx *x;
	struct yaml_node *root;
	struct slice region; /* p is NULL: the main file names none */
	struct file_id files[FILES_MAX];
	size_t files_n;
	/* Items of overlay lists, in the order they were met. */
	const struct yaml_node *overlays[FILES_MAX];
	size_t overlays_n;
};

static void told_twice(void *arg, const struct yaml_node *first, struct yaml_pos second)
{
	config_ctx_error(arg, second, "`" SLICE_FMT "` is given twice, first in line %u",
			 SLICE_ARG(first->key), first->key_pos.line);
}

static enum errc read_text(struct config_ctx *x, const char *path, struct slice *out,
			   const char **why)
{
	if (path != x->opts->path || !x->opts->text.p)
		return config_ctx_read_file(x, path, CONFIG_CTX_ALL, YAML_BYTES_MAX, out, why);
	*out = x->opts->text;
	return ERRC_OK;
}

struct yaml_node *config_file_read(struct config_ctx *x, const char *path, struct yaml_pos named)
{
	struct yaml_twice twice = {told_twice, x};
	struct yaml_node *root;
	struct yaml_pos where;
	struct slice text;
	struct buf message;
	const char *why;
	enum errc rc;

	if (read_text(x, path, &text, &why) != ERRC_OK) {
		config_ctx_error(x, named, "cannot read %s: %s", path, why);
		return NULL;
	}
	buf_init(&message, 4096);
	rc = yaml_parse(x->a, path, text, &twice, &root, &message, &where);
	if (rc == ERRC_NOMEM)
		config_ctx_nomem(x);
	else if (rc != ERRC_OK)
		config_ctx_error(x, where, SLICE_FMT, SLICE_ARG(buf_slice(&message)));
	buf_fini(&message);
	if (rc != ERRC_OK)
		return NULL;
	if (root->kind == YAML_MAP)
		return root;
	config_ctx_error(x, root->pos, "a configuration must be a mapping of settings");
	return NULL;
}

static bool take_variable(struct loading *l, struct yaml_pos pos, struct slice name,
			  struct slice *value)
{
	static char host[256];
	struct config_ctx *x = l->x;

	*value = SLICE_NONE;
	if (slice_is(name, "region")) {
		*value = l->region;
	} else if (slice_is(name, "hostname")) {
		*value = slice_str(x->opts->hostname);
		if (!value->p && gethostname(host, sizeof(host) - 1) == 0)
			*value = slice_str(host);
	} else if (slice_has_prefix(name, SLICE_LIT("env:"))) {
		*value = config_ctx_env(x, slice_sub(name, 4, name.n));
	} else {
		config_ctx_error(x, pos,
				 "unknown variable `${" SLICE_FMT
				 "}`: region, hostname and env:NAME are known",
				 SLICE_ARG(name));
		return false;
	}
	if (value->p)
		return true;
	config_ctx_error(x, pos, "`${" SLICE_FMT "}` is used here, but %s", SLICE_ARG(name),
			 slice_is(name, "region") ? "the main file sets no `region`"
						  : "it is not set");
	return false;
}

/* Replaces ${…}. False, with an error, when a variable is unknown or unset. */
static bool substitute(struct loading *l, struct yaml_pos pos, struct slice text, struct slice *out)
{
	struct slice result = {"", 0}, rest = text;

	for (;;) {
		ptrdiff_t at = slice_find(rest, SLICE_LIT("${")), end;
		struct slice value, name;

		if (at < 0)
			break;
		name = slice_sub(rest, (size_t)at + 2, rest.n);
		end = slice_chr(name, '}');
		if (end < 0) {
			config_ctx_error(l->x, pos, "`${` without `}`");
			return false;
		}
		if (!take_variable(l, pos, slice_sub(name, 0, (size_t)end), &value))
			return false;
		result = config_ctx_fmt(l->x, SLICE_FMT SLICE_FMT SLICE_FMT, SLICE_ARG(result),
					SLICE_ARG(slice_sub(rest, 0, (size_t)at)), SLICE_ARG(value));
		rest = slice_sub(name, (size_t)end + 1, name.n);
	}
	*out = config_ctx_fmt(l->x, SLICE_FMT SLICE_FMT, SLICE_ARG(result), SLICE_ARG(rest));
	return true;
}

/* The path of `name` as seen from the file at `pos`: not made absolute, so that messages stay short. */
static struct slice beside(struct config_ctx *x, struct yaml_pos pos, struct slice name,
			   bool is_pattern)
{
	const char *slash = strrchr(pos.file, '/');
	size_t folder_n = slash ? (size_t)(slash + 1 - pos.file) : 0, n = 0;
	char *out;

	if (name.p[0] == '/' || !slash)
		return name;
	out = config_ctx_array(x, 2 * folder_n + name.n + 1, 1);
	if (!out)
		return name;
	for (size_t i = 0; i < folder_n; i++) {
		if (is_pattern && strchr("*?[\\", pos.file[i]))
			out[n++] = '\\';
		out[n++] = pos.file[i];
	}
	memcpy(out + n, name.p, name.n);
	return slice_of(out, n + name.n);
}

/* glob() hands its function no argument; one thread reads configurations. */
static int unread_errno;

/* A folder that is not there holds nothing; of one that cannot be read that is not known. */
static int on_unread(const char *path, int err)
{
	(void)path;
	unread_errno = err;
	return err != ENOENT && err != ENOTDIR;
}

static int by_bytes(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

struct paths {
	struct slice *v;
	size_t n;
};

/* The files that a list item stands for, in byte order. */
static void expand(struct loading *l, const struct yaml_node *item, struct paths *out)
{
	struct config_ctx *x = l->x;
	struct slice text, path;
	glob_t g = {0};
	bool is_pattern;
	int rc;

	*out = (struct paths){0};
	if (!config_ctx_text(x, item, "include", "a list of file names", &text) ||
	    !substitute(l, item->pos, text, &text))
		return;
	if (text.n == 0 || text.n >= PATH_MAX || x->opts->text.p) {
		config_ctx_error(x, item->pos,
				 x->opts->text.p ? "other files cannot be named here"
						 : "a file name is expected");
		return;
	}
	is_pattern = strpbrk(text.p, "*?[") != NULL;
	path = beside(x, item->pos, text, is_pattern);
	rc = is_pattern ? glob(path.p, GLOB_NOSORT, on_unread, &g) : GLOB_NOMATCH;
	if (rc == GLOB_NOSPACE)
		config_ctx_nomem(x);
	else if (rc == GLOB_ABORTED)
		config_ctx_error(x, item->pos, "cannot look for %s: %s", text.p,
				 strerror(unread_errno));
	if (rc == GLOB_NOSPACE || rc == GLOB_ABORTED) {
		globfree(&g);
		return;
	}
	out->n = is_pattern ? g.gl_pathc : 1;
	out->v = config_ctx_array(x, out->n, sizeof(*out->v));
	if (!out->v) {
		out->n = 0;
	} else if (!is_pattern) {
		out->v[0] = path;
	} else if (g.gl_pathc) {
		qsort(g.gl_pathv, g.gl_pathc, sizeof(*g.gl_pathv), by_bytes);
		for (size_t i = 0; i < g.gl_pathc; i++)
			out->v[i] = config_ctx_fmt(x, "%s", g.gl_pathv[i]);
	}
	globfree(&g);
}

/* True the first time a file is met. A file that does not exist is new: reading it tells why. */
static bool is_new(struct loading *l, const char *path, struct yaml_pos named)
{
	struct stat st;

	if (stat(path, &st) != 0)
		return true;
	for (size_t i = 0; i < l->files_n; i++) {
		const struct file_id *f = &l->files[i];

		if (f->dev == st.st_dev && f->ino == st.st_ino) {
			config_ctx_error(l->x, named,
					 "%s is read a second time (first named in %s:%u:%u)", path,
					 f->named.file, f->named.line, f->named.column);
			return false;
		}
	}
	if (l->files_n == FILES_MAX) {
		config_ctx_error(l->x, named, "more than %d files", FILES_MAX);
		return false;
	}
	l->files[l->files_n++] = (struct file_id){st.st_dev, st.st_ino, named};
	return true;
}

/* A list of file names, or one. */
static const struct yaml_node *first_item(const struct yaml_node *list)
{
	if (!list || list->is_null)
		return NULL;
	return list->kind == YAML_LIST ? list->first : list;
}

static const struct yaml_node *next_item(const struct yaml_node *list, const struct yaml_node *item)
{
	return list->kind == YAML_LIST ? item->next : NULL;
}

static void note_overlays(struct loading *l, const struct yaml_node *list)
{
	for (const struct yaml_node *i = first_item(list); i; i = next_item(list, i)) {
		if (l->overlays_n == FILES_MAX) {
			config_ctx_error(l->x, i->pos, "more than %d overlays", FILES_MAX);
			return;
		}
		l->overlays[l->overlays_n++] = i;
	}
}

static void include_file(struct loading *l, const char *path, struct yaml_pos named, unsigned depth)
{
	struct yaml_node *file, *list;

	if (!is_new(l, path, named))
		return;
	file = config_file_read(l->x, path, named);
	if (!file)
		return;
	if (depth == 0) {
		const struct yaml_node *region = yaml_getz(file, "region");

		if (region && region->kind == YAML_SCALAR)
			l->region = region->text;
	}
	config_merge_names(l->x, file);
	note_overlays(l, yaml_getz(file, "overlay"));
	list = yaml_getz(file, "include");
	config_merge_include(l->x, l->root,
			     file); /* empties the file's mapping of all but these two */
	if (list && depth == DEPTH_MAX) {
		config_ctx_error(l->x, list->pos, "included more than %d files deep", DEPTH_MAX);
		return;
	}
	for (const struct yaml_node *i = first_item(list); i; i = next_item(list, i)) {
		struct paths paths;

		expand(l, i, &paths);
		for (size_t k = 0; k < paths.n; k++)
			include_file(l, paths.v[k].p, i->pos, depth + 1);
	}
}

static void overlay_file(struct loading *l, const char *path, struct yaml_pos named)
{
	struct yaml_node *file;

	if (!is_new(l, path, named))
		return;
	file = config_file_read(l->x, path, named);
	if (!file)
		return;
	config_merge_names(l->x, file);
	if (l->x->overlays_n < FILES_MAX)
		l->x->overlays[l->x->overlays_n++] = path;
	config_merge_overlay(l->x, l->root, file);
}

struct yaml_node *config_file_load(struct config_ctx *x, const char *path)
{
	struct yaml_pos main_pos = {path, 1, 1};
	struct loading *l = config_ctx_array(x, 1, sizeof(*l));

	x->overlays = config_ctx_array(x, FILES_MAX, sizeof(*x->overlays));
	if (!l || !x->overlays)
		return NULL;
	l->x = x;
	l->root = yaml_new(x->a, YAML_MAP, main_pos);
	if (!l->root) {
		config_ctx_nomem(x);
		return NULL;
	}
	include_file(l, path, main_pos, 0);
	for (size_t i = 0; i < l->overlays_n; i++) {
		struct paths paths;

		expand(l, l->overlays[i], &paths);
		for (size_t k = 0; k < paths.n; k++)
			overlay_file(l, paths.v[k].p, l->overlays[i]->pos);
	}
	return l->root;
}

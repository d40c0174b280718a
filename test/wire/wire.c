#include "wire.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define WIRE_FILE_MAX (1024 * 1024)

bool wire_has_kind(const struct wire *w, const char *kind)
{
	json_arr_each (it, json_obj_get(w->root, "kinds"))
		if (slice_is(json_str(it.val), kind))
			return true;
	return false;
}

static void wire_body(const struct json *v, struct buf *out)
{
	if (json_is_arr(v) && json_is_str(json_arr_at(v, 0))) {
		json_arr_each (it, v)
			require(buf_adds(out, json_str(it.val)) == ERRC_OK);
	} else if (json_is_str(v)) {
		require(buf_adds(out, json_str(v)) == ERRC_OK);
	} else if (v && !json_is_null(v)) {
		require(json_raw(v, out) == ERRC_OK);
	}
}

static void wire_load(const char *path, struct buf *text)
{
	FILE *f = fopen(path, "rb");
	char *p;
	size_t n;

	require(f != NULL);
	do {
		require(buf_reserve(text, 65536, &p) == ERRC_OK);
		n = fread(p, 1, 65536, f);
		buf_commit(text, n);
	} while (n);
	fclose(f);
}

static void wire_one(const char *path, void (*fn)(void *arg, const struct wire *w), void *arg)
{
	struct wire w = {0};
	const struct json *response, *request;
	struct buf text;

	buf_init(&text, WIRE_FILE_MAX);
	buf_init(&w.request, WIRE_FILE_MAX);
	buf_init(&w.response, WIRE_FILE_MAX);
	wire_load(path, &text);
	require(json_parse(buf_slice(&text), NULL, &w.doc) == ERRC_OK);
	w.root = json_root(w.doc);
	w.id = json_str(json_obj_get(w.root, "id"));
	w.dialect = json_str(json_obj_get(w.root, "dialect"));
	w.api = json_str(json_obj_get(w.root, "api"));
	w.provider = json_str(json_obj_get(w.root, "provider"));
	response = json_obj_get(w.root, "response");
	request = json_obj_get(w.root, "request");
	require(json_i64(json_obj_get(response, "status"), &w.status));
	w.is_sse = slice_is(json_str(json_obj_get(response, "body_encoding")), "sse");
	wire_body(json_obj_get(response, "body"), &w.response);
	if (json_is_obj(json_obj_get(request, "body")))
		wire_body(json_obj_get(request, "body"), &w.request);
	fn(arg, &w);
	json_free(&w.doc);
	buf_fini(&text);
	buf_fini(&w.request);
	buf_fini(&w.response);
}

static void wire_folder(const char *path, void (*fn)(void *arg, const struct wire *w), void *arg)
{
	DIR *dir = opendir(path);
	struct dirent *d;
	char name[1024];

	require(dir != NULL);
	while ((d = readdir(dir)) != NULL) {
		size_t len = strlen(d->d_name);

		snprintf(name, sizeof(name), "%s/%s", path, d->d_name);
		if (len > 5 && !strcmp(d->d_name + len - 5, ".json"))
			wire_one(name, fn, arg);
		else if (d->d_name[0] != '.')
			wire_folder(name, fn, arg);
	}
	closedir(dir);
}

static const char *exchanges(void)
{
	static char path[1024];
	const char *folder = getenv("AIGW_WIRE");

	snprintf(path, sizeof(path), "%s/exchanges", folder ? folder : "../shared/wire");
	return path;
}

bool wire_is_absent(void)
{
	if (access(exchanges(), R_OK | X_OK) == 0)
		return false;
	printf("1..0 # SKIP there are no recorded exchanges in %s\n", exchanges());
	return true;
}

void wire_each(void (*fn)(void *arg, const struct wire *w), void *arg)
{
	wire_folder(exchanges(), fn, arg);
}

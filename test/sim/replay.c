#include "replay.h"

#include <stdio.h>

#include "json.h"
#include "text.h"

#define FILE_MAX ((size_t)1 << 20)

static enum errc read_file(const char *dir, struct slice id, struct buf *out)
{
	char path[1024];
	FILE *f;
	char *room;
	enum errc e;

	if (slice_find(id, SLICE_LIT("..")) >= 0)
		return ERRC_NOTFOUND;
	snprintf(path, sizeof(path), "%s/" SLICE_FMT ".json", dir, SLICE_ARG(id));
	f = fopen(path, "rb");
	if (!f)
		return ERRC_NOTFOUND;
	e = buf_reserve(out, FILE_MAX, &room);
	if (!e)
		buf_commit(out, fread(room, 1, FILE_MAX, f));
	fclose(f);
	return e;
}

/* The body as it was on the wire (see `body_encoding`). */
static enum errc put_body(const struct json *response, struct buf *out)
{
	struct slice how = json_str(json_obj_get(response, "body_encoding"));
	const struct json *body = json_obj_get(response, "body");
	enum errc e = ERRC_OK;

	if (slice_is(how, "json"))
		return json_raw(body, out);
	if (slice_is(how, "base64"))
		return text_unbase64(out, json_str(body));
	if (slice_is(how, "text"))
		return buf_adds(out, json_str(body));
	json_arr_each (it, body)
		if (!e)
			e = slice_is(how, "eventstream") ? text_unbase64(out, json_str(it.val))
							 : buf_adds(out, json_str(it.val));
	return e;
}

enum errc replay_load(const char *dir, struct slice id, struct answer *a)
{
	struct buf file, body;
	struct json_doc *doc = NULL;
	const struct json *response;
	struct slice type;
	int64_t status;
	enum errc e;

	buf_init(&file, 2 * FILE_MAX);
	buf_init(&body, 2 * FILE_MAX);
	if ((e = read_file(dir, id, &file)) || (e = json_parse(buf_slice(&file), NULL, &doc)))
		goto out;
	response = json_obj_get(json_root(doc), "response");
	type = json_str(json_obj_get(json_obj_get(response, "headers"), "content-type"));
	if (!type.n)
		type = slice_is(json_str(json_obj_get(response, "body_encoding")), "sse")
			       ? SLICE_LIT("text/event-stream")
			       : SLICE_LIT("application/json");
	if (!json_i64(json_obj_get(response, "status"), &status))
		status = 200;
	e = put_body(response, &body);
	if (!e)
		e = answer_replay(a, (int)status, type, buf_slice(&body));
out:
	json_free(&doc);
	buf_fini(&file);
	buf_fini(&body);
	return e;
}

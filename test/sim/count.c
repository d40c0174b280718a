#include "count.h"

#include <sys/mman.h>

#include "json_out.h"

struct count *count_new(void)
{
	struct count *c =
		mmap(NULL, sizeof(*c), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	return c == MAP_FAILED ? NULL : c;
}

void count_reset(struct count *c)
{
	uint64_t serial = c->serial;

	memset(c, 0, sizeof(*c));
	c->serial = serial;
}

struct count_request *count_at(struct count *c, uint64_t serial)
{
	return &c->log[serial % COUNT_LOG];
}

static void put_request(struct json_out *o, const struct count_request *r)
{
	json_out_obj(o);
	json_out_ki64(o, "serial", (int64_t)r->serial);
	json_out_kstrz(o, "key", r->key);
	json_out_kstrz(o, "model", r->model);
	json_out_kstrz(o, "user", r->user);
	json_out_ki64(o, "status", r->status);
	json_out_ki64(o, "input", r->input);
	json_out_ki64(o, "cached", r->cached);
	json_out_ki64(o, "output", r->output);
	json_out_ki64(o, "events", r->events);
	json_out_ki64(o, "bytes", r->bytes);
	json_out_kbool(o, "whole", r->whole);
	json_out_kbool(o, "aborted", r->aborted);
	json_out_obj_end(o);
}

enum errc count_json(struct count *c, bool with_log, struct buf *out)
{
	struct json_out o;

	json_out_init(&o, out);
	json_out_obj(&o);
	json_out_ki64(&o, "connections", (int64_t)c->connections);
	json_out_ki64(&o, "tls_handshakes", (int64_t)c->tls_handshakes);
	json_out_ki64(&o, "requests", (int64_t)c->requests);
	json_out_ki64(&o, "whole", (int64_t)c->whole);
	json_out_ki64(&o, "aborted", (int64_t)c->aborted);
	json_out_ki64(&o, "input_tokens", (int64_t)c->input_tokens);
	json_out_ki64(&o, "output_tokens", (int64_t)c->output_tokens);
	json_out_ki64(&o, "bytes", (int64_t)c->bytes);
	if (with_log) {
		uint64_t to = c->serial, from = to > COUNT_LOG ? to - COUNT_LOG + 1 : 1;

		json_out_key(&o, "log");
		json_out_arr(&o);
		for (uint64_t i = from; i <= to; i++)
			if (count_at(c, i)->serial == i)
				put_request(&o, count_at(c, i));
		json_out_arr_end(&o);
	}
	json_out_obj_end(&o);
	return json_out_end(&o);
}

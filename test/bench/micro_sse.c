/* How long an event of 200 bytes takes: one a read, sixteen a read, cut in its middle, written. */
#include "micro.h"
#include "sse.h"

#define PUSH_EVENTS 16

static const char event[] = "data: "
			    "{\"id\":\"chatcmpl-0123456789\",\"object\":\"chat.completion.chunk\","
			    "\"created\":1795599000,"
			    "\"model\":\"gpt-5.2\",\"choices\":[{\"index\":0,\"delta\":{"
			    "\"content\":\" word\"},\"finish_reason\":"
			    "null}]}\n\n";

struct feed {
	struct sse s;
	struct slice one, many;
	struct buf out;
};

static void read_push(struct sse *s, struct slice in)
{
	struct sse_event ev;
	int rc;

	sse_push(s, in);
	while ((rc = sse_next(s, &ev)) > 0)
		;
	require(rc == 0);
}

static void read_one(void *arg)
{
	struct feed *f = arg;

	read_push(&f->s, f->one);
}

static void read_many(void *arg)
{
	struct feed *f = arg;

	read_push(&f->s, f->many);
}

static void read_cut(void *arg)
{
	struct feed *f = arg;

	read_push(&f->s, slice_sub(f->one, 0, 100));
	read_push(&f->s, slice_sub(f->one, 100, f->one.n));
}

static void write_one(void *arg)
{
	struct feed *f = arg;

	buf_reset(&f->out);
	require(!sse_put(&f->out, SLICE_NONE, slice_sub(f->one, 6, f->one.n - 8)));
}

int main(void)
{
	struct feed f = {.one = slice_str(event)};
	struct buf many;

	sse_init(&f.s, 1 << 20);
	buf_init(&f.out, 65536);
	buf_init(&many, 65536);
	for (int i = 0; i < PUSH_EVENTS; i++)
		require(!buf_adds(&many, f.one));
	f.many = buf_slice(&many);
	printf("event of %zu bytes\n", f.one.n);
	micro_run("one in a push", read_one, &f);
	micro_run("sixteen in a push, all", read_many, &f);
	micro_run("one cut in two", read_cut, &f);
	micro_run("one written", write_one, &f);
	sse_fini(&f.s);
	buf_fini(&f.out);
	buf_fini(&many);
	return 0;
}

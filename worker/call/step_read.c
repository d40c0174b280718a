/* The neutral form of a request, read once for the first candidate of another dialect. A body that would hold the loop up is read by a thread
 * of libuv's pool: it is a pure function of the body and the arena, and the call waits. */
#include "call_steps.h"
#include "mem.h"

#define LOOP_BYTES ((size_t)1 << 20) /* design 4: longer bodies are read off the loop */

/* Owned by the call, by libuv once the call has gone before its end. While the thread is at work, body and arena are the thread's. */
struct call_reading {
	uv_work_t work;
	uv_sem_t over;  /* the thread has let go of the call */
	struct call *c; /* NULL: gone */
	struct ir_request *ir;
	struct fault fault;
	enum errc e;
	bool done;
};

static void reading_free(struct call_reading *r)
{
	uv_sem_destroy(&r->over);
	mem_free(r);
}

bool call_needs_reading(const struct call *c, size_t at)
{
	const struct dialect_back *back = dialect_back(c->route.v[at].offer->provider->dialect);

	return !c->ir && !dialect_is_same(c->front, back);
}

static void read_off(uv_work_t *w)
{
	struct call_reading *r = CONTAINER_OF(w, struct call_reading, work);
	struct call *c = r->c;

	r->e = c->front->read_request(&c->facts, buf_slice(&c->body), &c->arena, &r->ir, &r->fault);
	uv_sem_post(&r->over);
}

static void read_done(uv_work_t *w, int status)
{
	struct call_reading *r = CONTAINER_OF(w, struct call_reading, work);

	if (!r->c) {
		reading_free(r);
		return;
	}
	if (status < 0)
		r->e = ERRC_CANCELED;
	r->done = true;
	call_wake(r->c);
}

static enum call_next refuse(struct call *c, enum errc e)
{
	fault_errc(&c->fault, e, "request");
	return call_end(c, e == ERRC_NOMEM ? RECORD_END_INTERNAL : RECORD_END_REJECTED);
}

static enum call_next begin_off(struct call *c)
{
	struct call_reading *r = mem_new_of(struct call_reading);

	if (!r)
		return refuse(c, ERRC_NOMEM);
	if (uv_sem_init(&r->over, 0)) {
		mem_free(r);
		return refuse(c, ERRC_NOMEM);
	}
	r->c = c;
	if (uv_queue_work(turn_loop(call_turn(c)), &r->work, read_off, read_done)) {
		reading_free(r);
		return refuse(c, ERRC_NOMEM);
	}
	c->off = r;
	return CALL_WAIT;
}

static enum call_next end_off(struct call *c)
{
	struct call_reading *r = c->off;
	enum errc e = r->e;

	c->ir = r->ir;
	if (e)
		c->fault = r->fault;
	c->off = NULL;
	reading_free(r);
	return e ? refuse(c, e) : CALL_MORE;
}

bool call_is_off(const struct call *c)
{
	return c->off && !c->off->done;
}

enum call_next step_read(struct call *c)
{
	enum errc e;

	if (c->off)
		return end_off(c);
	if (c->next >= c->route.n || !call_needs_reading(c, c->next))
		return CALL_MORE;
	if (c->body.len > LOOP_BYTES)
		return begin_off(c);
	e = c->front->read_request(&c->facts, buf_slice(&c->body), &c->arena, &c->ir, &c->fault);
	return e ? refuse(c, e) : CALL_MORE;
}

void call_read_forget(struct call *c)
{
	struct call_reading *r = c->off;

	c->off = NULL;
	if (!r)
		return;
	if (r->done) {
		reading_free(r);
		return;
	}
	/* Only the end of the process comes here: it has time for a thread that is at it. */
	if (uv_cancel((uv_req_t *)&r->work))
		uv_sem_wait(&r->over);
	r->c = NULL;
}

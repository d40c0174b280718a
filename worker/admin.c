#include "admin.h"

#include "accept.h"
#include "mem.h"
#include "metrics.h"
#include "worker_state.h"

#define METRICS_MAX (64 * 1024 * 1024) /* more than both tables of the page can hold */

struct admin {
	struct worker *w;
	struct down_host *host;
};

/* Whether the answer's own header lines fit. */
static bool put_fields(struct buf *fields, int status, const char *type)
{
	return http1_put_header(fields, "content-type", slice_str(type)) == ERRC_OK &&
	       (status != 405 ||
		http1_put_header(fields, "allow", SLICE_LIT("GET, HEAD")) == ERRC_OK);
}

static void answer(struct down_conn *dc, int status, const char *type, struct slice body)
{
	struct buf fields;
	struct down_answer a = {.status = status};

	buf_init(&fields, 512);
	if (put_fields(&fields, status, type)) {
		a.fields = buf_slice(&fields);
		if (down_conn_answer(dc, &a, &body, 1))
			down_conn_cut(dc);
	} else {
		down_conn_cut(dc);
	}
	buf_fini(&fields);
}

static void answer_metrics(struct admin *a, struct down_conn *dc)
{
	struct buf body;

	buf_init(&body, METRICS_MAX);
	if (metrics_print(a->w, &body))
		answer(dc, 500, "text/plain; charset=utf-8", SLICE_LIT("the metrics do not fit\n"));
	else
		answer(dc, 200, "text/plain; version=0.0.4; charset=utf-8", buf_slice(&body));
	buf_fini(&body);
}

static void answer_ready(struct admin *a, struct down_conn *dc)
{
	struct slice body;
	int status = call_host_ready(a->w->calls, &body);

	answer(dc, status, "application/json", body);
}

static void on_request(void *arg, struct down_conn *dc, const struct http1_head *head,
		       const struct down_fault *fault)
{
	struct admin *a = arg;
	struct uri_target t;

	down_conn_take(dc, &down_conn_deaf, NULL);
	if (fault)
		answer(dc, fault->status, "text/plain; charset=utf-8", slice_str(fault->text));
	else if (uri_split_target(head->target, &t))
		answer(dc, 400, "text/plain; charset=utf-8", SLICE_LIT("bad request target\n"));
	else if (!slice_is(head->method, "GET") && !slice_is(head->method, "HEAD"))
		answer(dc, 405, "text/plain; charset=utf-8", SLICE_LIT("read-only: GET and HEAD\n"));
	else if (slice_is(t.path, "/metrics"))
		answer_metrics(a, dc);
	else if (slice_is(t.path, "/healthz"))
		answer(dc, 200, "application/json", SLICE_LIT("{\"status\":\"ok\"}"));
	else if (slice_is(t.path, "/readyz"))
		answer_ready(a, dc);
	else
		answer(dc, 404, "text/plain; charset=utf-8",
		       SLICE_LIT("here are /metrics, /healthz and /readyz\n"));
}

static const struct down_host_events host_events = {.on_request = on_request};

enum errc admin_new(struct worker *w, struct admin **out)
{
	struct admin *a = mem_new_of(struct admin);
	struct down_opts o = DOWN_OPTS_DEFAULT;
	enum errc e;

	if (!a)
		return ERRC_NOMEM;
	a->w = w;
	o.body_max = 1024;
	e = down_host_new(w->turn, &o, accept_admin_set(w->accept), &host_events, a, &a->host);
	if (e) {
		mem_free(a);
		return e;
	}
	*out = a;
	return ERRC_OK;
}

void admin_free(struct admin **ap)
{
	struct admin *a = *ap;

	*ap = NULL;
	if (!a)
		return;
	down_host_free(&a->host);
	mem_free(a);
}

struct down_host *admin_host(struct admin *a)
{
	return a->host;
}

#include "sim.h"

#include <stdio.h>
#include <sys/socket.h>

#include "answer.h"
#include "http1.h"
#include "json.h"
#include "json_out.h"
#include "mem.h"
#include "replay.h"
#include "script.h"
#include "text.h"

#define BODY_MAX  ((size_t)64 << 20)
#define SMALL_MAX ((size_t)32 << 20)

struct sim {
	struct turn *turn;
	struct sim_opts o;
	struct listen_set *set;
	struct listen *listen;
	struct list conns;
	struct buf last; /* the last request as it came: head and body */
};

struct sim_conn {
	struct sim *sim;
	struct list node;
	struct xport *x;
	struct listen_peer peer;
	struct http1 http;
	struct buf in, body, head_text;
	struct answer answer;
	size_t sent, mark; /* of the wire */
	struct turn_timer timer;
	struct turn_task task, reap;
	struct count_request *rec;
	bool playing, eof, dead, post;
	char target[4096], key[24];
	int64_t wait_ms;
	int64_t chunk, gap_ms; /* of the script */
};

static void conn_end(struct sim_conn *c)
{
	if (c->dead)
		return;
	c->dead = true;
	if (c->rec && !c->rec->whole) {
		c->rec->aborted = true;
		c->sim->o.count->aborted++;
	}
	turn_timer_clear(&c->timer);
	xport_close(&c->x);
	turn_reap(&c->reap);
}

static void conn_reap(struct turn_task *k)
{
	struct sim_conn *c = CONTAINER_OF(k, struct sim_conn, reap);

	listen_set_gone(c->sim->set, &c->peer);
	turn_timer_clear(&c->timer);
	turn_task_fini(&c->task);
	list_remove(&c->node);
	http1_fini(&c->http);
	buf_fini(&c->in);
	buf_fini(&c->body);
	buf_fini(&c->head_text);
	answer_fini(&c->answer);
	mem_free(c);
}

/* Cuts the connection with a reset: closing with unread linger set to 0. */
static void conn_reset(struct sim_conn *c)
{
	struct linger l = {.l_onoff = 1, .l_linger = 0};
	int fd = xport_tcp_fd(c->x);

	if (fd >= 0)
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l));
	conn_end(c);
}

static void note_sent(struct sim_conn *c)
{
	struct count_request *r = c->rec;

	if (!r)
		return;
	r->bytes = (int64_t)c->sent;
	while (c->mark < c->answer.marks_n && c->answer.marks[c->mark].at <= c->sent) {
		const struct answer_mark *m = &c->answer.marks[c->mark++];

		c->sim->o.count->output_tokens += (uint64_t)(m->tokens - r->output);
		r->output = m->tokens;
		r->events = m->events;
		c->wait_ms += m->ms;
	}
}

static void finish(struct sim_conn *c)
{
	const struct answer *a = &c->answer;

	c->playing = false;
	if (c->rec && a->complete) {
		c->sim->o.count->output_tokens += (uint64_t)(a->output - c->rec->output);
		c->rec->output = a->output;
		c->rec->events = a->events;
		c->rec->whole = true;
		c->sim->o.count->whole++;
	}
	if (a->end == ANSWER_KEEP) {
		c->rec = NULL;
		turn_wake(&c->task);
	} else if (a->end == ANSWER_RESET) {
		conn_reset(c);
	} else if (a->end == ANSWER_CLOSE) {
		c->rec = NULL;
		xport_shutdown(c->x);
		conn_end(c);
	}
}

/* How much may go out now: up to the next mark that waits, and no more than the script's chunk. */
static size_t window(const struct sim_conn *c)
{
	size_t to = c->answer.wire.len;

	for (size_t i = c->mark; i < c->answer.marks_n; i++) {
		if (c->answer.marks[i].ms == 0)
			continue;
		to = MIN_OF(to, c->answer.marks[i].at);
		break;
	}
	if (c->chunk > 0)
		to = MIN_OF(to, c->sent + (size_t)c->chunk);
	return to;
}

static void play(struct sim_conn *c)
{
	static const char endless[] = "10\r\n: more and more\r\r\n";

	while (!c->dead && c->playing) {
		size_t to = window(c), taken = 0;
		struct iovec v = {c->answer.wire.p + c->sent, to - c->sent};

		if (v.iov_len > 0 && xport_write(c->x, &v, 1, &taken)) {
			conn_end(c);
			return;
		}
		c->sent += taken;
		c->sim->o.count->bytes += taken;
		note_sent(c);
		if (c->sent < to)
			return; /* on_writable goes on */
		if (c->sent == c->answer.wire.len && c->answer.end == ANSWER_ENDLESS) {
			c->answer.wire.len = 0;
			c->sent = 0;
			if (buf_add(&c->answer.wire, endless, sizeof(endless) - 1)) {
				conn_end(c);
				return;
			}
			turn_timer_set(&c->timer, turn_now_ms(c->sim->turn) + 1);
			return;
		}
		if (c->sent == c->answer.wire.len && c->wait_ms == 0) {
			finish(c);
			return;
		}
		if (c->chunk > 0)
			c->wait_ms += c->gap_ms;
		if (c->wait_ms > 0 || c->chunk > 0) {
			turn_timer_set(&c->timer, turn_now_ms(c->sim->turn) + c->wait_ms);
			c->wait_ms = 0;
			return;
		}
	}
}

static void answer_small(struct sim_conn *c, int status, struct slice body)
{
	c->rec = NULL;
	c->sent = c->mark = 0;
	c->wait_ms = 0;
	if (answer_replay(&c->answer, status, SLICE_LIT("application/json"), body)) {
		conn_end(c);
		return;
	}
	c->playing = true;
}

/* GET /sim/counts, /sim/requests, /sim/last; POST /sim/reset. */
static void serve_own(struct sim_conn *c)
{
	struct sim *s = c->sim;
	struct buf b;
	struct json_out o;
	enum errc e = ERRC_OK;

	buf_init(&b, SMALL_MAX);
	if (!strcmp(c->target, "/sim/reset")) {
		count_reset(s->o.count);
		e = buf_addz(&b, "{}");
	} else if (!strcmp(c->target, "/sim/last")) {
		json_out_init(&o, &b);
		json_out_str(&o, buf_slice(&s->last));
		e = json_out_end(&o);
	} else {
		e = count_json(s->o.count, !strcmp(c->target, "/sim/requests"), &b);
	}
	answer_small(c, e ? 500 : 200, buf_slice(&b));
	buf_fini(&b);
}

static bool api_of(const char *target, enum answer_api *api)
{
	static const struct {
		const char *end;
		enum answer_api api;
	} paths[] = {{"/chat/completions", ANSWER_CHAT},
		     {"/completions", ANSWER_COMPLETIONS},
		     {"/embeddings", ANSWER_EMBEDDINGS},
		     {"/messages", ANSWER_MESSAGES},
		     {"/models", ANSWER_MODELS}};
	struct slice path = slice_str(target), query = path;

	slice_cut(&query, '?', &path);
	for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
		if (!slice_has_suffix(path, slice_str(paths[i].end)))
			continue;
		*api = paths[i].api;
		return true;
	}
	return false;
}

static void read_ask(const struct json *root, struct answer_ask *ask)
{
	const struct json *cap = json_obj_get(root, "max_completion_tokens");

	ask->model = json_str(json_obj_get(root, "model"));
	ask->user = json_str(json_obj_get(root, "user"));
	if (ask->user.n == 0)
		ask->user = json_str(json_obj_get(json_obj_get(root, "metadata"), "user_id"));
	ask->stream = json_is_true(json_obj_get(root, "stream"));
	ask->include_usage =
		json_is_true(json_obj_get(json_obj_get(root, "stream_options"), "include_usage"));
	ask->base64 = slice_is(json_str(json_obj_get(root, "encoding_format")), "base64");
	if (!cap)
		cap = json_obj_get(root, "max_tokens");
	if (!json_i64(cap, &ask->cap))
		ask->cap = 0;
	if (!json_i64(json_obj_get(root, "n"), &ask->n) || ask->n < 1)
		ask->n = 1;
	ask->inputs = json_is_arr(json_obj_get(root, "input"))
			      ? (int64_t)json_count(json_obj_get(root, "input"))
			      : 1;
}

/* Whether this request is one of those that go wrong. */
static bool is_faulty(struct sim_conn *c, const struct answer_ask *ask, const struct script *s)
{
	if (s->bad_key[0])
		return slice_has_suffix(slice_str(c->key), slice_str(s->bad_key));
	if (s->fail_first == 0)
		return true;
	return c->sim->o.count->fails[text_hash(ask->model) & 255]++ < (uint64_t)s->fail_first;
}

static void start_request(struct sim_conn *c, const struct answer_ask *ask, const struct script *s)
{
	struct count *n = c->sim->o.count;
	struct count_request *r = count_at(n, ask->serial);
	bool faulty = is_faulty(c, ask, s);

	if (answer_make(&c->answer, ask, s, faulty)) {
		conn_end(c);
		return;
	}
	memset(r, 0, sizeof(*r));
	r->serial = ask->serial;
	r->status = faulty ? (int)s->status : 200;
	r->input = c->answer.input;
	r->cached = c->answer.cached;
	snprintf(r->key, sizeof(r->key), "%s", c->key);
	snprintf(r->model, sizeof(r->model), "%.*s", (int)ask->model.n, ask->model.p);
	snprintf(r->user, sizeof(r->user), "%.*s", (int)ask->user.n, ask->user.p);
	n->requests++;
	n->input_tokens += (uint64_t)c->answer.input;
	c->rec = r;
	c->sent = c->mark = 0;
	c->wait_ms = 0;
	c->playing = true;
	if (s->delay > 0)
		turn_timer_set(&c->timer, turn_now_ms(c->sim->turn) + s->delay);
}

static void serve_replay(struct sim_conn *c, struct slice id)
{
	c->sent = c->mark = 0;
	c->wait_ms = 0;
	c->rec = NULL;
	if (!c->sim->o.exchanges || replay_load(c->sim->o.exchanges, id, &c->answer))
		answer_small(c, 404, SLICE_LIT("{\"error\":{\"message\":\"no such exchange\"}}"));
	c->playing = true;
}

static void serve(struct sim_conn *c)
{
	struct answer_ask ask = {
		.n = 1, .body_bytes = c->body.len, .now_s = turn_wall_ms(c->sim->turn) / 1000};
	struct json_doc *doc = NULL;
	struct script script;
	struct slice bad;

	c->chunk = c->gap_ms = 0;
	if (!strncmp(c->target, "/sim/", 5)) {
		serve_own(c);
		return;
	}
	if (!api_of(c->target, &ask.api)) {
		answer_small(c, 404,
			     SLICE_LIT("{\"error\":{\"message\":\"no such "
				       "path\",\"type\":\"invalid_request_error\"}}"));
		return;
	}
	if (c->post && json_parse(buf_slice(&c->body), NULL, &doc)) {
		answer_small(c, 400,
			     SLICE_LIT("{\"error\":{\"message\":\"the body is not "
				       "JSON\",\"type\":\"invalid_request_error\"}}"));
		return;
	}
	if (doc)
		read_ask(json_root(doc), &ask);
	ask.serial = ++c->sim->o.count->serial;
	if (slice_has_prefix(ask.model, SLICE_LIT("replay:"))) {
		serve_replay(c, slice_sub(ask.model, 7, ask.model.n));
	} else if (script_parse(ask.model, &script, &bad)) {
		answer_small(c, 400,
			     SLICE_LIT("{\"error\":{\"message\":\"the model name is no "
				       "script\",\"type\":\"invalid_request_error\"}}"));
	} else {
		c->chunk = script.chunk;
		c->gap_ms = script.gap;
		start_request(c, &ask, &script);
	}
	json_free(&doc);
}

/* The request's end of credential, its path, its bytes for GET /sim/last. */
static void take_head(struct sim_conn *c)
{
	const struct http1_head *h = &c->http.head;
	struct slice key = http1_header(h, "authorization");

	if (!key.n)
		key = http1_header(h, "x-api-key");
	if (!key.n)
		key = http1_header(h, "api-key");
	snprintf(c->target, sizeof(c->target), "%.*s", (int)h->target.n, h->target.p);
	key = slice_sub(key, key.n > 20 ? key.n - 20 : 0, 20);
	snprintf(c->key, sizeof(c->key), "%.*s", (int)key.n, key.p);
	c->post = slice_is(h->method, "POST");
	buf_reset(&c->body);
	buf_reset(&c->head_text);
	(void)!buf_addf(&c->head_text, SLICE_FMT " " SLICE_FMT "\n", SLICE_ARG(h->method),
			SLICE_ARG(h->target));
	for (size_t i = 0; i < h->field_count; i++)
		(void)!buf_addf(&c->head_text, SLICE_FMT ": " SLICE_FMT "\n",
				SLICE_ARG(h->fields[i].name), SLICE_ARG(h->fields[i].value));
}

static void keep_last(struct sim_conn *c)
{
	struct buf *b = &c->sim->last;

	if (!strncmp(c->target, "/sim/", 5) || c->body.len > (1 << 20))
		return;
	buf_reset(b);
	(void)!buf_adds(b, buf_slice(&c->head_text));
	(void)!buf_addz(b, "\n");
	(void)!buf_adds(b, buf_slice(&c->body));
}

/* Reads what lies in `in`; at a request's end its answer begins. One request at a time. */
static void read_in(struct sim_conn *c)
{
	struct slice in = buf_slice(&c->in), body;
	int got = HTTP1_BODY;

	while (!c->playing && !c->dead && got > 0) {
		got = http1_next(&c->http, &in, &body);
		if (got == HTTP1_HEAD) {
			take_head(c);
			if (c->http.head.expect_continue) {
				static char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
				struct iovec v = {go_on, sizeof(go_on) - 1};
				size_t taken;

				(void)!xport_write(c->x, &v, 1, &taken);
			}
		} else if (got == HTTP1_BODY && buf_adds(&c->body, body)) {
			got = -(int)ERRC_LIMIT;
		} else if (got == HTTP1_DONE) {
			keep_last(c);
			serve(c);
		}
	}
	if (got < 0) {
		conn_end(c);
		return;
	}
	buf_drop_front(&c->in, c->in.len - in.n);
}

static void conn_run(struct turn_task *k)
{
	struct sim_conn *c = CONTAINER_OF(k, struct sim_conn, task);

	if (c->dead)
		return;
	if (!c->playing)
		read_in(c);
	if (!c->dead && c->playing && !turn_timer_is_set(&c->timer))
		play(c);
	if (!c->dead && c->eof && !c->playing)
		conn_end(c);
}

static void conn_timer(struct turn_timer *m)
{
	turn_wake(&CONTAINER_OF(m, struct sim_conn, timer)->task);
}

static void on_data(void *arg, struct slice data)
{
	struct sim_conn *c = arg;

	if (buf_adds(&c->in, data))
		conn_end(c);
	else
		turn_wake(&c->task);
}

static void on_eof(void *arg)
{
	struct sim_conn *c = arg;

	c->eof = true;
	if (c->playing)
		conn_end(c); /* the client left: what is left of the answer is not sent */
	else
		turn_wake(&c->task);
}

static void on_error(void *arg, enum errc e)
{
	(void)e;
	conn_end(arg);
}

static void on_writable(void *arg)
{
	struct sim_conn *c = arg;

	turn_wake(&c->task);
}

static void on_hangup(void *arg)
{
	(void)arg;
}

static const struct xport_events conn_events = {.on_data = on_data,
						.on_eof = on_eof,
						.on_error = on_error,
						.on_writable = on_writable,
						.on_hangup = on_hangup};

static void on_conn(void *arg, struct xport *x, const struct listen_peer *peer)
{
	static const struct http1_limits limits = {
		.line_max = 65536, .head_max = 1 << 20, .headers_max = 1000};
	struct sim *s = arg;
	struct sim_conn *c = mem_new_of(struct sim_conn);

	if (!c) {
		xport_close(&x);
		listen_set_gone(s->set, peer);
		return;
	}
	c->sim = s;
	c->x = x;
	c->peer = *peer;
	http1_init(&c->http, HTTP1_REQUEST, &limits);
	buf_init(&c->in, BODY_MAX);
	buf_init(&c->body, BODY_MAX);
	buf_init(&c->head_text, 1 << 20);
	answer_init(&c->answer);
	turn_timer_init(&c->timer, s->turn, conn_timer);
	turn_task_init(&c->task, s->turn, conn_run);
	turn_task_init(&c->reap, s->turn, conn_reap);
	list_push_back(&s->conns, &c->node);
	s->o.count->connections++;
	s->o.count->tls_handshakes += s->o.tls != NULL;
	xport_set_events(x, &conn_events, c);
	xport_read_start(x);
}

static void on_drained(void *arg)
{
	(void)arg;
}

static const struct listen_events listener = {.on_conn = on_conn, .on_drained = on_drained};

enum errc sim_new(struct turn *t, const struct sim_opts *o, struct sim **out)
{
	struct sim *s = mem_new_of(struct sim);
	struct listen_opts lo = {.tls = o->tls, .tls_ms = 10000};
	enum errc e;

	if (!s)
		return ERRC_NOMEM;
	s->turn = t;
	s->o = *o;
	list_init(&s->conns);
	buf_init(&s->last, SMALL_MAX);
	if ((e = listen_set_new(t, 100000, 100000, &s->set)) ||
	    (e = listen_open(s->set, o->fd, &lo, &listener, s, &s->listen))) {
		sim_free(&s);
		return e;
	}
	*out = s;
	return ERRC_OK;
}

void sim_free(struct sim **sp)
{
	struct sim *s = *sp;

	*sp = NULL;
	if (!s)
		return;
	list_each_safe (n, &s->conns)
		conn_end(list_entry(n, struct sim_conn, node));
	listen_close(&s->listen);
	listen_set_free(&s->set);
	buf_fini(&s->last);
	mem_free(s);
}

#include <stdio.h>
#include <unistd.h>

#include "ask.h"
#include "chat_answer.h"
#include "chat_http.h"
#include "clock.h"
#include "interrupt.h"
#include "json_out.h"
#include "money.h"

#define TEXT_BYTES_MAX (16 * 1024 * 1024)

struct chat {
	struct ctl *c;
	struct chat_answer answer;
	struct buf body, request;
	char url[512];
	int64_t begin_ms, first_ms; /* boot clock; first_ms 0: no text yet */
	bool ends_line;             /* the last byte printed was a line end */
};

/* --- where to --- */

static void put_url(struct chat *h, const struct ask_row *r)
{
	struct slice address = ask_str(r, "address"), host = address;

	for (size_t i = address.n; i-- > 0;) {
		if (address.p[i] == ':') {
			host = slice_sub(address, 0, i);
			break;
		}
	}
	if (slice_is(host, "0.0.0.0"))
		host = SLICE_LIT("127.0.0.1");
	else if (slice_is(host, "[::]"))
		host = SLICE_LIT("[::1]");
	snprintf(h->url, sizeof(h->url), "http://" SLICE_FMT ":%lld", SLICE_ARG(host),
		 (long long)ask_i64(r, "port"));
}

/* The first plain listener of the daemon. */
static enum control_status ask_url(struct chat *h)
{
	struct ask_answer a;
	enum control_status status = ask(h->c, CONTROL_DO_STATUS, NULL, 0, &a);

	for (size_t i = 0; i < a.n && !h->url[0]; i++) {
		const struct ask_row *r = &a.rows[i];

		if (slice_is(r->kind, "listener") && !control_get_bool(r->f, r->n, "admin") &&
		    !control_get_bool(r->f, r->n, "tls"))
			put_url(h, r);
	}
	ask_fini(&a);
	if (status == CONTROL_DONE && !h->url[0])
		return ctl_fail(h->c, CONTROL_REFUSED, "no_listener",
				"the daemon has no listener without TLS; name one with --url");
	return status;
}

static enum control_status find_url(struct chat *h, struct uri *u)
{
	struct slice url = parse_local_str(&h->c->p, "url");
	enum control_status status = CONTROL_DONE;

	if (url.n >= sizeof(h->url))
		return ctl_fail(h->c, CONTROL_USAGE, "usage", "--url is too long");
	if (url.p)
		memcpy(h->url, url.p, url.n);
	else
		status = ask_url(h);
	if (status)
		return status;
	if (uri_parse(slice_str(h->url), u))
		return ctl_fail(h->c, CONTROL_USAGE, "usage",
				"--url: '%s' is no address such as http://127.0.0.1:8080", h->url);
	if (u->tls)
		return ctl_fail(h->c, CONTROL_USAGE, "usage", "--url: chat speaks plain http only");
	/* The base_url of SDKs is understood too. */
	if (slice_has_suffix(u->path, SLICE_LIT("/v1")))
		u->path = slice_sub(u->path, 0, u->path.n - 3);
	return CONTROL_DONE;
}

static struct slice find_key(struct ctl *c)
{
	struct slice key = parse_local_str(&c->p, "key");

	return key.p ? key : slice_str(term_env(c->env, "AIGW_API_KEY"));
}

/* --- the request --- */

static enum errc read_stdin(struct buf *out)
{
	ssize_t n = 1;
	char *room;

	while (n > 0) {
		enum errc e = buf_reserve(out, 65536, &room);

		if (e)
			return e;
		n = read(STDIN_FILENO, room, 65536);
		if (n > 0)
			buf_commit(out, (size_t)n);
	}
	return n < 0 ? ERRC_IO : ERRC_OK;
}

static void put_message(struct json_out *o, const char *role, struct slice text)
{
	json_out_obj(o);
	json_out_kstrz(o, "role", role);
	json_out_kstr(o, "content", text);
	json_out_obj_end(o);
}

static enum errc make_body(struct chat *h)
{
	const struct parse *p = &h->c->p;
	struct slice text = parse_local_str(p, "text"), system = parse_local_str(p, "system");
	int64_t max = parse_local_i64(p, "max_tokens", -1);
	struct buf from_stdin;
	struct json_out o;
	enum errc e = ERRC_OK;

	buf_init(&from_stdin, TEXT_BYTES_MAX);
	if (slice_is(text, "-")) {
		e = read_stdin(&from_stdin);
		text = buf_slice(&from_stdin);
	}
	json_out_init(&o, &h->body);
	json_out_obj(&o);
	json_out_kstr(&o, "model", parse_local_str(p, "model"));
	json_out_key(&o, "messages");
	json_out_arr(&o);
	if (system.p)
		put_message(&o, "system", system);
	put_message(&o, "user", text);
	json_out_arr_end(&o);
	if (max >= 0)
		json_out_ki64(&o, "max_tokens", max);
	json_out_kbool(&o, "stream", true);
	json_out_kraw(&o, "stream_options", SLICE_LIT("{\"include_usage\":true}"));
	json_out_obj_end(&o);
	if (!e)
		e = json_out_end(&o);
	buf_fini(&from_stdin);
	return e;
}

/* --- the answer --- */

static void on_text(void *arg, struct slice text)
{
	struct chat *h = arg;

	if (!h->first_ms)
		h->first_ms = clock_boot_ms();
	if (h->c->json)
		return;
	if (h->c->out.is_tty)
		put_lines(&h->c->text, text);
	else
		put_s(&h->c->text, text);
	h->ends_line = text.p[text.n - 1] == '\n';
	(void)!ctl_flush(h->c);
}

static bool on_head(void *arg, const struct http1_head *head)
{
	chat_answer_head(&((struct chat *)arg)->answer, head);
	return true;
}

static bool on_body(void *arg, struct slice part)
{
	struct chat *h = arg;

	return chat_answer_body(&h->answer, part) && !h->c->text.err;
}

static void show_summary(struct chat *h)
{
	const struct chat_answer *a = &h->answer;
	char cost[MONEY_TEXT_MAX];
	struct put p;

	put_init(&p);
	if (a->has_usage) {
		put_f(&p, "%lld tokens in", (long long)a->input);
		if (a->cached)
			put_f(&p, " (%lld cached)", (long long)a->cached);
		put_f(&p, ", %lld out", (long long)a->output);
		if (a->reasoning)
			put_f(&p, " (%lld reasoning)", (long long)a->reasoning);
	} else
		put_z(&p, "usage unknown");
	if (a->cost_nusd >= 0) {
		money_print(a->cost_nusd, 2, cost);
		put_f(&p, ", $%s", cost);
	}
	if (a->provider[0])
		put_f(&p, ", by %s", a->provider);
	if (h->first_ms)
		put_f(&p, ", first text after %lld ms", (long long)(h->first_ms - h->begin_ms));
	put_f(&p, ", %lld ms in all", (long long)(clock_boot_ms() - h->begin_ms));
	if (a->request_id[0])
		put_f(&p, ", request %s", a->request_id);
	put_z(&h->c->text, h->ends_line || !a->text_bytes ? "" : "\n");
	if (ctl_flush(h->c)) {
		struct put line;

		put_init(&line);
		term_put(&h->c->err, &line, TERM_DIM, buf_slice(&p.b));
		put_z(&line, "\n");
		(void)!put_flush(&line, h->c->err.fd);
		put_fini(&line);
	}
	put_fini(&p);
}

static void show_json(struct chat *h)
{
	const struct chat_answer *a = &h->answer;
	struct json_out o;

	json_out_init(&o, &h->c->text.b);
	json_out_obj(&o);
	json_out_kstr(&o, "text", buf_slice(&a->whole));
	json_out_kstrz(&o, "finish_reason", a->finish[0] ? a->finish : NULL);
	json_out_kstrz(&o, "model", a->model[0] ? a->model : NULL);
	json_out_kstrz(&o, "provider", a->provider[0] ? a->provider : NULL);
	json_out_kstrz(&o, "request_id", a->request_id[0] ? a->request_id : NULL);
	if (a->has_usage) {
		json_out_ki64(&o, "input", a->input);
		json_out_ki64(&o, "cached", a->cached);
		json_out_ki64(&o, "output", a->output);
		json_out_ki64(&o, "reasoning", a->reasoning);
	}
	json_out_key(&o, "cost_usd");
	if (a->cost_nusd >= 0)
		json_out_decimal(&o, a->cost_nusd, 9, 1);
	else
		json_out_null(&o);
	json_out_ki64(&o, "time_ms", clock_boot_ms() - h->begin_ms);
	json_out_obj_end(&o);
	put_fail(&h->c->text, json_out_end(&o));
	put_z(&h->c->text, "\n");
}

/* --- the end --- */

static enum control_status refused(struct chat *h)
{
	const struct chat_answer *a = &h->answer;
	enum control_status status = CONTROL_REFUSED;

	if (a->status == 401 || a->status == 403)
		status = CONTROL_NOT_ALLOWED;
	else if (a->status == 404)
		status = CONTROL_NOT_FOUND;
	return ctl_fail(h->c, status, a->code[0] ? a->code : "failed", "%s%s%s%s", a->message,
			a->request_id[0] ? " (request " : "", a->request_id,
			a->request_id[0] ? ")" : "");
}

static enum control_status judge(struct chat *h, enum errc e)
{
	const struct chat_answer *a = &h->answer;
	const char *id = a->request_id[0] ? a->request_id : "unknown";

	if (a->has_error)
		return refused(h);
	if (a->is_done && !a->err)
		return CONTROL_DONE;
	if (e == ERRC_CANCELED)
		return ctl_fail(h->c, CONTROL_REFUSED, "cancelled",
				"cancelled; what was received is charged (request %s)", id);
	if (e == ERRC_TIMEOUT)
		return ctl_fail(h->c, CONTROL_TIMED_OUT, "timed_out", "%s has not answered in time",
				h->url);
	if (e == ERRC_TRUNCATED || e == ERRC_CONNRESET || (!e && !a->err))
		return ctl_fail(h->c, CONTROL_REFUSED, "cut", "the answer was cut off (request %s)",
				id);
	if (e || a->err)
		return ctl_fail(h->c, CONTROL_REFUSED, "failed", "the answer cannot be read: %s",
				errc_text(a->err ? a->err : e));
	return CONTROL_DONE;
}

static enum control_status talk(struct chat *h, const struct uri *u)
{
	static const struct chat_http_events events = {.on_head = on_head, .on_body = on_body};
	int timeout_ms = (int)MIN_OF(
		    parse_local_i64(&h->c->p, "timeout_ms", h->c->p.cmd->timeout_ms), INT32_MAX),
	    fd = -1;
	enum control_status status;
	char why[512];
	enum errc e;

	interrupt_catch();
	h->begin_ms = clock_boot_ms();
	if (chat_http_dial(u, timeout_ms, &fd, why, sizeof(why)))
		return ctl_fail(h->c, CONTROL_REFUSED, "unreachable", "%s", why);
	e = chat_http_talk(fd, buf_slice(&h->request), timeout_ms, &events, h);
	close(fd);
	if (!e)
		chat_answer_end(&h->answer);
	status = judge(h, e);
	if (status == CONTROL_DONE && h->c->json)
		show_json(h);
	else if (!h->c->json && (status == CONTROL_DONE || h->answer.text_bytes))
		show_summary(h);
	return status;
}

enum control_status cmd_chat(struct ctl *c)
{
	struct slice key = find_key(c);
	struct chat h = {.c = c};
	enum control_status status;
	struct uri u;
	enum errc e;

	if (key.n == 0)
		return ctl_fail(c, CONTROL_USAGE, "usage",
				"an API key is needed: --key KEY or AIGW_API_KEY");
	chat_answer_init(&h.answer, on_text, &h);
	buf_init(&h.body, 6 * TEXT_BYTES_MAX);
	buf_init(&h.request, 7 * TEXT_BYTES_MAX);
	status = find_url(&h, &u);
	if (status == CONTROL_DONE) {
		e = make_body(&h);
		if (!e)
			e = chat_http_request(&h.request, &u, "/v1/chat/completions", key,
					      buf_slice(&h.body));
		if (e == ERRC_INVAL)
			status = ctl_fail(c, CONTROL_USAGE, "usage",
					  "the key holds characters that no key has");
		else if (e)
			status = ctl_fail(c, CONTROL_REFUSED, "failed", "%s", errc_text(e));
	}
	if (status == CONTROL_DONE)
		status = talk(&h, &u);
	buf_fini(&h.request);
	buf_fini(&h.body);
	chat_answer_fini(&h.answer);
	return status;
}

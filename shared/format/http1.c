#include "http1.h"

#include <llhttp.h>

#include "mem.h"
#include "text.h"

enum { IDLE, HEAD, BODY, FAILED };

#define FIELDS_FIRST      24 /* what most clients send fits at once */
#define TEXT_FIRST        1024
#define BLANK_LINES_MAX   2 /* before a first line: old clients send one CRLF too many */
#define INFORMATIONAL_MAX 16

static const char unknown_coding[] = "transfer coding not understood";

void http1_init(struct http1 *h, enum http1_kind kind, const struct http1_limits *limits)
{
	*h = (struct http1){.kind = kind, .limits = *limits};
	buf_init(&h->text, limits->head_max);
}

void http1_fini(struct http1 *h)
{
	buf_fini(&h->text);
	mem_free(h->fields);
	h->fields = NULL;
	h->field_cap = 0;
}

bool http1_is_idle(const struct http1 *h)
{
	return h->state == IDLE;
}

void http1_drop_fields(struct http1 *h)
{
	require(h->state == IDLE || h->state == BODY);
	h->head.method = h->head.target = h->head.reason = SLICE_NONE;
	h->head.fields = NULL;
	h->head.field_count = 0;
	h->head.names = 0;
	http1_fini(h);
}

void http1_relax(struct http1 *h)
{
	require(h->state == IDLE);
	h->head = (struct http1_head){0};
	http1_fini(h);
}

void http1_answers_head(struct http1 *h, bool yes)
{
	h->answers_head = yes;
}

static int refuse(struct http1 *h, enum http1_fault fault, const char *why)
{
	static const enum errc codes[] = {
		[HTTP1_FAULT_SYNTAX] = ERRC_PROTOCOL, [HTTP1_FAULT_LINE] = ERRC_TOOBIG,
		[HTTP1_FAULT_HEAD] = ERRC_TOOBIG,     [HTTP1_FAULT_CODING] = ERRC_PROTOCOL,
		[HTTP1_FAULT_VERSION] = ERRC_VERSION, [HTTP1_FAULT_MEMORY] = ERRC_NOMEM,
	};

	h->state = FAILED;
	h->fault = fault;
	h->why = why;
	return -(int)codes[fault];
}

static int no_memory(struct http1 *h)
{
	return refuse(h, HTTP1_FAULT_MEMORY, "out of memory");
}

int http1_fault_status(const struct http1 *h)
{
	static const int statuses[] = {
		[HTTP1_FAULT_NONE] = 200,   [HTTP1_FAULT_SYNTAX] = 400, [HTTP1_FAULT_LINE] = 414,
		[HTTP1_FAULT_HEAD] = 431,   [HTTP1_FAULT_CODING] = 501, [HTTP1_FAULT_VERSION] = 505,
		[HTTP1_FAULT_MEMORY] = 500,
	};

	return statuses[h->fault];
}

/* The only field of that name, NULL without one; *twice tells of a second. */
static const struct http1_field *only(const struct http1_head *head, const char *name, bool *twice)
{
	const struct http1_field *f = http1_find(head, name);

	*twice = f && http1_find_next(head, name, f);
	return f;
}

static int judge_length(struct http1 *h)
{
	bool twice_length, twice_coding;
	const struct http1_field *length = only(&h->head, "content-length", &twice_length);
	const struct http1_field *coding = only(&h->head, "transfer-encoding", &twice_coding);
	uint64_t n;

	h->head.content_length = -1;
	if (length && coding)
		return refuse(h, HTTP1_FAULT_SYNTAX, "content-length beside transfer-encoding");
	if (twice_length || twice_coding)
		return refuse(h, HTTP1_FAULT_SYNTAX, "length of the body given twice");
	if (length) {
		if (length->value.n > 18 || !text_u64(length->value, &n))
			return refuse(h, HTTP1_FAULT_SYNTAX, "malformed content-length");
		h->head.content_length = (int64_t)n;
	}
	if (coding) {
		if (h->head.version_minor == 0)
			return refuse(h, HTTP1_FAULT_SYNTAX, "transfer-encoding in HTTP/1.0");
		if (!slice_ieq(coding->value, SLICE_LIT("chunked")))
			return refuse(h, HTTP1_FAULT_CODING, unknown_coding);
		h->head.chunked = true;
	}
	return 0;
}

/* --- llhttp, over the whole head at once: its spans then are the fields --- */

static int on_method(llhttp_t *p, const char *at, size_t n)
{
	((struct http1 *)p->data)->head.method = slice_of(at, n);
	return 0;
}

static int on_url(llhttp_t *p, const char *at, size_t n)
{
	((struct http1 *)p->data)->head.target = slice_of(at, n);
	return 0;
}

static int on_status(llhttp_t *p, const char *at, size_t n)
{
	((struct http1 *)p->data)->head.reason = slice_of(at, n);
	return 0;
}

/* Room was made for as many fields as there are lines. */
static int on_field(llhttp_t *p, const char *at, size_t n)
{
	struct http1 *h = p->data;

	require(h->head.field_count < h->field_cap && n > 0);
	h->head.names |= http1_name_bit(slice_of(at, n));
	h->fields[h->head.field_count++] =
		(struct http1_field){.name = slice_of(at, n), .value = slice_of(at + n, 0)};
	return 0;
}

static int on_value(llhttp_t *p, const char *at, size_t n)
{
	struct http1 *h = p->data;

	require(h->head.field_count > 0);
	h->fields[h->head.field_count - 1].value = slice_trim(slice_of(at, n));
	return 0;
}

static int on_complete(llhttp_t *p)
{
	return HPE_PAUSED;
}

static bool make_room(struct http1 *h)
{
	size_t cap = MAX_OF(h->field_lines, (size_t)FIELDS_FIRST);
	void *p;

	if (h->field_lines <= h->field_cap)
		return true;
	p = mem_grow(h->fields, cap * sizeof(*h->fields));
	if (!p)
		return false;
	h->fields = p;
	h->field_cap = cap;
	return true;
}

static int run_llhttp(struct http1 *h)
{
	static const llhttp_settings_t settings = {
		.on_method = on_method,
		.on_url = on_url,
		.on_status = on_status,
		.on_header_field = on_field,
		.on_header_value = on_value,
		.on_headers_complete = on_complete,
	};
	llhttp_t p;
	llhttp_errno_t rc;

	llhttp_init(&p, h->kind == HTTP1_REQUEST ? HTTP_REQUEST : HTTP_RESPONSE, &settings);
	p.data = h;
	rc = llhttp_execute(&p, h->text.p, h->text.len);
	h->head.status = h->kind == HTTP1_RESPONSE ? p.status_code : 0;
	h->head.version_minor = p.http_minor;
	if (rc == HPE_PAUSED && llhttp_get_error_pos(&p) >= h->text.p + h->text.len - 1)
		return 0;
	/* llhttp has one code for an unknown coding (501) and one beside a length (400) */
	if (rc == HPE_INVALID_TRANSFER_ENCODING) {
		int judged = judge_length(h);

		return judged ? judged : refuse(h, HTTP1_FAULT_CODING, unknown_coding);
	}
	return refuse(h, HTTP1_FAULT_SYNTAX,
		      rc == HPE_OK ? "head not understood" : llhttp_get_error_reason(&p));
}

/* --- what llhttp leaves open --- */

/* "HTTP/1.0" or "HTTP/1.1" at `at`. */
static int check_version(struct http1 *h, struct slice line, size_t at)
{
	struct slice v = slice_sub(line, at, 8);

	if (slice_is(v, "HTTP/1.1") || slice_is(v, "HTTP/1.0"))
		return 0;
	if (v.n == 8 && slice_has_prefix(v, SLICE_LIT("HTTP/")) && v.p[6] == '.' && v.p[5] >= '0' &&
	    v.p[5] <= '9' && v.p[7] >= '0' && v.p[7] <= '9')
		return refuse(h, HTTP1_FAULT_VERSION, "HTTP version not supported");
	return refuse(h, HTTP1_FAULT_SYNTAX, "malformed first line");
}

/* "HTTP/1.1 200" and CRLF, or a space before the reason. */
static int check_status_line(struct http1 *h, struct slice line)
{
	static const char form[] = " 000";
	int rc = check_version(h, line, 0);

	if (rc)
		return rc;
	for (size_t i = 0; i < 4; i++) {
		char c = line.n > 8 + i ? line.p[8 + i] : '\0';

		if (form[i] == '0' ? c < '0' || c > '9' : c != form[i])
			return refuse(h, HTTP1_FAULT_SYNTAX, "malformed status line");
	}
	if (line.p[9] < '1' || line.p[9] > '5' || (line.n != 14 && line.p[12] != ' '))
		return refuse(h, HTTP1_FAULT_SYNTAX, "malformed status line");
	return 0;
}

/* "GET /path HTTP/1.1" and CRLF, with single spaces; the target is visible ASCII. */
static int check_request_line(struct http1 *h, struct slice line)
{
	struct slice rest = slice_sub(line, 0, line.n - 2), method, target;

	if (!slice_cut(&rest, ' ', &method) || !slice_cut(&rest, ' ', &target) || !method.n ||
	    !target.n)
		return refuse(h, HTTP1_FAULT_SYNTAX, "malformed request line");
	for (size_t i = 0; i < target.n; i++)
		if (target.p[i] <= ' ' || target.p[i] > '~')
			return refuse(h, HTTP1_FAULT_SYNTAX, "request target not in ASCII");
	if (rest.n != 8)
		return refuse(h, HTTP1_FAULT_SYNTAX, "malformed request line");
	return check_version(h, rest, 0);
}

/* A field begins with its name, which ends at its colon. */
static int check_field_line(struct http1 *h, struct slice line)
{
	ptrdiff_t colon = slice_chr(line, ':');

	if (line.p[0] == ' ' || line.p[0] == '\t')
		return refuse(h, HTTP1_FAULT_SYNTAX, "folded header line");
	if (colon <= 0)
		return refuse(h, HTTP1_FAULT_SYNTAX, "header line without a name");
	if (line.p[colon - 1] == ' ' || line.p[colon - 1] == '\t')
		return refuse(h, HTTP1_FAULT_SYNTAX, "space before the colon of a header");
	if (++h->field_lines > h->limits.headers_max)
		return refuse(h, HTTP1_FAULT_HEAD, "too many headers");
	return 0;
}

/* One whole line with its LF. 1 = it was the head's last. */
static int check_line(struct http1 *h, struct slice line)
{
	const char *cr = memchr(line.p, '\r', line.n);

	if (line.n < 2 || cr != line.p + line.n - 2)
		return refuse(h, HTTP1_FAULT_SYNTAX, cr ? "CR without LF" : "LF without CR");
	if (h->line_at == 0 && line.n > h->limits.line_max)
		return refuse(h, HTTP1_FAULT_LINE, "first line too long");
	if (line.n == 2 && h->line_at)
		return 1;
	if (line.n == 2) {
		if (h->kind == HTTP1_RESPONSE || ++h->blank_lines > BLANK_LINES_MAX)
			return refuse(h, HTTP1_FAULT_SYNTAX, "blank line before the first");
		buf_reset(&h->text);
		return 0;
	}
	if (h->line_at)
		return check_field_line(h, line);
	return h->kind == HTTP1_REQUEST ? check_request_line(h, line) : check_status_line(h, line);
}

static bool is_host(struct slice v)
{
	if (v.n == 0)
		return false;
	for (size_t i = 0; i < v.n; i++)
		if (v.p[i] <= ' ' || v.p[i] > '~' || memchr("\"#,/<>?@\\^`{|}", v.p[i], 14))
			return false;
	return true;
}

/* Whether a member of `expect` is not 100-continue. */
static bool expects_other(const struct http1_head *d)
{
	for (const struct http1_field *f = NULL; (f = http1_find_next(d, "expect", f));) {
		struct slice rest = f->value, item;
		bool more = true;

		while (more) {
			more = slice_cut(&rest, ',', &item);
			item = slice_trim(item);
			if (item.n && !slice_ieq(item, SLICE_LIT("100-continue")))
				return true;
		}
	}
	return false;
}

static int judge_request(struct http1 *h)
{
	struct http1_head *d = &h->head;
	bool twice;
	const struct http1_field *host = only(d, "host", &twice);

	if (twice)
		return refuse(h, HTTP1_FAULT_SYNTAX, "host given twice");
	if (!host && d->version_minor > 0)
		return refuse(h, HTTP1_FAULT_SYNTAX, "host missing");
	if (host && !is_host(host->value))
		return refuse(h, HTTP1_FAULT_SYNTAX, "malformed host");
	d->expect_continue = d->version_minor > 0 && http1_list_has(d, "expect", "100-continue");
	d->expect_unknown = d->version_minor > 0 && expects_other(d);
	return 0;
}

static void choose_body(struct http1 *h)
{
	struct http1_head *d = &h->head;
	bool none = h->kind == HTTP1_RESPONSE &&
		    (h->answers_head || d->status == 204 || d->status == 304);
	bool response = h->kind == HTTP1_RESPONSE;
	enum http1_body_kind kind = HTTP1_BODY_NONE;

	if (!none)
		kind = d->chunked               ? HTTP1_BODY_CHUNKED
		       : d->content_length >= 0 ? HTTP1_BODY_LENGTH
		       : response               ? HTTP1_BODY_UNTIL_CLOSE
						: HTTP1_BODY_NONE;
	d->close_delimited = kind == HTTP1_BODY_UNTIL_CLOSE;
	d->has_body = kind == HTTP1_BODY_LENGTH ? d->content_length > 0 : kind != HTTP1_BODY_NONE;
	http1_body_init(&h->body, kind, (uint64_t)d->content_length);
}

static int judge(struct http1 *h)
{
	struct http1_head *d = &h->head;
	bool close = http1_list_has(d, "connection", "close");
	int rc = judge_length(h);

	if (!rc && h->kind == HTTP1_REQUEST)
		rc = judge_request(h);
	if (rc)
		return rc;
	choose_body(h);
	d->upgrade = http1_list_has(d, "connection", "upgrade") && http1_find(d, "upgrade");
	d->keep_alive = !close && !d->close_delimited &&
			(d->version_minor > 0 || http1_list_has(d, "connection", "keep-alive"));
	return HTTP1_HEAD;
}

static void begin_head(struct http1 *h)
{
	buf_reset(&h->text);
	h->head = (struct http1_head){0};
	h->line_at = h->field_lines = 0;
	h->state = HEAD;
}

/* All lines are there. */
static int finish_head(struct http1 *h)
{
	int rc;

	if (memchr(h->text.p, '\0', h->text.len))
		return refuse(h, HTTP1_FAULT_SYNTAX, "NUL in the head");
	if (!make_room(h))
		return no_memory(h);
	h->head.fields = h->fields;
	rc = run_llhttp(h);
	if (rc)
		return rc;
	if (h->kind == HTTP1_RESPONSE && h->head.status < 200) {
		if (h->head.status == 101 || ++h->informational > INFORMATIONAL_MAX)
			return refuse(h, HTTP1_FAULT_SYNTAX, "unasked informational response");
		begin_head(h);
		return HTTP1_MORE;
	}
	h->blank_lines = h->informational = 0;
	h->state = BODY;
	return judge(h);
}

static int line_too_long(struct http1 *h, struct slice in)
{
	/* What fits is kept: it tells what was asked for. */
	if (buf_add(&h->text, in.p, h->limits.line_max - MIN_OF(h->text.len, h->limits.line_max)))
		return no_memory(h);
	return refuse(h, HTTP1_FAULT_LINE, "first line too long");
}

/* Moves n bytes to the head's text, within its limits. */
static int collect(struct http1 *h, struct slice *in, size_t n)
{
	char *at;
	enum errc rc;

	if (h->line_at == 0 && n > h->limits.line_max - MIN_OF(h->text.len, h->limits.line_max))
		return line_too_long(h, *in);
	if (n > h->text.max - h->text.len)
		return refuse(h, HTTP1_FAULT_HEAD, "head too large");
	if (h->text.cap == 0 && n < TEXT_FIRST &&
	    buf_reserve(&h->text, MIN_OF((size_t)TEXT_FIRST, h->text.max), &at))
		return no_memory(h);
	rc = buf_add(&h->text, in->p, n);
	if (rc)
		return no_memory(h);
	*in = slice_sub(*in, n, in->n);
	return 0;
}

static int next_head(struct http1 *h, struct slice *in)
{
	int rc = 0;

	while (in->n && !rc) {
		const char *lf = memchr(in->p, '\n', in->n);
		struct slice line;

		rc = collect(h, in, lf ? (size_t)(lf - in->p) + 1 : in->n);
		if (rc || !lf)
			return rc;
		line = slice_sub(buf_slice(&h->text), h->line_at, h->text.len);
		rc = check_line(h, line);
		h->line_at = h->text.len;
		if (rc > 0)
			rc = finish_head(h);
	}
	return rc;
}

static int message_done(struct http1 *h)
{
	h->state = IDLE;
	h->answers_head = false;
	return HTTP1_DONE;
}

int http1_next(struct http1 *h, struct slice *in, struct slice *body)
{
	int rc;

	if (h->state == FAILED)
		return refuse(h, h->fault, h->why);
	if (h->state == IDLE) {
		if (in->n == 0)
			return HTTP1_MORE;
		begin_head(h);
	}
	if (h->state == HEAD)
		return next_head(h, in);
	rc = http1_body_next(&h->body, in, body);
	if (rc == -ERRC_EOF)
		return message_done(h);
	if (rc < 0)
		return refuse(h, HTTP1_FAULT_SYNTAX, h->body.why);
	return rc ? HTTP1_BODY : HTTP1_MORE;
}

int http1_eof(struct http1 *h)
{
	struct slice none = SLICE_NONE, part;

	if (h->state == FAILED)
		return refuse(h, h->fault, h->why);
	if (h->state == IDLE || (h->state == HEAD && buf_is_empty(&h->text)))
		return HTTP1_MORE;
	if (h->state == BODY &&
	    (h->head.close_delimited || http1_body_next(&h->body, &none, &part) == -ERRC_EOF))
		return message_done(h);
	refuse(h, HTTP1_FAULT_SYNTAX, "connection closed inside a message");
	return -ERRC_TRUNCATED;
}

void http1_salvage(struct http1 *h)
{
	struct slice rest = buf_slice(&h->text), line, method, target;

	require(h->kind == HTTP1_REQUEST && h->state != BODY);
	h->head = (struct http1_head){.content_length = -1};
	(void)slice_cut(&rest, '\r', &line);
	if (!slice_cut(&line, ' ', &method))
		return;
	(void)slice_cut(&line, ' ', &target);
	for (size_t i = 0; i < method.n; i++)
		if (method.p[i] < 'A' || method.p[i] > 'Z')
			return;
	for (size_t i = 0; i < target.n; i++)
		if (target.p[i] <= ' ' || target.p[i] > '~')
			return;
	h->head.method = method;
	h->head.target = target;
}

const struct http1_field *http1_search(const struct http1_head *head, struct slice name,
				       const struct http1_field *after)
{
	for (size_t i = after ? (size_t)(after - head->fields) + 1 : 0; i < head->field_count; i++) {
		struct slice is = head->fields[i].name;

		/* Most names differ in length or first letter, which spares the call. */
		if (is.n == name.n && (is.p[0] | 0x20) == (name.p[0] | 0x20) && slice_ieq(is, name))
			return &head->fields[i];
	}
	return NULL;
}

bool http1_list_has(const struct http1_head *head, const char *name, const char *token)
{
	struct slice want = slice_str(token);

	for (const struct http1_field *f = NULL; (f = http1_find_next(head, name, f));) {
		struct slice rest = f->value, item;
		bool more = true;

		while (more) {
			more = slice_cut(&rest, ',', &item);
			if (slice_ieq(slice_trim(item), want))
				return true;
		}
	}
	return false;
}

#define VERSION_TEXT(a, b, c) #a "." #b "." #c
#define VERSION_OF(a, b, c)   VERSION_TEXT(a, b, c)

const char *http1_library(void)
{
	return VERSION_OF(LLHTTP_VERSION_MAJOR, LLHTTP_VERSION_MINOR, LLHTTP_VERSION_PATCH);
}

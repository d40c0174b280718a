#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "apikey.h"
#include "ask.h"
#include "interrupt.h"
#include "json.h"
#include "json_out.h"
#include "mem.h"
#include "secret.h"

#define FILE_MAX    ((size_t)64 * 1024 * 1024)
#define BATCH_BYTES ((size_t)256 * 1024) /* of a request */
#define BATCH_KEYS  256                  /* all of them or none are made */
#define BAD_SHOWN   100                  /* wrong lines that are told one by one */
#define PASSES      3                    /* over the file, that find something wrong */
#define LINE_MAX_N  1000000
#define LAST_MS     3000 /* once a signal came: for an answer, and for each piece of what is printed */

/* A key of the file that is to be taken over. */
struct given {
	char id[APIKEY_ID];
	uint32_t line;
};

struct import {
	struct ctl *c;
	const char *path; /* as it was given */
	int64_t from;     /* earlier lines are there already */
	struct buf text, keys, given;
	struct slice left; /* of the keys */
	size_t n, done_n, bad_n;
	struct bad *bad; /* owned; those that may be told: the first ones of each pass */
	size_t bad_kept, pass_kept;
	uint32_t made[BATCH_KEYS]; /* lines of the keys that are to be printed, in that order */
	size_t made_n;
};

/* What is wrong with one line. */
struct bad {
	uint32_t line;
	char why[256];
};

/* One line of the batch that is sent. */
struct batch {
	struct slice keys;
	size_t n;
	uint32_t first, last;
};

/* --- what is wrong --- */

static void begin_pass(struct import *im)
{
	im->pass_kept = 0;
}

static void note_bad(struct import *im, uint32_t line, struct slice why)
{
	struct bad *b;

	im->bad_n++;
	if (im->pass_kept == BAD_SHOWN || im->bad_kept == PASSES * BAD_SHOWN)
		return;
	im->pass_kept++;
	b = &im->bad[im->bad_kept++];
	b->line = line;
	snprintf(b->why, sizeof(b->why), SLICE_FMT,
		 SLICE_ARG(slice_sub(why, 0, sizeof(b->why) - 1)));
}

static int by_line(const void *a, const void *b)
{
	const struct bad *x = a, *y = b;

	return (x->line > y->line) - (x->line < y->line);
}

static void put_bad(struct import *im)
{
	struct put p;

	put_init(&p);
	for (size_t i = 0; i < MIN_OF(im->bad_kept, BAD_SHOWN); i++) {
		put_safe(&p, slice_str(im->path));
		put_f(&p, ":%lu: ", (unsigned long)im->bad[i].line);
		put_safe(&p, slice_str(im->bad[i].why));
		put_z(&p, "\n");
	}
	(void)!put_flush(&p, im->c->err.fd);
	put_fini(&p);
}

/* All that is wrong, in the order of the file: what stopped the command otherwise is no matter then. */
static enum control_status fail_bad(struct import *im)
{
	struct ctl *c = im->c;

	qsort(im->bad, im->bad_kept, sizeof(*im->bad), by_line);
	if (!c->json)
		put_bad(im);
	c->fail = (struct ctl_fail){.status = CONTROL_DONE};
	ctl_fail(c, CONTROL_REFUSED, "invalid_file", "%zu of the keys cannot be made; none was%s%s",
		 im->bad_n, c->json ? "; the first: " : "", c->json ? im->bad[0].why : "");
	snprintf(c->fail.file, sizeof(c->fail.file), "%s", im->path);
	c->fail.line = im->bad[0].line;
	return CONTROL_REFUSED;
}

/* --- the file --- */

static enum errc read_fd(int fd, struct buf *out)
{
	for (;;) {
		char *room;
		ssize_t n;
		enum errc e = buf_reserve(out, 65536, &room);

		if (e)
			return e;
		n = read(fd, room, 65536);
		if (n > 0)
			buf_commit(out, (size_t)n);
		else if (n == 0)
			return ERRC_OK;
		else if (errno != EINTR)
			return errc_from_errno(errno);
	}
}

static enum errc read_text(struct import *im)
{
	int fd = strcmp(im->path, "-") == 0 ? STDIN_FILENO : open(im->path, O_RDONLY | O_CLOEXEC);
	enum errc e;

	if (fd < 0)
		return errc_from_errno(errno);
	e = read_fd(fd, &im->text);
	if (fd != STDIN_FILENO)
		close(fd);
	return e;
}

/* The text of a value, as it would stand on the command line. False: it is an object, or the like. */
static bool value_text(const struct json *v, bool is_switch, struct slice *out)
{
	bool on;

	if (json_is_str(v))
		*out = json_str(v);
	else if (json_is_num(v))
		*out = json_num(v);
	else if (json_bool(v, &on) && is_switch)
		*out = on ? SLICE_LIT("on") : SLICE_LIT("off");
	else if (json_bool(v, &on)) /* what is wrong with it is told in the words of the file */
		*out = on ? SLICE_LIT("true") : SLICE_LIT("false");
	else
		return false;
	return true;
}

static enum errc give(struct parse *p, struct slice name, const struct json *v)
{
	struct slice text;

	if (!value_text(v, parse_is_switch(p, name), &text)) {
		snprintf(p->error, sizeof(p->error),
			 SLICE_FMT ": a text, a number, true or false is expected",
			 SLICE_ARG(slice_sub(name, 0, 64)));
		return ERRC_INVAL;
	}
	return parse_option(p, name, text);
}

static enum errc give_member(struct parse *p, struct slice name, const struct json *v)
{
	enum errc e = ERRC_OK;

	if (json_is_null(v))
		return ERRC_OK;
	if (!json_is_arr(v))
		return give(p, name, v);
	json_arr_each (it, v) {
		if (!e)
			e = give(p, name, it.val);
	}
	return e;
}

/* The options of `key create`, by their names; `key` beside them. */
static enum errc read_members(struct import *im, struct parse *p, const struct json *root,
			      uint32_t line)
{
	struct slice secret = SLICE_NONE, id;
	struct given g = {.line = line};
	enum errc e = ERRC_OK;

	json_obj_each (it, root) {
		if (e)
			return e;
		if (slice_is(it.key, "note")) {
			snprintf(p->error, sizeof(p->error),
				 "note: it is given for the whole file, with --note");
			return ERRC_INVAL;
		}
		if (slice_is(it.key, "secret")) {
			snprintf(p->error, sizeof(p->error),
				 "unknown member 'secret': one that clients have already is `key`");
			return ERRC_INVAL;
		}
		if (!slice_is(it.key, "key"))
			e = give_member(p, it.key, it.val);
		else if (secret.n || !json_is_str(it.val) || json_str(it.val).n == 0)
			e = ERRC_SYNTAX;
		else
			secret = json_str(it.val);
	}
	if (e == ERRC_SYNTAX)
		snprintf(p->error, sizeof(p->error), "key: one text is expected");
	if (e || secret.n == 0)
		return e;
	p->send.f[p->send.n++] = (struct control_field){
		.name = SLICE_LIT("key"), .type = CONTROL_T_STR, .s = secret};
	if (!apikey_parse(apikey_trim(secret), &id))
		return ERRC_OK; /* the daemon says what is wrong with it */
	memcpy(g.id, id.p, sizeof(g.id));
	return buf_add(&im->given, &g, sizeof(g));
}

static enum errc read_line(struct import *im, struct slice text, uint32_t line)
{
	struct json_error why = {.text = "this is no JSON"};
	const struct json_opts opts = {.error = &why};
	struct json_doc *doc = NULL;
	struct parse p;
	enum errc e = json_parse(text, &opts, &doc);

	parse_init(&p, im->c->p.now_ms);
	p.cmd = command_named(SLICE_LIT("key create"));
	if (e)
		snprintf(p.error, sizeof(p.error), "%s (byte %zu)", why.text, why.offset + 1);
	else if (!json_is_obj(json_root(doc)))
		snprintf(p.error, sizeof(p.error), "a JSON object is expected");
	else
		e = read_members(im, &p, json_root(doc), line);
	if (!e && !p.error[0] && line >= im->from) {
		e = control_pack(line, p.send.f, p.send.n, &im->keys);
		im->n++;
	}
	if (p.error[0]) {
		note_bad(im, line, slice_str(p.error));
		e = ERRC_OK;
	}
	parse_fini(&p);
	json_free(&doc);
	return e;
}

static int by_id(const void *a, const void *b)
{
	const struct given *x = a, *y = b;
	int order = memcmp(x->id, y->id, sizeof(x->id));

	return order ? order : (int)x->line - (int)y->line;
}

static void find_repeated(struct import *im)
{
	struct given *v = (struct given *)(void *)im->given.p;
	size_t n = im->given.len / sizeof(*v);
	char why[64];

	if (n > 1)
		qsort(v, n, sizeof(*v), by_id);
	for (size_t i = 1; i < n; i++) {
		if (memcmp(v[i].id, v[i - 1].id, sizeof(v[i].id)) != 0)
			continue;
		snprintf(why, sizeof(why), "key: the one of line %u again", v[i - 1].line);
		note_bad(im, v[i].line, slice_str(why));
	}
}

static enum errc read_file(struct import *im)
{
	struct slice left, line;
	uint32_t n = 0;
	enum errc e = read_text(im);
	bool more = true;

	left = buf_slice(&im->text);
	while (!e && more) {
		more = slice_cut(&left, '\n', &line);
		n++;
		if (line.n && line.p[line.n - 1] == '\r')
			line.n--;
		if (n > LINE_MAX_N)
			return ERRC_LIMIT;
		if (slice_trim(line).n)
			e = read_line(im, line, n);
	}
	begin_pass(im);
	if (!e)
		find_repeated(im);
	return e;
}

/* --- the daemon --- */

static bool next_batch(struct import *im, struct batch *b)
{
	struct slice at = im->left, fields;
	uint32_t line;

	*b = (struct batch){.keys = at};
	while (b->n < BATCH_KEYS && control_unpack(&at, &line, &fields)) {
		if (b->n && b->keys.n - at.n > BATCH_BYTES)
			break;
		b->first = b->n ? b->first : line;
		b->last = line;
		b->n++;
		im->left = at;
	}
	b->keys.n -= im->left.n;
	return b->n > 0;
}

static void print_key(struct import *im, const struct ask_row *r)
{
	struct slice key = ask_str(r, "key");
	struct json_out o;
	struct buf line;

	if (im->made_n < ARRAY_LEN(im->made))
		im->made[im->made_n++] = (uint32_t)ask_i64(r, "line");
	buf_init(&line, 65536);
	json_out_init(&o, &line);
	json_out_obj(&o);
	json_out_ki64(&o, "line", ask_i64(r, "line"));
	json_out_kstr(&o, "id", ask_str(r, "id"));
	json_out_kstr(&o, "account", ask_str(r, "account"));
	json_out_kstr(&o, "name", ask_str(r, "name"));
	if (key.n)
		json_out_kstr(&o, "key", key);
	json_out_obj_end(&o);
	if (json_out_end(&o))
		put_fail(&im->c->text, ERRC_NOMEM);
	put_s(&im->c->text, buf_slice(&line));
	put_z(&im->c->text, "\n");
	if (line.p)
		secret_wipe(line.p, line.len);
	buf_fini(&line);
}

/* Sends one part; its keys are put down to be printed, or what is wrong with them. *out: how it ended, without rows. */
static enum control_status send_batch(struct import *im, const struct batch *b, bool check,
				      struct ask_answer *out)
{
	struct slice note = SLICE_NONE;
	struct control_field f[3] = {CONTROL_S("keys", b->keys), CONTROL_B("check", check)};
	size_t bad_before = im->bad_n, n = 2;
	enum control_status status;
	struct ask_answer a;

	if (control_get_str(im->c->p.send.f, im->c->p.send.n, "note", &note))
		f[n++] = CONTROL_S("note", note);
	status = ask(im->c, CONTROL_DO_KEY_IMPORT, f, n, &a);
	for (size_t i = 0; i < a.n; i++) {
		if (slice_is(a.rows[i].kind, "bad"))
			note_bad(im, (uint32_t)ask_i64(&a.rows[i], "line"),
				 ask_str(&a.rows[i], "text"));
		else
			print_key(im, &a.rows[i]);
	}
	*out = (struct ask_answer){.status = status, .is_asked = a.is_asked, .is_ended = a.is_ended};
	ask_fini(&a);
	/* The other parts are looked at as well. */
	if (check && status == CONTROL_REFUSED && im->bad_n > bad_before) {
		im->c->fail = (struct ctl_fail){.status = CONTROL_DONE};
		return CONTROL_DONE;
	}
	return status;
}

static enum control_status check_all(struct import *im)
{
	enum control_status status = CONTROL_DONE;
	struct ask_answer a;
	struct batch b;
	size_t n = 0;

	begin_pass(im);
	im->left = buf_slice(&im->keys);
	while (status == CONTROL_DONE && next_batch(im, &b)) {
		status = send_batch(im, &b, true, &a);
		n += b.n;
		ask_progress(im->c, "%zu of %zu keys checked", n, im->n);
	}
	return status;
}

/* --- what is printed, and what is told when it stops in the middle --- */

/* A pipe of which nobody reads the other end any more: no key is made for it. */
static bool is_unread(int fd)
{
	struct pollfd p = {.fd = fd};

	return poll(&p, 1, 0) > 0 && (p.revents & POLLERR);
}

/* Writes what was put, in pieces that a pipe with room takes at once, so that a signal is not waited out. *sent: of its bytes. */
static enum errc write_keys(struct import *im, size_t *sent)
{
	struct slice all = buf_slice(&im->c->text.b);
	enum errc e = im->c->text.err;

	*sent = 0;
	while (!e && *sent < all.n) {
		struct pollfd p = {.fd = im->c->out.fd, .events = POLLOUT};
		ssize_t n;

		e = interrupt_poll_last(&p, 1, -1, LAST_MS);
		if (e)
			break;
		n = write(p.fd, all.p + *sent, MIN_OF(all.n - *sent, (size_t)PIPE_BUF));
		if (n > 0)
			*sent += (size_t)n;
		else if (errno != EINTR)
			e = errc_from_errno(errno);
	}
	return e;
}

static void add_told(struct import *im, const char *fmt, ...) PRINTF_LIKE(2, 3);

static void add_told(struct import *im, const char *fmt, ...)
{
	struct ctl_fail *f = &im->c->fail;
	size_t n = strlen(f->message);
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(f->message + n, sizeof(f->message) - n, fmt, ap);
	va_end(ap);
}

#define FIND_THEM                                                                       \
	"'key list' has them by their names and ids; 'key rotate' gives each a secret " \
	"that is printed, 'key revoke' ends it"

static void tell_from(struct import *im, uint32_t line)
{
	struct ctl_fail *f = &im->c->fail;

	snprintf(f->file, sizeof(f->file), "%s", im->path);
	f->line = line;
}

/* The keys up to the end of the batch are made, the first `printed` of it printed. */
static void tell_made(struct import *im, const struct batch *b, size_t printed)
{
	bool unread = b->n && is_unread(im->c->out.fd);

	if (printed < im->made_n)
		add_told(im, "; the keys of lines %u to %u are made and were not printed",
			 im->made[printed], im->made[im->made_n - 1]);
	if (unread)
		add_told(im, "; the last ones before line %u may be unread",
			 printed < im->made_n ? im->made[printed] : b->last + 1);
	if (printed < im->made_n || unread)
		add_told(im, ": " FIND_THEM);
	if (im->left.n)
		add_told(im, "; go on with --from %u", b->last + 1);
	else
		add_told(im, "; no line is left");
	tell_from(im, b->last + 1);
}

/* The batch ended so, or its keys could not be printed: what is made, and where to go on. */
static void tell_stop(struct import *im, const struct batch *b, const struct ask_answer *a,
		      size_t printed)
{
	if (a->status == CONTROL_DONE || strcmp(im->c->fail.code, "not_in_force") == 0) {
		tell_made(im, b, printed);
		return;
	}
	if (a->is_asked && (!a->is_ended || a->status == CONTROL_TIMED_OUT))
		add_told(im,
			 "; whether the keys of lines %u to %u are made is not known, and what is "
			 "made of them may not be printed: " FIND_THEM "; then go on with --from",
			 b->first, b->last);
	else
		add_told(im, "; go on with --from %u once that is mended", b->first);
	tell_from(im, b->first);
}

static size_t lines_in(struct slice s)
{
	size_t n = 0;

	for (size_t i = 0; i < s.n; i++)
		n += s.p[i] == '\n';
	return n;
}

/* Writes the keys of a batch. *printed: so many of them; false: not all. */
static bool print_batch(struct import *im, size_t *printed)
{
	struct put *text = &im->c->text;
	size_t sent;
	enum errc e = write_keys(im, &sent);

	*printed = lines_in(slice_sub(buf_slice(&text->b), 0, sent));
	if (text->b.p)
		secret_wipe(text->b.p, text->b.len);
	buf_reset(&text->b);
	put_fail(text, e);
	if (e == ERRC_CANCELED)
		ctl_fail(im->c, CONTROL_REFUSED, "interrupted", "interrupted");
	else if (e)
		ctl_fail(im->c, CONTROL_REFUSED, "output", "the output could not be written: %s",
			 errc_text(e));
	return !e;
}

/* Before each batch: whether somebody wants it still. */
static bool is_wanted(struct import *im, const struct batch *before)
{
	struct ctl *c = im->c;

	if (interrupt_came())
		ctl_fail(c, CONTROL_REFUSED, "interrupted",
			 "interrupted; what is printed is made, and nothing else");
	else if (is_unread(c->out.fd))
		ctl_fail(c, CONTROL_REFUSED, "output", "nobody reads the output any more");
	else
		return true;
	tell_made(im, before, im->made_n);
	return false;
}

static enum control_status create_each(struct import *im)
{
	struct batch b = {.last = im->from > 1 ? (uint32_t)im->from - 1 : 0};
	enum control_status status;
	struct ask_answer a;
	size_t printed;

	im->left = buf_slice(&im->keys);
	while (im->left.n) {
		if (!is_wanted(im, &b) || !next_batch(im, &b))
			return CONTROL_REFUSED;
		im->made_n = 0;
		status = send_batch(im, &b, false, &a);
		if (!print_batch(im, &printed) || status != CONTROL_DONE) {
			tell_stop(im, &b, &a, printed);
			return status == CONTROL_DONE ? CONTROL_REFUSED : status;
		}
		im->done_n += b.n;
		ask_progress(im->c, "%zu of %zu keys made", im->done_n, im->n);
	}
	return CONTROL_DONE;
}

/* From here on a signal and a closed pipe are told of before they end the program: what is made has to be known. */
static enum control_status create_all(struct import *im)
{
	const struct sigaction ignore = {.sa_handler = SIG_IGN};
	struct sigaction pipe_before;
	enum control_status status;

	interrupt_catch();
	require(sigaction(SIGPIPE, &ignore, &pipe_before) == 0);
	im->c->answer_last_ms = LAST_MS;
	status = create_each(im);
	ask_progress_end(im->c);
	if (strcmp(im->c->fail.code, "output") == 0 && pipe_before.sa_handler == SIG_DFL &&
	    is_unread(im->c->out.fd))
		im->c->die_of = SIGPIPE;
	if (status != CONTROL_DONE && interrupt_came())
		im->c->die_of = interrupt_came();
	return status;
}

static enum control_status run(struct import *im)
{
	enum errc e = read_file(im);
	enum control_status status;

	if (e)
		return ctl_fail(im->c, CONTROL_REFUSED, "failed", "%s: %s", im->path, errc_text(e));
	if (im->n == 0 && im->bad_n == 0)
		return ctl_fail(im->c, CONTROL_REFUSED, "empty", "%s: there is no key%s", im->path,
				im->from > 1 ? " from that line on" : "");
	status = check_all(im);
	ask_progress_end(im->c);
	if (im->bad_n)
		return fail_bad(im);
	return status == CONTROL_DONE ? create_all(im) : status;
}

static void fini(struct buf *b)
{
	if (b->p)
		secret_wipe(b->p, b->cap);
	buf_fini(b);
}

enum control_status cmd_key_import(struct ctl *c)
{
	struct import im = {.c = c,
			    .path = parse_local_str(&c->p, "file").p, /* argv's */
			    .from = parse_local_i64(&c->p, "from", 0)};
	enum control_status status;

	im.bad = mem_new(PASSES * BAD_SHOWN * sizeof(*im.bad));
	if (!im.bad)
		return ctl_fail(c, CONTROL_REFUSED, "failed", "%s", errc_text(ERRC_NOMEM));
	buf_init(&im.text, FILE_MAX);
	buf_init(&im.keys, 2 * FILE_MAX);
	buf_init(&im.given, LINE_MAX_N * sizeof(struct given));
	status = run(&im);
	fini(&im.text);
	fini(&im.keys);
	fini(&im.given);
	mem_free(im.bad);
	return status;
}

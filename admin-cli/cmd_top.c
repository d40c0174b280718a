#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

#include "clock.h"
#include "field.h"
#include "interrupt.h"
#include "view.h"

#define REFRESH_MS     1000
#define ACCOUNTS_EVERY 5 /* refreshes: a list of many accounts is dear */
#define WORKERS_MAX    256

struct count {
	int64_t pid, requests;
};

struct top {
	struct ctl *c;
	struct ask_answer status, providers, accounts; /* the last of each */
	struct count before[WORKERS_MAX];              /* by slot, at the refresh before */
	int64_t at_ms, before_ms; /* boot clock; before_ms 0: the first refresh */
	int64_t requests_10s;     /* tenths of requests a second; -1: not known yet */
	unsigned refreshes;
	bool lost; /* the daemon did not answer; c->fail says why */
};

/* --- asking --- */

/* Replaces *kept by a new answer; on failure it stays. */
static enum control_status renew(struct top *t, enum control_verb v, struct ask_answer *kept)
{
	struct ask_answer a;
	enum control_status status = ask(t->c, v, NULL, 0, &a);

	if (status) {
		ask_fini(&a);
		return status;
	}
	ask_fini(kept);
	*kept = a;
	return CONTROL_DONE;
}

/* Adds the rate of each worker to its row, and all of them up. */
static enum errc add_rates(struct top *t)
{
	int64_t ms = t->at_ms - t->before_ms, sum = 0;
	bool known = t->before_ms != 0 && ms > 0;

	for (size_t i = 0; i < t->status.n; i++) {
		struct ask_row *r = &t->status.rows[i];
		int64_t slot = ask_i64(r, "slot"), requests = ask_i64(r, "requests"),
			pid = ask_i64(r, "pid");
		struct control_field *f;
		struct count *b;

		if (!slice_is(r->kind, "worker") || slot < 0 || slot >= WORKERS_MAX)
			continue;
		f = arena_array(&t->status.arena, struct control_field, r->n + 1);
		if (!f)
			return ERRC_NOMEM;
		b = &t->before[slot];
		memcpy(f, r->f, r->n * sizeof(*f));
		f[r->n] = CONTROL_N("requests_per_s");
		if (known && b->pid == pid && requests >= b->requests) {
			f[r->n] = CONTROL_I("requests_per_s",
					    ((requests - b->requests) * 1000 + ms / 2) / ms);
			sum += requests - b->requests;
		}
		r->f = f;
		r->n++;
		*b = (struct count){.pid = pid, .requests = requests};
	}
	t->requests_10s = known ? (sum * 10000 + ms / 2) / ms : -1;
	return ERRC_OK;
}

/* For qsort(): accounts that run something first. */
static int by_activity(const void *a, const void *b)
{
	int64_t x = ask_i64(a, "held_nusd"), y = ask_i64(b, "held_nusd");

	return x != y ? (x < y) - (x > y) : slice_cmp(ask_str(a, "name"), ask_str(b, "name"));
}

static enum control_status refresh(struct top *t)
{
	enum control_status status;
	enum errc e;

	t->c->fail = (struct ctl_fail){0};
	status = renew(t, CONTROL_DO_STATUS, &t->status);
	if (!status) {
		t->at_ms = clock_boot_ms();
		e = add_rates(t);
		t->before_ms = t->at_ms;
		if (e)
			return ctl_fail(t->c, CONTROL_REFUSED, "failed", "%s", errc_text(e));
		status = renew(t, CONTROL_DO_PROVIDER_LIST, &t->providers);
	}
	if (!status && t->refreshes++ % ACCOUNTS_EVERY == 0) {
		status = renew(t, CONTROL_DO_ACCOUNT_LIST, &t->accounts);
		if (t->accounts.n > 1)
			qsort(t->accounts.rows, t->accounts.n, sizeof(*t->accounts.rows),
			      by_activity);
	}
	t->lost = status != CONTROL_DONE;
	return status;
}

/* --- showing --- */

static void put_value(struct ctl *c, const char *label, const struct ask_row *r, const char *name)
{
	for (size_t i = 0; r && i < r->n; i++) {
		if (!slice_is(r->f[i].name, name))
			continue;
		put_f(&c->text, label[0] ? "  %s " : "%s ", label);
		if (r->f[i].type == CONTROL_T_STR)
			term_put(&c->out, &c->text, term_color_of(r->f[i].s), r->f[i].s);
		else
			field_text(&c->text, r, &r->f[i], 0);
	}
}

static int64_t sum_of(const struct ask_answer *a, const char *kind, const char *name)
{
	int64_t sum = 0;

	for (size_t i = 0; i < a->n; i++) {
		if (slice_is(a->rows[i].kind, kind))
			sum += ask_i64(&a->rows[i], name);
	}
	return sum;
}

static void put_head(struct top *t)
{
	const struct ask_row *node = ask_row_of(&t->status, "node"),
			     *ledger = ask_row_of(&t->status, "ledger");
	struct ctl *c = t->c;
	char now[CLOCK_TEXT_MAX];

	clock_format_s(clock_wall_s(), now);
	term_put(&c->out, &c->text, TERM_BOLD, SLICE_LIT("aigw"));
	put_f(&c->text, " " SLICE_FMT "  %s", SLICE_ARG(ask_str(node, "version")), now);
	put_value(c, "", node, "state");
	put_value(c, "up", node, "uptime_ms");
	put_value(c, "config", node, "config_generation");
	put_f(&c->text, "  workers %lld/%lld\n", (long long)ask_i64(node, "workers_ready"),
	      (long long)ask_i64(node, "workers"));
	if (t->requests_10s >= 0)
		put_f(&c->text, "requests/s %lld.%lld", (long long)t->requests_10s / 10,
		      (long long)t->requests_10s % 10);
	else
		put_z(&c->text, "requests/s -");
	put_f(&c->text, "  in flight %lld", (long long)sum_of(&t->status, "worker", "inflight"));
	put_value(c, "holds", ledger, "holds");
	put_value(c, "held $", ledger, "held_nusd");
	put_z(&c->text, "\nledger");
	put_value(c, "", ledger, "state");
	put_value(c, "behind", ledger, "lag_ms");
	put_value(c, "outbox", ledger, "outbox_records");
	put_value(c, "live store", ledger, "live_bytes");
	put_value(c, "of", ledger, "live_max_bytes");
	put_z(&c->text, "\n");
	if (t->lost) {
		term_put(&c->out, &c->text, TERM_BAD, slice_str(c->fail.message));
		put_z(&c->text, "\n");
	}
}

static void put_screen(struct top *t)
{
	put_head(t);
	view_part(t->c, VIEW_TOP, &t->status, "worker", NULL);
	view_part(t->c, VIEW_TOP, &t->providers, "provider", NULL);
	view_part(t->c, VIEW_TOP, &t->accounts, "account", NULL);
}

static void put_json(struct top *t)
{
	struct ask_answer all;
	const struct ask_answer *parts[] = {&t->status, &t->providers, &t->accounts};
	char kind[64];
	enum errc e = ERRC_OK;

	ask_init(&all);
	for (size_t p = 0; p < ARRAY_LEN(parts); p++) {
		for (size_t i = 0; i < parts[p]->n && !e; i++) {
			const struct ask_row *r = &parts[p]->rows[i];
			size_t n = MIN_OF(r->kind.n, sizeof(kind) - 1);

			memcpy(kind, r->kind.p, n);
			kind[n] = '\0';
			e = ask_add(&all, kind, r->f, r->n);
		}
	}
	put_fail(&t->c->text, e);
	view_show(t->c, VIEW_TOP, &all);
	ask_fini(&all);
}

/* --- the terminal --- */

/* The places that a line takes, colours not counted. */
static size_t shown_width(struct slice line)
{
	struct slice plain, rest;
	size_t n = 0;

	while (line.n) {
		ptrdiff_t at = slice_chr(line, '\033');

		plain = at < 0 ? line : slice_sub(line, 0, (size_t)at);
		n += put_width(plain);
		rest = slice_sub(line, plain.n, line.n);
		at = slice_chr(rest, 'm');
		line = at < 0 ? SLICE_NONE : slice_sub(rest, (size_t)at + 1, rest.n);
	}
	return n;
}

/* Draws the text over the last screen: no line is cleared before it is written, so that nothing flickers. */
static bool draw(struct top *t)
{
	struct slice left = buf_slice(&t->c->text.b), line;
	size_t width, height = 24;
	struct put p;
	enum errc e;

	(void)term_size(&t->c->out, &width, &height);
	put_init(&p);
	put_z(&p, "\033[H");
	for (size_t i = 0; left.n && i + 1 < height; i++) {
		(void)slice_cut(&left, '\n', &line);
		put_s(&p, line);
		/* At the right edge it would clear the last character. */
		put_z(&p, shown_width(line) < width ? "\033[K\r\n" : "\r\n");
	}
	put_z(&p, "\033[J");
	put_fail(&p, t->c->text.err);
	buf_reset(&t->c->text.b);
	e = put_flush(&p, t->c->out.fd);
	put_fini(&p);
	if (e)
		ctl_fail(t->c, CONTROL_REFUSED, "output", "the screen could not be written: %s",
			 errc_text(e));
	return e == ERRC_OK;
}

/* Waits for the next refresh; false when the operator has seen enough. */
static bool stay(bool has_keys)
{
	int64_t until_ms = clock_boot_ms() + REFRESH_MS, left_ms;
	struct pollfd p = {.fd = has_keys ? STDIN_FILENO : -1, .events = POLLIN};

	while ((left_ms = until_ms - clock_boot_ms()) > 0) {
		enum errc e = interrupt_poll(&p, 1, (int)left_ms);
		char key;

		if (e == ERRC_TIMEOUT)
			return true;
		if (e)
			return false;
		if (read(STDIN_FILENO, &key, 1) != 1)
			p.fd = -1; /* no more keys; the signals are left */
		else if (key == 'q' || key == 'Q' || key == 3)
			return false;
	}
	return true;
}

/* Keys one by one and unseen; false where standard input is no terminal. */
static bool keys_on(struct termios *before)
{
	struct termios raw;

	if (tcgetattr(STDIN_FILENO, before) != 0)
		return false;
	raw = *before;
	raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
	return tcsetattr(STDIN_FILENO, TCSANOW, &raw) == 0;
}

static enum control_status watch(struct top *t)
{
	struct ctl *c = t->c;
	struct termios before;
	struct put p;
	bool has_keys, good = true;
	size_t height;

	interrupt_catch();
	has_keys = keys_on(&before);
	put_init(&p);
	put_z(&p, "\033[?1049h\033[?25l\033[?7l"); /* other screen, no cursor, no wrapping */
	(void)!put_flush(&p, c->out.fd);
	do {
		(void)term_size(&c->out, &c->out.width, &height);
		put_screen(t);
		good = draw(t) && stay(has_keys);
		if (good)
			(void)refresh(t);
	} while (good);
	put_z(&p, "\033[?7h\033[?25h\033[?1049l");
	(void)!put_flush(&p, c->out.fd);
	put_fini(&p);
	if (has_keys)
		(void)tcsetattr(STDIN_FILENO, TCSANOW, &before);
	return t->lost ? CONTROL_NO_DAEMON : CONTROL_DONE;
}

enum control_status cmd_top(struct ctl *c)
{
	struct top t = {.c = c, .requests_10s = -1};
	enum control_status status = refresh(&t);

	if (!status && c->out.is_tty && !c->json)
		status = watch(&t);
	else if (!status) {
		/* A rate needs two looks. */
		if (stay(false))
			status = refresh(&t);
		if (!status && c->json)
			put_json(&t);
		else if (!status)
			put_screen(&t);
	}
	ask_fini(&t.status);
	ask_fini(&t.providers);
	ask_fini(&t.accounts);
	return status;
}

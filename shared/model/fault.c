#include "fault.h"

#include <stdio.h>

#include "secret.h"

#define FAULT_WAIT_SHORT_MS 60000 /* contract A3: longer waits are not worth a client's retry */

static const struct fault_row fault_rows[FAULT_COUNT] = {
#define FAULT(name, status, type, code, ant, rule, text) \
	{#name, status, type, code, ant, FAULT_RETRY_##rule, text},
#include "fault_tbl.h"
#undef FAULT
};

const struct fault_row *fault_row(enum fault_kind kind)
{
	return &fault_rows[(unsigned)kind < FAULT_COUNT ? kind : FAULT_INTERNAL];
}

/* The longest prefix of at most n bytes that does not end inside a UTF-8 sequence. */
static size_t fault_cut(const char *p, size_t n, size_t max)
{
	if (n <= max)
		return n;
	n = max;
	while (n > 0 && ((unsigned char)p[n] & 0xC0) == 0x80)
		n--;
	return n;
}

void fault_text(char *dst, size_t cap, struct slice s)
{
	size_t n = fault_cut(s.p, s.n, cap - 1);

	for (size_t i = 0; i < n; i++)
		dst[i] = (unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7F ? ' ' : s.p[i];
	dst[n] = 0;
}

static void fault_message_set(struct fault *f, const char *fmt, va_list ap)
{
	char text[FAULT_MESSAGE_MAX * 2];
	int n = vsnprintf(text, sizeof(text), fmt, ap);

	if (n < 0)
		return;
	fault_text(f->message, sizeof(f->message),
		   slice_of(text, MIN_OF((size_t)n, sizeof(text) - 1)));
}

void fault_set(struct fault *f, enum fault_kind kind, const char *fmt, ...)
{
	va_list ap;

	if (fault_is_set(f))
		return;
	f->kind = kind;
	if (!fmt)
		return;
	va_start(ap, fmt);
	fault_message_set(f, fmt, ap);
	va_end(ap);
}

void fault_field(struct fault *f, enum fault_kind kind, const char *param, const char *fmt, ...)
{
	va_list ap;

	if (fault_is_set(f))
		return;
	f->kind = kind;
	fault_text(f->param, sizeof(f->param), slice_str(param));
	va_start(ap, fmt);
	fault_message_set(f, fmt, ap);
	va_end(ap);
}

void fault_errc(struct fault *f, enum errc e, const char *where)
{
	if (e == ERRC_NOMEM || e == ERRC_LIMIT)
		fault_set(f, FAULT_BUSY, "The gateway has no room for this request (%s).", where);
	else
		fault_set(f, FAULT_INTERNAL, "The gateway failed: %s (%s).", errc_text(e), where);
}

void fault_hide(struct fault *f, struct slice value)
{
	secret_hide(f->message, strlen(f->message), value);
	secret_hide(f->param, strlen(f->param), value);
	secret_hide(f->provider_code, strlen(f->provider_code), value);
}

int fault_status(const struct fault *f)
{
	return f->status ? f->status : fault_row(f->kind)->status;
}

const char *fault_message(const struct fault *f)
{
	return f->message[0] ? f->message : fault_row(f->kind)->text;
}

bool fault_should_retry(const struct fault *f)
{
	switch (fault_row(f->kind)->rule) {
	case FAULT_RETRY_ALWAYS:
		return true;
	case FAULT_RETRY_WAIT:
		return f->retry_after_ms <= FAULT_WAIT_SHORT_MS;
	case FAULT_RETRY_ATTEMPTS:
		return f->attempts_made < 2;
	case FAULT_RETRY_NEVER:
		break;
	}
	return false;
}

int64_t fault_wait_ms(const struct fault *f)
{
	if (fault_row(f->kind)->rule != FAULT_RETRY_WAIT)
		return 0;
	return MAX_OF(f->retry_after_ms, INT64_C(1000));
}

const char *fault_again(int64_t wait_ms, char out[FAULT_AGAIN_MAX])
{
	int64_t wait_s = (MAX_OF(wait_ms, INT64_C(1000)) - 1) / 1000 + 1;

	snprintf(out, FAULT_AGAIN_MAX, "try again in %lld second%s", (long long)wait_s,
		 wait_s == 1 ? "" : "s");
	return out;
}

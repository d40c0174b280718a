#include "embeddings.h"

#include <stdio.h>
#include <stdlib.h>

enum {
	EMB_OUTSIDE,
	EMB_VALUE,   /* behind "embedding": */
	EMB_OPENED,  /* behind the bracket of a vector that may have to be converted */
	EMB_NUMBERS, /* to base64 */
	EMB_BASE64,  /* to numbers */
};

void embeddings_init(struct embeddings *e, bool to_base64)
{
	memset(e, 0, sizeof(*e));
	e->to_base64 = to_base64;
}

static bool emb_is_space(char c)
{
	return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

/* ---- numbers to base64 ---- */

static enum errc emb_put_group(struct embeddings *e, unsigned n, struct buf *out)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	uint32_t g = (uint32_t)e->bytes[0] << 16 | (uint32_t)e->bytes[1] << 8 | e->bytes[2];
	char text[4] = {digits[g >> 18 & 63], digits[g >> 12 & 63], digits[g >> 6 & 63],
			digits[g & 63]};

	for (unsigned i = n + 1; i < 4; i++)
		text[i] = '=';
	e->bytes_n = 0;
	memset(e->bytes, 0, sizeof(e->bytes));
	return buf_add(out, text, 4);
}

static enum errc emb_put_byte(struct embeddings *e, uint8_t b, struct buf *out)
{
	e->bytes[e->bytes_n++] = b;
	return e->bytes_n == 3 ? emb_put_group(e, 3, out) : ERRC_OK;
}

static enum errc emb_number_end(struct embeddings *e, struct buf *out)
{
	enum errc r = ERRC_OK;
	uint32_t bits;
	char *end;
	float f;

	if (!e->number_n)
		return ERRC_SYNTAX;
	e->number[e->number_n] = 0;
	f = strtof(e->number, &end);
	if (*end)
		return ERRC_SYNTAX;
	memcpy(&bits, &f, sizeof(bits));
	for (unsigned i = 0; !r && i < 4; i++)
		r = emb_put_byte(e, (uint8_t)(bits >> (8 * i)), out);
	e->number_n = 0;
	return r;
}

static enum errc emb_numbers_byte(struct embeddings *e, char c, struct buf *out)
{
	enum errc r;

	if (emb_is_space(c))
		return ERRC_OK;
	if (c == ',')
		return emb_number_end(e, out);
	if (c != ']') {
		if (e->number_n == sizeof(e->number) - 1 || !strchr("+-.0123456789eE", c) || !c)
			return ERRC_SYNTAX;
		e->number[e->number_n++] = c;
		return ERRC_OK;
	}
	r = e->number_n ? emb_number_end(e, out) : ERRC_OK;
	if (!r && e->bytes_n)
		r = emb_put_group(e, e->bytes_n, out);
	e->state = EMB_OUTSIDE;
	return r ? r : buf_addc(out, '"');
}

/* ---- base64 to numbers ---- */

static int emb_digit(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

static enum errc emb_float_byte(struct embeddings *e, uint8_t b, struct buf *out)
{
	uint32_t bits;
	char text[32];
	float f;

	e->bytes[e->bytes_n++] = b;
	if (e->bytes_n < 4)
		return ERRC_OK;
	e->bytes_n = 0;
	bits = (uint32_t)e->bytes[0] | (uint32_t)e->bytes[1] << 8 | (uint32_t)e->bytes[2] << 16 |
	       (uint32_t)e->bytes[3] << 24;
	memcpy(&f, &bits, sizeof(f));
	/* Nine digits give every float32 back; infinities have no place in JSON. */
	if ((bits & 0x7F800000) == 0x7F800000)
		return ERRC_SYNTAX;
	snprintf(text, sizeof(text), "%s%.9g", e->any ? "," : "", (double)f);
	e->any = true;
	return buf_addz(out, text);
}

static enum errc emb_base64_byte(struct embeddings *e, char c, struct buf *out)
{
	int v = emb_digit(c);
	enum errc r = ERRC_OK;

	if (c == '"') {
		/* What is left of the last group: two digits hold a byte, three hold two. */
		if (e->group_n == 2)
			r = emb_float_byte(e, (uint8_t)(e->group >> 4), out);
		else if (e->group_n == 3)
			r = emb_float_byte(e, (uint8_t)(e->group >> 10), out);
		if (!r && e->group_n == 3)
			r = emb_float_byte(e, (uint8_t)(e->group >> 2), out);
		if (!r && e->bytes_n)
			r = ERRC_SYNTAX;
		e->state = EMB_OUTSIDE;
		return r ? r : buf_addc(out, ']');
	}
	if (c == '=' || c == '\\')
		return ERRC_OK; /* padding; the escape of a slash */
	if (v < 0)
		return ERRC_SYNTAX;
	e->group = e->group << 6 | (uint32_t)v;
	if (++e->group_n < 4)
		return ERRC_OK;
	e->group_n = 0;
	for (int shift = 16; !r && shift >= 0; shift -= 8)
		r = emb_float_byte(e, (uint8_t)(e->group >> shift), out);
	return r;
}

/* ---- finding vectors ---- */

static void emb_string_byte(struct embeddings *e, char c)
{
	if (e->escape) {
		e->escape = false;
	} else if (c == '\\') {
		e->escape = true;
	} else if (c == '"') {
		e->in_string = e->in_key = false;
		return;
	}
	if (e->in_key) {
		if (e->key_n < sizeof(e->key))
			e->key[e->key_n] = c;
		e->key_n++;
	}
}

/* {"data":[{"embedding": stands three levels deep. */
static void emb_outside_byte(struct embeddings *e, char c)
{
	switch (c) {
	case '"':
		e->in_string = true;
		e->in_key = e->depth == 3 && !e->after_colon;
		if (e->in_key)
			e->key_n = 0;
		break;
	case ':':
		e->after_colon = true;
		if (e->depth == 3 && e->key_n == 9 && !memcmp(e->key, "embedding", 9))
			e->state = EMB_VALUE;
		break;
	case ',':
		e->after_colon = false;
		break;
	case '{':
	case '[':
		e->depth++;
		e->after_colon = false;
		break;
	case '}':
	case ']':
		e->depth--;
		e->after_colon = false;
		break;
	default:
		break;
	}
}

/* The first byte of a vector's value. False when it is to be treated as any other byte. */
static bool emb_value_byte(struct embeddings *e, char c, struct buf *out, enum errc *r)
{
	if (emb_is_space(c))
		return false;
	e->state = EMB_OUTSIDE;
	e->bytes_n = e->group_n = e->number_n = 0;
	e->any = false;
	if (c == '[' && e->to_base64) {
		e->state = EMB_OPENED;
		return true;
	}
	if (c == '"' && !e->to_base64) {
		e->state = EMB_BASE64;
		*r = buf_addc(out, '[');
		return true;
	}
	e->idle = true;
	return false;
}

/* A list of lists is no vector: it stays. */
static enum errc emb_opened_byte(struct embeddings *e, char c, struct buf *out)
{
	if (emb_is_space(c))
		return ERRC_OK;
	if (c == '[' || c == '{' || c == '"') {
		e->idle = true;
		return buf_addf(out, "[%c", c);
	}
	e->state = EMB_NUMBERS;
	if (buf_addc(out, '"') != ERRC_OK)
		return ERRC_NOMEM;
	return emb_numbers_byte(e, c, out);
}

static enum errc emb_byte(struct embeddings *e, char c, struct buf *out)
{
	enum errc r = ERRC_OK;

	if (e->state == EMB_NUMBERS)
		return emb_numbers_byte(e, c, out);
	if (e->state == EMB_BASE64)
		return emb_base64_byte(e, c, out);
	if (e->state == EMB_OPENED)
		return emb_opened_byte(e, c, out);
	if (e->state == EMB_VALUE && emb_value_byte(e, c, out, &r))
		return r;
	if (e->in_string)
		emb_string_byte(e, c);
	else
		emb_outside_byte(e, c);
	return buf_addc(out, c);
}

enum errc embeddings_push(struct embeddings *e, struct slice in, struct buf *out)
{
	enum errc r = ERRC_OK;
	size_t i = 0;

	while (!r && i < in.n && !e->idle)
		r = emb_byte(e, in.p[i++], out);
	return r ? r : buf_add(out, in.p + i, in.n - i);
}

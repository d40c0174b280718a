#include "json_cut.h"

#include "jstep.h"

void json_cut_init(struct json_cut *c)
{
	memset(c, 0, sizeof(*c));
	buf_init(&c->value, JSON_CUT_VALUE_MAX);
}

void json_cut_fini(struct json_cut *c)
{
	buf_fini(&c->value);
}

bool json_cut_is_done(const struct json_cut *c)
{
	return c->done;
}

static bool cut_is_space(char ch)
{
	return ch == ' ' || ch == '\t' || ch == '\n' || ch == '\r';
}

static void cut_string_byte(struct json_cut *c, char ch)
{
	if (c->escape) {
		c->escape = false;
	} else if (ch == '\\') {
		c->escape = true;
	} else if (ch == '"') {
		c->in_string = c->in_key = false;
		return;
	}
	/* A key with an escape is longer than its plain form, so it never equals the one we look for:
	 * no server writes it so. */
	if (c->in_key) {
		if (c->key_n < sizeof(c->key))
			c->key[c->key_n] = ch;
		c->key_n++;
	}
}

static void cut_byte(struct json_cut *c, char ch)
{
	if (c->in_string) {
		cut_string_byte(c, ch);
		return;
	}
	switch (ch) {
	case '"':
		c->in_string = true;
		c->in_key = c->depth == 1 && !c->after_colon;
		if (c->in_key)
			c->key_n = 0;
		break;
	case ':':
	case ',':
		if (c->depth == 1)
			c->after_colon = ch == ':';
		break;
	case '{':
	case '[':
		c->depth++;
		break;
	case '}':
	case ']':
		c->depth--;
		break;
	default:
		break;
	}
}

/* Whether `ch`, not consumed yet, stands in a value of `usage` at the top. */
static bool cut_is_usage(const struct json_cut *c, char ch)
{
	return c->after_colon && c->key_n == 5 && !memcmp(c->key, "usage", 5) && !cut_is_space(ch);
}

/* Whether it begins the value to hold. */
static bool cut_begins(const struct json_cut *c, char ch)
{
	return !c->given && cut_is_usage(c, ch);
}

/* Whether it begins another one: readers would not agree which counts. */
static bool cut_repeats(const struct json_cut *c, char ch)
{
	return c->given && !c->in_string && c->depth == 1 && ch != ',' && ch != '}' &&
	       cut_is_usage(c, ch);
}

/* Passes what is of no meaning: most of a string that is no key, and what stands between brackets below the top. */
static size_t cut_pass(const struct json_cut *c, struct slice in, size_t i)
{
	const char *p = in.p + i, *end = slice_end(in);

	if (c->in_string)
		return c->in_key || c->escape ? i : (size_t)(jstep_opaque(p, end) - in.p);
	return c->depth > 1 ? (size_t)(jstep_bracket(p, end) - in.p) : i;
}

/* Looks at `ch` before it is consumed: whether something ends or begins here. */
static enum json_cut_kind cut_border(const struct json_cut *c, char ch)
{
	if (c->in_string || c->depth != 1)
		return JSON_CUT_NONE;
	if (c->holding)
		return ch == ',' || ch == '}' ? JSON_CUT_VALUE : JSON_CUT_NONE;
	if (ch == '}')
		return JSON_CUT_TAIL;
	return cut_begins(c, ch) ? JSON_CUT_BYTES : JSON_CUT_NONE;
}

static enum errc cut_hold(struct json_cut *c, struct slice s)
{
	enum errc e = buf_adds(&c->value, s);

	return e == ERRC_LIMIT ? ERRC_TOOBIG : e;
}

/* Hands out in[0..i) as `kind` and leaves the rest. */
static void cut_give(struct slice *in, size_t i, enum json_cut_kind kind, enum json_cut_kind *k,
		     struct slice *out)
{
	*out = slice_of(in->p, i);
	*in = slice_of(in->p + i, in->n - i);
	*k = i ? kind : JSON_CUT_NONE;
}

/* The border at in[i] was met. True when there is something to hand out. */
static enum errc cut_at(struct json_cut *c, struct slice *in, size_t i, enum json_cut_kind border,
			enum json_cut_kind *kind, struct slice *out)
{
	enum errc e;

	if (border == JSON_CUT_VALUE) {
		e = cut_hold(c, slice_of(in->p, i));
		cut_give(in, i, JSON_CUT_NONE, kind, out);
		c->holding = false;
		c->given = true;
		*kind = JSON_CUT_VALUE;
		*out = slice_trim(buf_slice(&c->value));
		return e;
	}
	if (i > 0) {
		cut_give(in, i, JSON_CUT_BYTES, kind, out);
		return ERRC_OK;
	}
	if (border == JSON_CUT_BYTES) {
		c->holding = true;
		return ERRC_OK;
	}
	cut_give(in, 1, JSON_CUT_TAIL, kind, out);
	c->depth = 0;
	c->done = true;
	return ERRC_OK;
}

enum errc json_cut_next(struct json_cut *c, struct slice *in, enum json_cut_kind *kind,
			struct slice *out)
{
	enum json_cut_kind border;
	enum errc e = ERRC_OK;
	size_t i = 0;

	*kind = JSON_CUT_NONE;
	*out = SLICE_NONE;
	if (c->done)
		*in = SLICE_NONE;
	while ((i = cut_pass(c, *in, i)) < in->n) {
		if (c->depth == 0 && in->p[i] != '{' && !cut_is_space(in->p[i]))
			return ERRC_SYNTAX;
		if (cut_repeats(c, in->p[i]))
			return ERRC_SYNTAX;
		border = cut_border(c, in->p[i]);
		if (border != JSON_CUT_NONE) {
			e = cut_at(c, in, i, border, kind, out);
			if (e || *kind != JSON_CUT_NONE)
				return e;
		}
		cut_byte(c, in->p[i++]);
	}
	if (c->holding) {
		e = cut_hold(c, *in);
		*in = SLICE_NONE;
		return e;
	}
	cut_give(in, i, JSON_CUT_BYTES, kind, out);
	return ERRC_OK;
}

#include "paths.h"

#include <stdio.h>

#include "uri.h"

#define PATHS_SEGMENTS_MAX 24
#define PATHS_TEXT_MAX     1024

struct paths_row {
	const char *id;
	unsigned methods;
	enum paths_family family;
	bool served;
	const char *path, *instead;
};

static const struct paths_row paths_rows[PATHS_COUNT] = {
#define PATHS(id, methods, family, served, path, instead) \
	[PATHS_##id] = {#id, methods, family, served, path, instead},
#include "paths_tbl.h"
#undef PATHS
};

/* What may stand before an OpenAI or account route, and before an Anthropic one; the longer ones first. */
static const char *const paths_prefixes[] = {"v1/v1", "api/v1", "openai/v1", "v1",
					     "api",   "openai", ""};
static const char *const paths_prefixes_anthropic[] = {"anthropic/v1", "v1", "anthropic", ""};

/* A path cut at its slashes, each part decoded once: a decoded slash never divides. */
struct paths_segs {
	struct slice s[PATHS_SEGMENTS_MAX];
	unsigned n;
	char text[PATHS_TEXT_MAX];
	size_t len;
};

static enum errc segs_add(struct paths_segs *g, struct slice raw)
{
	struct buf b;
	enum errc e;

	if (g->n == PATHS_SEGMENTS_MAX || raw.n > PATHS_TEXT_MAX - g->len)
		return ERRC_NOTFOUND;
	buf_init(&b, PATHS_TEXT_MAX);
	e = uri_decode(&b, raw);
	if (!e) {
		if (b.len)
			memcpy(g->text + g->len, b.p, b.len);
		g->s[g->n++] = slice_of(g->text + g->len, b.len);
		g->len += b.len;
	}
	buf_fini(&b);
	return e;
}

/* Empty segments (double slashes, one at the end) are folded. */
static enum errc segs_read(struct paths_segs *g, struct slice path)
{
	struct slice part;
	enum errc e = ERRC_OK;

	g->n = 0;
	g->len = 0;
	while (!e && path.n) {
		(void)slice_cut(&path, '/', &part);
		if (part.n)
			e = segs_add(g, part);
	}
	return e;
}

/* How many of the segments from `at` the literal text takes; 0 when it does not stand there. */
static unsigned segs_take(const struct paths_segs *g, unsigned at, unsigned end, const char *text)
{
	struct slice rest = slice_str(text), part;
	unsigned n = 0;

	while (rest.n) {
		(void)slice_cut(&rest, '/', &part);
		if (at + n >= end || !slice_eq(g->s[at + n], part))
			return 0;
		n++;
	}
	return n;
}

static void match_id(struct paths_match *m, const struct paths_segs *g, unsigned from, unsigned end)
{
	size_t len = 0;

	for (unsigned i = from; i < end; i++) {
		size_t room = sizeof(m->id) - 1 - len, n = MIN_OF(g->s[i].n, room);

		if (i > from && room > n)
			m->id[len++] = '/';
		memcpy(m->id + len, g->s[i].p, MIN_OF(n, sizeof(m->id) - 1 - len));
		len += MIN_OF(n, sizeof(m->id) - 1 - len);
	}
	m->id[len] = 0;
}

/* Whether the segments [at, end) are this route; fills the id. */
static bool match_row(const struct paths_row *row, const struct paths_segs *g, unsigned at,
		      unsigned end, struct paths_match *m)
{
	struct slice rest = slice_str(row->path + 1), part;

	m->id[0] = 0;
	while (rest.n) {
		(void)slice_cut(&rest, '/', &part);
		if (at == end)
			return false;
		if (slice_is(part, "{rest}")) {
			match_id(m, g, at, end);
			return true;
		}
		if (slice_is(part, "{id}"))
			match_id(m, g, at, at + 1);
		else if (!slice_eq(part, g->s[at]))
			return false;
		at++;
	}
	return at == end;
}

/* Prefix by prefix, route by route. `stripped` rows are those that a prefix may precede. */
static bool match_prefixed(const struct paths_segs *g, unsigned at, unsigned end,
			   struct paths_match *m)
{
	for (unsigned r = 0; r < PATHS_COUNT; r++) {
		const struct paths_row *row = &paths_rows[r];
		bool ant = row->family == PATHS_FOR_ANTHROPIC;
		const char *const *prefix = ant ? paths_prefixes_anthropic : paths_prefixes;
		unsigned n = ant ? ARRAY_LEN(paths_prefixes_anthropic) : ARRAY_LEN(paths_prefixes);

		for (unsigned i = 0; i < n; i++) {
			unsigned skip = segs_take(g, at, end, prefix[i]);

			if (prefix[i][0] && (!skip || r == PATHS_ROOT))
				continue;
			if (!match_row(row, g, at + skip, end, m))
				continue;
			m->route = (enum paths_route)r;
			m->family = row->family;
			return true;
		}
	}
	return false;
}

/* "/v1/messages/v1/messages": clients whose base URL holds the route already. */
static bool match_repeated(const struct paths_segs *g, unsigned end, struct paths_match *m)
{
	struct paths_match tail = *m;

	for (unsigned cut = end - 1; cut > 0; cut--) {
		if (!match_prefixed(g, cut, end, &tail) || tail.route == PATHS_ROOT || tail.id[0])
			continue;
		if (match_prefixed(g, 0, cut, m) && m->route == tail.route)
			return true;
	}
	return false;
}

/* A path that is written as the contract writes it: nothing to decode, cut or strip. */
static bool match_plain(struct slice path, struct paths_match *m)
{
	if (slice_chr(path, '{') >= 0) /* what stands in the table for an id is none */
		return false;
	for (unsigned r = 0; r < PATHS_COUNT; r++) {
		if (!slice_is(path, paths_name((enum paths_route)r)))
			continue;
		m->route = (enum paths_route)r;
		m->family = paths_rows[r].family;
		return true;
	}
	return false;
}

static bool match_segs(const struct paths_segs *g, struct paths_match *m)
{
	unsigned skip = segs_take(g, 0, g->n, "openai/deployments");

	if (skip && g->n > skip + 1) {
		size_t n = MIN_OF(g->s[skip].n, sizeof(m->deployment) - 1);

		memcpy(m->deployment, g->s[skip].p, n);
		m->deployment[n] = 0;
		return match_prefixed(g, skip + 1, g->n, m);
	}
	return match_prefixed(g, 0, g->n, m) || (g->n > 1 && match_repeated(g, g->n, m));
}

/* Whose error form a path that is no route should get. */
static enum paths_family family_guess(struct slice path)
{
	if (slice_find(path, SLICE_LIT("/messages")) >= 0 ||
	    slice_has_prefix(path, SLICE_LIT("/anthropic")))
		return PATHS_FOR_ANTHROPIC;
	return slice_has_prefix(path, SLICE_LIT("/v1beta")) ? PATHS_FOR_GEMINI : PATHS_FOR_OPENAI;
}

static enum errc match_path(struct slice path, struct paths_match *m)
{
	struct paths_segs g;
	enum errc e;

	if (match_plain(path, m))
		return ERRC_OK;
	e = segs_read(&g, path);
	m->family = family_guess(path);
	return e ? e : match_segs(&g, m) ? ERRC_OK : ERRC_NOTFOUND;
}

/* ---- faults ---- */

/* Edit distance, for the hint only; both texts are cut at 64 bytes. */
static unsigned hint_distance(struct slice a, struct slice b)
{
	unsigned row[65];

	a = slice_sub(a, 0, 64);
	b = slice_sub(b, 0, 64);
	for (unsigned j = 0; j <= b.n; j++)
		row[j] = j;
	for (unsigned i = 1; i <= a.n; i++) {
		unsigned diag = row[0];

		row[0] = i;
		for (unsigned j = 1; j <= b.n; j++) {
			unsigned change = diag + (a.p[i - 1] != b.p[j - 1]);

			diag = row[j];
			row[j] = MIN_OF(change, MIN_OF(row[j], row[j - 1]) + 1);
		}
	}
	return row[b.n];
}

/* A route that ends with a parameter is also near where only that is missing. */
static unsigned hint_route_distance(struct slice path, struct slice name)
{
	ptrdiff_t at = slice_find(name, SLICE_LIT("/{"));
	unsigned whole = hint_distance(path, name);

	return at < 0 ? whole
		      : MIN_OF(whole, hint_distance(path, slice_sub(name, 0, (size_t)at)) + 1);
}

static const char *hint_method(unsigned methods)
{
	return methods & PATHS_POST ? "POST" : "GET";
}

static enum paths_route hint_nearest(struct slice path)
{
	enum paths_route best = PATHS_CHAT;
	unsigned least = UINT32_MAX;

	for (unsigned r = 0; r < PATHS_COUNT; r++) {
		struct slice name = slice_str(paths_name((enum paths_route)r));
		unsigned d = hint_route_distance(path, name);

		if (paths_rows[r].served && d < least) {
			least = d;
			best = (enum paths_route)r;
		}
	}
	return best;
}

static enum errc fault_unknown(struct slice method, struct slice path, struct fault *f)
{
	enum paths_route r = hint_nearest(path);

	fault_set(f, FAULT_URL_UNKNOWN,
		  "There is no route " SLICE_FMT " " SLICE_FMT "; the nearest is %s %s.",
		  SLICE_ARG(slice_sub(method, 0, 16)), SLICE_ARG(slice_sub(path, 0, 200)),
		  hint_method(paths_rows[r].methods), paths_name(r));
	return ERRC_NOTFOUND;
}

static enum errc fault_not_served(struct slice method, const struct paths_row *row,
				  enum paths_route r, struct fault *f)
{
	fault_set(f, FAULT_URL_UNKNOWN,
		  SLICE_FMT " %s is not served by this version of the gateway%s%s.",
		  SLICE_ARG(slice_sub(method, 0, 16)), paths_name(r),
		  row->instead[0] ? "; use " : "", row->instead);
	return ERRC_NOTFOUND;
}

static void allow_text(struct paths_match *m, unsigned methods)
{
	snprintf(m->allow, sizeof(m->allow), "%s%s%sOPTIONS",
		 methods & PATHS_GET ? "GET, HEAD, " : "", methods & PATHS_POST ? "POST, " : "",
		 methods & PATHS_DELETE ? "DELETE, " : "");
}

static unsigned method_bit(struct slice method)
{
	if (slice_is(method, "GET") || slice_is(method, "HEAD"))
		return PATHS_GET;
	return slice_is(method, "POST")     ? PATHS_POST
	       : slice_is(method, "DELETE") ? PATHS_DELETE
					    : 0;
}

enum errc paths_resolve(struct slice method, struct slice target, struct paths_match *m,
			struct fault *f)
{
	struct uri_target t = {0};
	const struct paths_row *row;
	enum errc e;

	memset(m, 0, sizeof(*m));
	m->route = PATHS_COUNT;
	m->family = PATHS_FOR_OPENAI;
	e = uri_split_target(target, &t);
	if (e)
		m->family = family_guess(t.path);
	else
		e = match_path(t.path, m);
	m->query = t.query;
	m->options = slice_is(method, "OPTIONS");
	m->head = slice_is(method, "HEAD");
	if (e == ERRC_SYNTAX) {
		fault_set(f, FAULT_BAD_REQUEST, "The request's path is malformed.");
		return ERRC_INVAL;
	}
	if (e == ERRC_NOMEM) {
		fault_errc(f, e, "path");
		return e;
	}
	if (e) {
		m->route = PATHS_COUNT;
		return fault_unknown(method, t.path, f);
	}
	row = &paths_rows[m->route];
	if (m->options)
		return ERRC_OK;
	if (!row->served)
		return fault_not_served(method, row, m->route, f);
	if (method_bit(method) & row->methods)
		return ERRC_OK;
	allow_text(m, row->methods);
	fault_set(f, FAULT_METHOD, "%s does not take " SLICE_FMT ": use %s.", paths_name(m->route),
		  SLICE_ARG(slice_sub(method, 0, 16)), hint_method(row->methods));
	return ERRC_PERM;
}

const char *paths_name(enum paths_route r)
{
	static const char *const names[PATHS_COUNT] = {
#define PATHS(id, methods, family, served, path, instead) [PATHS_##id] = "/v1" path,
#include "paths_tbl.h"
#undef PATHS
	};

	if ((unsigned)r >= PATHS_COUNT)
		return "";
	switch (r) {
	case PATHS_ROOT:
	case PATHS_HELLO:
	case PATHS_HEALTHZ:
	case PATHS_READYZ:
	case PATHS_GEMINI:
	case PATHS_PRICING:
		return paths_rows[r].path;
	default:
		return names[r];
	}
}

enum errc paths_query(struct slice query, const char *name, struct buf *out)
{
	return uri_query_get(query, name, out);
}

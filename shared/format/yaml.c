#include "yaml_tree.h"

#include <yaml.h>

#include "text.h"

#define INDEX_FROM 8 /* children of a mapping from which on an index pays */

/* Open addressing, at most half full. A removed child leaves a tombstone. */
struct yaml_index {
	size_t cap, used;
	struct yaml_node *slot[];
};

struct loader {
	struct arena *a;
	const char *file;
	struct slice text;
	const struct yaml_twice *twice;
	struct buf *message;
	struct yaml_pos *where;
	struct yaml_node *stack[YAML_DEPTH_MAX];
	unsigned depth;
	struct yaml_node *root;
	struct slice key; /* the key read last in the innermost mapping; p is NULL while one is due */
	struct yaml_pos key_pos;
	size_t nodes;
	bool hides_braces;
};

static struct yaml_node tombstone;

/* ------------------------------------------------------------------ nodes */

static size_t index_slot(const struct yaml_index *x, struct slice key)
{
	size_t i = (size_t)text_hash(key) & (x->cap - 1);

	while (x->slot[i] && (x->slot[i] == &tombstone || !slice_eq(x->slot[i]->key, key)))
		i = (i + 1) & (x->cap - 1);
	return i;
}

struct yaml_node *yaml_get(const struct yaml_node *map, struct slice key)
{
	if (!map || map->kind != YAML_MAP)
		return NULL;
	if (map->index)
		return map->index->slot[index_slot(map->index, key)];
	for (struct yaml_node *c = map->first; c; c = c->next) {
		if (slice_eq(c->key, key))
			return c;
	}
	return NULL;
}

/* Makes the index anew from the children, with room for as many again. */
static enum errc index_build(struct arena *a, struct yaml_node *map)
{
	struct yaml_index *x;
	size_t cap = 4 * INDEX_FROM;

	while (cap < 4 * map->n)
		cap *= 2;
	x = arena_zero(a, sizeof(*x) + cap * sizeof(x->slot[0]));
	if (!x)
		return ERRC_NOMEM;
	x->cap = cap;
	x->used = map->n;
	for (struct yaml_node *c = map->first; c; c = c->next)
		x->slot[index_slot(x, c->key)] = c;
	map->index = x;
	return ERRC_OK;
}

/* Room for one child more; may build an index. */
static enum errc index_reserve(struct arena *a, struct yaml_node *map)
{
	if (map->index ? 2 * (map->index->used + 1) <= map->index->cap : map->n < INDEX_FROM)
		return ERRC_OK;
	return index_build(a, map);
}

struct yaml_node *yaml_new(struct arena *a, enum yaml_kind kind, struct yaml_pos pos)
{
	struct yaml_node *n = arena_new(a, struct yaml_node);

	if (n) {
		n->kind = kind;
		n->pos = pos;
	}
	return n;
}

struct yaml_node *yaml_new_text(struct arena *a, struct slice text, struct yaml_pos pos)
{
	struct yaml_node *n = yaml_new(a, YAML_SCALAR, pos);

	if (!n)
		return NULL;
	n->text = arena_dup(a, text);
	return n->text.p ? n : NULL;
}

void yaml_append(struct yaml_node *list, struct yaml_node *child)
{
	child->next = NULL;
	if (list->last)
		list->last->next = child;
	else
		list->first = child;
	list->last = child;
	list->n++;
}

static struct yaml_node **link_of(struct yaml_node *map, struct slice key)
{
	struct yaml_node **link = &map->first;

	while (!slice_eq((*link)->key, key))
		link = &(*link)->next;
	return link;
}

enum errc yaml_put(struct arena *a, struct yaml_node *map, struct slice key,
		   struct yaml_pos key_pos, struct yaml_node *child)
{
	struct yaml_node *old = yaml_get(map, key);
	enum errc rc;

	child->key = key;
	child->key_pos = key_pos;
	if (old) {
		struct yaml_node **link = link_of(map, key);

		child->next = old->next;
		*link = child;
		if (map->last == old)
			map->last = child;
		if (map->index)
			map->index->slot[index_slot(map->index, key)] = child;
		return ERRC_OK;
	}
	rc = index_reserve(a, map);
	if (rc != ERRC_OK)
		return rc;
	yaml_append(map, child);
	if (map->index) {
		map->index->slot[index_slot(map->index, key)] = child;
		map->index->used++;
	}
	return ERRC_OK;
}

void yaml_remove(struct yaml_node *map, struct slice key)
{
	struct yaml_node *old = yaml_get(map, key), *prev = NULL;

	if (!old)
		return;
	if (map->index)
		map->index->slot[index_slot(map->index, key)] = &tombstone;
	for (struct yaml_node *c = map->first; c != old; c = c->next)
		prev = c;
	if (prev)
		prev->next = old->next;
	else
		map->first = old->next;
	if (map->last == old)
		map->last = prev;
	map->n--;
}

/* Recursion is bounded by YAML_DEPTH_MAX, the depth of any tree that was parsed. */
struct yaml_node *yaml_copy(struct arena *a, const struct yaml_node *n)
{
	struct yaml_node *out = yaml_new(a, n->kind, n->pos);

	if (!out)
		return NULL;
	*out = *n;
	out->next = out->first = out->last = NULL;
	out->index = NULL;
	out->n = 0;
	for (const struct yaml_node *c = n->first; c; c = c->next) {
		struct yaml_node *copy = yaml_copy(a, c);

		if (!copy)
			return NULL;
		if (n->kind == YAML_LIST)
			yaml_append(out, copy);
		else if (yaml_put(a, out, copy->key, copy->key_pos, copy) != ERRC_OK)
			return NULL;
	}
	return out;
}

/* ---------------------------------------------------------------- parsing */

static struct yaml_pos pos_of(const struct loader *l, const yaml_mark_t *m)
{
	return (struct yaml_pos){l->file, (unsigned)m->line + 1, (unsigned)m->column + 1};
}

static enum errc PRINTF_LIKE(4, 5)
	fail(struct loader *l, enum errc rc, struct yaml_pos pos, const char *fmt, ...)
{
	va_list ap;
	enum errc added;

	*l->where = pos;
	va_start(ap, fmt);
	added = buf_addvf(l->message, fmt, ap);
	va_end(ap);
	return added == ERRC_NOMEM ? ERRC_NOMEM : rc;
}

/* The reader, which decodes UTF-8, knows an offset only. */
static struct yaml_pos pos_at(const struct loader *l, size_t offset)
{
	struct yaml_pos pos = {l->file, 1, 1};

	for (size_t i = 0; i < offset && i < l->text.n; i++) {
		unsigned char c = (unsigned char)l->text.p[i];

		pos.column += (c & 0xc0) != 0x80;
		if (c == '\n') {
			pos.line++;
			pos.column = 1;
		}
	}
	return pos;
}

static enum errc library_error(struct loader *l, const yaml_parser_t *p)
{
	struct yaml_pos pos = pos_of(l, &p->problem_mark);

	if (p->error == YAML_MEMORY_ERROR)
		return ERRC_NOMEM;
	if (p->error == YAML_READER_ERROR)
		return fail(l, ERRC_SYNTAX, pos_at(l, p->problem_offset), "not valid YAML: %s",
			    p->problem ? p->problem : "unreadable text");
	if (p->context && p->context_mark.line != p->problem_mark.line)
		return fail(l, ERRC_SYNTAX, pos, "not valid YAML: %s (%s that begins in line %zu)",
			    p->problem, p->context, p->context_mark.line + 1);
	return fail(l, ERRC_SYNTAX, pos, "not valid YAML: %s",
		    p->problem ? p->problem : "syntax error");
}

/* --- ${name} ---
 * [regions/${region}.yaml] is what one would write, but between brackets YAML ends a text at a brace. So the braces of ${name} are
 * private characters while libyaml reads, one for one, which keeps lines and columns. */

#define BRACE_OPEN  "\xee\x80\x80" /* U+E000 */
#define BRACE_CLOSE "\xee\x80\x81" /* U+E001 */

/* The length of the ${name} that `s` begins with; 0: none. */
static size_t variable_length(struct slice s)
{
	size_t n = 2;

	if (!slice_has_prefix(s, SLICE_LIT("${")))
		return 0;
	while (n < s.n && (s.p[n] == '_' || s.p[n] == ':' || (s.p[n] >= '0' && s.p[n] <= '9') ||
			   (s.p[n] >= 'A' && s.p[n] <= 'Z') || (s.p[n] >= 'a' && s.p[n] <= 'z')))
		n++;
	return n > 2 && n < s.n && s.p[n] == '}' ? n + 1 : 0;
}

/* Makes l->text what libyaml reads; `mem` keeps it when it is another one. */
static enum errc hide_braces(struct loader *l, struct buf *mem)
{
	struct slice left = l->text;
	enum errc rc = ERRC_OK;

	if (slice_find(left, SLICE_LIT("${")) < 0 || slice_find(left, SLICE_LIT(BRACE_OPEN)) >= 0 ||
	    slice_find(left, SLICE_LIT(BRACE_CLOSE)) >= 0)
		return ERRC_OK;
	while (left.n && rc == ERRC_OK) {
		ptrdiff_t at = slice_find(left, SLICE_LIT("${"));
		size_t before = at < 0 ? left.n : (size_t)at;
		size_t n = variable_length(slice_sub(left, before, left.n));

		rc = buf_adds(mem, slice_sub(left, 0, before));
		left = slice_sub(left, before, left.n);
		if (rc == ERRC_OK && n)
			rc = buf_addf(mem, "$" BRACE_OPEN SLICE_FMT BRACE_CLOSE,
				      SLICE_ARG(slice_sub(left, 2, n - 3)));
		else if (rc == ERRC_OK && left.n)
			rc = buf_adds(mem, slice_sub(left, 0, n = 2));
		left = slice_sub(left, n, left.n);
	}
	l->text = buf_slice(mem);
	l->hides_braces = true;
	return rc;
}

/* A text of libyaml's as it was written; p is NULL without memory. */
static struct slice show_braces(struct loader *l, struct slice text)
{
	char *out = l->hides_braces ? arena_zero(l->a, text.n + 1) : NULL;
	size_t n = 0;

	if (!l->hides_braces || !out)
		return l->hides_braces ? SLICE_NONE : text;
	for (size_t i = 0; i < text.n; i++, n++) {
		struct slice rest = slice_sub(text, i, text.n);
		bool opens = slice_has_prefix(rest, SLICE_LIT(BRACE_OPEN));

		out[n] = text.p[i];
		if (opens || slice_has_prefix(rest, SLICE_LIT(BRACE_CLOSE))) {
			out[n] = opens ? '{' : '}';
			i += sizeof(BRACE_OPEN) - 2;
		}
	}
	return slice_of(out, n);
}

/* Puts a complete or just opened node where it belongs. */
static enum errc place(struct loader *l, struct yaml_node *n)
{
	struct yaml_node *parent = l->depth ? l->stack[l->depth - 1] : NULL;
	const struct yaml_node *first;
	enum errc rc = ERRC_OK;

	if (!parent) {
		l->root = n;
		return ERRC_OK;
	}
	if (parent->kind == YAML_LIST) {
		yaml_append(parent, n);
		return ERRC_OK;
	}
	first = yaml_get(parent, l->key);
	if (first)
		l->twice->fn(l->twice->arg, first, l->key_pos); /* and n stays outside of the tree */
	else
		rc = yaml_put(l->a, parent, l->key, l->key_pos, n);
	l->key = SLICE_NONE;
	return rc;
}

static bool key_is_due(const struct loader *l)
{
	return l->depth && l->stack[l->depth - 1]->kind == YAML_MAP && !l->key.p;
}

static enum errc take_scalar(struct loader *l, const yaml_event_t *e, struct yaml_pos pos)
{
	struct slice text = slice_of(e->data.scalar.value, e->data.scalar.length);
	struct yaml_node *n;

	if (memchr(text.p, '\0', text.n))
		return fail(l, ERRC_SYNTAX, pos, "a text must not contain NUL");
	text = show_braces(l, text);
	if (!text.p)
		return ERRC_NOMEM;
	if (key_is_due(l)) {
		l->key = arena_dup(l->a, text);
		l->key_pos = pos;
		return l->key.p ? ERRC_OK : ERRC_NOMEM;
	}
	n = yaml_new_text(l->a, text, pos);
	if (!n)
		return ERRC_NOMEM;
	n->is_plain = e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
	n->is_null = n->is_plain && (text.n == 0 || slice_is(text, "~"));
	return place(l, n);
}

static enum errc take_open(struct loader *l, enum yaml_kind kind, struct yaml_pos pos)
{
	struct yaml_node *n;
	enum errc rc;

	if (key_is_due(l))
		return fail(l, ERRC_SYNTAX, pos, "a key must be a text");
	if (l->depth == YAML_DEPTH_MAX)
		return fail(l, ERRC_DEPTH, pos, "nested more than %d levels", YAML_DEPTH_MAX);
	n = yaml_new(l->a, kind, pos);
	if (!n)
		return ERRC_NOMEM;
	rc = place(l, n);
	if (rc == ERRC_OK) {
		l->stack[l->depth++] = n;
		l->key = SLICE_NONE;
	}
	return rc;
}

static bool has_anchor_or_tag(const yaml_event_t *e)
{
	switch (e->type) {
	case YAML_SCALAR_EVENT:
		return e->data.scalar.anchor || e->data.scalar.tag;
	case YAML_SEQUENCE_START_EVENT:
		return e->data.sequence_start.anchor || e->data.sequence_start.tag;
	case YAML_MAPPING_START_EVENT:
		return e->data.mapping_start.anchor || e->data.mapping_start.tag;
	default:
		return e->type == YAML_ALIAS_EVENT;
	}
}

static enum errc take(struct loader *l, const yaml_event_t *e)
{
	struct yaml_pos pos = pos_of(l, &e->start_mark);

	if (has_anchor_or_tag(e))
		return fail(l, ERRC_SYNTAX, pos,
			    "anchors, aliases and tags are not supported; a text that begins with "
			    "&, * or ! needs quotes");
	switch (e->type) {
	case YAML_DOCUMENT_START_EVENT:
		if (l->root)
			return fail(l, ERRC_SYNTAX, pos, "a second document in one file");
		return ERRC_OK;
	case YAML_SCALAR_EVENT:
	case YAML_SEQUENCE_START_EVENT:
	case YAML_MAPPING_START_EVENT:
		if (l->nodes++ == YAML_NODES_MAX)
			return fail(l, ERRC_LIMIT, pos, "more than %d values", YAML_NODES_MAX);
		if (e->type == YAML_SCALAR_EVENT)
			return take_scalar(l, e, pos);
		return take_open(l, e->type == YAML_MAPPING_START_EVENT ? YAML_MAP : YAML_LIST, pos);
	case YAML_SEQUENCE_END_EVENT:
	case YAML_MAPPING_END_EVENT:
		l->depth--;
		return ERRC_OK;
	default:
		return ERRC_OK;
	}
}

static enum errc take_all(struct loader *l, yaml_parser_t *p)
{
	enum errc rc = ERRC_OK;

	for (bool end = false; rc == ERRC_OK && !end;) {
		yaml_event_t e;

		if (!yaml_parser_parse(p, &e))
			return library_error(l, p);
		rc = take(l, &e);
		end = e.type == YAML_STREAM_END_EVENT;
		yaml_event_delete(&e);
	}
	return rc;
}

enum errc yaml_parse(struct arena *a, const char *file, struct slice text,
		     const struct yaml_twice *twice, struct yaml_node **out, struct buf *message,
		     struct yaml_pos *where)
{
	struct loader l = {.a = a,
			   .file = file,
			   .text = text,
			   .twice = twice,
			   .message = message,
			   .where = where};
	static const struct slice bom = SLICE_LIT("\xef\xbb\xbf");
	struct yaml_pos start = {file, 1, 1};
	struct buf hidden;
	yaml_parser_t p;
	enum errc rc;

	*where = start;
	if (text.n > YAML_BYTES_MAX)
		return fail(&l, ERRC_LIMIT, start, "more than %d MiB", YAML_BYTES_MAX >> 20);
	if (!yaml_parser_initialize(&p))
		return ERRC_NOMEM;
	if (slice_has_prefix(text,
			     bom)) /* the library takes it only where it may guess the encoding */
		l.text = slice_sub(text, bom.n, text.n);
	buf_init(&hidden, 3 * YAML_BYTES_MAX);
	yaml_parser_set_encoding(&p, YAML_UTF8_ENCODING);
	rc = hide_braces(&l, &hidden);
	yaml_parser_set_input_string(&p, (const unsigned char *)(l.text.p ? l.text.p : ""),
				     l.text.n);
	if (rc == ERRC_OK)
		rc = take_all(&l, &p);
	yaml_parser_delete(&p);
	buf_fini(&hidden);
	if (rc == ERRC_OK && (!l.root || l.root->is_null)) {
		l.root = yaml_new(a, YAML_MAP, start);
		rc = l.root ? ERRC_OK : ERRC_NOMEM;
	}
	*out = rc == ERRC_OK ? l.root : NULL;
	return rc;
}

/* --------------------------------------------------------------- printing */

static bool is_plain_safe(struct slice s)
{
	static const char more[] = "._/+-*@%= ";

	if (s.n == 0 || !((s.p[0] >= '0' && s.p[0] <= '9') || (s.p[0] >= 'a' && s.p[0] <= 'z') ||
			  (s.p[0] >= 'A' && s.p[0] <= 'Z') || s.p[0] == '/' || s.p[0] == '_'))
		return false;
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];

		if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
		      memchr(more, c, sizeof(more) - 1)))
			return false;
	}
	return s.p[s.n - 1] != ' ';
}

/* Decodes one character of valid UTF-8; returns its length. What is not valid counts as one byte. */
static size_t utf8_next(struct slice s, uint32_t *out)
{
	unsigned char c = (unsigned char)s.p[0];
	size_t n = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;

	*out = c;
	if (n == 1 || n > s.n)
		return 1;
	*out = c & (0x7fu >> n);
	for (size_t i = 1; i < n; i++)
		*out = *out << 6 | ((unsigned char)s.p[i] & 0x3f);
	return n;
}

/* What a YAML reader takes as it is inside double quotes. */
static bool is_printable(uint32_t c)
{
	if (c < 0xa0)
		return c >= 0x20 && c < 0x7f;
	return (c < 0xd800 && c != 0x2028 && c != 0x2029) ||
	       (c >= 0xe000 && c <= 0xfffd && c != 0xfeff) || c >= 0x10000;
}

enum errc yaml_print_text(struct buf *out, struct slice text)
{
	enum errc rc;

	if (is_plain_safe(text))
		return buf_adds(out, text);
	rc = buf_addc(out, '"');
	while (rc == ERRC_OK && text.n) {
		uint32_t c;
		size_t n = utf8_next(text, &c);

		if (c == '"' || c == '\\')
			rc = buf_addf(out, "\\%c", (char)c);
		else if (is_printable(c))
			rc = buf_add(out, text.p, n);
		else
			rc = buf_addf(out, "\\u%04X", (unsigned)c);
		text = slice_sub(text, n, text.n);
	}
	return rc == ERRC_OK ? buf_addc(out, '"') : rc;
}

const char *yaml_library(void)
{
	return yaml_get_version_string();
}

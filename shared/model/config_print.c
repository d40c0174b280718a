#include "config.h"

#include "config_ctx.h"
#include "config_secret.h"

struct printing {
	const struct config *c;
	struct buf *out;
	bool origin;
	enum errc rc; /* the first failure; later calls do nothing */
};

static void text(struct printing *p, const char *s)
{
	if (p->rc == ERRC_OK)
		p->rc = buf_addz(p->out, s);
}

static void scalar(struct printing *p, struct slice s)
{
	if (p->rc == ERRC_OK)
		p->rc = yaml_print_text(p->out, s);
}

static void indent(struct printing *p, unsigned depth)
{
	if (p->rc == ERRC_OK)
		p->rc = buf_addf(p->out, "%*s", (int)(2 * depth), "");
}

static void end_line(struct printing *p, struct yaml_pos pos)
{
	if (p->rc == ERRC_OK && p->origin && pos.file)
		p->rc = buf_addf(p->out, "  # %s:%u:%u", pos.file, pos.line, pos.column);
	else if (p->origin)
		text(p, "  # default");
	text(p, "\n");
}

/* --------------------------------------------------------------- settings */

static void row_value(struct printing *p, const struct settings_row *row)
{
	const struct settings *s = &p->c->table.set;
	const struct settings_list *l =
		(const struct settings_list *)(const void *)((const char *)s + row->offset);
	struct buf b;

	if (row->type == SETTINGS_LIST) {
		text(p, "[");
		for (size_t i = 0; i < l->n; i++) {
			text(p, i ? ", " : "");
			scalar(p, l->v[i]);
		}
		text(p, "]");
		return;
	}
	buf_init(&b, 1 << 16);
	if (p->rc == ERRC_OK)
		p->rc = settings_print(row, s, &b);
	scalar(p, buf_slice(&b));
	buf_fini(&b);
}

/* "limits.body" has the group "limits" and the key "body"; a setting without a group has an empty one. */
static struct slice split(const struct settings_row *row, struct slice *key)
{
	struct slice group;

	*key = slice_str(row->path);
	if (slice_cut(key, '.', &group))
		return group;
	*key = group;
	return SLICE_NONE;
}

static void settings(struct printing *p)
{
	struct slice last = SLICE_NONE;

	for (size_t i = 0; i < settings_rows_n; i++) {
		struct slice key, group = split(&settings_rows[i], &key);
		const struct yaml_node *map = group.n ? yaml_get(p->c->root, group) : p->c->root;
		const struct yaml_node *n = yaml_get(map, key);

		if (group.n && !slice_eq(group, last)) {
			scalar(p, group);
			text(p, ":\n");
		}
		last = group;
		indent(p, group.n ? 1 : 0);
		scalar(p, key);
		text(p, ": ");
		row_value(p, &settings_rows[i]);
		end_line(p, n && !n->is_null ? n->pos : (struct yaml_pos){0});
	}
}

/* ------------------------------------------------------------------- tree */

static bool is_inline(const struct yaml_node *n)
{
	if (n->kind != YAML_LIST)
		return n->n == 0;
	for (const struct yaml_node *c = n->first; c; c = c->next) {
		if (c->kind != YAML_SCALAR)
			return false;
	}
	return true;
}

static void inline_value(struct printing *p, const struct yaml_node *n, bool mask)
{
	if (n->kind == YAML_SCALAR) {
		scalar(p, mask ? SLICE_LIT("***") : n->text);
		return;
	}
	text(p, n->kind == YAML_LIST ? "[" : "{}");
	for (const struct yaml_node *c = n->first; c; c = c->next) {
		scalar(p, c->text);
		text(p, c->next ? ", " : "");
	}
	if (n->kind == YAML_LIST)
		text(p, "]");
}

static void tree(struct printing *p, const struct yaml_node *n, unsigned depth);

/* A list of mappings: `listen`, and a price of several rows. */
static void items(struct printing *p, const struct yaml_node *list, unsigned depth)
{
	for (const struct yaml_node *c = list->first; c; c = c->next) {
		indent(p, depth);
		text(p, "-\n");
		tree(p, c, depth + 1);
	}
}

/* The depth is that of a tree that was parsed: bounded. */
static void tree(struct printing *p, const struct yaml_node *n, unsigned depth)
{
	bool headers = slice_is(n->key, "headers"), offers = slice_is(n->key, "offers");

	for (const struct yaml_node *c = n->first; c && p->rc == ERRC_OK; c = c->next) {
		if (c->is_null && !offers)
			continue;
		indent(p, depth);
		scalar(p, c->key);
		text(p, ":");
		if (c->is_null) {
			text(p, " {}");
			end_line(p, c->pos);
		} else if (is_inline(c)) {
			text(p, " ");
			inline_value(p, c,
				     headers && config_secret_is_name(c->key) &&
					     !config_secret_is_reference(c->text));
			end_line(p, c->pos);
		} else {
			text(p, "\n");
			if (c->kind == YAML_LIST)
				items(p, c, depth + 1);
			else
				tree(p, c, depth + 1);
		}
	}
}

static void section(struct printing *p, const char *key)
{
	const struct yaml_node *n = yaml_getz(p->c->root, key);

	if (!n || n->n == 0)
		return;
	text(p, key);
	text(p, ":\n");
	if (n->kind == YAML_LIST)
		items(p, n, 1);
	else
		tree(p, n, 1);
}

enum errc config_print(const struct config *c, bool origin, struct buf *out)
{
	struct printing p = {c, out, origin, ERRC_OK};

	require_magic(c, CONFIG_MAGIC);
	settings(&p);
	section(&p, "listen");
	section(&p, "groups");
	section(&p, "providers");
	section(&p, "models");
	return p.rc;
}

#include "config_fields.h"

static void bad_value(struct config_ctx *x, const struct settings_row *row, const char *path,
		      const struct yaml_node *n)
{
	struct buf b;

	buf_init(&b, 1024);
	if (settings_expected(row, &b) != ERRC_OK)
		config_ctx_nomem(x);
	config_ctx_error(x, n->pos, "`%s` must be " SLICE_FMT ", not `%.*s`", path,
			 SLICE_ARG(buf_slice(&b)), (int)MIN_OF(n->text.n, 80u), n->text.p);
	buf_fini(&b);
}

static void read_list(struct config_ctx *x, const struct settings_row *row, const char *path,
		      const struct yaml_node *n, void *base)
{
	struct settings_list *out = (struct settings_list *)((char *)base + row->offset);

	config_ctx_texts(x, n, path, out);
	if ((int64_t)out->n > row->max)
		config_ctx_error(x, n->pos, "`%s` has %zu items, more than %lld", path, out->n,
				 (long long)row->max);
}

static void read_value(struct config_ctx *x, const struct settings_row *row, const char *path,
		       struct yaml_node *n, void *base)
{
	struct slice text;
	enum errc rc;

	if (row->type == SETTINGS_NODE)
		return;
	if (row->type == SETTINGS_LIST) {
		read_list(x, row, path, n, base);
		return;
	}
	if (n->kind != YAML_SCALAR || n->is_null) {
		struct buf b;

		buf_init(&b, 1024);
		if (settings_expected(row, &b) != ERRC_OK || buf_cstr(&b) == NULL)
			config_ctx_nomem(x);
		else
			(void)config_ctx_text(x, n, path, buf_cstr(&b), &text);
		buf_fini(&b);
		return;
	}
	if (row->type == SETTINGS_PATH)
		n->text = config_ctx_absolute(x, n->pos, n->text);
	rc = settings_parse(row, n->text, base);
	if (rc != ERRC_OK)
		bad_value(x, row, path, n);
}

/* Whether the row's path lies below `group`, and what then follows the group's name. */
static bool is_in_group(const struct settings_row *row, struct slice group, struct slice *rest)
{
	struct slice path = slice_str(row->path);

	if (group.n == 0) {
		*rest = path;
		return true;
	}
	if (!slice_has_prefix(path, group) || path.n <= group.n || path.p[group.n] != '.')
		return false;
	*rest = slice_sub(path, group.n + 1, path.n);
	return true;
}

enum found { FOUND_NOTHING, FOUND_ROW, FOUND_GROUP };

static enum found find(const struct config_fields *f, struct slice group, struct slice key,
		       const struct settings_row **row)
{
	enum found found = FOUND_NOTHING;

	/* A row's name as it stands in messages is no key: what it gave would escape the looks at the mapping that it is due in. */
	if (slice_chr(key, '.') >= 0)
		return FOUND_NOTHING;
	for (size_t i = 0; i < f->rows_n && found != FOUND_ROW; i++) {
		struct slice rest, head;

		if (!is_in_group(&f->rows[i], group, &rest))
			continue;
		if (slice_eq(rest, key)) {
			*row = &f->rows[i];
			found = FOUND_ROW;
		} else if (slice_cut(&rest, '.', &head) && slice_eq(head, key)) {
			found = FOUND_GROUP;
		}
	}
	return found;
}

static void unknown(struct config_ctx *x, const struct config_fields *f, struct slice group,
		    const struct yaml_node *c, const char *path)
{
	struct hint h;

	hint_init(&h, c->key);
	for (size_t i = 0; i < f->rows_n; i++) {
		struct slice rest, head;
		bool in_group = is_in_group(&f->rows[i], group, &rest);
		bool whole = in_group && slice_eq(rest, c->key);

		if (!in_group)
			continue;
		(void)slice_cut(&rest, '.', &head);
		hint_add(&h, head);
		if (whole) {
			config_ctx_error(x, c->key_pos,
					 "unknown key `%s`: write `" SLICE_FMT ": {" SLICE_FMT
					 ": …}`",
					 path, SLICE_ARG(head), SLICE_ARG(rest));
			return;
		}
	}
	config_ctx_error(x, c->key_pos, "unknown key `%s`%s", path, config_ctx_hint_text(x, &h));
}

static bool is_mapping(struct config_ctx *x, const struct yaml_node *n, const char *name)
{
	if (n->kind == YAML_MAP)
		return true;
	if (!n->is_null || n->text.n)
		config_ctx_error(x, n->pos, "`%s` must be a mapping, not %s", name,
				 n->kind == YAML_LIST ? "a list" : "a text");
	return false;
}

static void read_group(struct config_ctx *x, const struct config_fields *f, struct yaml_node *map,
		       struct slice group)
{
	for (struct yaml_node *c = map->first; c; c = c->next) {
		const struct settings_row *row = NULL;
		enum found found = find(f, group, c->key, &row);
		struct slice inner = config_ctx_fmt(x, SLICE_FMT "%s" SLICE_FMT, SLICE_ARG(group),
						    group.n ? "." : "", SLICE_ARG(c->key));
		const char *path = config_ctx_fmt(x, "%s%s" SLICE_FMT, f->name, *f->name ? "." : "",
						  SLICE_ARG(inner))
					   .p;

		if (found == FOUND_NOTHING)
			unknown(x, f, group, c, path);
		else if (found == FOUND_ROW)
			read_value(x, row, path, c, f->base);
		else if (is_mapping(x, c, path) && group.n == 0)
			read_group(x, f, c, inner);
	}
}

void config_fields_read(struct config_ctx *x, const struct config_fields *f, struct yaml_node *map)
{
	if (is_mapping(x, map, f->name))
		read_group(x, f, map, SLICE_NONE);
}

void config_fields_defaults(const struct config_fields *f)
{
	for (size_t i = 0; i < f->rows_n; i++) {
		const struct settings_row *row = &f->rows[i];

		if (row->type != SETTINGS_NODE && row->type != SETTINGS_LIST && row->def[0])
			require(settings_parse(row, slice_str(row->def), f->base) == ERRC_OK);
	}
}

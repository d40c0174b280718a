#include "config.h"

#include "config_catalog.h"
#include "config_file.h"
#include "config_group.h"
#include "config_model.h"
#include "config_provider.h"
#include "config_set.h"
#include "mem.h"

#define ARENA_MAX (512 * 1024 * 1024)

static void read_all(struct config_ctx *x)
{
	const char *path = x->opts->path;

	config_set_read(x);
	if (x->rc == ERRC_OK)
		config_catalog_expand(x);
	if (x->rc == ERRC_OK)
		config_provider_read(x);
	if (x->rc == ERRC_OK)
		config_group_read(x);
	if (x->rc == ERRC_OK)
		config_model_read(x);
	if (x->rc == ERRC_OK)
		config_group_check(x);
	if (x->rc == ERRC_OK && x->errors == 0 && x->c->table.models_n == 0)
		config_ctx_warn(x, (struct yaml_pos){path, 1, 1},
				"there is no model: every request will be answered with 404");
}

enum errc config_load(const struct config_opts *opts, struct buf *messages, struct config **out)
{
	struct config *c = mem_new_of(struct config);
	struct config_ctx x = {.opts = opts, .c = c, .messages = messages};
	size_t before = messages->len;

	*out = NULL;
	if (!c)
		return ERRC_NOMEM;
	c->magic = CONFIG_MAGIC;
	arena_init(&c->arena, ARENA_MAX);
	x.a = &c->arena;
	/* Settings have their defaults before the first catalog is looked for. */
	settings_defaults(&c->table.set);
	c->root = opts->path ? config_file_load(&x, opts->path) : config_catalog_default(&x);
	/* What an editor has cut to nothing, say, must not take everything away at a reload. */
	if (c->root && c->root->n == 0 && opts->path && x.rc == ERRC_OK && x.errors == 0)
		config_ctx_error(&x, (struct yaml_pos){opts->path, 1, 1},
				 "the file is empty: it sets nothing");
	/* What a file that could not be read would have held is not worth guessing about. */
	if (c->root && x.rc == ERRC_OK && (x.errors == 0 || c->root->n))
		read_all(&x);
	if (!c->root && x.rc == ERRC_OK)
		x.rc = ERRC_NOMEM;
	if (x.rc == ERRC_OK && x.errors)
		x.rc = ERRC_INVAL;
	if (x.rc == ERRC_NOMEM)
		buf_truncate(messages, before);
	if (x.rc == ERRC_OK)
		*out = c;
	else
		config_free(&c);
	return x.rc;
}

void config_free(struct config **c)
{
	if (!*c)
		return;
	require_magic(*c, CONFIG_MAGIC);
	arena_fini(&(*c)->arena);
	(*c)->magic = 0;
	mem_free(*c);
	*c = NULL;
}

const struct settings *config_settings(const struct config *c)
{
	require_magic(c, CONFIG_MAGIC);
	return &c->table.set;
}

void config_counts(const struct config *c, size_t *providers, size_t *models, size_t *offers)
{
	*providers = 0;
	for (size_t i = 0; i < c->table.providers_n; i++)
		*providers += !c->table.providers[i].off;
	*models = c->table.models_n;
	*offers = c->table.offers_n;
}

enum errc config_blob(const struct config *c, uint64_t generation, struct buf *out)
{
	return ptable_encode(&c->table, generation, out);
}

enum errc config_blob_kept(const struct config *c, const struct config *boot, uint64_t generation,
			   struct buf *out)
{
	struct ptable t = c->table;

	settings_keep(&t.set, &boot->table.set);
	return ptable_encode(&t, generation, out);
}

enum errc config_check(const struct config_opts *opts, struct buf *messages)
{
	struct config *c = NULL;
	size_t providers, models, offers;
	enum errc rc = config_load(opts, messages, &c), added = ERRC_OK;

	if (rc == ERRC_OK) {
		config_counts(c, &providers, &models, &offers);
		added = buf_addf(
			messages,
			"%s: ok, %zu provider%s, %zu model%s, %zu offer%s, %zu warning%s\n",
			opts->path ? opts->path : "(default)", providers, providers == 1 ? "" : "s",
			models, models == 1 ? "" : "s", offers, offers == 1 ? "" : "s", c->warnings,
			c->warnings == 1 ? "" : "s");
	}
	config_free(&c);
	return added == ERRC_NOMEM ? ERRC_NOMEM : rc;
}

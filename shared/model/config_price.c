#include "config_price.h"

#include <stdlib.h>

#include "text.h"

#define PUSD_MIN         1000 /* 1e-9 dollars a token */
#define REQUEST_NUSD_MAX (1000 * MONEY_NUSD_DOLLAR)

struct row {
	uint8_t hash[DIGEST_SHA256];
	struct price *price;
};

/* Open addressing by hash, at most half full. */
struct config_price_pool {
	size_t cap, n;
	struct row *rows;
};

struct config_price_pool *config_price_pool_new(struct config_ctx *x, size_t max)
{
	struct config_price_pool *pool = config_ctx_array(x, 1, sizeof(*pool));

	if (!pool)
		return NULL;
	pool->cap = 16;
	while (pool->cap < 2 * max)
		pool->cap *= 2;
	pool->rows = config_ctx_array(x, pool->cap, sizeof(*pool->rows));
	return pool->rows ? pool : NULL;
}

static const struct price *intern(struct config_ctx *x, struct config_price_pool *pool,
				  const struct price *p)
{
	struct row row = {0};
	size_t i;

	price_hash(p, row.hash);
	memcpy(&i, row.hash, sizeof(i));
	for (i &= pool->cap - 1; pool->rows[i].price; i = (i + 1) & (pool->cap - 1)) {
		if (memcmp(pool->rows[i].hash, row.hash, sizeof(row.hash)) == 0)
			return pool->rows[i].price;
	}
	require(2 * pool->n <= pool->cap);
	row.price = config_ctx_array(x, 1, sizeof(*row.price));
	if (!row.price)
		return NULL;
	*row.price = *p;
	pool->rows[i] = row;
	pool->n++;
	return row.price;
}

static int by_hash(const void *a, const void *b)
{
	return memcmp(((const struct row *)a)->hash, ((const struct row *)b)->hash, DIGEST_SHA256);
}

void config_price_pool_end(struct config_ctx *x, struct config_price_pool *pool)
{
	const struct price **all = config_ctx_array(x, pool->n, sizeof(*all));
	size_t n = 0;

	for (size_t i = 0; i < pool->cap; i++) {
		if (pool->rows[i].price)
			pool->rows[n++] = pool->rows[i];
	}
	if (!all)
		return;
	qsort(pool->rows, n, sizeof(*pool->rows), by_hash);
	for (size_t i = 0; i < n; i++)
		all[i] = pool->rows[i].price;
	x->c->table.prices = all;
	x->c->table.prices_n = n;
}

/* `cache_write` is the five-minute one; all other names are those of the usage classes. */
static enum usage_class class_of(struct slice key)
{
	return slice_is(key, "cache_write") ? USAGE_CACHE_WRITE_5M : usage_class_of(key);
}

static void read_request(struct config_ctx *x, const struct yaml_node *n, const char *path,
			 struct price *p)
{
	int64_t v;

	if (n->kind == YAML_SCALAR && money_parse(n->text, &v) == ERRC_OK && v >= 0 &&
	    v <= REQUEST_NUSD_MAX)
		p->request_nusd = v;
	else
		config_ctx_error(x, n->pos,
				 "`%s.request` must be dollars a request, 0 to 1000 with at most 9 "
				 "places, such as 0.01",
				 path);
}

static void read_class(struct config_ctx *x, const struct yaml_node *n, const char *path,
		       enum usage_class class, struct price *p)
{
	int64_t v;
	enum errc rc = n->kind == YAML_SCALAR ? text_decimal(n->text, 6, &v) : ERRC_SYNTAX;

	if (rc == ERRC_OK && (v == 0 || (v >= PUSD_MIN && v <= MONEY_PUSD_MAX))) {
		if (p->pusd[class] != PRICE_UNSET)
			config_ctx_error(x, n->key_pos, "`%s` gives the price of one class twice",
					 path);
		p->pusd[class] = v;
		return;
	}
	config_ctx_error(x, n->pos,
			 "`%s." SLICE_FMT
			 "` must be dollars per million tokens, 0 or from 0.001 to 1000000 with at "
			 "most 6 places (1e-9 to 1 dollar a token)",
			 path, SLICE_ARG(n->key));
}

static void unknown_class(struct config_ctx *x, const struct yaml_node *n, const char *path)
{
	struct hint h;

	hint_init(&h, n->key);
	hint_add(&h, SLICE_LIT("request"));
	hint_add(&h, SLICE_LIT("cache_write"));
	for (int c = 0; c < USAGE_COUNT; c++)
		hint_add(&h, slice_str(usage_name((enum usage_class)c)));
	config_ctx_error(x, n->key_pos, "unknown price `%s." SLICE_FMT "`%s", path,
			 SLICE_ARG(n->key), config_ctx_hint_text(x, &h));
}

static bool is_all_zero(const struct price *p)
{
	if (p->request_nusd)
		return false;
	for (int c = 0; c < USAGE_COUNT; c++) {
		if (p->pusd[c] > 0)
			return false;
	}
	return true;
}

static bool finish(struct config_ctx *x, const struct yaml_node *n, const char *path,
		   struct price *p)
{
	bool has_input = p->pusd[USAGE_INPUT] != PRICE_UNSET,
	     has_output = p->pusd[USAGE_OUTPUT] != PRICE_UNSET;

	if (n->n && is_all_zero(p) && (has_input || has_output)) {
		config_ctx_error(
			x, n->pos,
			"`%s` is 0 throughout: write `price: free` for a model that costs nothing",
			path);
		return false;
	}
	if (p->request_nusd == 0 && (!has_input || !has_output)) {
		config_ctx_error(x, n->pos, "`%s` must give `input` and `output`, or `request`",
				 path);
		return false;
	}
	if (price_complete(p) == ERRC_OK)
		return true;
	config_ctx_error(x, n->pos, "`%s` is no complete price", path);
	return false;
}

const struct price *config_price_read(struct config_ctx *x, struct config_price_pool *pool,
				      const struct yaml_node *n, const char *path)
{
	size_t errors = x->errors;
	struct price p;

	price_init(&p);
	if (n->kind == YAML_SCALAR && slice_is(n->text, "free")) {
		p.free = true;
		if (price_complete(&p) != ERRC_OK)
			config_ctx_error(x, n->pos, "`%s` is no complete price", path);
	} else if (n->kind != YAML_MAP) {
		config_ctx_error(x, n->pos,
				 "`%s` must be `free` or a mapping such as {input: 1.75, output: "
				 "14}, dollars per million tokens",
				 path);
	} else {
		for (const struct yaml_node *c = n->first; c; c = c->next) {
			enum usage_class class = class_of(c->key);

			if (slice_is(c->key, "request"))
				read_request(x, c, path, &p);
			else if (class == USAGE_COUNT)
				unknown_class(x, c, path);
			else
				read_class(x, c, path, class, &p);
		}
		if (x->errors == errors)
			(void)finish(x, n, path, &p);
	}
	return x->errors == errors ? intern(x, pool, &p) : NULL;
}

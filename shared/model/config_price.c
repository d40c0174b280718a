#include "config_price.h"

#include "clock.h"
#include "mem.h"
#include "text.h"

#define PUSD_MIN         1000 /* 1e-9 dollars a token */
#define REQUEST_NUSD_MAX (1000 * MONEY_NUSD_DOLLAR)
#define PIECE_NUSD_MAX   MONEY_NUSD_DOLLAR
#define DAY_MIN          1440
#define PROMPT_MAX       INT64_C(1000000000)

/* `cache_write` is the five-minute one; all other names are those of the usage classes. */
static enum usage_class class_of(struct slice key)
{
	return slice_is(key, "cache_write") ? USAGE_CACHE_WRITE_5M : usage_class_of(key);
}

int config_price_places(struct slice key)
{
	enum usage_class c = class_of(key);

	return c == USAGE_COUNT || usage_side_of(c) == USAGE_SIDE_EACH ? 9 : 6;
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

static void read_piece(struct config_ctx *x, const struct yaml_node *n, const char *path,
		       enum usage_class class, struct price *p)
{
	int64_t v;

	if (n->kind == YAML_SCALAR && money_parse(n->text, &v) == ERRC_OK && v >= 0 &&
	    v <= PIECE_NUSD_MAX)
		p->pusd[class] = v * MONEY_PUSD_NUSD;
	else
		config_ctx_error(x, n->pos,
				 "`%s.%s` must be dollars each, 0 to 1 with at most 9 places, such "
				 "as 0.01",
				 path, usage_name(class));
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

static void unknown_class(struct config_ctx *x, const struct yaml_node *n, const char *path,
			  bool in_list)
{
	struct hint h;

	hint_init(&h, n->key);
	hint_add(&h, SLICE_LIT("request"));
	if (in_list)
		hint_add(&h, SLICE_LIT("when"));
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

/* ---------------------------------------------------------------- conditions */

/* One row as written: the rules that it makes are the same but for their hours. */
struct written {
	const struct yaml_node *node;
	const char *path; /* "models.m.price[0]" */
	struct price price;
	struct settings_list hours;
};

/* "16:30" in minutes of the day; 24:00 is the end of it. */
static bool read_minute(struct slice text, int64_t *out)
{
	struct slice hour;
	uint64_t h, m;

	if (!slice_cut(&text, ':', &hour) || hour.n != 2 || text.n != 2 || !text_u64(hour, &h) ||
	    !text_u64(text, &m) || m > 59 || h * 60 + m > DAY_MIN)
		return false;
	*out = (int64_t)(h * 60 + m);
	return true;
}

/* "16:30-00:30". */
static bool read_range(struct slice text, struct price_when *w)
{
	struct slice from;

	if (!slice_cut(&text, '-', &from) || !read_minute(from, &w->minute_from) ||
	    !read_minute(text, &w->minute_until) || w->minute_from == DAY_MIN)
		return false;
	w->minute_until %= DAY_MIN;
	return w->minute_from != w->minute_until;
}

static void read_prompt(struct config_ctx *x, const struct yaml_node *n, struct written *w)
{
	uint64_t v = 0;

	if (n->kind == YAML_SCALAR && text_u64(n->text, &v) && v >= 1 && v <= PROMPT_MAX)
		w->price.when.prompt_above = (int64_t)v;
	else
		config_ctx_error(
			x, n->pos,
			"`%s.when.min_prompt_tokens` must be a whole number of tokens from 1 "
			"to %lld: the row counts for prompts of more than so many",
			w->path, (long long)PROMPT_MAX);
}

static void read_date(struct config_ctx *x, const struct yaml_node *n, struct written *w,
		      int64_t *out)
{
	int64_t ms = 0;

	if (n->kind == YAML_SCALAR && clock_parse(n->text, &ms) && ms >= 1000)
		*out = ms / 1000;
	else
		config_ctx_error(x, n->pos,
				 "`%s.when." SLICE_FMT "` must be a date such as 2026-12-01 or a "
				 "time such as 2026-12-01T08:00:00Z, both UTC",
				 w->path, SLICE_ARG(n->key));
}

static void read_hours(struct config_ctx *x, const struct yaml_node *n, struct written *w)
{
	const char *path = config_ctx_fmt(x, "%s.when.hours", w->path).p;
	struct price_when scratch;

	config_ctx_texts(x, n, path, &w->hours);
	if (n->is_null || (n->kind == YAML_LIST && n->n == 0))
		config_ctx_error(x, n->pos,
				 "`%s` is empty: give ranges of the UTC day such as "
				 "\"16:30-00:30\", or leave it out for the whole day",
				 path);
	for (size_t i = 0; i < w->hours.n; i++)
		if (!read_range(w->hours.v[i], &scratch))
			config_ctx_error(x, n->pos,
					 "`%s` must be ranges of the UTC day such as "
					 "\"16:30-00:30\", not `" SLICE_FMT "`",
					 path, SLICE_ARG(slice_sub(w->hours.v[i], 0, 40)));
}

static void read_from(struct config_ctx *x, const struct yaml_node *n, struct written *w)
{
	read_date(x, n, w, &w->price.when.from_s);
}

static void read_tier(struct config_ctx *x, const struct yaml_node *n, struct written *w)
{
	enum usage_tier t = n->kind == YAML_SCALAR ? usage_tier_of(n->text) : USAGE_TIER_NONE;

	if (t > USAGE_TIER_STANDARD)
		w->price.when.tier = t;
	else
		config_ctx_error(x, n->pos,
				 "`%s.when.service_tier` must be flex or priority; rows without it "
				 "are for the standard one too",
				 w->path);
}

static void read_until(struct config_ctx *x, const struct yaml_node *n, struct written *w)
{
	read_date(x, n, w, &w->price.when.until_s);
}

static const struct {
	const char *name;
	void (*read)(struct config_ctx *x, const struct yaml_node *n, struct written *w);
} conditions[] = {
#define FIELD(type, member, path, min, max, def, unit, sentence) {path, read_##member},
#include "price_when_tbl.h"
#undef FIELD
};

static void read_condition(struct config_ctx *x, const struct yaml_node *n, struct written *w)
{
	struct hint h;

	hint_init(&h, n->key);
	for (size_t i = 0; i < ARRAY_LEN(conditions); i++) {
		if (slice_is(n->key, conditions[i].name)) {
			conditions[i].read(x, n, w);
			return;
		}
		hint_add(&h, slice_str(conditions[i].name));
	}
	config_ctx_error(x, n->key_pos, "unknown condition `%s.when." SLICE_FMT "`%s", w->path,
			 SLICE_ARG(n->key), config_ctx_hint_text(x, &h));
}

static void read_when(struct config_ctx *x, const struct yaml_node *n, struct written *w)
{
	const struct price_when *when = &w->price.when;

	if (n->kind != YAML_MAP || n->n == 0) {
		config_ctx_error(x, n->pos,
				 "`%s.when` must be a mapping such as {min_prompt_tokens: 200000}; "
				 "leave it out for the row that counts otherwise",
				 w->path);
		return;
	}
	for (const struct yaml_node *c = n->first; c; c = c->next)
		read_condition(x, c, w);
	if (when->until_s && when->until_s <= when->from_s)
		config_ctx_error(
			x, yaml_getz(n, "until")->pos,
			"`%s.when.until` is not after `from`, so that the row never counts",
			w->path);
}

/* ---------------------------------------------------------------------- rows */

/* A mapping of prices; false after an error. */
static bool read_mapping(struct config_ctx *x, struct written *w, bool in_list)
{
	size_t errors = x->errors;

	for (const struct yaml_node *c = w->node->first; c; c = c->next) {
		enum usage_class class = class_of(c->key);

		if (slice_is(c->key, "request"))
			read_request(x, c, w->path, &w->price);
		else if (in_list && slice_is(c->key, "when"))
			read_when(x, c, w);
		else if (class == USAGE_COUNT)
			unknown_class(x, c, w->path, in_list);
		else if (usage_side_of(class) == USAGE_SIDE_EACH)
			read_piece(x, c, w->path, class, &w->price);
		else
			read_class(x, c, w->path, class, &w->price);
	}
	return x->errors == errors && finish(x, w->node, w->path, &w->price);
}

/* What is being read of a list. */
struct list {
	struct written rows[TARIFF_RULES];
	size_t n;
	struct price rules[TARIFF_RULES], cut[TARIFF_ROWS];
	size_t row_of[TARIFF_RULES], from[TARIFF_ROWS];
	size_t rules_n, cut_n;
};

static bool add_rule(struct config_ctx *x, struct list *l, size_t row, struct slice hours)
{
	struct price *p = &l->rules[l->rules_n];

	if (l->rules_n == TARIFF_RULES) {
		config_ctx_error(x, l->rows[row].node->pos,
				 "`%s`: a price has at most %d rows and ranges of hours",
				 l->rows[row].path, TARIFF_RULES);
		return false;
	}
	*p = l->rows[row].price;
	if (hours.n)
		(void)read_range(hours, &p->when);
	l->row_of[l->rules_n++] = row;
	return true;
}

static bool make_rules(struct config_ctx *x, struct list *l)
{
	for (size_t i = 0; i < l->n; i++) {
		const struct settings_list *hours = &l->rows[i].hours;

		if (hours->n == 0 && !add_rule(x, l, i, SLICE_NONE))
			return false;
		for (size_t k = 0; k < hours->n; k++)
			if (!add_rule(x, l, i, hours->v[k]))
				return false;
	}
	return true;
}

static bool has_when(const struct written *w)
{
	return yaml_getz(w->node, "when") != NULL;
}

/* Every row must count somewhere: one that never does was meant otherwise. */
static void check_used(struct config_ctx *x, const struct list *l)
{
	for (size_t i = 0; i < l->n; i++) {
		bool used = false;

		for (size_t k = 0; k < l->cut_n; k++)
			used |= l->row_of[l->from[k]] == i;
		if (!used)
			config_ctx_error(x, l->rows[i].node->pos,
					 "`%s` never counts: the rows before it match whatever it "
					 "matches, and the first that matches counts",
					 l->rows[i].path);
	}
}

static void cut_list(struct config_ctx *x, const struct yaml_node *n, const char *path,
		     struct list *l)
{
	if (has_when(&l->rows[l->n - 1])) {
		config_ctx_error(x, l->rows[l->n - 1].node->pos,
				 "`%s` needs a last row without `when`: what is paid when no other "
				 "row matches",
				 path);
		return;
	}
	if (!make_rules(x, l))
		return;
	if (tariff_cut(l->rules, l->rules_n, l->cut, l->from, &l->cut_n) != ERRC_OK)
		config_ctx_error(
			x, n->pos,
			"`%s` has too many conditions: at most %d rows that differ in "
			"`min_prompt_tokens` and `service_tier`, and %d combinations in all",
			path, TARIFF_TIERS, TARIFF_ROWS);
	else
		check_used(x, l);
}

static const struct tariff *read_list(struct config_ctx *x, struct config_pool *pool,
				      const struct yaml_node *n, const char *path)
{
	struct list *l = mem_new_of(struct list);
	const struct tariff *t = NULL;
	size_t errors = x->errors;

	if (!l) {
		config_ctx_nomem(x);
		return NULL;
	}
	for (const struct yaml_node *c = n->first; c && l->n < TARIFF_RULES; c = c->next) {
		struct written *w = &l->rows[l->n];

		w->node = c;
		w->path = config_ctx_fmt(x, "%s[%zu]", path, l->n++).p;
		price_init(&w->price);
		if (c->kind == YAML_MAP)
			(void)read_mapping(x, w, true);
		else
			config_ctx_error(
				x, c->pos,
				"`%s` must be a mapping such as {when: {min_prompt_tokens: "
				"200000}, input: 6, output: 22.5}",
				w->path);
	}
	if (n->n == 0 || n->n > TARIFF_RULES)
		config_ctx_error(x, n->pos, "`%s` must have 1 to %d rows", path, TARIFF_RULES);
	else if (x->errors == errors && x->rc == ERRC_OK)
		cut_list(x, n, path, l);
	if (x->errors == errors && x->rc == ERRC_OK)
		t = config_pool_tariff(x, pool, l->cut, l->cut_n);
	mem_free(l);
	return t;
}

const struct tariff *config_price_read(struct config_ctx *x, struct config_pool *pool,
				       const struct yaml_node *n, const char *path)
{
	struct written w = {.node = n, .path = path};
	bool good;

	if (n->kind == YAML_LIST)
		return read_list(x, pool, n, path);
	price_init(&w.price);
	if (n->kind == YAML_SCALAR && slice_is(n->text, "free")) {
		w.price.free = true;
		good = price_complete(&w.price) == ERRC_OK;
	} else if (n->kind == YAML_MAP) {
		good = read_mapping(x, &w, false);
	} else {
		config_ctx_error(x, n->pos,
				 "`%s` must be `free`, a mapping such as {input: 1.75, output: "
				 "14}, dollars per million tokens, or a list of such mappings",
				 path);
		good = false;
	}
	return good ? config_pool_tariff(x, pool, &w.price, 1) : NULL;
}

static bool names(const struct yaml_node *row, const char *class, const char *fallback)
{
	return row->kind != YAML_MAP || yaml_getz(row, class) || !yaml_getz(row, fallback);
}

int config_price_has(const struct yaml_node *price, const char *class)
{
	size_t with = 0;

	if (price->kind != YAML_LIST)
		return yaml_getz(price, class) ? 1 : 0;
	for (const struct yaml_node *c = price->first; c; c = c->next)
		with += yaml_getz(c, class) != NULL;
	return with == 0 ? 0 : with == price->n ? 1 : -1;
}

bool config_price_sells(const struct yaml_node *price, enum usage_tier tier)
{
	if (price->kind != YAML_LIST)
		return false;
	for (const struct yaml_node *c = price->first; c; c = c->next) {
		const struct yaml_node *word = yaml_getz(yaml_getz(c, "when"), "service_tier");

		if (word && usage_tier_of(word->text) == tier)
			return true;
	}
	return false;
}

bool config_price_names(const struct yaml_node *price, const char *class, const char *fallback)
{
	if (price->kind != YAML_LIST)
		return names(price, class, fallback);
	for (const struct yaml_node *c = price->first; c; c = c->next)
		if (!names(c, class, fallback))
			return false;
	return true;
}

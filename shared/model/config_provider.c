#include "config_provider.h"

#include <stddef.h>
#include <stdlib.h>

#include "caps.h"
#include "config_fields.h"
#include "config_secret.h"
#include "text.h"

#define PEM_MAX     (1024 * 1024)
#define HEADERS_MAX 32
#define NAME_MAX_   64

/* A provider as written: what is not yet in the form of the table stands beside it. */
struct written {
	struct ptable_provider p;
	struct slice base_url, api_version;
	struct settings_list keys;
	int dialect, auth, cap_field;
	bool azure;
	struct slice anthropic_version, ca_file;
	bool usage_option, embeddings_base64, reasoning_outside, forward_own_fields;
	int64_t reasoning_beside, max_inflight, max_connections;
	int64_t connect_ms, tls_ms, first_byte_stream_ms, first_byte_whole_ms, between_ms,
		total_stream_ms, total_whole_ms;
};

static const struct settings_row rows[] = {
#define FIELD(type, member, path, min, max, def, unit, sentence)                                 \
	{path,           SETTINGS_##type, offsetof(struct written, member), min, max, def, unit, \
	 SETTINGS_CALLS, sentence},
#include "provider_tbl.h"
#undef FIELD
};

enum { AUTH_AUTO, AUTH_BEARER, AUTH_X_API_KEY, AUTH_API_KEY };

static const struct slice cap_fields[] = {
	{"", 0}, {"max_tokens", 10}, {"max_completion_tokens", 21}};

/* One load's work on one provider. */
struct reading {
	struct config_ctx *x;
	struct yaml_node *node; /* whose key is the name */
	const char *name;       /* "providers.openai" */
	struct written w;
};

static const char *path_of(struct reading *r, const char *key)
{
	return config_ctx_fmt(r->x, "%s.%s", r->name, key).p;
}

static struct yaml_pos pos_of(const struct reading *r, const char *key)
{
	const struct yaml_node *n = yaml_getz(r->node, key);

	return n ? n->pos : r->node->key_pos;
}

/* --------------------------------------------------------------- base URL */

/* A credential in the URL would be printed, logged and shown. */
static bool has_secret_parameter(struct slice query)
{
	struct slice name, value;

	while (uri_query_next(&query, &name, &value)) {
		if (config_secret_is_name(name))
			return true;
	}
	return false;
}

static struct slice with_api_version(struct reading *r)
{
	struct slice url = r->w.base_url;

	if (r->w.api_version.n == 0)
		return url;
	return config_ctx_fmt(r->x, SLICE_FMT "%sapi-version=" SLICE_FMT, SLICE_ARG(url),
			      slice_chr(url, '?') < 0 ? "?" : "&", SLICE_ARG(r->w.api_version));
}

static void read_base(struct reading *r)
{
	struct slice url = with_api_version(r);

	/* A catalog that is still named could not be read, and a URL of a wrong type has been told. */
	if (!yaml_getz(r->node, "base_url") && !yaml_getz(r->node, "catalog"))
		config_ctx_error(r->x, r->node->key_pos,
				 "`%s.base_url` is missing (or `catalog`, which supplies it)",
				 r->name);
	if (url.n == 0)
		return;
	if (uri_parse(url, &r->w.p.base) != ERRC_OK)
		config_ctx_error(r->x, pos_of(r, "base_url"),
				 "`%s.base_url` must be like https://api.example.com/v1, without "
				 "user, password and fragment",
				 r->name);
	else if (has_secret_parameter(r->w.p.base.query))
		config_ctx_error(r->x, pos_of(r, "base_url"),
				 "`%s.base_url` holds a credential: give it in `keys` or `headers`",
				 r->name);
}

/* ------------------------------------------------------------------- keys */

static uint64_t key_id(struct slice provider, struct slice secret)
{
	uint8_t sum[DIGEST_SHA256];
	struct digest d;
	uint64_t id = 0;

	digest_init(&d);
	digest_add(&d, provider);
	digest_add(&d, SLICE_LIT("\n"));
	digest_add(&d, secret);
	digest_final(&d, sum);
	for (int i = 0; i < 8; i++)
		id = id << 8 | sum[i];
	return id;
}

static void add_key(struct reading *r, struct ptable_key *keys, struct yaml_node *n,
		    struct slice value)
{
	struct ptable_provider *p = &r->w.p;
	struct ptable_key k = {.id = key_id(r->node->key, value), .label = n->text};

	k.secret = (struct secret){(char *)(uintptr_t)value.p, value.n};
	for (size_t i = 0; i < p->keys_n; i++) {
		if (keys[i].id == k.id) {
			config_ctx_warn(r->x, n->pos,
					"`%s.keys`: " SLICE_FMT " is the same key as " SLICE_FMT,
					r->name, SLICE_ARG(k.label), SLICE_ARG(keys[i].label));
			return;
		}
	}
	keys[p->keys_n++] = k;
}

/* Tells of unset variables, once each or, when no key is left, once for all. */
static void tell_unset(struct reading *r, const struct yaml_node *list,
		       const struct yaml_node *unset, size_t unset_n, bool bad)
{
	struct config_ctx *x = r->x;

	if (unset && x->opts->strict)
		config_ctx_error(x, unset->pos,
				 "`%s.keys`: the variable of " SLICE_FMT " is not set", r->name,
				 SLICE_ARG(unset->text));
	if (bad)
		return;
	if (r->w.p.off && (!unset || !x->opts->strict)) {
		config_ctx_warn(x, list->pos, "provider `" SLICE_FMT "` is off: %s" SLICE_FMT "%s",
				SLICE_ARG(r->node->key),
				unset ? "" : "none of its keys is there, all of them being optional",
				SLICE_ARG(unset ? unset->text : SLICE_NONE),
				unset ? " is not set" : "");
	} else if (unset && !x->opts->strict) {
		config_ctx_warn(x, unset->pos,
				"`%s.keys`: the variable of " SLICE_FMT " is not set%s", r->name,
				SLICE_ARG(unset->text), unset_n > 1 ? ", nor are others" : "");
	}
}

static void read_key_items(struct reading *r, struct yaml_node *list)
{
	struct ptable_key *keys = config_ctx_array(r->x, list->n + 1, sizeof(*keys));
	const struct yaml_node *unset = NULL;
	size_t unset_n = 0;
	bool bad = false;

	r->w.p.keys = keys;
	for (struct yaml_node *n = list->first; keys && n; n = n->next) {
		struct slice value;
		enum config_secret_state state = CONFIG_SECRET_BAD;

		if (n->kind == YAML_SCALAR && !config_secret_is_reference(n->text))
			config_ctx_error(r->x, n->pos,
					 "`%s.keys` must be env:NAME or file:PATH: a key itself "
					 "must not stand in the configuration",
					 r->name);
		else if (n->kind == YAML_SCALAR)
			state = config_secret_read(r->x, n, path_of(r, "keys"), &value);
		if (state == CONFIG_SECRET_SET)
			add_key(r, keys, n, value);
		else if (state == CONFIG_SECRET_UNSET && unset_n++ == 0)
			unset = n;
		bad = bad || state == CONFIG_SECRET_BAD;
	}
	r->w.p.off = list->n && r->w.p.keys_n == 0;
	tell_unset(r, list, unset, unset_n, bad);
}

static void read_keys(struct reading *r)
{
	struct yaml_node *n = yaml_getz(r->node, "keys"), *list;

	if (!n || n->is_null || n->kind == YAML_MAP)
		return;
	if (n->kind == YAML_LIST) {
		read_key_items(r, n);
		return;
	}
	list = yaml_new(r->x->a, YAML_LIST, n->pos);
	if (!list || yaml_put(r->x->a, r->node, SLICE_LIT("keys"), n->key_pos, list) != ERRC_OK) {
		config_ctx_nomem(r->x);
		return;
	}
	yaml_append(list, n);
	read_key_items(r, list);
}

/* ---------------------------------------------------------------- headers */

static bool is_token(struct slice s)
{
	static const char more[] = "!#$%&'*+-.^_`|~";

	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];

		if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
		      memchr(more, c, sizeof(more) - 1)))
			return false;
	}
	return s.n > 0;
}

/* Lines that the gateway itself must write. */
static bool is_ours(struct slice name)
{
	static const char *const names[] = {
		"host",
		"connection",
		"content-length",
		"content-type",
		"transfer-encoding",
		"te",
		"trailer",
		"upgrade",
		"expect",
		"accept",
		"accept-encoding",
		"keep-alive",
		"proxy-connection",
		"user-agent",
	};

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (slice_ieq(name, slice_str(names[i])))
			return true;
	}
	return false;
}

static bool header_value(struct reading *r, struct yaml_node *n, const char *path,
			 struct slice *value)
{
	enum config_secret_state state;

	if (!config_ctx_text(r->x, n, path, "a text", value))
		return false;
	if (!config_secret_is_reference(*value)) {
		bool clean = config_secret_is_clean(*value);

		if (!clean)
			config_ctx_error(r->x, n->pos,
					 "`%s` holds a control or non-ASCII character", path);
		return clean;
	}
	state = config_secret_read(r->x, n, path, value);
	if (state == CONFIG_SECRET_UNSET && r->x->opts->strict)
		config_ctx_error(r->x, n->pos, "`%s`: the variable of " SLICE_FMT " is not set",
				 path, SLICE_ARG(n->text));
	else if (state == CONFIG_SECRET_UNSET)
		config_ctx_warn(r->x, n->pos, "`%s` is left out: " SLICE_FMT " is not set", path,
				SLICE_ARG(n->text));
	return state == CONFIG_SECRET_SET;
}

/* A line that stands in the head already; told. */
static bool is_twice(struct reading *r, const struct yaml_node *map, const struct yaml_node *n,
		     const char *path)
{
	static const char *const names[] = {[PTABLE_AUTH_BEARER] = "authorization",
					    [PTABLE_AUTH_X_API_KEY] = "x-api-key",
					    [PTABLE_AUTH_API_KEY] = "api-key"};
	const struct yaml_node *keys = yaml_getz(r->node, "keys"), *first = map->first;

	while (first != n && !slice_ieq(first->key, n->key))
		first = first->next;
	if (first != n)
		config_ctx_error(r->x, n->key_pos, "`%s` is given twice (first in %s:%u:%u)", path,
				 first->key_pos.file, first->key_pos.line, first->key_pos.column);
	else if (keys && keys->n && slice_ieq(n->key, slice_str(names[r->w.p.auth])))
		config_ctx_error(r->x, n->key_pos, "`%s`: this header is that of `keys`", path);
	else
		return false;
	return true;
}

static void read_headers(struct reading *r)
{
	const struct yaml_node *map = yaml_getz(r->node, "headers");
	struct ptable_header *h;
	size_t bytes = 0;

	if (!map || map->is_null)
		return;
	if (map->kind != YAML_MAP || map->n > HEADERS_MAX) {
		config_ctx_error(r->x, map->pos,
				 "`%s.headers` must be a mapping of at most %d names to texts",
				 r->name, HEADERS_MAX);
		return;
	}
	h = config_ctx_array(r->x, map->n, sizeof(*h));
	r->w.p.headers = h;
	for (struct yaml_node *n = map->first; h && n; n = n->next) {
		const char *path =
			config_ctx_fmt(r->x, "%s.headers." SLICE_FMT, r->name, SLICE_ARG(n->key)).p;
		struct slice value;

		if (!is_token(n->key))
			config_ctx_error(r->x, n->key_pos, "`%s` is no header name", path);
		else if (is_ours(n->key))
			config_ctx_error(r->x, n->key_pos,
					 "`%s`: this header is written by the gateway itself", path);
		else if (!is_twice(r, map, n, path) && header_value(r, n, path, &value))
			h[r->w.p.headers_n++] = (struct ptable_header){n->key, value};
	}
	for (size_t i = 0; i < r->w.p.headers_n; i++)
		bytes += h[i].name.n + h[i].value.n + strlen(": \r\n");
	if (bytes > LIMIT_HEADERS_UP)
		config_ctx_error(r->x, map->pos, "`%s.headers` has more than %d bytes in all",
				 r->name, LIMIT_HEADERS_UP);
}

/* --------------------------------------------------------------- the rest */

static void fill_timeouts(struct written *w, const struct settings *s)
{
	w->connect_ms = s->timeout_connect_ms;
	w->tls_ms = s->timeout_tls_ms;
	w->first_byte_stream_ms = s->timeout_first_byte_ms;
	w->first_byte_whole_ms = s->timeout_first_byte_whole_ms;
	w->between_ms = s->timeout_between_ms;
	w->total_stream_ms = s->timeout_total_ms;
	w->total_whole_ms = s->timeout_total_whole_ms;
}

static enum ptable_auth auth_of(const struct written *w)
{
	switch (w->auth) {
	case AUTH_BEARER:
		return PTABLE_AUTH_BEARER;
	case AUTH_X_API_KEY:
		return PTABLE_AUTH_X_API_KEY;
	case AUTH_API_KEY:
		return PTABLE_AUTH_API_KEY;
	default:
		if (w->dialect == PTABLE_ANTHROPIC)
			return PTABLE_AUTH_X_API_KEY;
		return w->azure ? PTABLE_AUTH_API_KEY : PTABLE_AUTH_BEARER;
	}
}

static void take_over(struct written *w)
{
	struct ptable_provider *p = &w->p;

	p->dialect = (enum ptable_dialect)w->dialect;
	p->auth = auth_of(w);
	p->azure_deployments = w->azure;
	p->anthropic_version = w->anthropic_version;
	p->ca_file = w->ca_file;
	p->usage_option = w->usage_option;
	p->embeddings_base64 = w->embeddings_base64;
	p->reasoning_outside = w->reasoning_outside;
	p->reasoning_beside = w->reasoning_beside;
	p->forward_own_fields = w->forward_own_fields;
	p->cap_field = cap_fields[w->cap_field];
	p->max_inflight = w->max_inflight;
	p->max_connections = w->max_connections;
	p->connect_ms = w->connect_ms;
	p->tls_ms = w->tls_ms;
	p->first_byte_stream_ms = w->first_byte_stream_ms;
	p->first_byte_whole_ms = w->first_byte_whole_ms;
	p->between_ms = w->between_ms;
	p->total_stream_ms = w->total_stream_ms;
	p->total_whole_ms = w->total_whole_ms;
}

static void check_name(struct reading *r)
{
	struct slice s = r->node->key;

	if (s.n && s.n <= NAME_MAX_ && is_token(s) && s.p[0] != '.')
		return;
	config_ctx_error(
		r->x, r->node->key_pos,
		"a provider's name must be 1 to %d letters, digits and `-_.`, not `" SLICE_FMT "`",
		NAME_MAX_, SLICE_ARG(slice_sub(s, 0, 80)));
}

static void read_provider(struct reading *r)
{
	struct config_fields f = {rows, ARRAY_LEN(rows), &r->w, r->name};
	const char *why;

	config_fields_defaults(&f);
	fill_timeouts(&r->w, &r->x->c->table.set);
	check_name(r);
	config_fields_read(r->x, &f, r->node);
	r->w.p.name = r->node->key;
	r->w.p.id = text_hash(r->node->key);
	take_over(&r->w);
	if (r->node->kind != YAML_MAP && !r->node->is_null)
		return;
	read_base(r);
	read_keys(r);
	read_headers(r);
	if (r->w.ca_file.n && config_ctx_read_file(r->x, r->w.ca_file.p, CONFIG_CTX_ALL, PEM_MAX,
						   &r->w.p.ca_pem, &why) != ERRC_OK)
		config_ctx_error(r->x, pos_of(r, "ca_file"),
				 "`%s.ca_file`: cannot read " SLICE_FMT ": %s", r->name,
				 SLICE_ARG(r->w.ca_file), why);
}

static int by_name(const void *a, const void *b)
{
	return slice_cmp(((const struct ptable_provider *)a)->name,
			 ((const struct ptable_provider *)b)->name);
}

void config_provider_read(struct config_ctx *x)
{
	const struct yaml_node *map = yaml_getz(x->c->root, "providers");
	struct ptable_provider *all;
	size_t n = 0;

	if (!map || map->is_null)
		return;
	if (map->kind != YAML_MAP) {
		config_ctx_error(x, map->pos, "`providers` must be a mapping of names to providers");
		return;
	}
	all = config_ctx_array(x, map->n, sizeof(*all));
	for (struct yaml_node *c = map->first; all && c && x->rc == ERRC_OK; c = c->next) {
		struct reading r = {
			.x = x,
			.node = c,
			.name = config_ctx_fmt(x, "providers." SLICE_FMT, SLICE_ARG(c->key)).p};

		read_provider(&r);
		all[n++] = r.w.p;
	}
	if (!all)
		return;
	qsort(all, n, sizeof(*all), by_name);
	x->c->table.providers = all;
	x->c->table.providers_n = n;
}

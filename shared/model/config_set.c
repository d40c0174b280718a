#include "config_set.h"

#include <errno.h>
#include <limits.h>
#include <pwd.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "caps.h"
#include "config_fields.h"
#include "config_file.h"
#include "mem.h"
#include "shares.h"
#include "text.h"

#define PEM_MAX          (1024 * 1024)
#define ARENA_SOCKET_MAX (256 * 1024 * 1024)
#define LISTENERS_MAX    64
#define PROMETHEUS_PORT  9090
#define DEFAULT_LISTEN   "127.0.0.1:8080"

static const struct settings_row listener_rows[] = {
#define FIELD(type, member, path, min, max, def, unit, sentence) \
	{path,                                                   \
	 SETTINGS_##type,                                        \
	 offsetof(struct settings_listener, member),             \
	 min,                                                    \
	 max,                                                    \
	 def,                                                    \
	 unit,                                                   \
	 SETTINGS_LIVE,                                          \
	 sentence},
#include "listener_tbl.h"
#undef FIELD
};

/* The rows of settings_tbl.h and the keys that other files read. */
#define OTHERS_N 6
static const char *const others[OTHERS_N] = {"listen",  "providers", "models",
					     "include", "overlay",   "groups"};

/* Reads "127.0.0.1:8080", "localhost:8080" (which is the same) or "[::1]:8080"; *host has no brackets. False when it is not of
 * that form. */
static bool read_address(struct slice text, struct slice *host, int *port)
{
	bool bracket = text.n && text.p[0] == '[';
	ptrdiff_t colon = -1;
	uint8_t addr[16];
	uint64_t p;

	for (size_t i = 0; i < text.n; i++)
		colon = text.p[i] == ':' ? (ptrdiff_t)i : colon;
	if (colon < 0 || !text_u64(slice_sub(text, (size_t)colon + 1, text.n), &p) || p > 65535)
		return false;
	*host = slice_sub(text, 0, (size_t)colon);
	if (bracket) {
		if (!slice_has_suffix(*host, SLICE_LIT("]")))
			return false;
		*host = slice_sub(*host, 1, host->n - 2);
	}
	*port = (int)p;
	if (slice_is(*host, "localhost"))
		*host = SLICE_LIT("127.0.0.1");
	return ipnet_addr(*host, addr) && bracket == (slice_chr(*host, ':') >= 0);
}

/* -------------------------------------------------------------- listeners */

static void read_pem(struct config_ctx *x, const struct yaml_node *n, const char *path,
		     enum config_ctx_readers who, struct slice *out)
{
	const char *why;

	if (n && n->kind == YAML_SCALAR && n->text.n &&
	    config_ctx_read_file(x, n->text.p, who, PEM_MAX, out, &why) != ERRC_OK)
		config_ctx_error(x, n->pos, "`%s`: cannot read %s: %s", path, n->text.p, why);
}

static void read_trusted(struct config_ctx *x, const struct yaml_node *n,
			 struct settings_listener *l)
{
	struct settings_list texts;
	struct ipnet *nets;

	if (!n)
		return;
	config_ctx_texts(x, n, "trusted_proxies", &texts);
	nets = config_ctx_array(x, texts.n, sizeof(*nets));
	for (size_t i = 0; nets && i < texts.n; i++) {
		if (!ipnet_parse(texts.v[i], &nets[i]))
			config_ctx_error(x, n->pos,
					 "`trusted_proxies` must be a list of address ranges such "
					 "as 10.0.0.0/8, not `" SLICE_FMT "`",
					 SLICE_ARG(texts.v[i]));
	}
	if (texts.n > SETTINGS_TRUSTED_MAX)
		config_ctx_error(x, n->pos, "`trusted_proxies` has %zu ranges, more than %d",
				 texts.n, SETTINGS_TRUSTED_MAX);
	l->trusted = nets;
	l->trusted_n = nets ? texts.n : 0;
}

static void check_address(struct config_ctx *x, struct yaml_pos pos, struct settings_listener *all,
			  size_t n)
{
	struct settings_listener *l = &all[n];

	if (!read_address(l->address, &l->host, &l->port)) {
		config_ctx_error(x, pos,
				 "`listen.address` must be a literal address and a port, such as "
				 "127.0.0.1:8080 or \"[::]:8080\", not `" SLICE_FMT "`",
				 SLICE_ARG(l->address));
		return;
	}
	l->host = config_ctx_fmt(x, SLICE_FMT, SLICE_ARG(l->host));
	for (size_t i = 0; i < n; i++) {
		if (l->port && all[i].port == l->port && slice_eq(all[i].host, l->host))
			config_ctx_error(x, pos, "`listen` has the address " SLICE_FMT " twice",
					 SLICE_ARG(l->address));
	}
}

/* Turns the short form, a text, into the long one. */
static struct yaml_node *as_mapping(struct config_ctx *x, struct yaml_node *item)
{
	struct yaml_node *map, *text;

	if (item->kind != YAML_SCALAR || item->is_null)
		return item;
	map = yaml_new(x->a, YAML_MAP, item->pos);
	text = yaml_new_text(x->a, item->text, item->pos);
	if (!map || !text || yaml_put(x->a, map, SLICE_LIT("address"), item->pos, text) != ERRC_OK) {
		config_ctx_nomem(x);
		return item;
	}
	return map;
}

static void read_listener(struct config_ctx *x, struct yaml_node *item,
			  struct settings_listener *all, size_t n)
{
	struct config_fields f = {listener_rows, ARRAY_LEN(listener_rows), &all[n], "listen"};
	const struct yaml_node *address = yaml_getz(item, "address"), *tls = yaml_getz(item, "tls");
	struct settings_listener *l = &all[n];

	config_fields_read(x, &f, item);
	if (item->kind != YAML_MAP)
		return;
	if (!address)
		config_ctx_error(x, item->pos, "`listen.address` is missing");
	else if (address->kind == YAML_SCALAR && !address->is_null)
		check_address(x, address->pos, all, n);
	if (tls && (!yaml_getz(tls, "certificate") || !yaml_getz(tls, "key")))
		config_ctx_error(x, tls->pos, "`listen.tls` needs `certificate` and `key`");
	l->tls = tls != NULL;
	read_pem(x, yaml_getz(tls, "certificate"), "listen.tls.certificate", CONFIG_CTX_ALL,
		 &l->certificate_pem);
	read_pem(x, yaml_getz(tls, "key"), "listen.tls.key", CONFIG_CTX_GROUP, &l->key_pem);
	config_ctx_wipe_later(x, l->key_pem);
	read_trusted(x, yaml_getz(item, "trusted_proxies"), l);
}

static struct yaml_node *default_listen(struct config_ctx *x)
{
	struct yaml_node *list = yaml_new(x->a, YAML_LIST, (struct yaml_pos){0});
	struct yaml_node *item =
		yaml_new_text(x->a, SLICE_LIT(DEFAULT_LISTEN), (struct yaml_pos){0});

	if (!list || !item) {
		config_ctx_nomem(x);
		return NULL;
	}
	yaml_append(list, item);
	return list;
}

/* The list in the tree is made anew from items in the long form: that is what is printed. */
static void read_listen(struct config_ctx *x)
{
	struct yaml_node *given = yaml_getz(x->c->root, "listen"), *list;
	struct settings_listener *all;
	size_t n = 0;

	if (!given || given->is_null)
		given = default_listen(x);
	if (!given)
		return;
	if (given->kind != YAML_LIST || given->n == 0 || given->n > LISTENERS_MAX) {
		config_ctx_error(x, given->pos,
				 "`listen` must be a list of 1 to %d items such as {address: "
				 "\"127.0.0.1:8080\"}",
				 LISTENERS_MAX);
		return;
	}
	list = yaml_new(x->a, YAML_LIST, given->pos);
	all = config_ctx_array(x, given->n, sizeof(*all));
	if (!list || !all ||
	    yaml_put(x->a, x->c->root, SLICE_LIT("listen"), given->key_pos, list) != ERRC_OK) {
		config_ctx_nomem(x);
		return;
	}
	for (struct yaml_node *c = given->first, *next; c; c = next) {
		struct yaml_node *item = as_mapping(x, c);

		next = c->next;
		yaml_append(list, item);
		read_listener(x, item, all, n++);
	}
	x->c->table.set.listeners = all;
	x->c->table.set.listeners_n = n;
}

/* ----------------------------------------------------------------- checks */

static struct yaml_pos pos_of(const struct config_ctx *x, const char *group, const char *key)
{
	const struct yaml_node *map = group ? yaml_getz(x->c->root, group) : x->c->root;
	const struct yaml_node *n = yaml_getz(map, key);

	return n ? n->pos : map ? map->pos : x->c->root->pos;
}

static void check_pairs(struct config_ctx *x, const struct settings *s)
{
	if (s->limit_request_line_bytes > s->limit_head_bytes)
		config_ctx_error(x, pos_of(x, "limits", "request_line"),
				 "`limits.request_line` is above `limits.head`, which holds it");
	if (s->limit_body_bytes > s->limit_body_memory_bytes)
		config_ctx_error(x, pos_of(x, "limits", "body"),
				 "`limits.body` is above `limits.body_memory`, which holds it");
	if (s->breaker_failures > s->breaker_requests)
		config_ctx_error(x, pos_of(x, "breaker", "failures"),
				 "`breaker.failures` is above `breaker.requests`, so that it could "
				 "never open");
	if (s->breaker_cool_ms > s->breaker_cool_max_ms)
		config_ctx_error(x, pos_of(x, "breaker", "cool_down"),
				 "`breaker.cool_down` is above `breaker.cool_down_max`");
}

static void check_files_limit(struct config_ctx *x, const struct settings *s)
{
	struct rlimit r;

	if (s->limit_open_files == 0 || geteuid() == 0 || getrlimit(RLIMIT_NOFILE, &r) != 0)
		return;
	if (r.rlim_max != RLIM_INFINITY && (uint64_t)s->limit_open_files > r.rlim_max)
		config_ctx_error(
			x, pos_of(x, "limits", "open_files"),
			"`limits.open_files` is above what the system allows this user, %llu",
			(unsigned long long)r.rlim_max);
}

/* The address is good; is it one that nobody else wants? */
static void check_admin_port(struct config_ctx *x, const struct settings *s, struct slice host,
			     int port)
{
	/* The sockets would share the port, and with it the connections. */
	for (size_t i = 0; i < s->listeners_n; i++) {
		if (port && s->listeners[i].port == port && slice_eq(s->listeners[i].host, host))
			config_ctx_error(x, pos_of(x, "admin", "http"),
					 "`admin.http` has the address of a listener of `listen`");
	}
	if (port == PROMETHEUS_PORT)
		config_ctx_error(x, pos_of(x, "admin", "http"),
				 "`admin.http` has the port of Prometheus itself, %d: choose "
				 "another, such as 9464",
				 PROMETHEUS_PORT);
}

static void check_admin_http(struct config_ctx *x, const struct settings *s)
{
	struct slice host;
	uint8_t addr[16];
	struct ipnet loopback4, loopback6;
	int port;

	if (slice_is(s->admin_http, "off"))
		return;
	if (!read_address(s->admin_http, &host, &port)) {
		config_ctx_error(x, pos_of(x, "admin", "http"),
				 "`admin.http` must be a literal address and a port, such as "
				 "127.0.0.1:9464, or off, not `" SLICE_FMT "`",
				 SLICE_ARG(s->admin_http));
		return;
	}
	check_admin_port(x, s, host, port);
	if (!ipnet_addr(host, addr) || !ipnet_parse(SLICE_LIT("127.0.0.0/8"), &loopback4) ||
	    !ipnet_parse(SLICE_LIT("::1"), &loopback6))
		return;
	if (!ipnet_has(&loopback4, addr) && !ipnet_has(&loopback6, addr))
		config_ctx_warn(
			x, pos_of(x, "admin", "http"),
			"`admin.http` is not on loopback: whoever reaches it can read the metrics");
}

static void check_origins(struct config_ctx *x, const struct settings *s)
{
	for (size_t i = 0; i < s->cors_origins.n; i++) {
		struct slice o = s->cors_origins.v[i], rest = o, scheme;
		bool good = slice_is(o, "*") && s->cors_origins.n == 1;

		if (slice_cut(&rest, ':', &scheme) && slice_has_prefix(rest, SLICE_LIT("//")))
			good = rest.n > 2 && scheme.n &&
			       slice_chr(slice_sub(rest, 2, rest.n), '/') < 0 &&
			       slice_chr(o, '*') < 0;
		if (!good)
			config_ctx_error(x, pos_of(x, "cors", "origins"),
					 "`cors.origins` must be `*` alone or origins such as "
					 "https://app.example.com, not `" SLICE_FMT "`",
					 SLICE_ARG(o));
	}
}

static void check_shares(struct config_ctx *x, const char *name, const struct settings_list *l)
{
	struct shares s;

	if (!shares_read(l, &s))
		config_ctx_error(
			x, pos_of(x, "alerts", name),
			"`alerts.%s` must be shares above 0 and at most %d, such as 0.8 or "
			"80%%, at most %d of them",
			name, SHARES_PPM_MAX / 1000000, SHARES_MAX);
}

static void check_texts(struct config_ctx *x, struct settings *s)
{
	const struct yaml_node *to = yaml_getz(yaml_getz(x->c->root, "log"), "to");
	struct slice file = slice_sub(s->log_to, 5, s->log_to.n);

	for (size_t i = 0; i < s->region.n; i++) {
		char c = s->region.p[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
		      c == '-' || c == '_' || (c == '.' && i))) {
			config_ctx_error(x, pos_of(x, NULL, "region"),
					 "`region` must be letters, digits, `-`, `_` and `.`, not "
					 "`" SLICE_FMT "`",
					 SLICE_ARG(s->region));
			break;
		}
	}
	if (slice_has_prefix(s->log_to, SLICE_LIT("file:")) && file.n)
		s->log_to = config_ctx_fmt(
			x, "file:" SLICE_FMT,
			SLICE_ARG(config_ctx_absolute(x, to ? to->pos : x->c->root->pos, file)));
	else if (!slice_is(s->log_to, "stderr") && !slice_is(s->log_to, "syslog"))
		config_ctx_error(x, pos_of(x, "log", "to"),
				 "`log.to` must be stderr, syslog or file:PATH, not `" SLICE_FMT "`",
				 SLICE_ARG(s->log_to));
	if (s->user.n && !getpwnam(s->user.p))
		config_ctx_error(x, pos_of(x, NULL, "user"), "there is no user `" SLICE_FMT "`",
				 SLICE_ARG(s->user));
}

/* --------------------------------------------------------------- defaults */

static struct slice env_path(const struct config_ctx *x, const char *name)
{
	struct slice v = config_ctx_env(x, slice_str(name));

	return v.n && v.p[0] == '/' ? v : SLICE_NONE;
}

static void fill_defaults(struct config_ctx *x, struct settings *s)
{
	bool system_user = geteuid() < 1000;
	struct slice state = env_path(x, "XDG_STATE_HOME"), home = env_path(x, "HOME"),
		     run = env_path(x, "XDG_RUNTIME_DIR");

	if (s->durability == SETTINGS_DURABILITY_SETTLE && !yaml_getz(x->c->root, "ledger_lag_max"))
		s->ledger_lag_max_ms = 2000;
	if (s->state.n == 0 && system_user)
		s->state = SLICE_LIT("/var/lib/aigw");
	else if (s->state.n == 0 && state.p)
		s->state = config_ctx_fmt(x, SLICE_FMT "/aigw", SLICE_ARG(state));
	else if (s->state.n == 0 && home.p)
		s->state = config_ctx_fmt(x, SLICE_FMT "/.local/state/aigw", SLICE_ARG(home));
	else if (s->state.n == 0)
		config_ctx_error(x, x->c->root->pos,
				 "`state` is missing, and there is neither $XDG_STATE_HOME nor "
				 "$HOME to find a place for it");
	if (s->admin_socket.n == 0 && system_user)
		s->admin_socket = SLICE_LIT("/run/aigw/control.sock");
	else if (s->admin_socket.n == 0 && run.p)
		s->admin_socket = config_ctx_fmt(x, SLICE_FMT "/aigw/control.sock", SLICE_ARG(run));
	else if (s->admin_socket.n == 0)
		s->admin_socket = config_ctx_fmt(x, SLICE_FMT "/control.sock", SLICE_ARG(s->state));
}

/* The settings that are no more than a value. False without memory. */
static bool read_values(struct config_ctx *x, struct settings *s)
{
	struct settings_row *rows = config_ctx_array(x, settings_rows_n + OTHERS_N, sizeof(*rows));
	struct config_fields f = {rows, settings_rows_n + OTHERS_N, s, ""};

	settings_defaults(s);
	if (!rows)
		return false;
	memcpy(rows, settings_rows, settings_rows_n * sizeof(*rows));
	for (size_t i = 0; i < OTHERS_N; i++)
		rows[settings_rows_n + i] =
			(struct settings_row){.path = others[i], .type = SETTINGS_NODE};
	config_fields_read(x, &f, x->c->root);
	return true;
}

void config_set_read(struct config_ctx *x)
{
	struct settings *s = &x->c->table.set;

	if (!read_values(x, s))
		return;
	read_listen(x);
	check_pairs(x, s);
	check_files_limit(x, s);
	check_admin_http(x, s);
	check_origins(x, s);
	check_shares(x, "budget", &s->alerts_budget);
	check_shares(x, "credit", &s->alerts_credit);
	check_texts(x, s);
	fill_defaults(x, s);
	read_pem(x, yaml_getz(yaml_getz(x->c->root, "upstream"), "ca_file"), "upstream.ca_file",
		 CONFIG_CTX_ALL, &s->upstream_ca_pem);
}

bool config_default_path(char *const *env, char *out, size_t n)
{
	static const char etc[] = "/etc/aigw/aigw.yaml";
	struct config_opts opts = {.env = env};
	struct config_ctx x = {.opts = &opts};
	struct slice given = config_ctx_env(&x, SLICE_LIT("AIGW_CONFIG"));

	if (given.n == 0 && access(etc, F_OK) == 0)
		given = SLICE_LIT(etc);
	if (given.n == 0 || given.n >= n)
		return false;
	memcpy(out, given.p, given.n);
	out[given.n] = '\0';
	return true;
}

/* Of what is wrong with that configuration nothing is told: it is not the caller's affair. */
static bool default_of(char *const *env, const char *given, size_t offset, char *out, size_t n)
{
	char path[PATH_MAX];
	struct config_opts opts = {.path = given, .env = env};
	struct buf messages;
	struct config c = {.magic = CONFIG_MAGIC};
	struct config_ctx x = {.opts = &opts, .c = &c, .a = &c.arena, .messages = &messages};
	struct settings *s = &c.table.set;
	struct slice found = SLICE_NONE;
	bool fits;

	if (!given && config_default_path(env, path, sizeof(path)))
		opts.path = path;
	arena_init(&c.arena, ARENA_SOCKET_MAX);
	buf_init(&messages, CONFIG_MESSAGES_MAX);
	c.root = opts.path ? config_file_load(&x, opts.path)
			   : yaml_new(&c.arena, YAML_MAP, (struct yaml_pos){0});
	fits = c.root && read_values(&x, s);
	x.errors = 0;
	if (fits) {
		fill_defaults(&x, s);
		memcpy(&found, (const char *)s + offset, sizeof(found));
	}
	fits = fits && x.rc == ERRC_OK && x.errors == 0 && found.n < n;
	if (fits) {
		memcpy(out, found.p, found.n);
		out[found.n] = '\0';
	}
	buf_fini(&messages);
	arena_fini(&c.arena);
	return fits;
}

bool config_default_socket(char *const *env, char *out, size_t n)
{
	return default_of(env, NULL, offsetof(struct settings, admin_socket), out, n);
}

bool config_state(char *const *env, const char *path, char *out, size_t n)
{
	return default_of(env, path, offsetof(struct settings, state), out, n);
}

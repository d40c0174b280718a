#include <stdio.h>

#include "arena.h"
#include "clock.h"
#include "mem.h"
#include "secret.h"
#include "verbs.h"

#define ARENA_MAX (4 * (size_t)LIMIT_FRAME_CONTROL)

/* One key that is to be made. */
struct item {
	uint32_t line; /* of the file */
	bool is_new;   /* the secret was made here: it is told once */
	struct slice account, name;
	struct apikey secret;
};

/* A request: a part of a file, whose keys are all made or none. */
struct import {
	struct verbs *v;
	struct arena arena;
	struct buf mem;     /* what a scope points into, until its row is there */
	struct item *items; /* owned; wiped */
	struct admin_key_new *keys;
	size_t n, bad_n, all_n;
};

static enum errc bad(struct import *im, uint32_t line, const char *why)
{
	const struct control_field f[] = {CONTROL_I("line", line),
					  CONTROL_S("text", slice_str(why))};

	im->bad_n++;
	return verbs_row(im->v, "bad", f, ARRAY_LEN(f));
}

/* The secret of another gateway, or a new one. */
static bool take_secret(struct item *it, struct slice given, char *why)
{
	struct slice text = apikey_trim(given), id;

	it->is_new = given.n == 0;
	if (it->is_new) {
		apikey_make(&it->secret);
		return true;
	}
	if (!apikey_parse(text, &id)) {
		snprintf(why, VERB_ARGS_WHY,
			 "key: only keys of the form sk-aigw-<%d of a-z, 0-9>-<%d of A-Z, a-z, "
			 "0-9, - and _> can be "
			 "taken over",
			 APIKEY_ID, APIKEY_SECRET);
		return false;
	}
	memcpy(it->secret.text, text.p, text.n);
	it->secret.text[text.n] = '\0';
	memcpy(it->secret.id, id.p, id.n);
	it->secret.id[id.n] = '\0';
	return true;
}

static bool find_owners(struct import *im, struct verb_args a, struct rows_scope *k, char *why)
{
	struct slice account = verb_args_str(a, "account"), team = verb_args_str(a, "team");
	enum errc e = admin_account_find(im->v->live, account, &k->account);

	if (e) {
		snprintf(why, VERB_ARGS_WHY, "account: there is no '" SLICE_FMT "'",
			 SLICE_ARG(slice_sub(account, 0, ROWS_NAME_MAX)));
		return false;
	}
	if (team.n == 0)
		return true;
	e = admin_team_find(im->v->live, k->account, team, k->team);
	if (e)
		snprintf(why, VERB_ARGS_WHY, "team: the account has no '" SLICE_FMT "'",
			 SLICE_ARG(slice_sub(team, 0, ROWS_NAME_MAX)));
	return !e;
}

static bool is_free(struct import *im, const char *id, char *why)
{
	struct rows_scope other;
	struct buf mem;
	enum errc e;

	buf_init(&mem, ROWS_MAX);
	e = admin_key_get(im->v->live, id, &mem, &other, NULL);
	buf_fini(&mem);
	if (e != ERRC_NOTFOUND)
		snprintf(why, VERB_ARGS_WHY, "key: there is a key with the id %s already", id);
	return e == ERRC_NOTFOUND;
}

/* The row of one key, as key create would make it. */
static bool make(struct import *im, struct verb_args a, struct slice secret, struct item *it,
		 struct admin_key_new *key, char *why)
{
	struct rows_scope k = {.kind = ROWS_KEY,
			       .status = ROWS_ACTIVE,
			       .created_s = clock_wall_s(),
			       .keepalive_ms = ROWS_NO_LIMIT};
	struct buf row;
	bool good;

	rows_limits_init(&k.limits);
	buf_reset(&im->mem);
	if (!verb_args_check(CONTROL_DO_KEY_CREATE, a, why) || !find_owners(im, a, &k, why) ||
	    !verb_args_scope(a, NULL, &k, &im->mem, why) || !verb_args_is_new(&k, why) ||
	    !take_secret(it, secret, why) || !is_free(im, it->secret.id, why))
		return false;
	memcpy(k.id, it->secret.id, APIKEY_ID);
	pepper_hash(im->v->pepper, slice_str(it->secret.text), k.hash, &k.pepper);
	it->account = verb_args_str(a, "account");
	it->name = k.name;
	buf_init(&row, ROWS_MAX);
	good = !rows_put_scope(&row, &k);
	key->row = good ? arena_dup(&im->arena, buf_slice(&row)) : SLICE_NONE;
	buf_fini(&row);
	if (!key->row.p)
		snprintf(why, VERB_ARGS_WHY, "its limits are too many or too long");
	return key->row.p != NULL;
}

/* The fields of one key; its secret is none of those of key create. */
static enum errc add(struct import *im, uint32_t line, struct slice fields)
{
	struct control_field *f = arena_array(&im->arena, struct control_field, CONTROL_FIELDS_MAX);
	struct item *it = &im->items[im->n];
	struct slice secret = SLICE_NONE;
	char why[VERB_ARGS_WHY];
	size_t n, kept = 0;
	enum errc e;

	if (!f)
		return ERRC_NOMEM;
	e = control_decode(fields, f, CONTROL_FIELDS_MAX, &n);
	if (e)
		return e;
	(void)control_get_str(f, n, "key", &secret);
	for (size_t i = 0; i < n; i++) {
		if (!slice_is(f[i].name, "key"))
			f[kept++] = f[i];
	}
	it->line = line;
	if (!make(im, (struct verb_args){f, kept}, secret, it, &im->keys[im->n], why))
		return bad(im, line, why);
	im->n++;
	return ERRC_OK;
}

static enum errc read_all(struct import *im)
{
	struct slice left = verb_args_str(im->v->args, "keys"), rest = left, fields;
	size_t n = 0;
	uint32_t line;
	enum errc e = ERRC_OK;

	while (control_unpack(&rest, &line, &fields))
		n++;
	if (rest.n || n == 0)
		return ERRC_INVAL;
	im->all_n = n;
	im->items = mem_new(n * sizeof(*im->items));
	im->keys = mem_new(n * sizeof(*im->keys));
	if (!im->items || !im->keys)
		return ERRC_NOMEM;
	while (!e && control_unpack(&left, &line, &fields))
		e = add(im, line, fields);
	return e;
}

static enum errc tell(struct import *im)
{
	enum errc e = ERRC_OK;

	for (size_t i = 0; !e && i < im->n; i++) {
		const struct item *it = &im->items[i];
		const struct control_field f[] = {
			CONTROL_I("line", it->line), CONTROL_S("id", slice_str(it->secret.id)),
			CONTROL_S("account", it->account), CONTROL_S("name", it->name),
			CONTROL_S("key", slice_str(it->secret.text))};

		/* One that was taken over is known where it came from. */
		e = verbs_row(im->v, "imported", f, ARRAY_LEN(f) - !it->is_new);
	}
	return e;
}

static void create(struct import *im)
{
	struct admin_by by = verbs_by(im->v);
	bool durable = false;
	size_t at = 0;

	im->v->failed = admin_keys_create(im->v->admin, &by, im->keys, im->n, &at, &durable);
	if (im->v->failed && !durable && at < im->n &&
	    bad(im, im->items[at].line, errc_text(im->v->failed)))
		return;
	/* What the ledger has is made, in force or not yet: nobody could know its secrets later. */
	if ((!im->v->failed || durable) && tell(im))
		return;
	verbs_end_write(im->v, durable, "key");
}

void verb_import(struct verbs *v)
{
	struct import im = {.v = v};
	enum errc e;

	arena_init(&im.arena, ARENA_MAX);
	buf_init(&im.mem, VERB_ARGS_MEM);
	e = read_all(&im);
	if (!e && im.bad_n)
		verbs_end(v, CONTROL_REFUSED, "invalid", "%zu keys cannot be made", im.bad_n);
	else if (!e && !verb_args_bool(v->args, "check"))
		create(&im);
	verbs_end_errc(v, e, "key");
	if (im.items)
		secret_wipe(im.items, im.all_n * sizeof(*im.items));
	mem_free(im.items);
	mem_free(im.keys);
	buf_fini(&im.mem);
	arena_fini(&im.arena);
}

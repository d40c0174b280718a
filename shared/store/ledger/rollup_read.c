#include "rollup_read.h"

/* Rows that are passed over one by one before they are jumped over: the next that is wanted is mostly near. */
#define STEPS_MAX 64

/* Where the rows of `day` that are asked for begin, and what all of them begin with. */
static void ask_key(const struct rollup_ask *ask, uint32_t day, struct rollup_key *k)
{
	struct rollup_name n = {.day = day, .account = ask->account};

	if (ask->key_id)
		memcpy(n.key_id, ask->key_id, APIKEY_ID);
	rollup_key_put_head(k, ask->cut, &n);
	k->n = ask->key_id ? ROLLUP_KEY_ID : ask->account ? ROLLUP_KEY_ACCOUNT : ROLLUP_KEY_DAY;
}

enum errc rollup_read_open(struct rollup_read *r, MDB_txn *txn, MDB_dbi db,
			   const struct rollup_ask *ask)
{
	r->ask = *ask;
	r->begun = false;
	ask_key(ask, ask->from, &r->from);
	return runs_open(&r->walk, txn, db);
}

void rollup_read_close(struct rollup_read *r)
{
	runs_close(&r->walk);
}

/* Whether a row belongs to the account and key; if not, `from` is where the next one that may is to be sought. False, and *over:
 * there is none. */
static bool is_asked(struct rollup_read *r, bool *over)
{
	size_t at = ROLLUP_KEY_DAY;
	int order = r->from.n > at ? memcmp(r->walk.key + at, r->from.b + at, r->from.n - at) : 0;

	if (order == 0)
		return true;
	*over = order > 0 && r->name.day == r->ask.to;
	if (!*over)
		ask_key(&r->ask, order > 0 ? r->name.day + 1 : r->name.day, &r->from);
	return false;
}

/* A row's name; most have much of that of the row before. */
static bool read_name(struct rollup_read *r, enum rollup_cut *cut)
{
	struct slice key = slice_of(r->walk.key, r->walk.key_n);
	bool good = true;

	if (r->walk.shared < ROLLUP_KEY_HEAD) {
		good = rollup_key_get(key, cut, &r->name);
	} else if (r->walk.shared < r->user_at) {
		good = rollup_key_get_rest(key, r->ask.cut, &r->name);
		r->name.same = ROLLUP_SAME_KEY;
	} else {
		r->name.tag = slice_sub(key, r->user_at, key.n);
		r->name.same = ROLLUP_SAME_MODEL;
	}
	r->user_at = key.n - r->name.tag.n;
	return good;
}

static enum errc seek(struct rollup_read *r)
{
	r->begun = true;
	return runs_seek(&r->walk, slice_of(r->from.b, ROLLUP_KEY_HEAD));
}

enum errc rollup_read_next(struct rollup_read *r)
{
	enum errc rc = r->begun ? runs_next(&r->walk) : seek(r);
	enum rollup_cut cut;
	bool over = false;

	for (; !rc; rc = seek(r)) {
		if (!read_name(r, &cut))
			return ERRC_CORRUPT;
		if (r->name.same != ROLLUP_SAME_NOTHING)
			return ERRC_OK;
		if (cut != r->ask.cut || r->name.day > r->ask.to)
			return ERRC_NOTFOUND;
		if (is_asked(r, &over))
			return ERRC_OK;
		if (over)
			return ERRC_NOTFOUND;
	}
	return rc;
}

enum errc rollup_walk(MDB_txn *txn, MDB_dbi db, const struct rollup_ask *ask,
		      enum errc (*fn)(void *arg, const struct rollup_name *,
				      const struct rollup_sums *),
		      void *arg)
{
	struct rollup_read r;
	enum errc rc = rollup_read_open(&r, txn, db, ask);

	if (rc)
		return rc;
	while (!rc && !(rc = rollup_read_next(&r))) {
		struct rollup_sums sums;

		runs_sums(&r.walk.numbers, &sums);
		rc = fn(arg, &r.name, &sums);
	}
	rollup_read_close(&r);
	return rc == ERRC_NOTFOUND ? ERRC_OK : rc;
}

/* --- end users --- */

enum errc rollup_read_users_open(struct rollup_read_users *u, MDB_txn *txn, MDB_dbi db,
				 enum rollup_cut beside)
{
	u->cut = beside == ROLLUP_DAYS ? ROLLUP_USERS : ROLLUP_TAGS;
	u->begun = u->over = u->here = u->is_of = false;
	u->user_at = 0;
	return runs_open(&u->walk, txn, db);
}

void rollup_read_users_close(struct rollup_read_users *u)
{
	runs_close(&u->walk);
}

/* How the row at hand stands to those that are asked for: before, among or behind them. */
static int order(const struct rollup_read_users *u)
{
	size_t n = MIN_OF(u->walk.key_n, u->of->key_n);
	int c = u->walk.key[0] - (int)u->cut;

	if (c == 0)
		c = memcmp(u->walk.key + 1, u->of->key + 1, n - 1);
	return c == 0 && n < u->of->key_n ? -1 : c;
}

/* The walk has been moved. */
static enum errc arrive(struct rollup_read_users *u, enum errc rc)
{
	u->here = !rc;
	u->over = rc == ERRC_NOTFOUND;
	return u->over ? ERRC_OK : rc;
}

static enum errc jump(struct rollup_read_users *u)
{
	uint8_t key[ROLLUP_KEY_MAX];

	memcpy(key, u->of->key, u->of->key_n);
	key[0] = (uint8_t)u->cut;
	u->begun = true;
	return arrive(u, runs_seek(&u->walk, slice_of(key, u->of->key_n)));
}

enum errc rollup_read_users_of(struct rollup_read_users *u, const struct rollup_read *row)
{
	enum errc rc = ERRC_OK;
	int c = -1;

	if (u->over || row->walk.key_n > ROLLUP_KEY_MAX)
		return ERRC_OK;
	u->of = &row->walk;
	if (u->here)
		c = order(u);
	for (size_t i = 0; !rc && u->begun && !u->over && c < 0 && i < STEPS_MAX; i++) {
		rc = arrive(u, runs_next(&u->walk));
		c = u->here ? order(u) : -1;
	}
	if (!rc && !u->over && c < 0) {
		rc = jump(u);
		c = u->here ? order(u) : -1;
	}
	u->is_of = c == 0;
	return rc;
}

static bool has_user(const struct rollup_read_users *u)
{
	return u->walk.key_n > u->user_at && u->walk.key_n - u->user_at <= ROWS_TAG_MAX;
}

/* The end user stands behind model and provider. */
static enum errc find_user(struct rollup_read_users *u)
{
	size_t at = ROLLUP_KEY_HEAD;

	for (int names = 0; names < 2 && at < u->walk.key_n; names++)
		at += 1 + (size_t)u->walk.key[at];
	u->user_at = at;
	return has_user(u) ? ERRC_OK : ERRC_CORRUPT;
}

static struct slice user(const struct rollup_read_users *u)
{
	return slice_of(u->walk.key + u->user_at, u->walk.key_n - u->user_at);
}

enum errc rollup_read_users_next(struct rollup_read_users *u, struct slice *tag)
{
	enum errc rc;

	if (!u->here && !u->over) {
		rc = runs_next(&u->walk);
		/* Mostly the user alone is another than that of the row before. */
		if (!rc && u->walk.shared >= u->user_at && has_user(u)) {
			*tag = user(u);
			return ERRC_OK;
		}
		rc = arrive(u, rc);
		if (rc)
			return rc;
		/* Rows share nothing with those of the run before. */
		u->is_of = u->here && (u->walk.shared >= u->of->key_n ||
				       (u->walk.shared == 0 && order(u) == 0));
	}
	if (u->over || !u->is_of)
		return ERRC_NOTFOUND;
	u->here = false;
	rc = find_user(u);
	*tag = rc ? SLICE_NONE : user(u);
	return rc;
}

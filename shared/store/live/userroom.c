#include "userroom.h"

#include "be.h"

#define INDEX_USERS   'u' /* beside those of live_rows.c; with an account behind it, or for all */
#define SHARE(bytes)  ((bytes) / 8 * 3)
#define TIGHT(bytes)  ((bytes) / 16)
#define STATE_BYTES   112
#define COUNTER_BYTES 32

struct sum_v1 {
	uint64_t bytes;
	int64_t closed_until_s;
};
_Static_assert(sizeof(struct sum_v1) == 16, "layout of stored rows");
_Static_assert(STATE_BYTES + ROWS_COUNTERS_MAX * COUNTER_BYTES <= UINT16_MAX,
	       "it stands in a state");

struct name {
	size_t n;
	char b[1 + sizeof(uint64_t)];
};

uint16_t userroom_bytes(size_t counters)
{
	return (uint16_t)(STATE_BYTES + counters * COUNTER_BYTES);
}

static struct name name_of(uint64_t account)
{
	struct name k = {.n = 1, .b = {INDEX_USERS}};

	if (account != ROWS_ACCOUNT_HEAD) {
		be_put((uint8_t *)k.b + 1, sizeof account, account);
		k.n = sizeof k.b;
	}
	return k;
}

static enum errc get(struct live *l, MDB_txn *txn, uint64_t account, struct sum_v1 *out)
{
	struct name k = name_of(account);
	struct slice v;
	enum errc rc = lmdbx_get(txn, l->index, slice_of(k.b, k.n), &v);

	*out = (struct sum_v1){0};
	if (rc)
		return rc == ERRC_NOTFOUND ? ERRC_OK : rc;
	if (v.n != sizeof *out)
		return ERRC_CORRUPT;
	memcpy(out, v.p, sizeof *out);
	return ERRC_OK;
}

static enum errc put(struct live *l, MDB_txn *txn, uint64_t account, const struct sum_v1 *s)
{
	struct name k = name_of(account);
	enum errc rc;

	if (s->bytes || s->closed_until_s)
		return lmdbx_put(txn, l->index, slice_of(k.b, k.n), slice_of(s, sizeof *s), 0);
	rc = lmdbx_del(txn, l->index, slice_of(k.b, k.n));
	return rc == ERRC_NOTFOUND ? ERRC_OK : rc;
}

static enum errc add(struct live *l, MDB_txn *txn, uint64_t account, int64_t bytes)
{
	struct sum_v1 s;
	enum errc rc = get(l, txn, account, &s);

	if (rc)
		return rc;
	if (bytes < 0 && check_fails(s.bytes >= (uint64_t)-bytes))
		bytes = -(int64_t)s.bytes;
	s.bytes += (uint64_t)bytes;
	return put(l, txn, account, &s);
}

enum errc userroom_note(struct live *l, MDB_txn *txn, uint64_t account, int64_t bytes)
{
	enum errc rc = bytes ? add(l, txn, account, bytes) : ERRC_OK;

	return rc || !bytes ? rc : add(l, txn, ROWS_ACCOUNT_HEAD, bytes);
}

enum errc userroom_close(struct live *l, MDB_txn *txn, uint64_t account, int64_t until_s)
{
	struct sum_v1 s;
	enum errc rc = get(l, txn, account, &s);

	if (rc || s.closed_until_s >= until_s)
		return rc;
	s.closed_until_s = until_s;
	return put(l, txn, account, &s);
}

enum errc userroom_look(struct live *l, MDB_txn *txn, uint64_t account, struct userroom *out)
{
	struct sum_v1 one, all;
	size_t room = 0;
	enum errc rc = get(l, txn, account, &one);

	if (!rc)
		rc = get(l, txn, ROWS_ACCOUNT_HEAD, &all);
	if (!rc)
		rc = live_room(l, txn, &room);
	if (!rc)
		*out = (struct userroom){.account = one.bytes,
					 .all = all.bytes,
					 .share = SHARE(l->size_bytes),
					 .closed_until_s = one.closed_until_s,
					 .is_tight = room < TIGHT(l->size_bytes)};
	return rc;
}

bool userroom_has(const struct userroom *u, size_t bytes, size_t freed, int64_t wall_s)
{
	if (wall_s < u->closed_until_s || (u->is_tight && freed < bytes))
		return false;
	return u->account - MIN_OF(freed, u->account) + bytes + u->all <= u->share + freed;
}

bool userroom_had(const struct userroom *u, size_t bytes)
{
	return u->account + bytes <= u->share / 2 && u->all + bytes <= u->share;
}

int64_t userroom_most(const struct userroom *u, size_t bytes)
{
	uint64_t left = u->share - MIN_OF(u->all, u->share);

	return (int64_t)((u->account + left) / 2 / bytes);
}

bool userroom_is_short(const struct userroom *u)
{
	return u->is_tight || u->all > u->share / 4;
}

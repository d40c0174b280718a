#include "keymeter.h"

#include "page_mem.h"
#include "text.h"

static const struct cell {
	enum series_id series;
	const char *value; /* of the last label; "": it has none */
} cells[KEYMETER_CELLS] = {
#define KEYMETER(NAME, series, value) {SERIES_##series, value},
#include "keymeter_tbl.h"
#undef KEYMETER
#define USAGE(id, name, side, fallback) {SERIES_KEY_TOKENS, #name},
#include "usage_tbl.h"
#undef USAGE
};

static uint64_t hash_of(struct slice key_id)
{
	uint64_t h = text_hash(key_id) * UINT64_C(0x9e3779b97f4a7c15);

	h ^= h >> 29;
	return h ? h : 1;
}

/* Until `meta` is there whoever meets the row writes the same again: a process that dies in between leaves nothing undone. */
static void describe(struct keymeter *k, struct slice key_id, struct slice account)
{
	if (atomic_load(&k->meta))
		return;
	memcpy(k->key, key_id.p, key_id.n);
	if (account.n)
		memcpy(k->account, account.p, account.n);
	k->account_n = (uint8_t)account.n;
	k->key_n = (uint8_t)key_id.n;
	atomic_store(&k->meta, 1);
}

struct keymeter *keymeter_of(struct page *p, struct slice key_id, struct slice account)
{
	struct keymeter *rows = p->m->keymeters;
	uint64_t h = hash_of(key_id);

	key_id = slice_sub(key_id, 0, sizeof(rows->key));
	account = slice_sub(account, 0, sizeof(rows->account));
	for (size_t i = 0; i < KEYMETER_KEYS_MAX; i++) {
		struct keymeter *k = &rows[(h + i) % KEYMETER_KEYS_MAX];
		uint64_t was = atomic_load(&k->hash);

		if (was == 0 && atomic_compare_exchange_strong(&k->hash, &was, h))
			was = h;
		if (was == h) {
			describe(k, key_id, account);
			return k;
		}
	}
	return &rows[KEYMETER_KEYS_MAX];
}

void keymeter_add(struct keymeter *k, enum keymeter_cell c, uint64_t n)
{
	require((unsigned)c < KEYMETER_CELLS);
	series_add(&k->cell[c], n);
}

enum keymeter_cell keymeter_of_status(int status)
{
	if (status == 0)
		return KEYMETER_REQUESTS_GONE;
	return status >= 500   ? KEYMETER_REQUESTS_5XX
	       : status >= 400 ? KEYMETER_REQUESTS_4XX
			       : KEYMETER_REQUESTS_2XX;
}

/* One cell of every row. */
static enum errc put_cell(struct page *p, size_t c, bool *title, struct buf *out)
{
	const size_t values_n = cells[c].value[0] ? 3 : 2;
	enum errc e = ERRC_OK;

	for (size_t i = 0; i <= KEYMETER_KEYS_MAX && !e; i++) {
		struct keymeter *k = &p->m->keymeters[i];
		bool named = i < KEYMETER_KEYS_MAX;
		struct slice v[3] = {SLICE_LIT("other"), SLICE_LIT("other"),
				     slice_str(cells[c].value)};
		uint64_t n = atomic_load(&k->cell[c]);

		if (n == 0 || (named && !atomic_load(&k->meta)))
			continue;
		if (named) {
			v[0] = slice_of(k->account, k->account_n);
			v[1] = slice_of(k->key, k->key_n);
		}
		e = series_put(out, cells[c].series, *title, v, values_n, (int64_t)n);
		*title = false;
	}
	return e;
}

enum errc keymeter_print(struct page *p, struct buf *out)
{
	enum errc e = ERRC_OK;
	bool title = true;

	for (size_t c = 0; c < KEYMETER_CELLS && !e; c++) {
		title = title || (c && cells[c].series != cells[c - 1].series);
		e = put_cell(p, c, &title, out);
	}
	return e;
}

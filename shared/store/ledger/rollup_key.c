#include "rollup_key.h"

#include "be.h"

void rollup_key_put_head(struct rollup_key *k, enum rollup_cut cut, const struct rollup_name *name)
{
	k->b[0] = (uint8_t)cut;
	be_put(k->b + 1, 4, name->day);
	be_put(k->b + ROLLUP_KEY_DAY, 8, name->account);
	memcpy(k->b + ROLLUP_KEY_ACCOUNT, name->key_id, APIKEY_ID);
	memcpy(k->b + ROLLUP_KEY_ID, name->team, ROWS_ID);
	k->n = ROLLUP_KEY_HEAD;
}

static void put_name(struct rollup_key *k, struct slice s)
{
	k->b[k->n++] = (uint8_t)s.n;
	if (s.n)
		memcpy(k->b + k->n, s.p, s.n);
	k->n += s.n;
}

static bool has_names(enum rollup_cut cut)
{
	return cut != ROLLUP_DAYS && cut != ROLLUP_PAYERS;
}

void rollup_key_put(struct rollup_key *k, enum rollup_cut cut, const struct rollup_name *name)
{
	rollup_key_put_head(k, cut, name);
	if (!has_names(cut))
		return;
	put_name(k, name->model);
	put_name(k, name->provider);
	if (cut >= ROLLUP_TAGS && name->tag.n) {
		memcpy(k->b + k->n, name->tag.p, name->tag.n);
		k->n += name->tag.n;
	}
}

void rollup_key_put_part(struct rollup_key *k, enum rollup_cut cut, const struct rollup_name *name)
{
	struct rollup_name part;

	if (cut != ROLLUP_DAYS && cut != ROLLUP_MODELS && cut != ROLLUP_USERS) {
		rollup_key_put(k, cut, name);
		return;
	}
	part = (struct rollup_name){.day = name->day};
	if (cut == ROLLUP_MODELS) {
		part.model = name->model;
		part.provider = name->provider;
	}
	if (cut == ROLLUP_USERS)
		part.tag = name->tag;
	rollup_key_put(k, cut, &part);
}

bool rollup_key_get_rest(struct slice key, enum rollup_cut cut, struct rollup_name *name)
{
	const char *p = key.p + ROLLUP_KEY_HEAD, *end = slice_end(key);
	size_t n;

	name->model = name->provider = name->tag = SLICE_NONE;
	if (!has_names(cut))
		return p == end;
	if (p == end)
		return false;
	n = (uint8_t)*p++;
	if ((size_t)(end - p) < n + 1)
		return false;
	name->model = slice_of(p, n);
	p += n;
	n = (uint8_t)*p++;
	if ((size_t)(end - p) < n)
		return false;
	name->provider = slice_of(p, n);
	p += n;
	name->tag = slice_of(p, (size_t)(end - p));
	return p == end || cut >= ROLLUP_TAGS;
}

bool rollup_key_get(struct slice key, enum rollup_cut *cut, struct rollup_name *name)
{
	if (key.n < ROLLUP_KEY_HEAD)
		return false;
	*cut = (enum rollup_cut)(uint8_t)key.p[0];
	name->day = (uint32_t)be_get(key.p + 1, 4);
	name->account = be_get(key.p + ROLLUP_KEY_DAY, 8);
	memcpy(name->key_id, key.p + ROLLUP_KEY_ACCOUNT, APIKEY_ID);
	memcpy(name->team, key.p + ROLLUP_KEY_ID, ROWS_ID);
	name->same = ROLLUP_SAME_NOTHING;
	return rollup_key_get_rest(key, *cut, name);
}

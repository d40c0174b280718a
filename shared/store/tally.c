#include "tally_priv.h"

#include "mem.h"
#include "secret.h"
#include "text.h"

#define NAMES_BYTES   ((size_t)256 * 1024 * 1024)
#define SLOTS_A_ENTRY 2
#define CAP_MIN       64
#define SIEVE_BITS    20 /* 128 KiB, which stay in the processor's cache; one in ten is set */

enum errc tally_init(struct tally *r, size_t by_n, size_t many, uint32_t max)
{
	*r = (struct tally){.by_n = by_n, .many = many, .max = max};
	arena_init(&r->arena, NAMES_BYTES);
	secret_random(r->seed, sizeof r->seed);
	return by_n > REPORT_DIMS_MAX ? ERRC_INVAL : ERRC_OK;
}

void tally_fini(struct tally *r)
{
	arena_fini(&r->arena);
	for (size_t i = 0; i < REPORT_DIMS_MAX; i++) {
		mem_free(r->names[i].name);
		mem_free(r->names[i].slots);
	}
	mem_free(r->sums);
	mem_free(r->slots);
	mem_free(r->sieve);
	mem_free(r->order);
}

/* Room for twice as many entries of `size` bytes; the slots are of as many. */
static enum errc grow(void **entries, size_t size, struct tally_slot **slots, uint32_t *cap)
{
	uint32_t more = *cap ? 2 * *cap : CAP_MIN, mask = more * SLOTS_A_ENTRY - 1;
	void *v = mem_grow(*entries, more * size);
	struct tally_slot *s;

	if (!v)
		return ERRC_NOMEM;
	*entries = v;
	s = mem_new(((size_t)mask + 1) * sizeof *s);
	if (!s)
		return ERRC_NOMEM;
	for (uint32_t i = 0; i < *cap * SLOTS_A_ENTRY; i++) {
		struct tally_slot was = (*slots)[i];
		uint32_t at = was.hash & mask;

		while (was.at && s[at].at)
			at = (at + 1) & mask;
		if (was.at)
			s[at] = was;
	}
	mem_free(*slots);
	*slots = s;
	*cap = more;
	return ERRC_OK;
}

static uint32_t mask_of(uint32_t cap)
{
	return cap * SLOTS_A_ENTRY - 1;
}

/* --- names --- */

static uint64_t load_8(const char *p)
{
	uint64_t word;

	memcpy(&word, p, sizeof word);
	return word;
}

static uint32_t load_4(const char *p)
{
	uint32_t word;

	memcpy(&word, p, sizeof word);
	return word;
}

/* Two words that tell names of up to 16 bytes apart together with their length, longer ones mostly. */
static void words_of(struct slice name, uint64_t w[2])
{
	w[0] = w[1] = 0;
	if (name.n >= 8) {
		w[0] = load_8(name.p);
		w[1] = load_8(slice_end(name) - 8);
	} else if (name.n >= 4) {
		w[0] = load_4(name.p);
		w[1] = load_4(slice_end(name) - 4);
	} else {
		for (size_t i = 0; i < name.n; i++)
			w[0] = w[0] << 8 | (uint8_t)name.p[i];
	}
}

/* The name of up to 16 bytes that has these words. */
static struct slice of_words(const uint64_t w[2], size_t n, char room[16])
{
	if (n >= 8) {
		memcpy(room, &w[0], 8);
		memcpy(room + n - 8, &w[1], 8);
	} else if (n >= 4) {
		uint32_t half[2] = {(uint32_t)w[0], (uint32_t)w[1]};

		memcpy(room, &half[0], 4);
		memcpy(room + n - 4, &half[1], 4);
	} else {
		for (size_t i = 0; i < n; i++)
			room[i] = (char)(w[0] >> 8 * (n - 1 - i));
	}
	return slice_of(room, n);
}

static bool is_name(const struct tally_name *e, struct slice name, const uint64_t w[2])
{
	return e->name.n == name.n && e->words[0] == w[0] && e->words[1] == w[1] &&
	       (name.n <= sizeof e->words || memcmp(e->name.p, name.p, name.n) == 0);
}

/* Both halves of a product, as in text_hash_wide(). */
static uint64_t fold(uint64_t a, uint64_t b)
{
	unsigned __int128 m = (unsigned __int128)a * b;

	return (uint64_t)m ^ (uint64_t)(m >> 64);
}

/* Clients choose some of them: the seed is another one in each report. The words of a short name are all of it. */
static uint32_t hash_name(const struct tally *r, struct slice name, const uint64_t w[2])
{
	if (name.n > sizeof(uint64_t[2]))
		return (uint32_t)text_hash_wide(r->seed, name);
	return (uint32_t)fold(fold(r->seed[0] ^ w[0], r->seed[1] ^ w[1]) ^ name.n, r->seed[1]);
}

static enum errc grow_names(struct tally_names *c)
{
	void *names = c->name;
	enum errc rc = grow(&names, sizeof *c->name, &c->slots, &c->cap);

	c->name = names;
	if (!rc && c->n == 0)
		c->name[c->n++] = (struct tally_name){.name = SLICE_NONE}; /* TALLY_EMPTY */
	return rc;
}

/* Where a name stands, which is not the last. */
static enum errc look_up(struct tally *r, struct tally_names *c, struct slice name,
			 const uint64_t words[2], uint32_t hash, uint32_t *id)
{
	uint32_t mask = mask_of(c->cap), at;

	for (at = hash & mask; c->slots[at].at; at = (at + 1) & mask) {
		*id = c->slots[at].at - 1;
		if (c->slots[at].hash == hash && is_name(&c->name[*id], name, words))
			return ERRC_OK;
	}
	*id = TALLY_NONE;
	if (r->n == r->max)
		return ERRC_OK;
	name = arena_dup(&r->arena, name);
	if (!name.p)
		return ERRC_NOMEM;
	*id = c->n++;
	c->name[*id] = (struct tally_name){name, {words[0], words[1]}, hash, TALLY_EMPTY};
	c->slots[at] = (struct tally_slot){hash, c->n};
	return ERRC_OK;
}

enum errc tally_name(struct tally *r, size_t column, struct slice name, uint32_t *id)
{
	struct tally_names *c = &r->names[column];
	enum errc rc = c->n < c->cap ? ERRC_OK : grow_names(c);
	uint64_t words[2];
	uint32_t last;

	*id = TALLY_EMPTY;
	if (rc || name.n == 0)
		return rc;
	words_of(name, words);
	last = *id = c->last;
	if (is_name(&c->name[last], name, words))
		return ERRC_OK;
	*id = c->name[last].next;
	if (!is_name(&c->name[*id], name, words))
		rc = look_up(r, c, name, words, hash_name(r, name, words), id);
	if (!rc && *id != TALLY_NONE)
		c->last = c->name[last].next = *id;
	return rc;
}

/* --- rows --- */

static const uint64_t odd[REPORT_DIMS_MAX] = {
	UINT64_C(0x9e3779b97f4a7c15), UINT64_C(0xbf58476d1ce4e5b9), UINT64_C(0x94d049bb133111eb),
	UINT64_C(0xd6e8feb86659fd93)};

static uint64_t sum_ids(const uint32_t id[REPORT_DIMS_MAX])
{
	uint64_t h = 0;

	for (size_t i = 0; i < REPORT_DIMS_MAX; i++)
		h += id[i] * odd[i];
	return h;
}

static uint32_t hash_sum(uint64_t h)
{
	return (uint32_t)((h ^ h >> 32) * odd[0] >> 32);
}

/* A row's hash goes by the numbers of its names, but by the name's own hash in the column with many, which is 0 for the empty one. `sum` is
 * that of the numbers. */
static uint32_t hash_many(const struct tally *r, const uint32_t id[REPORT_DIMS_MAX], uint64_t sum,
			  uint32_t name)
{
	return hash_sum(sum - id[r->many] * odd[r->many] + name * odd[r->many]);
}

static uint32_t hash_of(const struct tally *r, const uint32_t id[REPORT_DIMS_MAX], uint64_t sum)
{
	if (r->many == TALLY_ALL || id[r->many] == TALLY_EMPTY || id[r->many] == TALLY_NONE)
		return hash_sum(sum);
	return hash_many(r, id, sum, r->names[r->many].name[id[r->many]].hash);
}

static enum errc grow_rows(struct tally *r)
{
	void *sums = r->sums;
	enum errc rc = grow(&sums, sizeof *r->sums, &r->slots, &r->cap);

	r->sums = sums;
	return rc;
}

static bool has_all(const uint32_t id[REPORT_DIMS_MAX])
{
	bool none = false;

	for (size_t i = 0; i < REPORT_DIMS_MAX; i++)
		none |= id[i] == TALLY_NONE;
	return !none;
}

/* Goes on to the first slot that may be the sum's, or is empty. */
static uint32_t probe(const struct tally *r, const struct tally_place *w, uint32_t at)
{
	uint32_t mask = mask_of(r->cap);

	for (at &= mask; r->slots[at].at && r->slots[at].hash != w->hash; at = (at + 1) & mask)
		;
	return at;
}

/* Finds the slot, which has been fetched before, and has the processor fetch the row while it is busy with others. */
static void fetch_row(const struct tally *r, struct tally_place *w)
{
	w->slot = probe(r, w, w->hash);
	if (r->slots[w->slot].at) {
		const char *row = (const char *)&r->sums[r->slots[w->slot].at - 1];

		mem_fetch(row, sizeof(struct tally_sum));
	}
}

/* NULL: there is no room for it. The slot is empty. */
static struct rollup_sums *new_row(struct tally *r, const struct tally_place *w, uint32_t at)
{
	struct tally_sum *s = &r->sums[r->n];

	if (r->n == r->max)
		return NULL;
	s->sums = (struct rollup_sums){.requests = 0};
	memcpy(s->id, w->id, sizeof s->id);
	r->slots[at] = (struct tally_slot){w->hash, ++r->n};
	return &s->sums;
}

/* NULL: there is no room for it. Slots are taken and never given up: all before the one that was found are of others still. */
static struct rollup_sums *find(struct tally *r, const struct tally_place *w)
{
	uint32_t at;

	for (at = probe(r, w, w->slot); r->slots[at].at; at = probe(r, w, at + 1)) {
		struct tally_sum *s = &r->sums[r->slots[at].at - 1];

		if (memcmp(s->id, w->id, sizeof s->id) == 0)
			return &s->sums;
	}
	return new_row(r, w, at);
}

/* What finds no room is known at the end: it is what the rows lack. */
static void count(struct tally *r, struct rollup_sums *to, const struct rollup_sums *s, int sign)
{
	if (!to)
		r->has_rest = true;
	else if (sign > 0)
		rollup_sums_plus(to, s);
	else
		rollup_sums_sub(to, s);
}

static uint32_t sieve_bit(uint32_t hash)
{
	return hash >> (32 - SIEVE_BITS);
}

/* Most of what comes when there is no room for new rows has none: that is told by a bit, without a look at the slots. */
static enum errc make_sieve(struct tally *r)
{
	r->sieve = mem_new((1 << SIEVE_BITS) / 8);
	if (!r->sieve)
		return ERRC_NOMEM;
	for (uint32_t i = 0; i <= mask_of(r->cap); i++) {
		uint32_t bit = sieve_bit(r->slots[i].hash);

		if (r->slots[i].at)
			r->sieve[bit / 64] |= UINT64_C(1) << bit % 64;
	}
	return ERRC_OK;
}

static bool has_bit(const struct tally *r, uint32_t bit)
{
	return r->sieve[bit / 64] >> bit % 64 & 1;
}

static bool may_have_row(const struct tally *r, uint32_t hash)
{
	return !r->sieve || has_bit(r, sieve_bit(hash));
}

/* Room for as many rows as may come to be. */
static enum errc make_room(struct tally *r, size_t more)
{
	enum errc rc = ERRC_OK;

	while (!rc && r->n + more > r->cap)
		rc = grow_rows(r);
	return rc;
}

static void fetch_slot(const struct tally *r, uint32_t hash)
{
	if (r->cap)
		__builtin_prefetch(&r->slots[hash & mask_of(r->cap)]);
}

/* Adds all that waits, in order. */
enum errc tally_add_waiting(struct tally *r)
{
	enum errc rc = make_room(r, r->waiting);

	if (rc)
		return rc;
	for (size_t i = 0; i < r->waiting; i++)
		fetch_row(r, &r->wait[i].place);
	for (size_t i = 0; i < r->waiting; i++)
		count(r, find(r, &r->wait[i].place), &r->wait[i].sums, r->wait[i].sign);
	r->waiting = 0;
	return r->n == r->max && !r->sieve ? make_sieve(r) : ERRC_OK;
}

enum errc tally_name_many(struct tally *r, struct slice name, uint32_t id[REPORT_DIMS_MAX])
{
	struct tally_names *c = &r->names[r->many];
	enum errc rc = c->n < c->cap ? ERRC_OK : grow_names(c);
	uint64_t words[2];
	uint32_t hash;

	id[r->many] = TALLY_EMPTY;
	if (rc || name.n == 0)
		return rc;
	words_of(name, words);
	hash = hash_name(r, name, words);
	if (!may_have_row(r, hash_many(r, id, sum_ids(id), hash))) {
		id[r->many] = TALLY_NONE;
		return ERRC_OK;
	}
	return look_up(r, c, name, words, hash, &id[r->many]);
}

enum errc tally_open(struct tally *r, const uint32_t id[REPORT_DIMS_MAX], int sign,
		     struct rollup_sums **sums)
{
	enum errc rc = r->waiting < TALLY_WAIT ? ERRC_OK : tally_add_waiting(r);
	struct tally_wait *w;
	uint32_t hash;

	*sums = NULL;
	if (rc)
		return rc;
	memcpy(r->base, id, sizeof r->base);
	r->base_sum = sum_ids(id);
	r->base_named = has_all(id);
	hash = hash_of(r, id, r->base_sum);
	if (!r->base_named || !may_have_row(r, hash)) {
		r->has_rest = true;
		return ERRC_OK;
	}
	w = &r->wait[r->waiting++];
	memcpy(w->place.id, id, sizeof w->place.id);
	w->sign = sign;
	w->place.hash = hash;
	w->sums = (struct rollup_sums){.requests = 0};
	fetch_slot(r, hash);
	*sums = &w->sums;
	return ERRC_OK;
}

enum errc tally_add(struct tally *r, const uint32_t id[REPORT_DIMS_MAX],
		    const struct rollup_sums *s, int sign)
{
	struct rollup_sums *sums;
	enum errc rc = tally_open(r, id, sign, &sums);

	if (!rc && sums)
		*sums = *s;
	return rc;
}

/* --- many rows with most names in common --- */

bool tally_has_many(const struct tally *r)
{
	return r->base_named;
}

static bool is_row(const struct tally *r, const struct tally_sum *s, const struct tally_wait_many *w)
{
	for (size_t i = 0; i < REPORT_DIMS_MAX; i++) {
		if (i != r->many && s->id[i] != w->place.id[i])
			return false;
	}
	return is_name(&r->names[r->many].name[s->id[r->many]], slice_of(w->name, w->name_n),
		       w->words);
}

/* Its name gets a number; *to is NULL when there is no room. */
static enum errc new_row_many(struct tally *r, struct tally_wait_many *w, uint32_t at,
			      struct rollup_sums **to)
{
	struct tally_names *c = &r->names[r->many];
	struct slice name = slice_of(w->name, w->name_n);
	char room[sizeof w->words];
	enum errc rc = c->n < c->cap ? ERRC_OK : grow_names(c);

	*to = NULL;
	if (rc || r->n == r->max)
		return rc;
	if (w->name_n <= sizeof room)
		name = of_words(w->words, w->name_n, room);
	rc = look_up(r, c, name, w->words, w->name_hash, &w->place.id[r->many]);
	if (!rc)
		*to = new_row(r, &w->place, at);
	return rc;
}

static enum errc find_many(struct tally *r, struct tally_wait_many *w, struct rollup_sums **to)
{
	uint32_t at;

	for (at = probe(r, &w->place, w->place.slot); r->slots[at].at;
	     at = probe(r, &w->place, at + 1)) {
		struct tally_sum *s = &r->sums[r->slots[at].at - 1];

		*to = &s->sums;
		if (is_row(r, s, w))
			return ERRC_OK;
	}
	return new_row_many(r, w, at, to);
}

/* Adds all that waits and is not told to have no row. */
static enum errc add_many(struct tally *r)
{
	struct tally_wait_many *may[TALLY_WAIT_MANY];
	enum errc rc = make_room(r, r->many_waiting);
	size_t n = 0;

	for (size_t i = 0; i < r->many_waiting; i++) {
		may[n] = &r->wait_many[i];
		n += may_have_row(r, may[n]->place.hash);
	}
	r->has_rest |= n < r->many_waiting;
	r->many_waiting = 0;
	if (rc)
		return rc;
	for (size_t i = 0; i < n; i++)
		fetch_slot(r, may[i]->place.hash);
	for (size_t i = 0; i < n; i++)
		fetch_row(r, &may[i]->place);
	for (size_t i = 0; !rc && i < n; i++) {
		struct rollup_sums *to;

		rc = find_many(r, may[i], &to);
		if (!rc && to)
			runs_plus(&may[i]->numbers, to);
		else
			r->has_rest = true;
	}
	if (!rc && r->n == r->max && !r->sieve)
		rc = make_sieve(r);
	return rc;
}

enum errc tally_flush(struct tally *r)
{
	return add_many(r);
}

enum errc tally_add_many(struct tally *r, struct slice name, const struct runs_numbers *numbers)
{
	struct tally_wait_many *w = &r->wait_many[r->many_waiting];

	if (!r->base_named) {
		r->has_rest = true;
		return ERRC_OK;
	}
	if (check_fails(name.n > 0 && name.n <= sizeof w->name))
		return ERRC_INVAL;
	words_of(name, w->words);
	if (name.n > sizeof w->words)
		memcpy(w->name, name.p, name.n);
	w->name_hash = hash_name(r, name, w->words);
	w->place.hash = hash_sum(r->base_sum + w->name_hash * odd[r->many]);
	if (r->sieve)
		__builtin_prefetch(&r->sieve[sieve_bit(w->place.hash) / 64]);
	memcpy(w->place.id, r->base, sizeof w->place.id);
	w->name_n = (uint32_t)name.n;
	w->numbers = *numbers;
	return ++r->many_waiting < TALLY_WAIT_MANY ? ERRC_OK : add_many(r);
}

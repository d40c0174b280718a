#include "tally.h"

#include <stdlib.h>

#include "mem.h"
#include "secret.h"
#include "text.h"

#define NAMES_BYTES   ((size_t)256 * 1024 * 1024)
#define SLOTS_A_ENTRY 4
#define CAP_MIN       64
#define SIEVE_BITS    20 /* 128 KiB, which stay in the processor's cache; one in ten is set */

/* Where an entry stands, and what tells most others apart without a look at it. */
struct tally_slot {
	uint32_t hash;
	uint32_t at; /* position + 1; 0: empty */
};

struct tally_name {
	struct slice name; /* in the arena */
	uint64_t words[2]; /* of the name that it was put down as */
	uint32_t hash;     /* of that, too; the empty name's is 0 */
	uint32_t next;     /* that was asked for after this one the last time */
};

struct tally_sum {
	uint32_t id[REPORT_DIMS_MAX];
	struct rollup_sums sums;
};

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

static bool is_name(const struct tally_name *e, struct slice name, const uint64_t w[2])
{
	return e->name.n == name.n && e->words[0] == w[0] && e->words[1] == w[1] &&
	       (name.n <= sizeof e->words || memcmp(e->name.p, name.p, name.n) == 0);
}

/* Clients choose some of them: the seed is another one in each report. */
static uint32_t hash_name(const struct tally *r, struct slice name)
{
	return (uint32_t)text_hash_wide(r->seed, name);
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
		rc = look_up(r, c, name, words, hash_name(r, name), id);
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

static uint32_t hash_ids(const uint32_t id[REPORT_DIMS_MAX])
{
	return hash_sum(sum_ids(id));
}

static enum errc grow_rows(struct tally *r)
{
	void *sums = r->sums;
	enum errc rc = grow(&sums, sizeof *r->sums, &r->slots, &r->cap);

	r->sums = sums;
	return rc;
}

static bool has_all(const struct tally *r, const uint32_t id[REPORT_DIMS_MAX])
{
	for (size_t i = 0; i < r->by_n; i++) {
		if (id[i] == TALLY_NONE)
			return false;
	}
	return true;
}

/* Goes on to the first slot that may be the sum's, or is empty. */
static uint32_t probe(const struct tally *r, const struct tally_wait *w, uint32_t at)
{
	uint32_t mask = mask_of(r->cap);

	for (at &= mask; r->slots[at].at && r->slots[at].hash != w->hash; at = (at + 1) & mask)
		;
	return at;
}

/* Finds the slot, which has been fetched before, and has the processor fetch the row while it is busy with others. */
static void fetch_row(const struct tally *r, struct tally_wait *w)
{
	w->slot = probe(r, w, w->hash);
	if (r->slots[w->slot].at) {
		const char *row = (const char *)&r->sums[r->slots[w->slot].at - 1];

		__builtin_prefetch(row, 1);
		__builtin_prefetch(row + sizeof(struct tally_sum) - 1, 1);
	}
}

/* NULL: there is no room for it. Slots are taken and never given up: all before the one that was found are of others still. */
static struct rollup_sums *find(struct tally *r, const struct tally_wait *w)
{
	struct tally_sum *s;
	uint32_t at;

	for (at = probe(r, w, w->slot); r->slots[at].at; at = probe(r, w, at + 1)) {
		s = &r->sums[r->slots[at].at - 1];
		if (memcmp(s->id, w->id, sizeof s->id) == 0)
			return &s->sums;
	}
	if (r->n == r->max)
		return NULL;
	s = &r->sums[r->n];
	memcpy(s->id, w->id, sizeof s->id);
	s->sums = (struct rollup_sums){.requests = 0};
	r->slots[at] = (struct tally_slot){w->hash, ++r->n};
	return &s->sums;
}

/* What finds no room is known at the end: it is what the rows lack. */
static void count(struct tally *r, struct rollup_sums *to, const struct rollup_sums *s, int sign)
{
	if (!to)
		r->has_rest = true;
	else if (sign > 0)
		rollup_sums_add(to, s);
	else
		rollup_sums_sub(to, s);
}

static uint32_t sieve_bit(uint32_t hash)
{
	return hash >> (32 - SIEVE_BITS);
}

/* What the sieve goes by: the same, with a name's hash in place of its number where there are many. */
static uint32_t hash_many(const struct tally *r, const uint32_t id[REPORT_DIMS_MAX], uint32_t name)
{
	uint64_t by_number = id[r->many] * odd[r->many];

	return hash_sum(sum_ids(id) - by_number + name * odd[r->many]);
}

/* Most of what comes when there is no room for new rows has none: that is told by a bit, without a look at the slots. */
static enum errc make_sieve(struct tally *r)
{
	r->sieve = mem_new((1 << SIEVE_BITS) / 8);
	if (!r->sieve)
		return ERRC_NOMEM;
	for (uint32_t i = 0; i < r->n; i++) {
		const uint32_t *id = r->sums[i].id;
		uint32_t hash = r->many == TALLY_ALL
					? hash_ids(id)
					: hash_many(r, id, r->names[r->many].name[id[r->many]].hash);
		uint32_t bit = sieve_bit(hash);

		r->sieve[bit / 64] |= UINT64_C(1) << bit % 64;
	}
	return ERRC_OK;
}

static bool may_have_row(const struct tally *r, uint32_t hash)
{
	uint32_t bit = sieve_bit(hash);

	return !r->sieve || (r->sieve[bit / 64] >> bit % 64 & 1);
}

/* Adds all that waits, in order. */
static enum errc add_waiting(struct tally *r)
{
	while (r->n + r->waiting > r->cap) {
		enum errc rc = grow_rows(r);

		if (rc)
			return rc;
	}
	for (size_t i = 0; i < r->waiting; i++)
		fetch_row(r, &r->wait[i]);
	for (size_t i = 0; i < r->waiting; i++)
		count(r, find(r, &r->wait[i]), &r->wait[i].sums, r->wait[i].sign);
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
	hash = hash_name(r, name);
	if (!may_have_row(r, hash_many(r, id, hash))) {
		id[r->many] = TALLY_NONE;
		return ERRC_OK;
	}
	return look_up(r, c, name, words, hash, &id[r->many]);
}

enum errc tally_add(struct tally *r, const uint32_t id[REPORT_DIMS_MAX],
		    const struct rollup_sums *s, int sign)
{
	struct tally_wait *w = &r->wait[r->waiting];
	uint32_t hash = hash_ids(id);

	if (!has_all(r, id) || (r->many == TALLY_ALL && !may_have_row(r, hash))) {
		r->has_rest = true;
		return ERRC_OK;
	}
	memcpy(w->id, id, sizeof w->id);
	w->sums = *s;
	w->sign = sign;
	w->hash = hash;
	if (r->cap)
		__builtin_prefetch(&r->slots[w->hash & mask_of(r->cap)]);
	return ++r->waiting < TALLY_WAIT ? ERRC_OK : add_waiting(r);
}

/* --- the end --- */

struct place {
	struct slice name;
	uint32_t id;
};

static int by_name(const void *a, const void *b)
{
	return slice_cmp(((const struct place *)a)->name, ((const struct place *)b)->name);
}

/* Sorts the names; rank[id] is a name's place among them. */
static enum errc rank_names(const struct tally_names *c, uint32_t *rank)
{
	struct place *p = mem_new(c->n * sizeof *p);

	if (!p)
		return ERRC_NOMEM;
	for (uint32_t i = 0; i < c->n; i++)
		p[i] = (struct place){c->name[i].name, i};
	qsort(p, c->n, sizeof *p, by_name);
	for (uint32_t i = 0; i < c->n; i++)
		rank[p[i].id] = i;
	mem_free(p);
	return ERRC_OK;
}

/* One pass of a radix sort: puts the rows in order of this column; those equal in it stay as they stand. */
static enum errc sort_column(struct tally *r, size_t column, uint32_t n)
{
	const struct tally_names *c = &r->names[column];
	uint32_t *rank = mem_new((c->n + 1) * sizeof *rank);
	uint32_t *begins = mem_new((c->n + 1) * sizeof *begins);
	uint32_t *sorted = mem_new(n * sizeof *sorted);
	enum errc rc = rank && begins && sorted ? rank_names(c, rank) : ERRC_NOMEM;

	for (uint32_t i = 0; !rc && i < n; i++)
		begins[rank[r->sums[r->order[i]].id[column]] + 1]++;
	for (uint32_t i = 1; !rc && i <= c->n; i++)
		begins[i] += begins[i - 1];
	for (uint32_t i = 0; !rc && i < n; i++)
		sorted[begins[rank[r->sums[r->order[i]].id[column]]]++] = r->order[i];
	if (!rc)
		memcpy(r->order, sorted, n * sizeof *sorted);
	mem_free(rank);
	mem_free(begins);
	mem_free(sorted);
	return rc;
}

/* What is not in the rows, those included that are dropped. */
static void find_rest(struct tally *r, const struct rollup_sums *total)
{
	r->rest = *total;
	for (uint32_t i = 0; i < r->n; i++)
		rollup_sums_sub(&r->rest, &r->sums[i].sums);
	r->has_rest = r->rest.requests > 0;
}

enum errc tally_end(struct tally *r, const struct rollup_sums *total,
		    enum errc (*readable)(void *arg, size_t column, struct slice name,
					  struct slice *out),
		    void *arg)
{
	enum errc rc = add_waiting(r);
	uint32_t n = 0;

	for (size_t i = 0; i < r->by_n; i++) {
		struct tally_names *c = &r->names[i];

		for (uint32_t k = TALLY_EMPTY + 1; !rc && k < c->n; k++)
			rc = readable(arg, i, c->name[k].name, &c->name[k].name);
	}
	if (!rc && r->has_rest)
		find_rest(r, total);
	if (rc || r->n == 0)
		return rc;
	r->order = mem_new(r->n * sizeof *r->order);
	if (!r->order)
		return ERRC_NOMEM;
	for (uint32_t i = 0; i < r->n; i++) {
		if (r->sums[i].sums.requests > 0)
			r->order[n++] = i;
	}
	r->n = n;
	for (size_t i = r->by_n; !rc && n > 1 && i-- > 0;)
		rc = sort_column(r, i, n);
	return rc;
}

void tally_numbers(const struct rollup_sums *s, struct report_row *out)
{
	out->requests = (uint64_t)s->requests;
	out->failed = (uint64_t)s->failed;
	out->input = s->input;
	out->cached = s->cached;
	out->output = s->output;
	out->reasoning = s->reasoning;
	out->charge_nusd = s->charge_nusd;
	out->uncollected_nusd = s->uncollected_nusd;
	out->cost_nusd = s->cost_nusd;
}

size_t tally_n(const struct tally *r)
{
	return r->n + r->has_rest;
}

void tally_get(const struct tally *r, size_t i, struct report_row *out)
{
	const struct rollup_sums *s = &r->rest;

	require(i < tally_n(r));
	*out = (struct report_row){.requests = 0};
	if (i < r->n) {
		const struct tally_sum *sum = &r->sums[r->order[i]];

		for (size_t c = 0; c < r->by_n; c++)
			out->name[c] = r->names[c].name[sum->id[c]].name;
		s = &sum->sums;
	}
	tally_numbers(s, out);
}

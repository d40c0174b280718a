#include "progress_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "caps.h"
#include "mem.h"

_Static_assert(sizeof(struct progress_slot) == 64, "one cache line a call");
_Static_assert(LIMIT_CANDIDATES <= UINT8_MAX && USAGE_TIER_COUNT <= 16, "a state has room for it");

#define TOKENS_MAX UINT32_MAX

/* The places in an attempt's word, above a bit that says that it is one: its candidate (5 bits), that it failed (1), its status (10), when it
 * began (24), and how long it took, one more than that (23; 0: it runs). */
enum { TRY_CANDIDATE = 1, TRY_FAILED = 6, TRY_STATUS = 7, TRY_START = 17, TRY_MS = 41 };

#define TRY_CANDIDATE_MAX UINT64_C(31)
#define TRY_STATUS_MAX    INT64_C(1023)
#define TRY_START_MAX     ((INT64_C(1) << 24) - 1)
#define TRY_MS_MAX        ((INT64_C(1) << 23) - 1)

_Static_assert(LIMIT_CANDIDATES <= TRY_CANDIDATE_MAX, "an attempt has room for it");

struct region_head {
	_Atomic int32_t holds, pages;
	uint8_t pad[56];
};

struct file_head {
	_Atomic uint32_t ledger_failed;
	uint8_t pad[60];
	struct region_head regions[];
};

struct progress {
	struct file_head *head;
	struct progress_slot *slots; /* of all regions */
	_Atomic uint64_t *tries;     /* PROGRESS_TRIES of each slot, behind them; 0: none */
	size_t bytes;
	uint32_t regions, slots_n; /* slots_n: of one region */
	uint32_t region;           /* ours */
	uint32_t *free;            /* stack of our free slots, owned */
	uint32_t free_n;
};

static size_t head_bytes(uint32_t regions)
{
	size_t n = sizeof(struct file_head) + (size_t)regions * sizeof(struct region_head);

	return (n + 4095) / 4096 * 4096;
}

static size_t file_bytes(uint32_t regions, uint32_t slots)
{
	return head_bytes(regions) +
	       (size_t)regions * slots *
		       (sizeof(struct progress_slot) + PROGRESS_TRIES * sizeof(uint64_t));
}

enum errc progress_create(const char *path, uint32_t regions, uint32_t slots)
{
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0640), err;

	if (fd < 0)
		return errc_from_errno(errno);
	err = posix_fallocate(fd, 0, (off_t)file_bytes(regions, slots));
	close(fd);
	return err ? errc_from_errno(err) : ERRC_OK;
}

enum errc progress_open(const char *path, uint32_t regions, uint32_t slots, struct progress **out)
{
	struct progress *p = mem_new_of(struct progress);
	enum errc rc = ERRC_OK;
	struct stat st;
	void *map;
	int fd = -1;

	if (!p)
		return ERRC_NOMEM;
	*p = (struct progress){.bytes = file_bytes(regions, slots),
			       .regions = regions,
			       .slots_n = slots,
			       .region = PROGRESS_NO_REGION};
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) != 0) {
		rc = errc_from_errno(errno);
		goto out;
	}
	if ((size_t)st.st_size != p->bytes) {
		rc = ERRC_STALE;
		goto out;
	}
	map = mmap(NULL, p->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED) {
		rc = errc_from_errno(errno);
		goto out;
	}
	p->head = (struct file_head *)map;
	p->slots = (struct progress_slot *)((char *)map + head_bytes(regions));
	p->tries = (_Atomic uint64_t *)(p->slots + (size_t)regions * slots);
	*out = p;
	p = NULL;
out:
	if (fd >= 0)
		close(fd);
	progress_close(&p);
	return rc;
}

void progress_close(struct progress **pp)
{
	struct progress *p = *pp;

	if (!p)
		return;
	if (p->head)
		munmap(p->head, p->bytes);
	mem_free(p->free);
	mem_free(p);
	*pp = NULL;
}

enum errc progress_adopt(struct progress *p, uint32_t region)
{
	require(region < p->regions && p->region == PROGRESS_NO_REGION);
	p->free = mem_new(sizeof(uint32_t) * p->slots_n);
	if (!p->free)
		return ERRC_NOMEM;
	progress_clear_region(p, region);
	p->region = region;
	for (uint32_t i = 0; i < p->slots_n; i++)
		p->free[i] = region * p->slots_n + (p->slots_n - 1 - i);
	p->free_n = p->slots_n;
	return ERRC_OK;
}

void progress_count_holds(struct progress *p, int32_t delta)
{
	if (p->region != PROGRESS_NO_REGION)
		atomic_fetch_add_explicit(&p->head->regions[p->region].holds, delta,
					  memory_order_relaxed);
}

void progress_count_pages(struct progress *p, int32_t delta)
{
	if (p->region != PROGRESS_NO_REGION)
		atomic_fetch_add_explicit(&p->head->regions[p->region].pages, delta,
					  memory_order_relaxed);
}

uint64_t progress_pages(const struct progress *p)
{
	int64_t sum = 0;

	for (uint32_t i = 0; i < p->regions; i++)
		sum += atomic_load_explicit(&p->head->regions[i].pages, memory_order_relaxed);
	return sum > 0 ? (uint64_t)sum : 0;
}

uint64_t progress_holds(const struct progress *p)
{
	int64_t sum = 0;

	for (uint32_t i = 0; i < p->regions; i++)
		sum += atomic_load_explicit(&p->head->regions[i].holds, memory_order_relaxed);
	return sum > 0 ? (uint64_t)sum : 0;
}

static bool slot_is_free(const struct progress_slot *s)
{
	static const uint8_t none[GENID_BYTES];

	return memcmp(s->id, none, sizeof none) == 0;
}

bool progress_next(struct progress *p, uint32_t region, uint32_t *slot, uint64_t *account,
		   struct genid *id)
{
	uint32_t first = region * p->slots_n;

	for (uint32_t i = MAX_OF(*slot, first); i < first + p->slots_n; i++) {
		if (slot_is_free(&p->slots[i]))
			continue;
		*slot = i;
		*account = p->slots[i].account;
		memcpy(id->b, p->slots[i].id, GENID_BYTES);
		return true;
	}
	return false;
}

void progress_clear_slot(struct progress *p, uint32_t slot)
{
	require(slot < p->regions * p->slots_n);
	memset(&p->slots[slot], 0, sizeof p->slots[slot]);
}

void progress_clear_region(struct progress *p, uint32_t region)
{
	require(region < p->regions);
	memset(&p->slots[(size_t)region * p->slots_n], 0,
	       (size_t)p->slots_n * sizeof(struct progress_slot));
	atomic_store_explicit(&p->head->regions[region].holds, 0, memory_order_relaxed);
	atomic_store_explicit(&p->head->regions[region].pages, 0, memory_order_relaxed);
}

static _Atomic uint64_t *tries_of(struct progress *p, uint32_t slot)
{
	return p->tries + (size_t)slot * PROGRESS_TRIES;
}

uint32_t progress_take(struct progress *p, uint64_t account, const struct genid *id)
{
	struct progress_slot *s;
	uint32_t slot;

	if (p->free_n == 0)
		return PROGRESS_NO_SLOT;
	slot = p->free[--p->free_n];
	s = &p->slots[slot];
	memset(s, 0, sizeof *s);
	for (size_t i = 0; i < PROGRESS_TRIES; i++)
		atomic_store_explicit(tries_of(p, slot) + i, 0, memory_order_relaxed);
	s->account = account;
	memcpy(s->id, id->b, GENID_BYTES);
	/* The hold must not be seen by anyone before the slot that leads to it. */
	atomic_thread_fence(memory_order_release);
	return slot;
}

void progress_give(struct progress *p, uint32_t slot)
{
	require(slot / p->slots_n == p->region && p->free_n < p->slots_n);
	progress_clear_slot(p, slot);
	p->free[p->free_n++] = slot;
}

struct progress_slot *progress_at(struct progress *p, uint32_t slot)
{
	require(slot < p->regions * p->slots_n);
	return &p->slots[slot];
}

static void put(_Atomic uint32_t *to, int64_t n)
{
	atomic_store_explicit(to, n > (int64_t)TOKENS_MAX ? TOKENS_MAX : (uint32_t)n,
			      memory_order_relaxed);
}

static uint32_t get(const _Atomic uint32_t *from)
{
	return atomic_load_explicit(from, memory_order_relaxed);
}

static const enum usage_class slot_class[6] = {USAGE_INPUT,          USAGE_CACHE_READ,
					       USAGE_CACHE_WRITE_5M, USAGE_CACHE_WRITE_1H,
					       USAGE_OUTPUT,         USAGE_REASONING};

enum { SLOT_MEDIA = 3, SLOT_REASONING = 5 }; /* their places there */
#define PROGRESS_MEDIA (PROGRESS_SOUND | PROGRESS_PICTURES)

static void put16(_Atomic uint16_t *to, int64_t n)
{
	atomic_store_explicit(to, (uint16_t)MIN_OF(n, (int64_t)UINT16_MAX), memory_order_relaxed);
}

static uint16_t get16(const _Atomic uint16_t *from)
{
	return atomic_load_explicit(from, memory_order_relaxed);
}

/* The places in `state`. */
enum { STATE_TIER = 5, STATE_CANDIDATE = 8, STATE_LOST = 16 };

#define TIER_MAX UINT64_C(7)
#define LOST_MAX ((INT64_C(1) << (64 - STATE_LOST)) - 1)

static uint64_t state_of(const struct progress_slot *s)
{
	return atomic_load_explicit(&s->state, memory_order_relaxed);
}

/* Nothing was received, as the state then says: who reads in the midst of it finds what was there before, or what is there then. */
static void begin(struct progress_slot *s, uint64_t state)
{
	put(&s->seen, 0);
	atomic_store_explicit(&s->state, state, memory_order_release);
	for (size_t i = 0; i < ARRAY_LEN(s->tokens); i++)
		put(&s->tokens[i], 0);
	put16(&s->images, 0);
	put16(&s->searches, 0);
}

void progress_attempt(struct progress_slot *s, uint32_t candidate)
{
	begin(s, state_of(s) >> STATE_LOST << STATE_LOST | (uint64_t)(candidate & UINT8_MAX)
								   << STATE_CANDIDATE);
}

void progress_lose(struct progress_slot *s, int64_t cost_nusd)
{
	begin(s, (uint64_t)MIN_OF(cost_nusd, LOST_MAX) << STATE_LOST |
			 (state_of(s) >> STATE_CANDIDATE & UINT8_MAX) << STATE_CANDIDATE);
}

static void fold(struct usage *u, enum usage_class from, enum usage_class to)
{
	if (usage_get(u, from) == 0)
		return;
	usage_set(u, to, usage_get(u, to) + usage_get(u, from));
	usage_set(u, from, 0);
	u->estimated = true;
}

/* Puts what has no place to another class. The flag of the media that then stand in the place of what is written for an hour; 0: that itself. */
static uint64_t fold_all(struct usage *u)
{
	int64_t sound = usage_get(u, USAGE_OUTPUT_AUDIO);
	int64_t pictures = usage_get(u, USAGE_OUTPUT_IMAGE);

	fold(u, USAGE_INPUT_AUDIO, USAGE_INPUT);
	fold(u, USAGE_INPUT_IMAGE, USAGE_INPUT);
	if (sound == 0 && pictures == 0)
		return 0;
	fold(u, USAGE_CACHE_WRITE_1H, USAGE_CACHE_WRITE_5M);
	fold(u, sound > pictures ? USAGE_OUTPUT_IMAGE : USAGE_OUTPUT_AUDIO, USAGE_OUTPUT);
	return sound > pictures ? PROGRESS_SOUND : PROGRESS_PICTURES;
}

static enum usage_class class_at(size_t i, uint64_t state)
{
	if (i != SLOT_MEDIA || !(state & PROGRESS_MEDIA))
		return slot_class[i];
	return state & PROGRESS_PICTURES ? USAGE_OUTPUT_IMAGE : USAGE_OUTPUT_AUDIO;
}

void progress_usage(struct progress_slot *s, const struct usage *told, bool reported)
{
	uint64_t before = state_of(s),
		 state = before & ~(uint64_t)(PROGRESS_MEDIA | PROGRESS_ESTIMATED);
	struct usage u = *told;

	state |= fold_all(&u);
	if (u.tier)
		state = (state & ~(TIER_MAX << STATE_TIER)) | (uint64_t)u.tier << STATE_TIER;
	if (reported && usage_total(&u) > 0)
		state |= PROGRESS_USAGE;
	if (u.estimated)
		state |= PROGRESS_ESTIMATED;
	/* What stands there is never taken for another class. */
	if ((before ^ state) & PROGRESS_MEDIA) {
		put(&s->tokens[SLOT_MEDIA], 0);
		atomic_store_explicit(&s->state, before ^ ((before ^ state) & PROGRESS_MEDIA),
				      memory_order_release);
		atomic_thread_fence(memory_order_release);
	}
	for (size_t i = 0; i < ARRAY_LEN(s->tokens); i++)
		if (usage_has(&u, class_at(i, state)))
			put(&s->tokens[i], usage_get(&u, class_at(i, state)));
	if (usage_has(&u, USAGE_IMAGE))
		put16(&s->images, usage_get(&u, USAGE_IMAGE));
	if (usage_has(&u, USAGE_WEB_SEARCH))
		put16(&s->searches, usage_get(&u, USAGE_WEB_SEARCH));
	atomic_store_explicit(&s->state, state, memory_order_release);
}

void progress_seen(struct progress_slot *s, int64_t n)
{
	if (n > get(&s->seen))
		put(&s->seen, n);
}

void progress_reasoning(struct progress_slot *s, int64_t n)
{
	if (n > get(&s->tokens[SLOT_REASONING]))
		put(&s->tokens[SLOT_REASONING], n);
}

void progress_finish(struct progress_slot *s)
{
	atomic_store_explicit(&s->state, state_of(s) | PROGRESS_FINISH, memory_order_release);
}

/* The slot of that request; NULL: it is another one's, or none. */
static struct progress_slot *find(struct progress *p, uint32_t slot, const struct genid *id)
{
	if (slot >= p->regions * p->slots_n || memcmp(p->slots[slot].id, id->b, GENID_BYTES) != 0)
		return NULL;
	return &p->slots[slot];
}

static uint64_t bits(int64_t v, int64_t max, unsigned at)
{
	return (uint64_t)MIN_OF(MAX_OF(v, 0), max) << at;
}

void progress_note_try(struct progress *p, uint32_t slot, size_t n, const struct progress_try *t)
{
	uint64_t word = 1 | (t->candidate & TRY_CANDIDATE_MAX) << TRY_CANDIDATE |
			(uint64_t)t->failed << TRY_FAILED |
			bits(t->status, TRY_STATUS_MAX, TRY_STATUS) |
			bits(t->start_ms, TRY_START_MAX, TRY_START) |
			bits(t->ms + 1, TRY_MS_MAX, TRY_MS);

	require(slot < p->regions * p->slots_n);
	atomic_store_explicit(tries_of(p, slot) + MIN_OF(n, (size_t)PROGRESS_TRIES - 1), word,
			      memory_order_release);
}

size_t progress_read_tries(struct progress *p, uint32_t slot, const struct genid *id,
			   struct progress_try out[PROGRESS_TRIES])
{
	size_t n = 0;

	if (!find(p, slot, id))
		return 0;
	for (size_t i = 0; i < PROGRESS_TRIES; i++) {
		uint64_t w = atomic_load_explicit(tries_of(p, slot) + i, memory_order_acquire);

		if (w == 0)
			break;
		out[n++] = (struct progress_try){
			.candidate = (uint32_t)(w >> TRY_CANDIDATE & TRY_CANDIDATE_MAX),
			.failed = w >> TRY_FAILED & 1,
			.status = (uint16_t)(w >> TRY_STATUS & (uint64_t)TRY_STATUS_MAX),
			.start_ms = (int64_t)(w >> TRY_START & (uint64_t)TRY_START_MAX),
			.ms = (int64_t)(w >> TRY_MS) - 1};
	}
	return n;
}

int64_t progress_lost_nusd(struct progress *p, uint32_t slot, const struct genid *id)
{
	const struct progress_slot *s = find(p, slot, id);

	return s ? (int64_t)(state_of(s) >> STATE_LOST) : 0;
}

bool progress_read(struct progress *p, uint32_t slot, const struct genid *id, uint32_t *candidate,
		   struct usage *out)
{
	struct progress_slot *s = find(p, slot, id);
	uint64_t state = s ? state_of(s) : 0, flags = state & (PROGRESS_USAGE | PROGRESS_FINISH);
	uint32_t estimate = s ? get(&s->seen) : 0;

	if (flags == 0 && !(state & PROGRESS_MEDIA) && estimate == 0)
		return false;
	usage_init(out);
	*candidate = state >> STATE_CANDIDATE & UINT8_MAX;
	out->tier = (enum usage_tier)((state >> STATE_TIER & TIER_MAX) % USAGE_TIER_COUNT);
	if (get16(&s->images) > 0)
		usage_set(out, USAGE_IMAGE, get16(&s->images));
	if (get16(&s->searches) > 0)
		usage_set(out, USAGE_WEB_SEARCH, get16(&s->searches));
	for (size_t i = 0; i < ARRAY_LEN(s->tokens); i++) {
		uint32_t n = get(&s->tokens[i]);

		if (n > 0)
			usage_set(out, class_at(i, state), n);
	}
	out->estimated |= (state & PROGRESS_ESTIMATED) != 0;
	if (!(flags & PROGRESS_USAGE)) {
		usage_set(out, USAGE_OUTPUT,
			  MAX_OF((int64_t)estimate, usage_get(out, USAGE_OUTPUT)));
		out->estimated = true;
	}
	return true;
}

void progress_set_ledger_failed(struct progress *p, bool failed)
{
	atomic_store(&p->head->ledger_failed, failed ? 1u : 0u);
}

bool progress_ledger_failed(const struct progress *p)
{
	return atomic_load(&p->head->ledger_failed) != 0;
}

/* power_loss LOG ACKS SEED IMAGES LAG [FROM]: makes what a power cut may have left of the ledger that disk.c recorded, opens each image as a keeper
 * does at its start, and looks whether it is sound and holds what was acknowledged. An image is the log up to a random point: what was synced
 * is there; of what was not, and of the write that was under way, each piece is there, is not, or is torn at 512 bytes, in any order.
 *
 * ACKS has a line for everything that somebody was told: when (CLOCK_MONOTONIC, nanoseconds), then
 *   charge ID NUSD      an answer was seen to its end; it may be younger than the last LAG commits
 *   granted NAME NUSD   the account has been granted at least that much
 *   settled NAME NUSD   it has been charged at least that much, also where the records of it have been removed since
 *   key ID STATUS       the key has at least that status (enum rows_status)
 * FROM: the power is not cut before this moment. Prints what is wrong and exits with 1. */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "disk.h"
#include "folder.h"
#include "mem.h"
#include "store.h"
#include "text.h"
#include "verify.h"

#define SECTOR   512
#define ACKS_MAX 200000

struct ack {
	uint64_t at_ns;
	char what[16], name[ROWS_NAME_MAX + 1];
	int64_t value;
};

static struct {
	const struct disk_entry **entries;
	size_t n;
	struct ack *acks;
	size_t acks_n;
	uint64_t seed;
	size_t images, lag;
	uint64_t from_ns;
	char dir[64];
	size_t checked[4]; /* charges, grants, keys, settled */
	size_t removed_n;  /* images of which records had been removed */
} g;

/* What is on disk for certain after the first `n` entries, and from which of them on writes wait for a sync. */
struct disk {
	uint8_t *bytes;
	size_t size, room, n, unsynced;
};

static void die(const char *what)
{
	perror(what);
	exit(2);
}

static void *grown(void *p, size_t bytes)
{
	p = mem_grow(p, bytes);
	if (!p)
		die("memory");
	return p;
}

static void load_log(const char *path)
{
	int fd = open(path, O_RDONLY);
	const uint8_t *p, *end;
	struct stat st;
	size_t room = 0;

	if (fd < 0 || fstat(fd, &st) != 0 || st.st_size == 0)
		die(path);
	p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (p == MAP_FAILED)
		die(path);
	for (end = p + st.st_size; p < end;) {
		/* Unaligned, so it is copied. */
		struct disk_entry *e = grown(NULL, sizeof *e), at;
		size_t bytes;

		memcpy(&at, p, sizeof at);
		bytes = sizeof at + at.len;
		e = grown(e, bytes);
		memcpy(e, p, bytes);
		p += bytes;
		if (g.n == room)
			g.entries = grown(g.entries, (room = 2 * room + 1024) * sizeof *g.entries);
		g.entries[g.n++] = e;
	}
	close(fd);
}

static void load_acks(const char *path)
{
	FILE *f = fopen(path, "r");
	struct ack a;

	g.acks = grown(NULL, ACKS_MAX * sizeof *g.acks);
	if (!f)
		die(path);
	while (g.acks_n < ACKS_MAX &&
	       fscanf(f, "%" SCNu64 " %15s %64s %" SCNd64, &a.at_ns, a.what, a.name, &a.value) == 4)
		g.acks[g.acks_n++] = a;
	if (!feof(f))
		die(path);
	fclose(f);
}

/* --- the disk --- */

static bool is_write(const struct disk_entry *e)
{
	return e->kind == DISK_WRITE || e->kind == DISK_DURABLE_WRITE;
}

static void resize(struct disk *d, size_t size)
{
	if (size > d->room) {
		d->bytes = grown(d->bytes, 2 * size);
		d->room = 2 * size;
	}
	if (size > d->size)
		memset(d->bytes + d->size, 0, size - d->size);
	d->size = size;
}

static void put(struct disk *d, const struct disk_entry *e, size_t from, size_t to)
{
	if (e->offset + to > d->size)
		resize(d, e->offset + to);
	memcpy(d->bytes + e->offset + from, (const uint8_t *)(e + 1) + from, to - from);
}

static void apply(struct disk *d, const struct disk_entry *e)
{
	if (is_write(e))
		put(d, e, 0, e->len);
	else if (e->kind == DISK_SIZE)
		resize(d, e->offset);
}

static void advance(struct disk *d, size_t to)
{
	for (; d->n < to; d->n++) {
		const struct disk_entry *e = g.entries[d->n];

		if (e->kind == DISK_DURABLE_WRITE)
			apply(d, e);
		if (e->kind != DISK_SYNC)
			continue;
		for (; d->unsynced < d->n; d->unsynced++) {
			if (g.entries[d->unsynced]->kind != DISK_DURABLE_WRITE)
				apply(d, g.entries[d->unsynced]);
		}
		d->unsynced = d->n + 1;
	}
}

/* Whole, in some of its sectors, or not at all. */
static void apply_some(struct disk *d, const struct disk_entry *e, struct text_rng *rng)
{
	uint64_t how = text_rng_next(rng) % 4;

	if (how < 2) {
		apply(d, e);
	} else if (how == 2 && is_write(e)) {
		for (size_t at = 0; at < e->len; at += SECTOR) {
			if (text_rng_next(rng) % 2)
				put(d, e, at, MIN_OF(at + SECTOR, e->len));
		}
	}
}

/* What a cut leaves before entry `cut`. */
static void cut_power(const struct disk *sure, size_t cut, struct text_rng *rng, struct disk *left)
{
	const struct disk_entry **pending =
		grown(NULL, (cut - sure->unsynced + 1) * sizeof *pending);
	size_t n = 0;

	resize(left, 0);
	resize(left, sure->size);
	memcpy(left->bytes, sure->bytes, sure->size);
	for (size_t i = sure->unsynced; i < cut; i++) {
		if (g.entries[i]->kind != DISK_DURABLE_WRITE)
			pending[n++] = g.entries[i];
	}
	if (cut < g.n && is_write(g.entries[cut]))
		pending[n++] = g.entries[cut];
	while (n > 0) {
		size_t i = text_rng_next(rng) % n;

		apply_some(left, pending[i], rng);
		pending[i] = pending[--n];
	}
	mem_free(pending);
}

/* --- what must be there --- */

static bool wrong(size_t image, size_t cut, const char *what, const char *of)
{
	printf("image %zu (seed %" PRIu64 ", cut before entry %zu): %s %s\n", image, g.seed, cut,
	       what, of);
	return false;
}

static bool has_charge(struct ledger *l, const struct ack *a)
{
	struct record r;
	struct genid id;
	struct buf b;
	uint64_t seq;
	bool ok;

	buf_init(&b, RECORD_MAX);
	ok = genid_parse(slice_str(a->name), &id) && !ledger_find(l, &id, &seq) &&
	     !ledger_get(l, seq, &b) && !record_decode(buf_slice(&b), &r) &&
	     r.type == RECORD_CHARGE && r.charge.charge_nusd == a->value;
	buf_fini(&b);
	g.checked[0]++;
	return ok;
}

static bool has_grant(struct ledger *l, const struct ack *a)
{
	const struct rows_account *row = book_account_named(ledger_book(l), slice_str(a->name));

	g.checked[1]++;
	return row && row->granted_nusd >= a->value;
}

static bool has_settled(struct ledger *l, const struct ack *a)
{
	const struct rows_account *row = book_account_named(ledger_book(l), slice_str(a->name));

	g.checked[3]++;
	return row && row->settled_nusd >= a->value;
}

static bool has_key(struct ledger *l, const struct ack *a)
{
	const struct book_scope *s;
	struct rows_scope row;

	g.checked[2]++;
	s = strlen(a->name) == APIKEY_ID ? book_scope(ledger_book(l), ROWS_KEY, 0, a->name) : NULL;
	return s && !rows_get_scope(s->row, &row) && (int64_t)row.status >= a->value;
}

/* The moment up to which a charge must have been told to be there for certain: that of the commit LAG before the last one. */
static uint64_t charges_until_ns(size_t cut)
{
	size_t lag = g.lag;

	if (lag == 0)
		return cut < g.n ? g.entries[cut]->at_ns : UINT64_MAX;
	while (cut > 0) {
		if (g.entries[--cut]->kind == DISK_DURABLE_WRITE && lag-- == 0)
			return g.entries[cut]->at_ns;
	}
	return 0;
}

static bool holds_acks(struct ledger *l, size_t image, size_t cut)
{
	uint64_t until = cut < g.n ? g.entries[cut]->at_ns : UINT64_MAX,
		 charges_until = charges_until_ns(cut);
	bool ok = true;

	for (size_t i = 0; i < g.acks_n; i++) {
		const struct ack *a = &g.acks[i];
		bool is_charge = strcmp(a->what, "charge") == 0;

		if (a->at_ns >= (is_charge ? charges_until : until))
			continue;
		if (!(is_charge                         ? has_charge(l, a)
		      : strcmp(a->what, "granted") == 0 ? has_grant(l, a)
		      : strcmp(a->what, "settled") == 0 ? has_settled(l, a)
							: has_key(l, a)))
			ok = wrong(image, cut, "lacks what was acknowledged:", a->name);
	}
	return ok;
}

/* All accounts are prepaid without overdraft. */
static bool no_charge_without_grant(struct ledger *l, size_t image, size_t cut)
{
	for (size_t i = 0; i < book_accounts_n(ledger_book(l)); i++) {
		if (book_account_at(ledger_book(l), i)->balance_nusd < 0)
			return wrong(image, cut, "charged without a grant", "");
	}
	return true;
}

static void write_image(const struct disk *d)
{
	static const char *const folders[] = {"", "/state", "/state/ledger"};
	char path[128];
	FILE *f;

	folder_remove("%s", g.dir);
	for (size_t i = 0; i < ARRAY_LEN(folders); i++) {
		snprintf(path, sizeof path, "%s%s", g.dir, folders[i]);
		if (mkdir(path, 0700) != 0)
			die(path);
	}
	snprintf(path, sizeof path, "%s/state/ledger/data.mdb", g.dir);
	if (!(f = fopen(path, "w")) || fwrite(d->bytes, 1, d->size, f) != d->size || fclose(f) != 0)
		die(path);
}

static bool check_image(size_t image, size_t cut)
{
	char state[80], shared[80];
	struct store_opts o = {.state_dir = state,
			       .shared_dir = shared,
			       .live_bytes = 16 << 20,
			       .regions = 4,
			       .slots = 64,
			       .any_filesystem = true,
			       .ledger_map_bytes = LEDGER_MAP_LEAST};
	struct ledger *ledger = NULL;
	struct live *live = NULL;
	struct store_started started;
	struct verify_result v;
	enum errc e;
	bool ok;

	snprintf(state, sizeof state, "%s/state", g.dir);
	snprintf(shared, sizeof shared, "%s/live", g.dir);
	e = store_start(&o, &live, &ledger, &started);
	if (e)
		return wrong(image, cut, "does not open:", errc_text(e));
	e = verify_ledger(ledger, true, NULL, NULL, &v);
	if (e)
		ok = wrong(image, cut, "cannot be read:", errc_text(e));
	else
		ok = verify_is_good(&v) || wrong(image, cut, "does not verify", "");
	g.removed_n += v.first_seq > 1;
	ok = holds_acks(ledger, image, cut) && ok;
	ok = no_charge_without_grant(ledger, image, cut) && ok;
	live_close(&live);
	ledger_close(&ledger);
	return ok;
}

/* --- */

static int by_number(const void *a, const void *b)
{
	const size_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* In order, so that what is on disk for certain is built up once. Before the first sync there is no ledger that anybody was told of. */
static size_t *choose_cuts(void)
{
	struct text_rng rng = {{g.seed, 1}};
	size_t *cuts = grown(NULL, g.images * sizeof *cuts), first = 0;

	while (first < g.n &&
	       (g.entries[first]->kind == DISK_WRITE || g.entries[first]->at_ns < g.from_ns))
		first++;
	for (size_t i = 0; i < g.images; i++)
		cuts[i] = first + 1 + text_rng_next(&rng) % (g.n - first);
	qsort(cuts, g.images, sizeof *cuts, by_number);
	return cuts;
}

int main(int argc, char **argv)
{
	struct disk sure = {0}, left = {0};
	size_t *cuts, bad = 0;

	if (argc != 6 && argc != 7)
		return 2;
	load_log(argv[1]);
	load_acks(argv[2]);
	g.seed = strtoull(argv[3], NULL, 0);
	g.images = strtoull(argv[4], NULL, 0);
	g.lag = strtoull(argv[5], NULL, 0);
	g.from_ns = argc > 6 ? strtoull(argv[6], NULL, 0) : 0;
	snprintf(g.dir, sizeof g.dir, "/dev/shm/aigw-power-XXXXXX");
	if (!mkdtemp(g.dir))
		die(g.dir);
	cuts = choose_cuts();
	for (size_t i = 0; i < g.images && bad < 10; i++) {
		struct text_rng rng = {{g.seed, 2 + i}};

		advance(&sure, cuts[i]);
		cut_power(&sure, cuts[i], &rng, &left);
		write_image(&left);
		bad += !check_image(i, cuts[i]);
	}
	printf("seed %" PRIu64 ": %zu images of %zu writes and syncs (%.1f MB at the end), %zu are "
	       "wrong; looked for %zu charges, %zu grants, "
	       "%zu keys, %zu sums; days had gone from %zu\n",
	       g.seed, g.images, g.n, (double)sure.size / 1e6, bad, g.checked[0], g.checked[1],
	       g.checked[2], g.checked[3], g.removed_n);
	folder_remove("%s", g.dir);
	for (size_t i = 0; i < g.n; i++)
		mem_free((void *)(uintptr_t)g.entries[i]);
	mem_free(g.entries);
	mem_free(g.acks);
	mem_free(cuts);
	mem_free(sure.bytes);
	mem_free(left.bytes);
	return bad ? 1 : 0;
}

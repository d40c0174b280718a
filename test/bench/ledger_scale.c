/* What a large ledger costs: `./dev bench --ledger [MILLIONS]` fills one with that many million charges (10 unless told) of 1,000
 * keys of 100 accounts over 30 days, in commits like the keeper's, and times what reads all of it. It stands below the current
 * folder (some 0.5 GB a million, and the copy beside it) and is removed afterwards. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "admin.h"
#include "clock.h"
#include "report.h"
#include "retain.h"
#include "rollup.h"
#include "seal.h"
#include "text.h"
#include "verify.h"

#define ACCOUNTS 100
#define KEYS     1000
#define DAYS     30
#define MODELS   12
#define USERS    2000
#define COMMIT   4096 /* records */
#define ROUNDS   32   /* commits from checkpoint to checkpoint */
#define DAY_0    (INT64_C(20500) * ROLLUP_DAY_MS)
#define RAW_USAGE                                                                           \
	"{\"prompt_tokens\":1200,\"completion_tokens\":350,\"total_tokens\":1550,"          \
	"\"prompt_tokens_details\":{\"cached_tokens\":800},\"completion_tokens_details\":{" \
	"\"reasoning_tokens\":100}}"

struct bench {
	char state[64], shared[64];
	struct ledger *ledger;
	struct price price;
	uint8_t price_hash[DIGEST_SHA256];
	uint64_t accounts[ACCOUNTS];
	char keys[KEYS][APIKEY_ID + 1];
	char models[MODELS][16];
	struct genid_source ids;
	struct text_rng rng;
	struct outbox_row rows[COMMIT];
	struct buf bytes;
	uint64_t n, done;
	int64_t began_ns, began_us;
};

/* --- measuring --- */

static int64_t cpu_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return t.tv_sec * INT64_C(1000000) + t.tv_nsec / 1000;
}

static void begin(struct bench *b)
{
	b->began_ns = clock_boot_ns();
	b->began_us = cpu_us();
}

static void end(struct bench *b, const char *name)
{
	printf("%-44s %10.3f s wall %10.3f s cpu\n", name,
	       (double)(clock_boot_ns() - b->began_ns) / 1e9,
	       (double)(cpu_us() - b->began_us) / 1e6);
	fflush(stdout);
}

/* Of our own memory: the map of the file is the page cache's. */
static void show_memory(const char *name)
{
	FILE *f = fopen("/proc/self/status", "re");
	char line[128];
	long kib = 0;

	while (f && fgets(line, sizeof line, f)) {
		if (sscanf(line, "RssAnon: %ld", &kib) == 1)
			break;
	}
	if (f)
		fclose(f);
	printf("%-44s %10.1f MiB\n", name, (double)kib / 1024);
}

static int64_t file_bytes(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 ? (int64_t)st.st_blocks * 512 : 0;
}

/* --- filling --- */

static uint64_t pick(struct bench *b, uint64_t n)
{
	return text_rng_next(&b->rng) % n;
}

static void customers(struct bench *b, struct admin *a)
{
	const struct admin_by by = {.who = SLICE_LIT("bench"), .wall_ms = DAY_0};
	bool durable;

	for (int i = 0; i < ACCOUNTS; i++) {
		char name[32];
		struct admin_account_spec spec = {.mode = ROWS_POSTPAID};

		snprintf(name, sizeof name, "account-%d", i);
		spec.name = slice_str(name);
		require(admin_account_create(a, &by, &spec, &b->accounts[i], &durable) == ERRC_OK);
	}
	for (int i = 0; i < KEYS; i++) {
		struct rows_scope k = {.kind = ROWS_KEY, .account = b->accounts[i % ACCOUNTS]};

		snprintf(b->keys[i], sizeof b->keys[i], "benchkey%04u", (unsigned)i % 10000);
		memcpy(k.id, b->keys[i], APIKEY_ID);
		digest_sha256(slice_of(k.id, APIKEY_ID), k.hash);
		rows_limits_init(&k.limits);
		require(admin_key_create(a, &by, &k, &durable) == ERRC_OK);
	}
}

static void open_all(struct bench *b)
{
	struct store_opts o = {.state_dir = b->state,
			       .shared_dir = b->shared,
			       .live_bytes = 64 << 20,
			       .regions = 4,
			       .slots = 64};
	const struct price *price = &b->price;
	struct store_started started;
	struct outbox_batch batch;
	struct live *live;
	struct admin a;

	price_init(&b->price);
	b->price.pusd[USAGE_INPUT] = 1750000;
	b->price.pusd[USAGE_OUTPUT] = 14000000;
	require(price_complete(&b->price) == ERRC_OK);
	price_hash(&b->price, b->price_hash);
	require(outbox_batch_init(&batch, 64) == ERRC_OK);
	require(store_start(&o, &live, &b->ledger, &started) == ERRC_OK);
	a = (struct admin){.live = live, .ledger = b->ledger, .batch = &batch};
	customers(b, &a);
	live_close(&live);
	outbox_batch_fini(&batch);
	require(ledger_begin(b->ledger) == ERRC_OK);
	require(ledger_put_prices(b->ledger, &price, 1) == ERRC_OK);
	require(ledger_commit(b->ledger) == ERRC_OK);
}

static void make_charge(struct bench *b, int64_t wall_ms, struct record *r, char text[3][40])
{
	static const struct record_attempt attempt = {.provider = SLICE_LIT("openai"),
						      .upstream = SLICE_LIT("gpt-5.2-2026-01"),
						      .status = 200,
						      .ms = 900};
	uint64_t key = pick(b, KEYS);
	struct record_charge *c = &r->charge;

	*r = (struct record){
		.type = RECORD_CHARGE, .account = b->accounts[key % ACCOUNTS], .wall_ms = wall_ms};
	memcpy(c->key_id, b->keys[key], APIKEY_ID);
	c->id = genid_next(&b->ids, wall_ms);
	c->status = 200;
	c->flags = RECORD_STREAM | RECORD_CHARGED;
	c->admitted_ms = wall_ms - 900;
	c->first_byte_ms = 400;
	c->total_ms = 900;
	c->model_asked = c->model = slice_str(b->models[pick(b, MODELS)]);
	c->provider = SLICE_LIT("openai");
	c->upstream = SLICE_LIT("gpt-5.2-2026-01");
	text_hex(c->id.b + GENID_BYTES - 14, 14, text[0]);
	c->upstream_id = slice_of(text[0], 28);
	if (pick(b, 10) == 0) {
		snprintf(text[1], sizeof text[1], "user-%d", (int)pick(b, USERS));
		c->user = slice_str(text[1]);
	}
	memcpy(c->price_hash, b->price_hash, DIGEST_SHA256);
	usage_init(&c->usage);
	usage_set(&c->usage, USAGE_INPUT, 400 + (int64_t)pick(b, 2000));
	usage_set(&c->usage, USAGE_OUTPUT, 1 + (int64_t)pick(b, 800));
	c->charge_nusd = price_cost(&b->price, &c->usage);
	c->hold_nusd = 4 * c->charge_nusd;
	c->cost_nusd = c->charge_nusd / 2;
	c->attempts_n = 1;
	c->attempts[0] = attempt;
	c->raw_usage = SLICE_LIT(RAW_USAGE);
}

static int64_t now_of(const struct bench *b)
{
	return DAY_0 + (int64_t)(b->done * (DAYS * (uint64_t)ROLLUP_DAY_MS / b->n));
}

/* The records of the next commit, all of one day, encoded ahead: that is the workers' part. */
static void prepare(struct bench *b, struct outbox_batch *batch)
{
	const struct ledger_state *s = ledger_state(b->ledger);
	uint64_t next = s->taken_epoch == s->epoch ? s->taken_n + 1 : 1;
	uint32_t day = rollup_day_of(now_of(b));
	size_t ends[COMMIT];

	buf_reset(&b->bytes);
	*batch = (struct outbox_batch){.rows = b->rows};
	for (; batch->n < COMMIT && b->done < b->n && rollup_day_of(now_of(b)) == day; b->done++) {
		struct record r;
		char text[3][40];

		make_charge(b, now_of(b), &r, text);
		require(record_encode(&b->bytes, &r) == ERRC_OK);
		b->rows[batch->n].n = next + batch->n;
		ends[batch->n++] = b->bytes.len;
	}
	for (size_t i = 0, from = 0; i < batch->n; from = ends[i++])
		b->rows[i].record = slice_sub(buf_slice(&b->bytes), from, ends[i] - from);
}

static void fill(struct bench *b)
{
	struct outbox_batch batch;
	int64_t ns = 0, us = 0;

	for (unsigned round = 0; b->done < b->n; round++) {
		int64_t now_ms = now_of(b);

		prepare(b, &batch);
		begin(b);
		require(ledger_begin(b->ledger) == ERRC_OK);
		if (seal_is_due(b->ledger, now_ms))
			require(seal_day(b->ledger, now_ms) == ERRC_OK);
		require(ledger_take(b->ledger, ledger_state(b->ledger)->epoch, &batch) == ERRC_OK);
		if (round % ROUNDS == 0)
			require(ledger_checkpoint(b->ledger) == ERRC_OK);
		require(ledger_commit(b->ledger) == ERRC_OK);
		ns += clock_boot_ns() - b->began_ns;
		us += cpu_us() - b->began_us;
	}
	printf("%-44s %10.2f us wall %9.2f us cpu\n", "the keeper's part of a record",
	       (double)ns / (double)b->n / 1e3, (double)us / (double)b->n);
}

/* --- reading --- */

static void start(struct bench *b, const char *name)
{
	const struct ledger_opts o = {.dir = b->state};

	begin(b);
	require(ledger_open(&o, &b->ledger) == ERRC_OK);
	end(b, name);
}

static void report(struct bench *b, const char *by, int64_t since_ms, uint64_t account)
{
	struct report_ask ask = {.since_ms = since_ms, .until_ms = INT64_MAX, .account = account};
	struct slice rest = slice_str(by), one;
	struct report *r = NULL;
	int64_t best_ns = INT64_MAX, best_us = INT64_MAX;
	size_t rows = 0;

	while (rest.n) {
		(void)slice_cut(&rest, ',', &one);
		ask.by[ask.by_n++] = report_dim_of(one);
	}
	for (int i = 0; i < 5; i++) {
		int64_t t = clock_boot_ns(), cpu = cpu_us();

		require(report_new(b->ledger, NULL, &ask, &r) == ERRC_OK);
		best_ns = MIN_OF(best_ns, clock_boot_ns() - t);
		best_us = MIN_OF(best_us, cpu_us() - cpu);
		rows = report_rows_n(r);
		require(since_ms || account || report_total(r).requests == b->n);
		report_free(&r);
	}
	printf("report by %-34s %10.1f ms wall %9.1f ms cpu %8zu rows%s\n", by[0] ? by : "nothing",
	       (double)best_ns / 1e6, (double)best_us / 1e3, rows,
	       account    ? ", one account"
	       : since_ms ? ", from within a day"
			  : "");
}

static void verify(struct bench *b, bool charges, const char *name)
{
	struct verify_result r;

	begin(b);
	require(verify_ledger(b->ledger, charges, NULL, NULL, &r) == ERRC_OK);
	end(b, name);
	require(verify_is_good(&r) && r.charges == b->n);
}

static void backup(struct bench *b)
{
	char path[96];
	int fd;

	snprintf(path, sizeof path, "%s/copy", b->state);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	require(fd >= 0);
	begin(b);
	require(ledger_copy(b->ledger, fd) == ERRC_OK && fsync(fd) == 0);
	end(b, "backup: the copy, on disk");
	close(fd);
	unlink(path);
}

static void remove_a_day(struct bench *b)
{
	const struct retain_keep keep = {.days = DAYS - 2};
	struct retain_base base;
	bool more = true;

	begin(b);
	while (more)
		require(retain_step(b->ledger, &keep, DAY_0 + (DAYS - 1) * ROLLUP_DAY_MS, &more) ==
			ERRC_OK);
	end(b, "retention: the records of one day removed");
	require(retain_base(b->ledger, &base, NULL) == ERRC_OK);
	printf("%-44s %10llu\n", "records removed", (unsigned long long)base.seq);
}

static void measure(struct bench *b)
{
	char path[96];

	show_memory("memory of its own, after filling");
	ledger_close(&b->ledger);
	snprintf(path, sizeof path, "%s/ledger/data.mdb", b->state);
	printf("%-44s %10.1f MB, %.1f MB a million\n", "size of the file",
	       (double)file_bytes(path) / 1e6, (double)file_bytes(path) / (double)b->n);
	start(b, "start");
	show_memory("memory of its own, after the start");
	report(b, "", 0, 0);
	report(b, "day", 0, 0);
	report(b, "model", 0, 0);
	report(b, "day,model", 0, 0);
	report(b, "account", 0, 0);
	report(b, "key", 0, 0);
	report(b, "day,model,key,account", 0, 0);
	report(b, "tag", 0, 0);
	report(b, "day,key,model", 0, b->accounts[7]);
	report(b, "day", DAY_0 + 20 * ROLLUP_DAY_MS + ROLLUP_DAY_MS / 2, 0);
	show_memory("memory of its own, after the reports");
	verify(b, false, "verify");
	verify(b, true, "verify --charges");
	backup(b);
	remove_a_day(b);
	ledger_close(&b->ledger);
}

int main(int argc, char **argv)
{
	static struct bench scale;
	struct bench *b = &scale;
	char cmd[192];
	double millions = argc > 1 ? strtod(argv[1], NULL) : 10;

	require(millions > 0 && millions <= 1000);
	snprintf(b->state, sizeof b->state, "aigw-ledger-XXXXXX");
	snprintf(b->shared, sizeof b->shared, "/dev/shm/aigw-ledger-XXXXXX");
	require(mkdtemp(b->state) && mkdtemp(b->shared));
	b->n = (uint64_t)(millions * 1e6);
	b->rng = (struct text_rng){{1, 2}};
	buf_init(&b->bytes, (size_t)COMMIT * RECORD_MAX);
	genid_source_init(&b->ids);
	for (int i = 0; i < MODELS; i++)
		snprintf(b->models[i], sizeof b->models[i], "model-%u", (unsigned)i % MODELS);
	open_all(b);
	fill(b);
	measure(b);
	buf_fini(&b->bytes);
	snprintf(cmd, sizeof cmd, "rm -rf '%.63s' '%.63s'", b->state, b->shared);
	return system(cmd);
}

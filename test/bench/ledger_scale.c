/* What a large ledger costs: `./dev bench --ledger [MILLIONS]` fills one with that many million charges (10 unless told) of 1,000
 * keys of 100 accounts, half of them in teams, over 30 days, in commits like the keeper's, and times what reads all of it: a table
 * for the README. It stands below the current folder (some 0.55 GB a million, and a copy of it beside it, never more) and is removed
 * afterwards.
 *
 *     ledger_scale [MILLIONS] [--budget MS] [--lend]
 *
 * A report that takes more than its budget of CPU, 100 ms, is told on standard error, and the exit status is 1. --lend: before the
 * records of a day are removed the line "# lent FOLDER ID" names the state folder, and who reads this may use it until a line comes
 * on standard input; tools/bench_ledger.py starts a node on it. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "admin.h"
#include "clock.h"
#include "digest.h"
#include "export.h"
#include "folder.h"
#include "mem.h"
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
#define CHUNK    (1 << 20)
#define ROUNDS   32      /* commits from checkpoint to checkpoint */
#define FULL     1000000 /* records of which the sums are as many as there will ever be */
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
	char teams[ACCOUNTS][ROWS_ID];
	char keys[KEYS][APIKEY_ID + 1];
	char models[MODELS][16];
	struct genid_source ids;
	struct text_rng rng;
	struct outbox_row rows[COMMIT];
	struct buf bytes;
	uint64_t n, done;
	int64_t began_ns, began_us;
	int64_t budget_us; /* of a report's CPU */
	unsigned missed;
	bool lend;
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

/* A row of the table. */
static void show(const char *name, int64_t cpu, int64_t wall_ns, const char *more)
{
	const char *unit = cpu < 1000000 ? "ms" : "s";
	double by = cpu < 1000000 ? 1e3 : 1e6;

	printf("| %s%s | %.1f %s | (%.1f %s) |\n", name, more, (double)cpu / by, unit,
	       (double)wall_ns / 1e3 / by, unit);
	fflush(stdout);
}

static void end(struct bench *b, const char *name)
{
	show(name, cpu_us() - b->began_us, clock_boot_ns() - b->began_ns, "");
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
	printf("| %s | %.1f MiB | |\n", name, (double)kib / 1024);
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

static void team(struct bench *b, struct admin *a, const struct admin_by *by, int i)
{
	struct rows_scope t = {
		.kind = ROWS_TEAM, .account = b->accounts[i], .name = SLICE_LIT("team")};
	bool durable;

	rows_limits_init(&t.limits);
	require(admin_team_create(a, by, &t, &durable) == ERRC_OK);
	memcpy(b->teams[i], t.id, ROWS_ID);
}

static bool in_team(uint64_t key)
{
	return key / ACCOUNTS % 2 == 1;
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
		team(b, a, &by, i);
	}
	for (int i = 0; i < KEYS; i++) {
		struct rows_scope k = {.kind = ROWS_KEY, .account = b->accounts[i % ACCOUNTS]};

		snprintf(b->keys[i], sizeof b->keys[i], "benchkey%04u", (unsigned)i % 10000);
		memcpy(k.id, b->keys[i], APIKEY_ID);
		if (in_team((uint64_t)i))
			memcpy(k.team, b->teams[i % ACCOUNTS], ROWS_ID);
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
	c->provider = key % 3 ? SLICE_LIT("openai") : SLICE_LIT("azure");
	if (in_team(key))
		c->team = slice_of(b->teams[key % ACCOUNTS], ROWS_ID);
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
	printf("| the keeper's part of a record, roll-ups, indexes, seals and checkpoints included "
	       "| "
	       "%.2f us | (%.2f us) |\n",
	       (double)us / (double)b->n, (double)ns / (double)b->n / 1e3);
}

/* --- reading --- */

static void start(struct bench *b, const char *name)
{
	const struct ledger_opts o = {.dir = b->state};

	begin(b);
	require(ledger_open(&o, &b->ledger) == ERRC_OK);
	end(b, name);
}

/* 10 million records have no more sums than one million, fewer records have fewer; what is always there is opening it and, in the
 * main, the records that the roll-ups lack. */
static int64_t budget_us(const struct bench *b)
{
	return b->budget_us / 10 + b->budget_us * 9 / 10 * (int64_t)MIN_OF(b->n, FULL) / FULL;
}

static void show_report(struct bench *b, const char *name, int64_t cpu, int64_t ns, size_t rows)
{
	char more[48];

	snprintf(more, sizeof more, ": %zu rows", rows);
	show(name, cpu, ns, more);
	if (cpu <= budget_us(b))
		return;
	b->missed++;
	fprintf(stderr, "missed: %s takes %.1f ms of CPU, more than %.1f ms\n", name,
		(double)cpu / 1e3, (double)budget_us(b) / 1e3);
}

/* The best of a few: `only` names what the question is narrowed to. */
static void report(struct bench *b, const char *by, const char *only, const struct report_ask *like)
{
	int64_t best_ns = INT64_MAX, best_us = INT64_MAX;
	struct report_ask ask = *like;
	struct report *r = NULL;
	char name[128];
	size_t rows = 0;

	if (ask.until_ms == 0)
		ask.until_ms = INT64_MAX;
	require(report_put_by(&ask, slice_str(by)) == ERRC_OK);
	for (int i = 0; i < 5; i++) {
		int64_t t = clock_boot_ns(), cpu = cpu_us();

		require(report_new(b->ledger, NULL, &ask, &r) == ERRC_OK);
		best_ns = MIN_OF(best_ns, clock_boot_ns() - t);
		best_us = MIN_OF(best_us, cpu_us() - cpu);
		rows = report_rows_n(r);
		require(only[0] || report_total(r).requests == b->n);
		report_free(&r);
	}
	snprintf(name, sizeof name, "report by %s%s%s", by[0] ? by : "nothing",
		 only[0] ? " of " : "", only);
	show_report(b, name, best_us, best_ns, rows);
}

static void reports(struct bench *b)
{
	static const char *const by[] = {"",
					 "day",
					 "model",
					 "provider",
					 "account",
					 "team",
					 "key",
					 "tag",
					 "day,model",
					 "day,tag",
					 "day,key",
					 "account,model,provider",
					 "account,tag",
					 "key,tag",
					 "day,key,tag",
					 "key,model,tag",
					 "model,provider,team,tag",
					 "day,model,key,account"};
	const struct report_ask all = {.since_ms = 0};
	const struct report_ask account = {.account = b->accounts[7]};
	const struct report_ask team = {.account = b->accounts[7], .team = b->teams[7]};
	const struct report_ask key = {.key_id = b->keys[77]};
	const struct report_ask model = {.model = SLICE_LIT("model-3")};
	const struct report_ask provider = {.provider = SLICE_LIT("azure")};
	const struct report_ask tag = {.tag = SLICE_LIT("user-5")};
	const struct report_ask late = {.since_ms = DAY_0 + 20 * ROLLUP_DAY_MS + ROLLUP_DAY_MS / 2};
	const struct report_ask noons = {.since_ms = late.since_ms,
					 .until_ms = late.since_ms + 5 * ROLLUP_DAY_MS};
	const struct report_ask later = {.since_ms = DAY_0 + 20 * ROLLUP_DAY_MS +
						     ROLLUP_DAY_MS / 12};

	for (size_t i = 0; i < ARRAY_LEN(by); i++)
		report(b, by[i], "", &all);
	report(b, "day,key,model", "an account", &account);
	report(b, "day,key,model", "a team", &team);
	report(b, "day,model", "a key", &key);
	report(b, "day,key", "a model", &model);
	report(b, "day,key", "a provider", &provider);
	report(b, "day", "an end user", &tag);
	report(b, "account,model", "an end user", &tag);
	report(b, "day", "a span from noon on", &late);
	report(b, "day", "a span from two o'clock on", &later);
	report(b, "day", "a span from a noon to a noon", &noons);
}

static void verify(struct bench *b, bool charges, const char *name)
{
	struct verify_result r;

	begin(b);
	require(verify_ledger(b->ledger, charges, NULL, NULL, &r) == ERRC_OK);
	end(b, name);
	require(verify_is_good(&r) && r.charges == b->n);
}

static enum errc count_lines(void *arg, struct slice text)
{
	*(uint64_t *)arg += text.n;
	return ERRC_OK;
}

static void export_all(struct bench *b)
{
	const struct export_ask ask = {.until_ms = INT64_MAX};
	uint64_t bytes = 0;
	const struct export_sink sink = {.lines = count_lines, .arg = &bytes};

	begin(b);
	require(export_ledger(b->ledger, &ask, &sink) == ERRC_OK);
	end(b, "export, all of it");
	show_memory("memory of its own, after the export");
	printf("| size of the export, a million records | %.0f MB | |\n",
	       (double)bytes / (double)b->n);
}

static void backup(struct bench *b, const char *copy)
{
	int fd = open(copy, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	require(fd >= 0);
	begin(b);
	require(ledger_copy(b->ledger, fd) == ERRC_OK && fsync(fd) == 0);
	end(b, "backup, on disk");
	close(fd);
}

/* What `ledger restore` does with the bytes: copies them with their hash, in the place of the ledger, which goes first. */
static void restore(struct bench *b, const char *copy, const char *file)
{
	uint8_t hash[DIGEST_SHA256];
	char *room = mem_new(CHUNK);
	struct digest d;
	ssize_t n;
	int in, out;

	ledger_close(&b->ledger);
	require(room && unlink(file) == 0);
	begin(b);
	in = open(copy, O_RDONLY | O_CLOEXEC);
	out = open(file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	require(in >= 0 && out >= 0);
	digest_init(&d);
	while ((n = read(in, room, CHUNK)) > 0) {
		digest_add(&d, slice_of(room, (size_t)n));
		require(write(out, room, (size_t)n) == n);
	}
	digest_final(&d, hash);
	require(n == 0 && fsync(out) == 0);
	end(b, "restore, on disk");
	close(in);
	close(out);
	mem_free(room);
	unlink(copy);
	start(b, "start: the ledger is open, after the restore");
}

/* Somebody else may use the ledger meanwhile; nothing is left of it but its records. */
static void lend(struct bench *b)
{
	char id[2 * LIVE_ID + 1];

	text_hex(ledger_state(b->ledger)->id, LIVE_ID, id);
	ledger_close(&b->ledger);
	printf("# lent %s %s\n", b->state, id);
	fflush(stdout);
	while (getchar() != '\n' && !feof(stdin) && !ferror(stdin))
		;
	start(b, "start: the ledger is open, after a node used it");
}

static void remove_a_day(struct bench *b)
{
	const struct retain_keep keep = {.days = DAYS - 2};
	bool more = true;

	begin(b);
	while (more)
		require(retain_step(b->ledger, &keep, DAY_0 + (DAYS - 1) * ROLLUP_DAY_MS, &more) ==
			ERRC_OK);
	end(b, "retention: the records of a day removed");
}

static void measure(struct bench *b)
{
	char file[96], copy[96];

	show_memory("memory of its own, after filling");
	ledger_close(&b->ledger);
	snprintf(file, sizeof file, "%s/ledger/data.mdb", b->state);
	snprintf(copy, sizeof copy, "%s/copy", b->state);
	printf("| size on disk, all / a million records | %.0f MB / %.0f MB | |\n",
	       (double)file_bytes(file) / 1e6, (double)file_bytes(file) / (double)b->n);
	start(b, "start: the ledger is open, what the checkpoint lacks is taken over");
	show_memory("memory of its own, after the start");
	reports(b);
	show_memory("memory of its own, after the reports");
	verify(b, false, "verify");
	verify(b, true, "verify --charges");
	export_all(b);
	backup(b, copy);
	restore(b, copy, file);
	if (b->lend)
		lend(b);
	remove_a_day(b);
	ledger_close(&b->ledger);
}

static void options(struct bench *b, int argc, char **argv)
{
	double millions = 10, budget_ms = 100;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--lend") == 0)
			b->lend = true;
		else if (strcmp(argv[i], "--budget") == 0 && i + 1 < argc)
			budget_ms = strtod(argv[++i], NULL);
		else
			millions = strtod(argv[i], NULL);
	}
	require(millions > 0 && millions <= 1000);
	require(budget_ms >= 0 && budget_ms <= 1e6);
	b->n = (uint64_t)(millions * 1e6);
	b->budget_us = (int64_t)(budget_ms * 1e3);
}

int main(int argc, char **argv)
{
	static struct bench scale;
	struct bench *b = &scale;

	options(b, argc, argv);
	snprintf(b->state, sizeof b->state, "aigw-ledger-XXXXXX");
	snprintf(b->shared, sizeof b->shared, "/dev/shm/aigw-ledger-XXXXXX");
	require(mkdtemp(b->state) && mkdtemp(b->shared));
	b->rng = (struct text_rng){{1, 2}};
	buf_init(&b->bytes, (size_t)COMMIT * RECORD_MAX);
	genid_source_init(&b->ids);
	for (int i = 0; i < MODELS; i++)
		snprintf(b->models[i], sizeof b->models[i], "model-%u", (unsigned)i % MODELS);
	open_all(b);
	printf("| figure of %.3g million charges | CPU | (wall) |\n|---|---|---|\n",
	       (double)b->n / 1e6);
	fill(b);
	measure(b);
	buf_fini(&b->bytes);
	folder_remove("%s", b->state);
	folder_remove("%s", b->shared);
	return b->missed > 0;
}

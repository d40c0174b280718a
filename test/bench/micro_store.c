/* Hold and settle on the live store, one by one, in batches of 8, and by two processes at once; the keeper's part a record.
 * The live store stands in /dev/shm, the ledger in the current folder. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "admin.h"
#include "admit.h"
#include "auth.h"
#include "clock.h"
#include "folder.h"
#include "genid.h"
#include "idem.h"
#include "progress.h"
#include "store.h"
#include "text.h"

#define ROUNDS  20000
#define KEY_ID  "benchbenchbe"
#define STRAND  8
#define BATCH_N 4096

static const struct admit_rules rules = {.ledger_lag_max_ms = INT64_MAX};

struct bench {
	struct store_opts opts;
	struct live *live;
	struct ledger *ledger;
	struct outbox_batch batch;
	struct price price;
	struct genid_source ids;
	uint64_t account;
	struct slice user;
	bool idem; /* requests have an idempotency key, each its own */
	uint8_t tags[STRAND][IDEM_TAG];
	char upstream_id[STRAND][32]; /* of the requests at hand: no two are ever the same */
};

static int64_t cpu_us(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (u.ru_utime.tv_sec + u.ru_stime.tv_sec) * INT64_C(1000000) + u.ru_utime.tv_usec +
	       u.ru_stime.tv_usec;
}

static void ask(struct bench *b, struct admit_op *op, struct hold_candidate *c)
{
	*c = (struct hold_candidate){.price = {&b->price},
				     .tiers = 1,
				     .offer = 7,
				     .provider = SLICE_LIT("openai"),
				     .model = SLICE_LIT("gpt-5.2"),
				     .upstream = SLICE_LIT("gpt-5.2"),
				     .input_bound = 1000,
				     .max_output = 128000,
				     .min_output = 1024};
	*op = (struct admit_op){.kind = ADMIT_HOLD};
	op->ask = (struct admit_ask){.account = b->account,
				     .id = genid_next(&b->ids, clock_wall_ms()),
				     .boot_ms = clock_boot_ms(),
				     .wall_ms = clock_wall_ms(),
				     .model = SLICE_LIT("gpt-5.2"),
				     .user = b->user,
				     .tokens_estimate = 1500,
				     .hold = {.candidates = c,
					      .n = 1,
					      .choices = 1,
					      .requests = 1,
					      .uncapped_share_ppm = 125000}};
	memcpy(op->ask.key_id, KEY_ID, APIKEY_ID);
}

static void settle(struct bench *b, struct admit_op *op, const struct record_attempt *attempt,
		   char upstream_id[32])
{
	struct genid id = op->ask.id;

	text_hex(id.b + GENID_BYTES - 15, 15, upstream_id);
	*op = (struct admit_op){.kind = ADMIT_SETTLE};
	op->settle = (struct admit_settle){.account = b->account,
					   .id = id,
					   .candidate = 0,
					   .charged = true,
					   .boot_ms = clock_boot_ms(),
					   .wall_ms = clock_wall_ms(),
					   .end = RECORD_END_DONE,
					   .status = 200,
					   .first_byte_ms = 400,
					   .total_ms = 900,
					   .upstream_id = slice_of(upstream_id, 30),
					   .attempts = attempt,
					   .attempts_n = 1};
	usage_init(&op->settle.usage);
	usage_set(&op->settle.usage, USAGE_INPUT, 500);
	usage_set(&op->settle.usage, USAGE_OUTPUT, 200);
}

static void pass(struct bench *b, size_t n)
{
	static const struct record_attempt attempt = {.provider = SLICE_LIT("openai"),
						      .upstream = SLICE_LIT("gpt-5.2"),
						      .status = 200,
						      .ms = 900};
	struct admit_op op[STRAND], *ops[STRAND] = {NULL};
	struct hold_candidate c[STRAND];

	for (size_t i = 0; i < n; i++) {
		ask(b, &op[i], &c[i]);
		if (b->idem) {
			idem_tag(slice_of(op[i].ask.id.b, GENID_BYTES), b->tags[i], b->tags[i]);
			op[i].ask.idem = slice_of(b->tags[i], IDEM_TAG);
		}
		ops[i] = &op[i];
	}
	require(admit_batch(b->live, &rules, ops, n) == ERRC_OK);
	for (size_t i = 0; i < n; i++) {
		require(op[i].rc == ERRC_OK && op[i].reason == ADMIT_NONE);
		settle(b, &op[i], &attempt, b->upstream_id[i]);
	}
	require(admit_batch(b->live, &rules, ops, n) == ERRC_OK);
	for (size_t i = 0; i < n; i++)
		require(op[i].done.settled);
}

static void trim(struct bench *b)
{
	uint64_t taken;

	require(store_drain_outbox(b->live, b->ledger, &b->batch, &taken) == ERRC_OK);
}

static void measure(struct bench *b, const char *name, size_t n, unsigned rounds)
{
	int64_t ns = 0, us = 0;

	for (unsigned done = 0; done < rounds;) {
		int64_t t = clock_boot_ns(), c = cpu_us();

		for (unsigned i = 0; i < 2000; i += (unsigned)n, done += (unsigned)n)
			pass(b, n);
		ns += clock_boot_ns() - t;
		us += cpu_us() - c;
		trim(b);
	}
	printf("%-44s %7.2f us wall %7.2f us cpu\n", name, (double)ns / rounds / 1e3,
	       (double)us / rounds);
}

static void look_up(struct bench *b)
{
	uint8_t hash[DIGEST_SHA256], addr[16] = {0};
	struct auth_key key;
	enum auth_result result;
	int64_t t = clock_boot_ns();

	digest_sha256(SLICE_LIT(KEY_ID), hash);
	for (int i = 0; i < ROUNDS * 5; i++) {
		require(auth_lookup(b->live, hash, addr, 1, &result, &key) == ERRC_OK);
		require(result == AUTH_OK);
	}
	printf("%-44s %7.2f us\n", "auth_lookup",
	       (double)(clock_boot_ns() - t) / (ROUNDS * 5) / 1e3);
}

/* The keeper alone: records that wait, taken in commits of `a_commit`. */
static void keeper(struct bench *b, unsigned a_commit, unsigned commits)
{
	int64_t ns = 0, us = 0;
	char name[64];

	for (unsigned i = 0; i < commits; i++) {
		int64_t t, c;

		for (unsigned k = 0; k < a_commit; k += STRAND)
			pass(b, STRAND);
		t = clock_boot_ns();
		c = cpu_us();
		trim(b);
		ns += clock_boot_ns() - t;
		us += cpu_us() - c;
	}
	snprintf(name, sizeof name, "keeper a record, commits of %u", a_commit);
	printf("%-44s %7.2f us wall %7.2f us cpu\n", name, (double)ns / (a_commit * commits) / 1e3,
	       (double)us / (a_commit * commits));
}

/* A process of its own, which opens the store as a worker does. */
static void worker(struct bench *b, const char *dir, const uint8_t *id, unsigned n)
{
	struct live_opts o = {.dir = dir};

	memcpy(o.ledger_id, id, LIVE_ID);
	require(live_open(&o, &b->live) == ERRC_OK && live_join(b->live) == ERRC_OK);
	for (unsigned done = 0; done < ROUNDS; done += n)
		pass(b, n);
	live_close(&b->live);
}

/* Two workers without a pause, the keeper beside them. The stores are closed before and after. */
static void saturated(struct bench *b, unsigned n, const char *scopes)
{
	struct store_started started;
	uint8_t id[LIVE_ID];
	int64_t t;
	int left = 2, status;
	char name[64];

	memcpy(id, live_head(b->live)->ledger_id, LIVE_ID);
	live_close(&b->live);
	ledger_close(&b->ledger);
	require(store_start(&b->opts, &b->live, &b->ledger, &started) == ERRC_OK);
	live_close(&b->live);
	ledger_close(&b->ledger);
	fflush(stdout);
	t = clock_boot_ns();
	for (int i = 0; i < 2; i++) {
		pid_t pid = fork();

		require(pid >= 0);
		if (pid == 0) {
			worker(b, started.live_dir, id, n);
			_exit(0);
		}
	}
	require(store_start(&b->opts, &b->live, &b->ledger, &started) == ERRC_OK);
	while (left > 0) {
		trim(b);
		usleep(20000);
		while (left > 0 && waitpid(-1, &status, WNOHANG) > 0) {
			/* Else it did not do its rounds, of which the figure is. */
			require(WIFEXITED(status) && WEXITSTATUS(status) == 0);
			left--;
		}
	}
	snprintf(name, sizeof name, "%s, 2 processes, batches of %u", scopes, n);
	printf("%-44s %7.2f us wall\n", name, (double)(clock_boot_ns() - t) / (2 * ROUNDS) / 1e3);
}

/* Rates, requests at once and budgets, none of which is ever reached. */
static void add_rules(struct rows_scope *s, size_t n)
{
	static const enum rows_limit kinds[] = {ROWS_RPM, ROWS_TPD, ROWS_CONCURRENCY};

	rows_limits_init(&s->limits);
	for (size_t i = 0; i < n; i++)
		require(rows_limits_add(&s->limits, i < ARRAY_LEN(kinds) ? kinds[i] : ROWS_BUDGET,
					MONEY_NUSD_MAX / 2));
	for (size_t i = 4; i < n; i++)
		s->limits.v[i].window.unit = WINDOW_DAY;
}

/* Account, team, key and end user with so many rules each; the credit is the fifth scope. */
static void all_scopes(struct bench *b, size_t rules_n)
{
	struct admin admin = {.live = b->live, .ledger = b->ledger, .batch = &b->batch};
	struct admin_by by = {.who = SLICE_LIT("bench"), .wall_ms = clock_wall_ms()};
	struct rows_scope s = {.kind = ROWS_ACCOUNT, .account = b->account};
	struct buf mem;
	bool durable;
	char team[ROWS_ID];

	add_rules(&s, rules_n);
	require(admin_rules_set(&admin, &by, &s, &durable) == ERRC_OK);
	s.kind = ROWS_TEAM;
	s.name = SLICE_LIT("growth");
	require(admin_team_create(&admin, &by, &s, &durable) == ERRC_OK);
	memcpy(team, s.id, ROWS_ID);
	s.kind = ROWS_USER;
	s.name = SLICE_LIT("alice");
	require(admin_user_set(&admin, &by, &s, &durable) == ERRC_OK);
	buf_init(&mem, ROWS_MAX);
	require(admin_key_get(b->live, KEY_ID, &mem, &s, NULL) == ERRC_OK);
	memcpy(s.team, team, ROWS_ID);
	add_rules(&s, rules_n);
	require(admin_key_update(&admin, &by, &s, &durable) == ERRC_OK);
	buf_fini(&mem);
	b->user = SLICE_LIT("alice");
}

static void open_all(struct bench *b, const char *state, const char *shared)
{
	struct admin admin;
	struct admin_by by = {.who = SLICE_LIT("bench")};
	struct admin_account_spec spec = {.name = SLICE_LIT("bench"),
					  .credit_nusd = 1000000 * MONEY_NUSD_DOLLAR};
	struct rows_scope k = {.kind = ROWS_KEY, .name = SLICE_LIT("bench")};
	struct store_started started;
	bool durable;

	b->opts = (struct store_opts){.state_dir = state,
				      .shared_dir = shared,
				      .live_bytes = 128 << 20,
				      .regions = 16,
				      .slots = 4096};
	genid_source_init(&b->ids);
	price_init(&b->price);
	b->price.pusd[USAGE_INPUT] = 1750000;
	b->price.pusd[USAGE_OUTPUT] = 14000000;
	require(price_complete(&b->price) == ERRC_OK);
	require(store_start(&b->opts, &b->live, &b->ledger, &started) == ERRC_OK);
	require(outbox_batch_init(&b->batch, BATCH_N) == ERRC_OK);
	admin = (struct admin){.live = b->live, .ledger = b->ledger, .batch = &b->batch};
	require(admin_account_create(&admin, &by, &spec, &b->account, &durable) == ERRC_OK);
	k.account = b->account;
	memcpy(k.id, KEY_ID, APIKEY_ID);
	digest_sha256(SLICE_LIT(KEY_ID), k.hash);
	rows_limits_init(&k.limits);
	require(admin_key_create(&admin, &by, &k, &durable) == ERRC_OK);
	require(live_join(b->live) == ERRC_OK);
}

static void measure_all(struct bench *b)
{
	look_up(b);
	measure(b, "hold + settle, one by one", 1, ROUNDS);
	measure(b, "hold + settle, batches of 8", STRAND, ROUNDS);
	b->idem = true;
	measure(b, "idempotency keys, one by one", 1, ROUNDS);
	measure(b, "idempotency keys, batches of 8", STRAND, ROUNDS);
	b->idem = false;
	keeper(b, 96, 50);
	keeper(b, 1000, 20);
	saturated(b, 1, "hold + settle");
	saturated(b, STRAND, "hold + settle");
	all_scopes(b, 5);
	require(live_join(b->live) == ERRC_OK);
	measure(b, "five scopes, one by one", 1, ROUNDS);
	measure(b, "five scopes, batches of 8", STRAND, ROUNDS);
	saturated(b, 1, "five scopes");
	saturated(b, STRAND, "five scopes");
}

/* What rules cost: so many in each of four scopes. */
static void measure_rules(struct bench *b, size_t rules_n)
{
	char name[64];

	all_scopes(b, rules_n);
	look_up(b);
	snprintf(name, sizeof name, "%zu rules a scope, one by one", rules_n);
	measure(b, name, 1, ROUNDS);
	snprintf(name, sizeof name, "%zu rules a scope, batches of 8", rules_n);
	measure(b, name, STRAND, ROUNDS);
	keeper(b, 1000, 20);
}

/* With a number: that many rules in each of four scopes, and no more than that. */
int main(int argc, char **argv)
{
	struct bench b = {0};
	char shared[] = "/dev/shm/aigw-bench-XXXXXX", state[] = "aigw-bench-XXXXXX";

	require(mkdtemp(shared) && mkdtemp(state));
	open_all(&b, state, shared);
	if (argc > 1)
		measure_rules(&b, strtoul(argv[1], NULL, 10));
	else
		measure_all(&b);
	live_close(&b.live);
	ledger_close(&b.ledger);
	outbox_batch_fini(&b.batch);
	folder_remove("%s", shared);
	folder_remove("%s", state);
	return 0;
}

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

#include "secret.h"
#include "text.h"
#include "verbs.h"

#define CHUNK      (256 * 1024)
#define PIPE_BYTES (1024 * 1024)

/* The copy is written into a pipe by a thread of its own, and read and sent by the one that serves the verb: aigwctl, with the
 * rights of who called it, makes the files. */
struct copier {
	pthread_t thread;
	struct ledger *ledger;
	int out;
	enum errc e;
};

static void *copy(void *arg)
{
	struct copier *c = arg;

	c->e = ledger_copy(c->ledger, c->out);
	close(c->out);
	return NULL;
}

static enum errc send_head(struct verbs *v, uint64_t bytes)
{
	char id[2 * LIVE_ID + 1], room[PEPPERS_BYTES_MAX], pepper[2 * PEPPERS_BYTES_MAX + 1];
	struct buf set = {.p = room, .cap = sizeof(room), .max = sizeof(room)};
	struct ledger_state s;
	enum errc e = ledger_read_state(v->ledger, &s);

	if (!e)
		e = pepper_encode(v->pepper, &set);
	if (e)
		return e;
	text_hex(s.id, LIVE_ID, id);
	text_hex(set.p, set.len, pepper);
	const struct control_field f[] = {
		CONTROL_S("ledger_id", slice_str(id)),
		CONTROL_I("records", s.last_seq),
		CONTROL_I("bytes", bytes),
		CONTROL_S("pepper", slice_str(pepper)),
		CONTROL_I("missing_records", v->not_taken_n),
		v->not_taken ? CONTROL_S("missing_why", slice_str(errc_text(v->not_taken)))
			     : CONTROL_N("missing_why")};
	e = verbs_row(v, "backup", f, ARRAY_LEN(f));
	secret_wipe(room, sizeof(room));
	secret_wipe(pepper, sizeof(pepper));
	return e;
}

static void tell(struct verbs *v, uint64_t sent, uint64_t bytes, unsigned *told)
{
	unsigned percent = (unsigned)(MIN_OF(sent, bytes) * 100 / MAX_OF(bytes, 1));

	if (percent == *told)
		return;
	*told = percent;
	/* Whether somebody still reads is found with the data. */
	(void)!control_send_progress(v->chan, "%u %% of %llu MB", percent,
				     (unsigned long long)(bytes / 1000000));
}

static enum errc send_data(struct verbs *v, int in, uint64_t bytes)
{
	char chunk[CHUNK];
	uint64_t sent = 0;
	unsigned told = 0;
	enum errc e = ERRC_OK;

	while (!e) {
		ssize_t n = read(in, chunk, sizeof(chunk));
		const struct control_field f[] = {
			CONTROL_S("data", slice_of(chunk, n > 0 ? (size_t)n : 0))};

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? errc_from_errno(errno) : ERRC_OK;
		e = verbs_row(v, "data", f, ARRAY_LEN(f));
		sent += (uint64_t)n;
		tell(v, sent, bytes, &told);
	}
	return e;
}

static enum errc run(struct verbs *v)
{
	struct copier c = {.ledger = v->ledger};
	uint64_t bytes;
	enum errc e = ledger_copy_bytes(v->ledger, &bytes);
	int p[2];

	if (!e)
		e = send_head(v, bytes);
	if (e)
		return e;
	if (pipe2(p, O_CLOEXEC) != 0)
		return errc_from_errno(errno);
	c.out = p[1];
	(void)!fcntl(p[1], F_SETPIPE_SZ, PIPE_BYTES); /* a smaller one is only slower */
	if (pthread_create(&c.thread, NULL, copy, &c) != 0) {
		close(p[0]);
		close(p[1]);
		return ERRC_SYSTEM;
	}
	e = send_data(v, p[0], bytes);
	close(p[0]); /* where nobody reads any more the copy ends too */
	pthread_join(c.thread, NULL);
	return e ? e : c.e;
}

static void on_progress(void *arg, int permille)
{
	struct verbs *v = arg;

	if (permille % 10 == 0)
		(void)!control_send_progress(v->chan, "checking the records: %d %%", permille / 10);
}

/* What is copied is a file, page by page, whatever stands in it: a ledger that is not in order makes a backup that is not
 * either, and this is when that can be told. Each charge is left to `ledger verify --charges`. */
static enum errc check(struct verbs *v)
{
	struct verify_result r;
	enum errc read = verify_ledger(v->ledger, false, on_progress, v, &r), e;
	const struct control_field good[] = {CONTROL_B("good", !read && verify_is_good(&r))};
	const struct control_field unread[] = {CONTROL_S("what", SLICE_LIT("unread")),
					       CONTROL_N("at"),
					       CONTROL_S("text", slice_str(errc_text(read)))};

	e = verbs_row(v, "checked", good, ARRAY_LEN(good));
	if (e)
		return e;
	return read ? verbs_row(v, "finding", unread, ARRAY_LEN(unread))
		    : verb_verify_findings(v, &r);
}

void verb_backup(struct verbs *v)
{
	enum errc e;

	pepper_pin(v->pepper);
	e = run(v);
	pepper_unpin(v->pepper);
	if (!e)
		e = check(v);
	/* What the ledger could not take is no reason to have no backup of the rest, which says so. */
	if (e)
		verbs_end_errc(v, e, "backup");
}

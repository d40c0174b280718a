#include "claimcheck.h"

#include "idem.h"

/* Far more than an outbox has room for: they can only be taken back while they are there. */
#define LACKING_MAX ((size_t)64 * 1024 * 1024)

void claimcheck_init(struct claimcheck *c, struct ledger *l)
{
	*c = (struct claimcheck){.l = l};
	buf_init(&c->lacking, LACKING_MAX);
}

void claimcheck_fini(struct claimcheck *c)
{
	buf_fini(&c->lacking);
}

static void bad(struct claimcheck *c, uint64_t seq)
{
	if (c->bad_seq == 0 || seq < c->bad_seq)
		c->bad_seq = seq;
}

/* What was called over must be so by the latest charge. */
static void check_over(struct claimcheck *c)
{
	if (c->over_seen && c->newest_ms - c->over_ms < IDEM_LASTS_MS)
		bad(c, c->over_seen);
}

/* The next state may call another one over; the one before is looked at now. */
void claimcheck_go_on(struct claimcheck *c, const struct ledger_state *s)
{
	check_over(c);
	c->over_seq = s->claims_over_seq;
}

/* Rows behind the last record are nobody's. */
static enum errc look(struct claimcheck *c, uint64_t seq)
{
	enum errc rc = ledger_claim_from(c->l, seq, &c->at);

	if (rc == ERRC_CORRUPT) {
		bad(c, MAX_OF(c->at.seq, (uint64_t)1));
		return ERRC_OK;
	}
	if (!rc && c->at.last > c->at.upto_seq)
		bad(c, c->at.last);
	return rc;
}

static bool is_of(const struct ledger_claim_at *at, const struct record *r)
{
	return at->made_ms == r->charge.admitted_ms && at->charged_ms == r->wall_ms &&
	       memcmp(at->key_id, r->charge.key_id, APIKEY_ID) == 0 &&
	       genid_eq(&at->id, &r->charge.id) &&
	       slice_eq(slice_of(at->tag, IDEM_TAG), r->charge.idem);
}

/* The charge's claim is not in the list as it is now. */
static void lacks(struct claimcheck *c, uint64_t seq)
{
	if (seq <= c->at.over_seq || c->closing)
		return;
	if (buf_add(&c->lacking, &seq, sizeof seq))
		bad(c, seq);
}

static void note_times(struct claimcheck *c, uint64_t seq, int64_t wall_ms)
{
	c->newest_ms = MAX_OF(c->newest_ms, wall_ms);
	if (seq != c->over_seq)
		return;
	c->over_seen = seq;
	c->over_ms = wall_ms;
}

enum errc claimcheck_add(struct claimcheck *c, uint64_t seq, const struct record *r)
{
	bool has = ledger_has_claim(r);
	enum errc rc = ERRC_OK;

	if (seq > c->at.upto_seq || c->at.seq < seq)
		rc = look(c, seq);
	if (rc)
		return rc;
	if (has)
		note_times(c, seq, r->wall_ms);
	if (has && c->at.seq != seq)
		lacks(c, seq);
	else if (c->at.seq == seq && !(has && is_of(&c->at, r)))
		bad(c, seq);
	return ERRC_OK;
}

/* Takes the number out; they are in order. */
static bool explain(struct claimcheck *c, uint64_t seq)
{
	size_t lo = 0, n = c->lacking.len / sizeof seq, hi = n;
	uint64_t at;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		memcpy(&at, c->lacking.p + mid * sizeof at, sizeof at);
		if (at < seq)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo == n)
		return false;
	memcpy(&at, c->lacking.p + lo * sizeof at, sizeof at);
	if (at != seq)
		return false;
	memmove(c->lacking.p + lo * sizeof at, c->lacking.p + (lo + 1) * sizeof at,
		(n - lo - 1) * sizeof at);
	buf_truncate(&c->lacking, c->lacking.len - sizeof at);
	return true;
}

enum errc claimcheck_taken_back(struct claimcheck *c, uint64_t at)
{
	struct ledger_claim_at now;
	enum errc rc;

	if (explain(c, at))
		return ERRC_OK;
	rc = ledger_claim_from(c->l, at, &now);
	if (rc == ERRC_CORRUPT || (!rc && now.seq == at))
		bad(c, at);
	return rc == ERRC_CORRUPT ? ERRC_OK : rc;
}

bool claimcheck_waits(struct claimcheck *c)
{
	c->closing = true;
	return c->lacking.len > 0;
}

void claimcheck_end(struct claimcheck *c)
{
	uint64_t first;

	if (c->lacking.len > 0) {
		memcpy(&first, c->lacking.p, sizeof first);
		bad(c, first);
	}
	check_over(c);
}

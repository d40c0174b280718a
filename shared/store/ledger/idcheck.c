#include "idcheck.h"

#include "mem.h"

void idcheck_init(struct idcheck *c, struct ledger *l)
{
	*c = (struct idcheck){.l = l};
}

void idcheck_fini(struct idcheck *c)
{
	mem_free(c->marks);
}

static void bad(struct idcheck *c, uint64_t seq)
{
	if (c->bad_seq == 0 || seq < c->bad_seq)
		c->bad_seq = seq;
}

/* Up to where the rows go, as one instant has it. An index of older form has none. */
static enum errc find_end(struct idcheck *c, MDB_txn *txn, uint64_t seq)
{
	struct ledger_state s;
	uint64_t upto = 0;
	enum errc rc = ledger_get_state(c->l, txn, &s);

	if (!rc)
		rc = ledger_indexed_upto(c->l, txn, &upto);
	if (rc == ERRC_NOTFOUND)
		rc = ERRC_OK;
	if (rc == ERRC_CORRUPT || (!rc && upto > s.last_seq)) {
		bad(c, seq);
		upto = 0;
		rc = ERRC_OK;
	}
	c->end = MAX_OF(MIN_OF(upto + 1, c->next), c->from);
	return rc;
}

/* The group of record `seq`. */
static enum errc load(struct idcheck *c, uint64_t seq)
{
	uint64_t group = seq >> IDINDEX_GROUP_BITS;
	bool damaged = false;
	MDB_txn *txn;
	enum errc rc = ledger_read_begin(c->l, &txn);

	mem_free(c->marks);
	c->marks = NULL;
	c->from = group << IDINDEX_GROUP_BITS;
	c->next = c->from + IDINDEX_GROUP;
	if (!rc)
		rc = find_end(c, txn, seq);
	if (!rc && c->end > c->from) {
		c->marks = mem_new((c->end - c->from) * sizeof *c->marks);
		rc = c->marks ? idindex_marks(txn, c->l->upstream, group, c->marks,
					      c->end - c->from, &damaged)
			      : ERRC_NOMEM;
	}
	ledger_read_end(&txn);
	if (damaged)
		bad(c, seq);
	return rc;
}

enum errc idcheck_add(struct idcheck *c, uint64_t seq, const struct record *r)
{
	enum errc rc = seq < c->next ? ERRC_OK : load(c, seq);

	if (rc || seq >= c->end)
		return rc;
	if (c->marks[seq - c->from] != idindex_mark(&c->l->idindex, r))
		bad(c, seq);
	return ERRC_OK;
}

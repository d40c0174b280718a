#include "live_states.h"

/* Found in the row of several, which is read already; ERRC_NOTFOUND. */
static enum errc find(struct slice several, enum rows_kind kind, const char id[ROWS_ID],
		      struct slice *out)
{
	struct rows_states w;
	enum errc rc;

	if (several.n == 0)
		return ERRC_NOTFOUND;
	rc = rows_states_begin(&w, SLICE_NONE, several);
	while (!rc && !(rc = rows_states_next(&w))) {
		if (w.kind != kind || memcmp(w.id, id, ROWS_ID) != 0)
			continue;
		*out = w.state;
		return ERRC_OK;
	}
	return rc;
}

enum errc live_get_states(struct live *l, MDB_txn *txn, uint64_t account, struct slice *several)
{
	struct rows_key_name name = rows_name_states(account);
	enum errc rc = live_row_get(l, txn, &name, several);

	if (rc == ERRC_NOTFOUND) {
		*several = SLICE_NONE;
		return ERRC_OK;
	}
	/* All of it: who is to write it learns before anything is written. */
	return rc ? rc : rows_states_check(SLICE_NONE, *several);
}

static enum errc state_row(struct live *l, MDB_txn *txn, uint64_t account, struct slice several,
			   enum rows_kind kind, const char id[ROWS_ID], struct slice *out)
{
	struct rows_key_name name = rows_name_state(account, kind, id);
	enum errc rc = find(several, kind, id, out);

	return rc == ERRC_NOTFOUND ? live_row_get(l, txn, &name, out) : rc;
}

enum errc live_state_row(struct live *l, MDB_txn *txn, uint64_t account, enum rows_kind kind,
			 const char id[ROWS_ID], struct slice *out)
{
	struct slice several;
	enum errc rc = live_get_states(l, txn, account, &several);

	return rc ? rc : state_row(l, txn, account, several, kind, id, out);
}

enum errc live_get_state_of(struct live *l, MDB_txn *txn, uint64_t account, struct slice several,
			    enum rows_kind kind, const char id[ROWS_ID], struct rows_state *out)
{
	struct slice v;
	enum errc rc = state_row(l, txn, account, several, kind, id, &v);

	if (rc == ERRC_NOTFOUND) {
		rows_state_init(out);
		return ERRC_OK;
	}
	return rc ? rc : rows_get_state(v, out);
}

enum errc live_get_state(struct live *l, MDB_txn *txn, uint64_t account, enum rows_kind kind,
			 const char id[ROWS_ID], struct rows_state *out)
{
	struct slice several;
	enum errc rc = live_get_states(l, txn, account, &several);

	return rc ? rc : live_get_state_of(l, txn, account, several, kind, id, out);
}

/* States on their way into the store. */
struct put {
	const struct live_state *of;
	size_t n;
	struct {
		struct slice bytes; /* in the store's scratch; unused where it is taken away */
		bool was, is;       /* in the row of several: before, and from now on */
	} at[ROWS_SCOPES_MAX];
	bool changes; /* that row does */
};

static enum errc encode(struct live *l, struct put *p)
{
	size_t end[ROWS_SCOPES_MAX] = {0}, from = 0;
	enum errc rc = ERRC_OK;

	buf_reset(&l->scratch);
	for (size_t i = 0; !rc && i < p->n; i++) {
		if (p->of[i].state)
			rc = rows_put_state(&l->scratch, p->of[i].state);
		end[i] = l->scratch.len;
	}
	for (size_t i = 0; !rc && i < p->n; i++) {
		if (p->of[i].state)
			p->at[i].bytes = slice_of(l->scratch.p + from, end[i] - from);
		from = end[i];
	}
	return rc;
}

/* Which of them; p->n: none. */
static size_t place(const struct put *p, enum rows_kind kind, const char id[ROWS_ID])
{
	size_t i = 0;

	while (i < p->n && (p->of[i].kind != kind || memcmp(p->of[i].id, id, ROWS_ID) != 0))
		i++;
	return i;
}

/* Those that there is room for beside the others go into the row of several, in their order. */
static enum errc choose(struct put *p, struct slice several)
{
	size_t bytes = ROWS_STATES_EMPTY;
	struct rows_states w;
	enum errc rc = several.n ? rows_states_begin(&w, SLICE_NONE, several) : ERRC_NOTFOUND;

	while (!rc && !(rc = rows_states_next(&w))) {
		size_t i = place(p, w.kind, w.id);

		if (i == p->n)
			bytes += ROWS_STATES_ENTRY(w.state.n);
		else
			p->changes = p->at[i].was = true;
	}
	for (size_t i = 0; i < p->n; i++) {
		size_t more = ROWS_STATES_ENTRY(p->at[i].bytes.n);

		if (!p->of[i].state || bytes + more > ROWS_STATES_MAX)
			continue;
		p->changes = p->at[i].is = true;
		bytes += more;
	}
	return rc == ERRC_NOTFOUND ? ERRC_OK : rc;
}

static enum errc add(struct live *l, const struct put *p, size_t i)
{
	return rows_states_add(&l->several, p->of[i].kind, p->of[i].id, p->at[i].bytes);
}

/* The row of several as it will be: each state stays where it is, so that mostly the row is overwritten in its place. */
static enum errc join(struct live *l, const struct put *p, struct slice several)
{
	struct rows_states w;
	enum errc rc;

	buf_reset(&l->several);
	rc = rows_states_start(&l->several);
	if (rc)
		return rc;
	rc = several.n ? rows_states_begin(&w, SLICE_NONE, several) : ERRC_NOTFOUND;
	while (!rc && !(rc = rows_states_next(&w))) {
		size_t i = place(p, w.kind, w.id);

		if (i == p->n)
			rc = rows_states_add(&l->several, w.kind, w.id, w.state);
		else if (p->at[i].is)
			rc = add(l, p, i);
	}
	if (rc == ERRC_NOTFOUND)
		rc = ERRC_OK;
	for (size_t i = 0; !rc && i < p->n; i++) {
		if (p->at[i].is && !p->at[i].was)
			rc = add(l, p, i);
	}
	return rc;
}

/* A state is in one place: what goes into the row of several leaves its own row, and the other way round. */
static enum errc write_own(struct live *l, MDB_txn *txn, uint64_t account, const struct put *p,
			   size_t i)
{
	struct rows_key_name name = rows_name_state(account, p->of[i].kind, p->of[i].id);
	enum errc rc;

	if (p->of[i].state && !p->at[i].is)
		return live_row_put(l, txn, &name, p->at[i].bytes, 0);
	if (p->at[i].was)
		return ERRC_OK;
	rc = live_row_del(l, txn, &name);
	return rc == ERRC_NOTFOUND ? ERRC_OK : rc;
}

enum errc live_put_states(struct live *l, MDB_txn *txn, uint64_t account,
			  const struct live_state *of, size_t n)
{
	struct rows_key_name name = rows_name_states(account);
	struct put p = {.of = of, .n = n};
	struct slice several;
	enum errc rc;

	require(n <= ARRAY_LEN(p.at));
	if (n == 0)
		return ERRC_OK;
	rc = encode(l, &p);
	if (!rc)
		rc = live_get_states(l, txn, account, &several);
	if (!rc)
		rc = choose(&p, several);
	if (!rc)
		rc = join(l, &p, several);
	if (rc)
		return rc;
	for (size_t i = 0; !rc && i < n; i++)
		rc = write_own(l, txn, account, &p, i);
	if (rc || !p.changes)
		return rc;
	if (l->several.len > ROWS_STATES_EMPTY)
		return live_row_put(l, txn, &name, buf_slice(&l->several), 0);
	return live_row_del(l, txn, &name);
}

enum errc live_put_state(struct live *l, MDB_txn *txn, uint64_t account, enum rows_kind kind,
			 const char id[ROWS_ID], const struct rows_state *s)
{
	return live_put_states(l, txn, account, &(struct live_state){kind, id, s}, 1);
}

enum errc live_del_state(struct live *l, MDB_txn *txn, uint64_t account, enum rows_kind kind,
			 const char id[ROWS_ID])
{
	return live_put_states(l, txn, account, &(struct live_state){kind, id, NULL}, 1);
}

#include "admin_priv.h"
#include "book_priv.h"
#include "idle.h"
#include "live_states.h"
#include "userroom.h"

#define FILL_ROWS     1000 /* rows a transaction at most, while nobody else works on the store */
#define FILL_ROWS_MIN 16
#define ROW_PAGES     8 /* that a row changes: of the trees of states, definitions and index */

#define MIB           ((uint64_t)1024 * 1024)
#define NAMES_BYTES   400 /* keys and entries of the index of an account, or of a definition */

enum errc admin_put_account(struct live *l, MDB_txn *txn, const struct rows_account *a)
{
	enum errc rc = live_put_account(l, txn, a);

	return rc ? rc : live_index_account(l, txn, a);
}

/* A walk over all of the book. */
struct fill {
	struct live *l;
	const struct book *b;
	MDB_txn *txn;
	int64_t wall_s;
	struct book_every every;
	size_t i; /* accounts first, then scopes */
	bool is_full;
	struct admin_filled *out;
};

static bool is_user_without_row(const struct book_scope *s)
{
	return s->kind == ROWS_USER && s->row.n == 0;
}

/* An end user without a row of its own of whom a budget counts now: what its state will take, and in *until_s when the last of these ends. 0: none
 * counts. */
static uint16_t bytes_of_user(struct fill *f, const struct book_scope *s,
			      const struct rows_state *state, int64_t *until_s)
{
	const struct rows_scope *every = book_every_user(f->b, s->account, &f->every);
	int64_t then_s = f->wall_s - IDLE_SHORT_S;

	*until_s = 0;
	if (!every || !idle_counts(state, every, 0, then_s))
		return 0;
	for (size_t i = 0; i < every->limits.n; i++) {
		const struct rows_rule *r = &every->limits.v[i];
		const struct rows_counter *c = rows_state_counter(state, r);
		struct rows_rule_now now;

		if (!c || rows_counter_is_idle(c, r, 0, then_s))
			continue;
		rows_rule_look(r, c, 0, 0, then_s * 1000, &now);
		*until_s = MAX_OF(*until_s, now.reset_s == WINDOW_NEVER ? INT64_MAX - IDLE_SHORT_S
									: now.reset_s);
	}
	*until_s += IDLE_SHORT_S;
	return userroom_bytes(every->limits.n);
}

static enum errc put_scope(struct fill *f, const struct book_scope *s)
{
	struct rows_state state;
	struct rows_scope def;
	enum errc rc = ERRC_OK;

	if (s->row.n) {
		rc = rows_get_scope(s->row, &def);
		if (!rc)
			rc = live_put_scope(f->l, f->txn, &def);
		if (!rc)
			rc = live_index_scope(f->l, f->txn, &def);
	}
	if (rc || (s->kind == ROWS_ACCOUNT && s->counters_n == 0))
		return rc;
	book_state_now(f->b, s, &state);
	return live_put_state(f->l, f->txn, s->account, s->kind, s->id, &state);
}

/* What settlements, claims and definitions to come need is left alone. */
static enum errc look_at_room(struct fill *f)
{
	size_t room = 0;
	enum errc rc = live_room(f->l, f->txn, &room);

	f->is_full = f->is_full || room < f->l->size_bytes / 16 * 5;
	return rc;
}

/* One that there is no room for must not begin its windows anew: no end user that is not there comes to the account until these are over. */
static enum errc put_user(struct fill *f, const struct book_scope *s)
{
	struct rows_state state;
	struct userroom room;
	int64_t until_s;
	enum errc rc;

	book_state_now(f->b, s, &state);
	state.noted = bytes_of_user(f, s, &state, &until_s);
	if (state.noted == 0)
		return ERRC_OK;
	rc = userroom_look(f->l, f->txn, s->account, &room);
	if (rc)
		return rc;
	if (f->is_full || !userroom_had(&room, state.noted)) {
		f->out->left_out++;
		return userroom_close(f->l, f->txn, s->account, until_s);
	}
	rows_state_align(&state, &book_every_user(f->b, s->account, &f->every)->limits, true);
	rc = live_put_state(f->l, f->txn, s->account, s->kind, s->id, &state);
	return rc ? rc : userroom_note(f->l, f->txn, s->account, state.noted);
}

static enum errc put_at(struct fill *f, bool users)
{
	size_t accounts = book_accounts_n(f->b);
	const struct book_scope *s;

	if (f->i < accounts)
		return users ? ERRC_OK
			     : admin_put_account(f->l, f->txn, book_account_at(f->b, f->i));
	s = book_scope_at(f->b, f->i - accounts);
	if (is_user_without_row(s) != users)
		return ERRC_OK;
	return users ? put_user(f, s) : put_scope(f, s);
}

/* So few that the pages which they change find room beside those that they leave. */
static size_t rows_a_txn(const struct live *l)
{
	size_t n = l->size_bytes / 16 / (ROW_PAGES * MEM_PAGE);

	return n < FILL_ROWS_MIN ? FILL_ROWS_MIN : MIN_OF(n, FILL_ROWS);
}

static enum errc fill_some(struct fill *f, bool users, uint64_t seq)
{
	size_t all = book_accounts_n(f->b) + book_scopes_n(f->b),
	       end = MIN_OF(f->i + rows_a_txn(f->l), all);
	enum errc rc = live_txn_begin(f->l, &f->txn);

	if (!rc && users)
		rc = look_at_room(f);
	for (; !rc && f->i < end; f->i++)
		rc = put_at(f, users);
	if (!rc)
		rc = live_put_admin_seq(f->l, f->txn, seq);
	if (!rc)
		rc = live_txn_commit(f->l, &f->txn);
	live_txn_abort(f->l, &f->txn);
	return rc;
}

static enum errc fill_all(struct fill *f, bool users, uint64_t seq)
{
	enum errc rc;

	f->i = 0;
	do
		rc = fill_some(f, users, seq);
	while (!rc && f->i < book_accounts_n(f->b) + book_scopes_n(f->b));
	return rc;
}

/* The size that the store should have: definitions in a quarter of it, end users without one in their share, a quarter more of
 * them too, though all are of one account. */
static uint64_t needs(struct fill *f)
{
	uint64_t rows = book_accounts_n(f->b) * NAMES_BYTES, users = 0, most;
	struct rows_state state;
	int64_t until_s;

	for (size_t i = 0; i < book_scopes_n(f->b); i++) {
		const struct book_scope *s = book_scope_at(f->b, i);

		book_state_now(f->b, s, &state);
		if (is_user_without_row(s))
			users += bytes_of_user(f, s, &state, &until_s);
		else
			rows += s->row.n + NAMES_BYTES + userroom_bytes(state.n);
	}
	most = MAX_OF(4 * rows, users / 3 * 20);
	most = MAX_OF(most, f->l->size_bytes / 4 * 5);
	return (most + MIB - 1) / MIB * MIB;
}

enum errc admin_fill(struct live *l, const struct book *b, uint64_t seq, int64_t wall_s,
		     struct admin_filled *out)
{
	struct fill f = {.l = l,
			 .b = b,
			 .wall_s = wall_s,
			 .every = {.account = ROWS_ACCOUNT_HEAD},
			 .out = out};
	enum errc rc;

	*out = (struct admin_filled){0};
	rc = fill_all(&f, false, seq);
	if (!rc)
		rc = fill_all(&f, true, seq);
	if (rc == ERRC_NOSPACE || out->left_out)
		out->needs_bytes = needs(&f);
	return rc;
}

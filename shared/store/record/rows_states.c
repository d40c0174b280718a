#include "rows_states.h"

#include "rows_priv.h"

/* Before each state. */
struct entry_v1 {
	uint8_t kind;
	char id[ROWS_ID];
	uint8_t bytes[2]; /* of the state, little-endian */
};
_Static_assert(sizeof(struct entry_v1) == ROWS_STATES_ENTRY(0), "layout of stored rows");

struct rows_key_name rows_name_states(uint64_t account)
{
	return rows_name(account, ROWS_STATE, SLICE_NONE);
}

static bool has_states(enum rows_kind kind)
{
	return kind == ROWS_ACCOUNT || kind == ROWS_TEAM || kind == ROWS_KEY || kind == ROWS_USER;
}

enum errc rows_states_begin(struct rows_states *w, struct slice id, struct slice row)
{
	w->one = id.n != 0;
	w->left = row;
	if (w->one) {
		if (row.n == 0 || id.n != 1 + ROWS_ID || !has_states((enum rows_kind)id.p[0]))
			return ERRC_CORRUPT;
		w->kind = (enum rows_kind)id.p[0];
		w->id = id.p + 1;
		w->state = row;
		return ERRC_OK;
	}
	if (row.n <= ROWS_STATES_EMPTY)
		return ERRC_CORRUPT;
	w->left = slice_sub(row, ROWS_STATES_EMPTY, row.n - ROWS_STATES_EMPTY);
	return (uint8_t)row.p[0] == ROWS_VERSION ? ERRC_OK : ERRC_VERSION;
}

static enum errc next_of_several(struct rows_states *w)
{
	struct rows_reader r = {w->left.p, w->left.n};
	struct entry_v1 e;

	if (!rows_take(&r, &e, sizeof e) || !has_states((enum rows_kind)e.kind) ||
	    !rows_take_slice(&r, &w->state, e.bytes[0] | (size_t)e.bytes[1] << 8))
		return ERRC_CORRUPT;
	w->kind = (enum rows_kind)e.kind;
	w->id = w->left.p + offsetof(struct entry_v1, id);
	w->left = slice_of(r.p, r.left);
	return ERRC_OK;
}

enum errc rows_states_next(struct rows_states *w)
{
	if (w->left.n == 0)
		return ERRC_NOTFOUND;
	if (!w->one)
		return next_of_several(w);
	w->left.n = 0;
	return ERRC_OK;
}

enum errc rows_states_check(struct slice id, struct slice row)
{
	struct rows_states w;
	enum errc rc = rows_states_begin(&w, id, row);

	while (!rc)
		rc = rows_states_next(&w);
	return rc == ERRC_NOTFOUND ? ERRC_OK : rc;
}

enum errc rows_states_start(struct buf *out)
{
	return buf_addc(out, ROWS_VERSION);
}

enum errc rows_states_add(struct buf *out, enum rows_kind kind, const char id[ROWS_ID],
			  struct slice state)
{
	struct entry_v1 e = {.kind = (uint8_t)kind,
			     .bytes = {(uint8_t)state.n, (uint8_t)(state.n >> 8)}};
	enum errc rc;

	if (state.n > UINT16_MAX)
		return ERRC_LIMIT;
	memcpy(e.id, id, ROWS_ID);
	rc = buf_add(out, &e, sizeof e);
	return rc ? rc : buf_adds(out, state);
}

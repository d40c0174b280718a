#include "alerts.h"

#include <stdio.h>

#include "be.h"
#include "book_priv.h"
#include "clock.h"
#include "log.h"
#include "text.h"

#define FOUND_MAX  ((size_t)16 * 1024 * 1024)
#define TIDY_ROWS  64 /* of what has been told, looked at with a checkpoint, */
#define TIDY_TIMES 2  /* and so many for each that it adds */

/* What has been told of a budget or an account; zeroed = nothing. */
struct told {
	int64_t window; /* of a budget; of an account what was granted in all */
	int64_t limit; /* of which ppm is a share: the rule's, or the credit behind the last grant */
	int64_t ppm;
};

struct look {
	struct alerts *a;
	const struct alerts_place *at;
	struct shares budget, credit;
	struct book_every every;
	size_t put; /* rows of what has been told */
};

void alerts_init(struct alerts *a)
{
	*a = (struct alerts){.budget.n = 0};
	pthread_mutex_init(&a->lock, NULL);
	alerts_past_init(&a->past);
	buf_init(&a->found, FOUND_MAX);
	buf_init(&a->ready, 2 * FOUND_MAX);
}

void alerts_fini(struct alerts *a)
{
	pthread_mutex_destroy(&a->lock);
	alerts_past_fini(&a->past);
	buf_fini(&a->found);
	buf_fini(&a->ready);
}

void alerts_set(struct alerts *a, const struct shares *budget, const struct shares *credit)
{
	pthread_mutex_lock(&a->lock);
	a->budget = *budget;
	a->credit = *credit;
	pthread_mutex_unlock(&a->lock);
}

/* --- what has been told --- */

static struct alerts_row name_of(uint64_t account, enum rows_kind kind, const char id[ROWS_ID],
				 uint32_t rule)
{
	static const char none[ROWS_ID];
	struct rows_key_name key = rows_name(account, kind, slice_of(id ? id : none, ROWS_ID));
	struct alerts_row n = {.n = key.n + 4};

	memcpy(n.b, key.b, key.n);
	be_put(n.b + key.n, sizeof rule, rule);
	return n;
}

static enum errc get_told(struct look *k, const struct alerts_row *n, struct told *out)
{
	struct slice v;
	enum errc rc = lmdbx_get(k->at->txn, k->at->told, slice_of(n->b, n->n), &v);

	*out = (struct told){0};
	if (!rc && v.n != sizeof *out)
		return ERRC_CORRUPT;
	if (!rc)
		memcpy(out, v.p, sizeof *out);
	return rc == ERRC_NOTFOUND ? ERRC_OK : rc;
}

static enum errc put_told(struct look *k, const struct alerts_row *n, const struct told *t)
{
	k->put++;
	return lmdbx_put(k->at->txn, k->at->told, slice_of(n->b, n->n), slice_of(t, sizeof *t), 0);
}

/* One alert for each share above the last one told, up to the one that is reached. */
static enum errc find(struct look *k, const struct shares *s, struct alert *one, int64_t told_ppm,
		      int64_t reached_ppm)
{
	enum errc rc = ERRC_OK;

	for (size_t i = 0; !rc && i < s->n; i++) {
		if (s->ppm[i] <= told_ppm || s->ppm[i] > reached_ppm)
			continue;
		one->share_ppm = s->ppm[i];
		rc = buf_add(&k->a->found, one, sizeof *one);
	}
	return rc == ERRC_LIMIT ? ERRC_OK : rc; /* nobody could read that many */
}

/* --- budgets --- */

static void copy_text(char *out, size_t room, struct slice s)
{
	snprintf(out, room, SLICE_FMT, SLICE_ARG(s));
}

/* Of an end user without a row of his own only the id is known here, and the tag where it was just used. */
static void name_user(struct look *k, const struct book_scope *s, struct alert *out)
{
	struct rows_scope own;
	struct slice tag = SLICE_NONE;

	if (s->row.n > 0 && !rows_get_scope(s->row, &own))
		copy_text(out->name, sizeof out->name, own.name);
	else if (rollup_find_tag(k->at->recent, s->account, s->id, &tag))
		copy_text(out->name, sizeof out->name, tag);
	else
		text_hex(s->id, ROWS_ID, out->name);
}

static void describe(struct look *k, const struct book_scope *s, const struct rows_scope *def,
		     const struct rows_rule *r, struct alert *out)
{
	const struct rows_account *a = book_account(k->at->book, s->account);
	struct slice account = a ? a->name : SLICE_NONE;

	*out = (struct alert){.is_credit = r->credit, .rule = r->id, .scope = s->kind};
	copy_text(out->account, sizeof out->account, account);
	if (s->kind == ROWS_KEY)
		copy_text(out->name, sizeof out->name, slice_of(s->id, ROWS_ID));
	else if (s->kind == ROWS_USER)
		name_user(k, s, out);
	else
		copy_text(out->name, sizeof out->name,
			  s->kind == ROWS_ACCOUNT ? account : def->name);
	snprintf(out->what, sizeof out->what, "%s", rows_rule_text(r));
	rows_rule_models(r, out->models, sizeof out->models);
}

/* A budget that is looked at. */
struct budget {
	const struct book_scope *scope;
	const struct rows_scope *def;
	const struct rows_rule *rule;
	struct alerts_row name;
	struct told told;
	int64_t limit_nusd, reset_s;
	bool is_all, is_over; /* rows_counter.of_all; the window that is looked at has ended */
};

static const struct shares *shares_of(const struct look *k, const struct rows_rule *r)
{
	return r->credit ? &k->credit : &k->budget;
}

/* Names are looked for only when there is something to tell: of most budgets there is not. */
static enum errc tell(struct look *k, const struct budget *b, const struct window_sum *w,
		      int64_t told_ppm, int64_t reached_ppm)
{
	struct alert one;

	describe(k, b->scope, b->def, b->rule, &one);
	one.limit_nusd = b->limit_nusd;
	one.reset_s = b->reset_s;
	one.used_nusd = w->used_nusd;
	one.window = w->id;
	return find(k, shares_of(k, b->rule), &one, told_ppm, reached_ppm);
}

/* The limit that held in a window, to its end where it is over: what raised it then may be over too. */
static int64_t limit_in(const struct look *k, const struct budget *b, const struct window_sum *w)
{
	int64_t at = b->is_over ? MIN_OF(k->at->wall_s, b->reset_s - 1) : k->at->wall_s;

	return b->rule->credit ? b->rule->limit : rows_rule_limit_at(b->rule, w->id, at);
}

/* What had been used of a window by the checkpoint before; 0 where that did not know it. */
static enum errc used_before(struct look *k, const struct budget *b, int64_t window, int64_t *nusd)
{
	const struct book_scope *s = b->scope;
	struct rows_key_name name = rows_name_state(s->account, s->kind, s->id);
	struct rows_state st;
	struct slice v;
	enum errc rc = lmdbx_get(k->at->txn, k->at->rows, slice_of(name.b, name.n), &v);

	*nusd = 0;
	if (rc)
		return rc == ERRC_NOTFOUND ? ERRC_OK : rc;
	rc = rows_get_state(v, &st);
	for (size_t i = 0; !rc && i < st.n; i++) {
		const struct rows_counter *c = &st.counters[i];

		if (c->id != b->rule->id || c->kind != ROWS_BUDGET || c->of_all != b->is_all)
			continue;
		if (c->budget.cur.id == window)
			*nusd = c->budget.cur.used_nusd;
		else if (c->budget.prev.id == window)
			*nusd = c->budget.prev.used_nusd;
	}
	return rc;
}

/* A window that is over is told of what it came to, not of what a limit that was edited since makes of that: only what it has grown
 * by counts. */
static enum errc leave_out_edits(struct look *k, const struct budget *b, const struct window_sum *w,
				 int64_t *told_ppm)
{
	int64_t before;
	enum errc rc = used_before(k, b, w->id, &before);

	if (!rc)
		*told_ppm = MAX_OF(*told_ppm,
				   shares_reached(shares_of(k, b->rule), before, b->limit_nusd));
	return rc;
}

/* One window of a budget. A window before the one that was told of is over and done with. */
static enum errc look_at_window(struct look *k, struct budget *b, const struct window_sum *w)
{
	int64_t reached, limit = limit_in(k, b, w);
	const struct told *t = &b->told;
	struct told now = *t;
	enum errc rc = ERRC_OK;

	if (w->used_nusd <= 0 || limit <= 0 || (t->limit > 0 && w->id < t->window))
		return ERRC_OK;
	b->limit_nusd = limit;
	reached = shares_reached(shares_of(k, b->rule), w->used_nusd, limit);
	if (w->id != now.window)
		now.ppm = 0;
	else if (limit != now.limit)
		now.ppm = MIN_OF(now.ppm, reached);
	if (b->is_over && reached > now.ppm)
		rc = leave_out_edits(k, b, w, &now.ppm);
	if (!rc && reached > now.ppm)
		rc = tell(k, b, w, now.ppm, reached);
	else if (b->is_over)
		return rc;
	if (rc)
		return rc;
	now = (struct told){.window = w->id, .limit = limit, .ppm = MAX_OF(now.ppm, reached)};
	if (now.ppm == t->ppm &&
	    (now.ppm == 0 || (now.window == t->window && now.limit == t->limit)))
		return ERRC_OK;
	b->told = now;
	return put_told(k, &b->name, &now);
}

static enum errc look_at_budget(struct look *k, const struct book_scope *s,
				const struct rows_scope *def, const struct rows_rule *r,
				const struct rows_counter *c, bool *told)
{
	struct budget b = {.scope = s,
			   .def = def,
			   .rule = r,
			   .name = name_of(s->account, s->kind, s->id, r->id),
			   .is_all = c->of_all,
			   .is_over = true};
	enum errc rc = get_told(k, &b.name, &b.told);

	b.reset_s = c->budget.cur.id;
	/* What never ends had no window before: that was of another kind, whose share is not one of this. */
	if (!rc && r->window.unit != WINDOW_TOTAL)
		rc = look_at_window(k, &b, &c->budget.prev);
	b.reset_s = window_budget_reset_s(&c->budget, r->window, c->budget.cur.id);
	b.is_over = b.reset_s != WINDOW_NEVER && b.reset_s <= k->at->wall_s;
	if (!rc)
		rc = look_at_window(k, &b, &c->budget.cur);
	*told = *told || b.told.limit > 0;
	return rc;
}

/* NULL: nothing limits it any more. `row` has what the result points to, but for end users with the rules for all. */
static const struct rows_scope *rules_of(struct look *k, const struct book_scope *s,
					 struct rows_scope *row)
{
	if (s->row.n > 0 && rows_get_scope(s->row, row))
		return NULL;
	if (s->row.n > 0 && (s->kind != ROWS_USER || row->limits.n > 0))
		return row;
	return book_every_user(k->at->book, s->account, &k->every);
}

static const struct rows_rule *rule_of(const struct rows_scope *def, const struct rows_counter *c)
{
	for (size_t i = 0; i < def->limits.n; i++) {
		if (def->limits.v[i].id == c->id && def->limits.v[i].kind == c->kind)
			return &def->limits.v[i];
	}
	return NULL;
}

/* Nothing of the scope was ever told, nor is there anything to tell. A raised limit is no smaller than the rule's own. */
static bool is_quiet(const struct look *k, const struct book_scope *s)
{
	for (size_t i = 0; s->untold_nusd > 0 && i < s->counters_n; i++) {
		const struct window_budget *b = &s->counters[i].budget;
		int64_t used = MAX_OF(b->cur.used_nusd, b->prev.used_nusd);

		if (shares_reached(&k->budget, used, s->untold_nusd) > 0 ||
		    shares_reached(&k->credit, used, s->untold_nusd) > 0)
			return false;
	}
	return s->untold_nusd > 0;
}

/* INT64_MAX: it has none. Of a rule of which nothing is counted yet nothing was told either. */
static int64_t least_budget(const struct rows_scope *def)
{
	int64_t least = INT64_MAX;

	for (size_t i = 0; i < def->limits.n; i++) {
		if (def->limits.v[i].kind == ROWS_BUDGET)
			least = MIN_OF(least, def->limits.v[i].limit);
	}
	return least;
}

/* is_past: as it was about a change. */
static enum errc look_at_scope(struct look *k, const struct book_scope *s, bool is_past)
{
	const struct rows_scope *def;
	struct rows_scope row;
	bool told = false;
	enum errc rc = ERRC_OK;

	if ((k->budget.n == 0 && k->credit.n == 0) || s->counters_n == 0 || is_quiet(k, s))
		return ERRC_OK;
	def = rules_of(k, s, &row);
	for (size_t i = 0; def && !rc && i < s->counters_n; i++) {
		const struct rows_counter *c = &s->counters[i];
		const struct rows_rule *r = rule_of(def, c);

		if (!r || c->kind != ROWS_BUDGET)
			continue;
		rc = look_at_budget(k, s, def, r, c, &told);
	}
	/* Of the rules for all nothing is noted: they change without it. */
	if (!rc && def == &row && !is_past)
		book_note_untold(k->at->book, s, told ? 0 : least_budget(def));
	return rc;
}

/* --- credit --- */

/* What the account had used by the checkpoint before. */
static enum errc settled_before(struct look *k, uint64_t account, int64_t *nusd)
{
	struct rows_key_name name = rows_name(account, ROWS_ACCOUNT, SLICE_NONE);
	struct rows_account a;
	struct slice v;
	enum errc rc = lmdbx_get(k->at->txn, k->at->rows, slice_of(name.b, name.n), &v);

	*nusd = 0;
	if (rc)
		return rc == ERRC_NOTFOUND ? ERRC_OK : rc;
	rc = rows_get_account(v, &a);
	if (!rc)
		*nusd = a.settled_nusd;
	return rc;
}

/* What is there behind a grant is the whole of which shares are used; what is taken makes the whole smaller. */
static enum errc take_grants(struct look *k, struct told *t, const struct rows_account *a)
{
	int64_t more = a->granted_nusd - t->window, settled;
	enum errc rc;

	t->window = a->granted_nusd;
	if (more <= 0) {
		t->limit = MAX_OF(t->limit + more, a->balance_nusd);
		return ERRC_OK;
	}
	rc = settled_before(k, a->id, &settled);
	t->limit = a->granted_nusd - settled;
	t->ppm = 0;
	return rc;
}

/* `granted_nusd`: what is given right behind what is looked at; the whole is what is there then. */
static enum errc look_at_account(struct look *k, const struct rows_account *a, int64_t granted_nusd)
{
	struct alerts_row n = name_of(a->id, ROWS_ACCOUNT, NULL, 0);
	struct alert one = {.is_credit = true, .scope = ROWS_ACCOUNT};
	struct told before, t;
	enum errc rc;

	if (k->credit.n == 0 || a->mode != ROWS_PREPAID)
		return ERRC_OK;
	rc = get_told(k, &n, &before);
	if (rc)
		return rc;
	t = before;
	rc = take_grants(k, &t, a);
	if (!rc && t.limit > 0) {
		int64_t reached = shares_reached(&k->credit, t.limit - a->balance_nusd, t.limit);

		copy_text(one.account, sizeof one.account, a->name);
		copy_text(one.name, sizeof one.name, a->name);
		one.used_nusd = t.limit - a->balance_nusd;
		one.limit_nusd = t.limit;
		rc = find(k, &k->credit, &one, t.ppm, reached);
		t.ppm = MAX_OF(t.ppm, reached);
	}
	if (granted_nusd > 0)
		t = (struct told){.window = a->granted_nusd + granted_nusd,
				  .limit = a->balance_nusd + granted_nusd};
	return rc || memcmp(&t, &before, sizeof t) == 0 ? rc : put_told(k, &n, &t);
}

static enum errc on_changed(void *arg, const struct rows_account *a, const struct book_scope *s,
			    bool row)
{
	(void)row;
	return a ? look_at_account(arg, a, 0) : look_at_scope(arg, s, false);
}

/* What a change has put out of reach was reached all the same. */
static enum errc look_back(struct look *k)
{
	struct alerts_before b;
	enum errc rc = ERRC_OK;
	size_t at = 0;

	while (!rc && alerts_past_next(&k->a->past, &at, &b))
		rc = b.is_account ? look_at_account(k, &b.account, b.granted_nusd)
				  : look_at_scope(k, &b.scope, true);
	return rc;
}

/* --- what need not be known any longer --- */

static bool is_rule(const struct rows_scope *def, uint32_t id)
{
	for (size_t i = 0; def && i < def->limits.n; i++) {
		if (def->limits.v[i].id == id)
			return def->limits.v[i].kind == ROWS_BUDGET;
	}
	return false;
}

/* Whether something of that window may still be told: not of a rule that is gone, nor of a window before the last two. */
static bool is_wanted(struct look *k, const struct book_scope *s, uint32_t rule,
		      const struct told *t)
{
	struct rows_scope row;

	if (!is_rule(rules_of(k, s, &row), rule) &&
	    !(s->kind == ROWS_USER &&
	      is_rule(book_every_user(k->at->book, s->account, &k->every), rule)))
		return false;
	for (size_t i = 0; i < s->counters_n; i++) {
		if (s->counters[i].id == rule)
			return t->window >= s->counters[i].budget.prev.id;
	}
	return false;
}

static bool may_go(struct look *k, struct slice key, struct slice value)
{
	uint64_t account;
	enum rows_kind kind;
	struct slice id;
	const struct book_scope *s;
	struct told t;
	uint32_t rule;

	if (key.n < 4 || value.n != sizeof t ||
	    !rows_name_parse(slice_sub(key, 0, key.n - 4), &account, &kind, &id) || id.n != ROWS_ID)
		return true;
	memcpy(&t, value.p, sizeof t);
	rule = (uint32_t)be_get(key.p + key.n - 4, 4);
	if (rule == 0)
		return !book_account(k->at->book, account);
	s = book_scope(k->at->book, kind, account, id.p);
	return !s || !is_wanted(k, s, rule, &t);
}

/* Some rows, from where the last checkpoint came to. */
static enum errc tidy(struct look *k)
{
	struct alerts_row *at = &k->a->at;
	struct slice key = slice_of(at->b, at->n), value;
	size_t most = TIDY_ROWS + TIDY_TIMES * k->put;
	MDB_cursor *c;
	enum errc rc = lmdbx_errc(mdb_cursor_open(k->at->txn, k->at->told, &c));

	if (rc)
		return rc;
	rc = lmdbx_move(c, at->n ? MDB_SET_RANGE : MDB_FIRST, &key, &value);
	for (size_t i = 0; !rc && i < most; i++) {
		if (may_go(k, key, value))
			rc = lmdbx_errc(mdb_cursor_del(c, 0));
		if (!rc)
			rc = lmdbx_move(c, MDB_NEXT, &key, &value);
	}
	at->n = !rc && key.n <= sizeof at->b ? key.n : 0;
	if (at->n)
		memcpy(at->b, key.p, key.n);
	mdb_cursor_close(c);
	return rc == ERRC_NOTFOUND ? ERRC_OK : rc;
}

enum errc alerts_look(struct alerts *a, const struct alerts_place *at)
{
	struct look k = {.a = a, .at = at, .every.account = ROWS_ACCOUNT_HEAD};
	enum errc rc;

	pthread_mutex_lock(&a->lock);
	k.budget = a->budget;
	k.credit = a->credit;
	pthread_mutex_unlock(&a->lock);
	if (k.budget.n == 0 && k.credit.n == 0) {
		alerts_past_drop(&a->past);
		return ERRC_OK;
	}
	rc = look_back(&k);
	if (!rc)
		rc = book_each_changed(at->book, on_changed, &k);
	return rc ? rc : tidy(&k);
}

/* --- telling --- */

void alerts_committed(struct alerts *a)
{
	alerts_past_committed(&a->past);
	/* Without memory for it the line is lost, not the account. */
	(void)!buf_adds(&a->ready, buf_slice(&a->found));
	buf_reset(&a->found);
}

void alerts_aborted(struct alerts *a)
{
	alerts_past_aborted(&a->past);
	buf_reset(&a->found);
}

bool alerts_next(struct alerts *a, struct alert *out)
{
	if (a->ready.len < sizeof *out)
		return false;
	memcpy(out, a->ready.p, sizeof *out);
	buf_drop_front(&a->ready, sizeof *out);
	return true;
}

static void tell_credit(const struct alert *a, const char *share)
{
	const struct log_field f[] = {LOG_Z("account", a->account),
				      LOG_Z("scope", rows_scope_word(a->scope)),
				      LOG_Z("name", a->name),
				      LOG_Z("share", share),
				      LOG_NUSD("used_usd", a->used_nusd),
				      LOG_NUSD("of_usd", a->limit_nusd),
				      LOG_NUSD("left_usd", a->limit_nusd - a->used_nusd),
				      LOG_I("rule_id", a->rule),
				      LOG_Z("models", a->models)};

	if (a->rule)
		log_event(LOG_WARN, "credit_low", f, ARRAY_LEN(f),
			  "%s %s has used %s of the credit%s%s it was granted",
			  rows_scope_word(a->scope), a->name, share, a->models[0] ? " for " : "",
			  a->models);
	else
		log_event(LOG_WARN, "credit_low", f, ARRAY_LEN(f) - 2,
			  "account %s has used %s of the credit it had after the last grant",
			  a->account, share);
}

static void tell_budget(const struct alert *a, const char *share)
{
	char window[CLOCK_TEXT_MAX], reset[CLOCK_TEXT_MAX] = "never";

	clock_format_s(a->window, window);
	if (a->reset_s != WINDOW_NEVER)
		clock_format_s(a->reset_s, reset);
	const struct log_field f[] = {LOG_Z("account", a->account),
				      LOG_Z("scope", rows_scope_word(a->scope)),
				      LOG_Z("name", a->name),
				      LOG_Z("rule", a->what),
				      LOG_I("rule_id", a->rule),
				      LOG_Z("models", a->models),
				      LOG_Z("share", share),
				      LOG_NUSD("used_usd", a->used_nusd),
				      LOG_NUSD("limit_usd", a->limit_nusd),
				      LOG_Z("window", window),
				      LOG_Z("resets_at", reset)};

	log_event(LOG_WARN, "budget_threshold", f, ARRAY_LEN(f), "%s %s has used %s of its %s",
		  rows_scope_word(a->scope), a->name, share, a->what);
}

void alerts_tell(struct alerts *a)
{
	char share[TEXT_DECIMAL_MAX + 1];
	struct alert one;

	while (alerts_next(a, &one)) {
		share[text_decimal_print(one.share_ppm, 6, 0, share)] = '\0';
		if (one.is_credit)
			tell_credit(&one, share);
		else
			tell_budget(&one, share);
	}
}

#include "pepper.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#include "clock.h"
#include "files.h"
#include "log.h"
#include "restored.h"
#include "secret.h"

#define EXPIRED_S 86400 /* a key that has expired may be given more time for so long */

static enum errc read_file(const char *path, struct peppers *out)
{
	char bytes[PEPPERS_BYTES_MAX + 1];
	enum errc e;
	ssize_t n;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return errc_from_errno(errno);
	n = read(fd, bytes, sizeof(bytes));
	e = n < 0 ? errc_from_errno(errno) : peppers_decode(slice_of(bytes, (size_t)n), out);
	close(fd);
	secret_wipe(bytes, sizeof(bytes));
	return e;
}

static bool join(char out[PATH_MAX], const char *state, const char *name)
{
	return snprintf(out, PATH_MAX, "%s/%s", state, name) < PATH_MAX;
}

static enum errc open_folder(const char *path, int *fd)
{
	*fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return *fd < 0 ? errc_from_errno(errno) : ERRC_OK;
}

/* Complete on disk before it has its name: a key must never be made under a pepper that a crash takes away. */
static enum errc save(const char *state, const struct peppers *set)
{
	char room[PEPPERS_BYTES_MAX];
	struct buf b = {.p = room, .cap = sizeof(room), .max = sizeof(room)};
	enum errc e = peppers_encode(set, &b);
	int dir = -1;

	if (!e)
		e = open_folder(state, &dir);
	if (!e)
		e = files_put(dir, PEPPER_NAME, 0600, buf_slice(&b), FILES_REPLACE);
	if (dir >= 0)
		close(dir);
	secret_wipe(room, sizeof(room));
	return e;
}

/* What one who was killed has left aside has peppers in it. */
static enum errc remove_aside(int dir)
{
	return unlinkat(dir, PEPPER_NAME FILES_ASIDE, 0) == 0 || errno == ENOENT
		       ? ERRC_OK
		       : errc_from_errno(errno);
}

/* Once in its place, it must not come a second time, over one that was made since: both folders are synced. */
static enum errc move_restored(int ledger, int state)
{
	if (renameat(ledger, RESTORED_PEPPER, state, PEPPER_NAME) != 0 || fsync(state) != 0 ||
	    fsync(ledger) != 0)
		return errc_from_errno(errno);
	return ERRC_OK;
}

static enum errc take_restored(const char *state)
{
	struct peppers set = {.n = 0};
	char folder[PATH_MAX], path[PATH_MAX];
	int dir = -1, ledger = -1;
	enum errc e = ERRC_TOOBIG;

	if (join(folder, state, "ledger") && join(path, folder, RESTORED_PEPPER))
		e = open_folder(folder, &ledger);
	if (!e)
		e = open_folder(state, &dir);
	if (!e)
		e = remove_aside(ledger);
	if (!e)
		e = read_file(path, &set);
	if (!e)
		e = move_restored(ledger, dir);
	if (ledger >= 0)
		close(ledger);
	if (dir >= 0)
		close(dir);
	peppers_fini(&set);
	if (e == ERRC_CORRUPT)
		log_error("pepper_damaged", "the file ledger/" RESTORED_PEPPER
					    " in the state folder, the peppers of the keys in the "
					    "restored ledger, is damaged: restore the backup once "
					    "more; nothing has changed");
	return e == ERRC_NOTFOUND ? ERRC_OK : e;
}

static enum errc load(const char *state, struct peppers *set)
{
	char path[PATH_MAX];
	enum errc e;
	int dir;

	if (!join(path, state, PEPPER_NAME))
		return ERRC_TOOBIG;
	e = open_folder(state, &dir);
	if (e)
		return e;
	e = remove_aside(dir);
	close(dir);
	if (!e)
		e = read_file(path, set);
	return e == ERRC_NOTFOUND ? ERRC_OK : e;
}

void pepper_init(struct pepper *p)
{
	*p = (struct pepper){.in_use = 0};
	pthread_mutex_init(&p->change, NULL);
	pthread_mutex_init(&p->lock, NULL);
}

void pepper_fini(struct pepper *p)
{
	peppers_fini(&p->set);
	pthread_mutex_destroy(&p->lock);
	pthread_mutex_destroy(&p->change);
}

static void begin_with(struct pepper *p, const struct peppers *set)
{
	pthread_mutex_lock(&p->lock);
	p->set = *set;
	/* A keeper may have ended between making the newest and telling the workers. */
	p->in_use = set->v[set->n > 1 ? 1 : 0].id;
	p->changes_n++;
	pthread_mutex_unlock(&p->lock);
}

enum errc pepper_open(struct pepper *p, const char *state)
{
	struct peppers set = {.n = 0};
	enum errc e = take_restored(state);

	if (!e)
		e = load(state, &set);
	if (!e && set.n > 0)
		begin_with(p, &set);
	peppers_fini(&set);
	return e;
}

/* Writes the file and goes on with the set, which is given away in any case. */
static enum errc save_and_begin(struct pepper *p, const char *state, struct peppers *set)
{
	enum errc e = save(state, set);

	if (!e)
		begin_with(p, set);
	peppers_fini(set);
	return e;
}

enum errc pepper_first(struct pepper *p, const char *state)
{
	struct peppers set = {.n = 0};
	enum errc e = peppers_add(&set, clock_wall_s());

	return e ? e : save_and_begin(p, state, &set);
}

/* --- one that is lost --- */

/* The keys that are to be good again when it is found, and the last id that one was made with. */
static uint64_t count_known(const struct book *b, uint16_t *last)
{
	uint64_t keys = 0;
	struct rows_scope def;

	*last = 0;
	for (size_t i = 0; i < book_scopes_n(b); i++) {
		const struct book_scope *s = book_scope_at(b, i);

		if (s->kind != ROWS_KEY || rows_get_scope(s->row, &def))
			continue;
		keys += def.status != ROWS_REVOKED;
		*last = MAX_OF(*last, def.pepper);
	}
	return keys;
}

static bool may_be_replaced(const char *state)
{
	char path[PATH_MAX];

	return join(path, state, PEPPER_GIVEN_UP) && access(path, F_OK) == 0;
}

static enum errc forget_given_up(const char *state)
{
	char path[PATH_MAX];

	if (!join(path, state, PEPPER_GIVEN_UP))
		return ERRC_TOOBIG;
	return unlink(path) == 0 || errno == ENOENT ? ERRC_OK : errc_from_errno(errno);
}

/* The file last: what was not written whole is done once more. */
static enum errc make_anew(struct pepper *p, const char *state, struct admin *a, uint16_t last)
{
	const struct admin_by by = {.who = SLICE_LIT("aigwd"),
				    .note = SLICE_LIT("the file was lost"),
				    .wall_ms = clock_wall_ms(),
				    .boot_ms = clock_boot_ms()};
	struct peppers set = {.n = 0};
	enum errc e = last == UINT16_MAX ? ERRC_LIMIT : peppers_add(&set, clock_wall_s());

	if (!e) {
		/* Not the id of one that is lost: whoever counts keys is not to take them for this one's. */
		set.v[0].id = (uint16_t)(last + 1);
		e = admin_note(a, &by, RECORD_PEPPER, "made", set.v[0].id);
	}
	if (!e)
		return save_and_begin(p, state, &set);
	peppers_fini(&set);
	return e;
}

uint64_t pepper_lost_keys(struct pepper *p)
{
	uint64_t n;

	pthread_mutex_lock(&p->lock);
	n = p->lost_keys;
	pthread_mutex_unlock(&p->lock);
	return n;
}

enum errc pepper_make(struct pepper *p, const char *state, struct admin *a)
{
	uint64_t keys;
	uint16_t last;
	enum errc e;

	if (pepper_newest(p))
		return forget_given_up(state); /* it is there: the word is not for another time */
	if (ledger_state(a->ledger)->last_seq == 0)
		return pepper_first(p, state);
	keys = count_known(ledger_book(a->ledger), &last);
	if (keys > 0 && !may_be_replaced(state)) {
		pthread_mutex_lock(&p->lock);
		p->lost_keys = keys;
		pthread_mutex_unlock(&p->lock);
		return ERRC_STATE;
	}
	e = make_anew(p, state, a, last);
	if (!e && keys > 0)
		log_warn("pepper_replaced",
			 "the file " PEPPER_NAME " was not there, and " PEPPER_GIVEN_UP
			 " was: a new one is made, and %llu keys of before need a new secret",
			 (unsigned long long)keys);
	return e ? e : forget_given_up(state);
}

uint64_t pepper_changes(struct pepper *p)
{
	uint64_t n;

	pthread_mutex_lock(&p->lock);
	n = p->changes_n;
	pthread_mutex_unlock(&p->lock);
	return n;
}

void pepper_known(struct pepper *p, uint16_t id)
{
	pthread_mutex_lock(&p->lock);
	if (p->set.n && p->set.v[0].id == id)
		p->in_use = id;
	pthread_mutex_unlock(&p->lock);
}

bool pepper_has_old(struct pepper *p)
{
	bool yes;

	pthread_mutex_lock(&p->lock);
	yes = p->set.n > 1 && p->set.v[0].id == p->in_use;
	pthread_mutex_unlock(&p->lock);
	return yes;
}

uint16_t pepper_newest(struct pepper *p)
{
	uint16_t id;

	pthread_mutex_lock(&p->lock);
	id = p->set.n ? p->set.v[0].id : 0;
	pthread_mutex_unlock(&p->lock);
	return id;
}

bool pepper_has(struct pepper *p, uint16_t id)
{
	bool yes;

	pthread_mutex_lock(&p->lock);
	yes = peppers_find(&p->set, id) != NULL;
	pthread_mutex_unlock(&p->lock);
	return yes;
}

enum errc pepper_encode(struct pepper *p, struct buf *out)
{
	enum errc e;

	pthread_mutex_lock(&p->lock);
	e = peppers_encode(&p->set, out);
	pthread_mutex_unlock(&p->lock);
	return e;
}

void pepper_hash(struct pepper *p, struct slice text, uint8_t hash[DIGEST_SHA256], uint16_t *id)
{
	pthread_mutex_lock(&p->lock);
	*id = p->in_use;
	apikey_hash(&peppers_find(&p->set, *id)->key, text, hash);
	pthread_mutex_unlock(&p->lock);
}

void pepper_pin(struct pepper *p)
{
	pthread_mutex_lock(&p->change);
	p->pins++;
	pthread_mutex_unlock(&p->change);
}

void pepper_unpin(struct pepper *p)
{
	pthread_mutex_lock(&p->change);
	p->pins--;
	pthread_mutex_unlock(&p->change);
}

struct count {
	struct pepper_use *use;
	int64_t now_s;
};

static void add_use(struct pepper_use *use, uint16_t id)
{
	for (size_t i = 0; i < use->n; i++)
		use->v[i].keys += use->v[i].id == id;
}

static enum errc count_one(void *arg, const struct rows_scope *k, const struct rows_state *s)
{
	const struct count *c = arg;

	(void)s;
	if (k->status == ROWS_REVOKED ||
	    (k->expires_s && c->now_s - k->expires_s > EXPIRED_S && !(k->flags & ROWS_SHADOW)))
		return ERRC_OK;
	add_use(c->use, k->pepper);
	if (k->old_until_s > c->now_s)
		add_use(c->use, k->old_pepper);
	return ERRC_OK;
}

enum errc pepper_count(struct pepper *p, struct live *l, int64_t now_s, struct pepper_use *out)
{
	struct count c = {out, now_s};

	*out = (struct pepper_use){.n = 0};
	pthread_mutex_lock(&p->lock);
	for (; out->n < p->set.n; out->n++) {
		out->v[out->n].id = p->set.v[out->n].id;
		out->v[out->n].made_s = p->set.v[out->n].made_s;
	}
	pthread_mutex_unlock(&p->lock);
	return admin_scope_each(l, 0, ROWS_KEY, count_one, &c);
}

/* True: there were some. */
static bool remove_unneeded(const struct pepper_use *use, uint16_t in_use, struct peppers *set)
{
	size_t n = set->n;

	for (size_t i = 0; i < use->n; i++) {
		if (use->v[i].keys == 0 && use->v[i].id != in_use)
			peppers_remove(set, use->v[i].id);
	}
	return set->n < n;
}

size_t pepper_unneeded(struct pepper *p, const struct pepper_use *use, uint16_t ids[PEPPERS_MAX])
{
	size_t n = 0;

	pthread_mutex_lock(&p->change);
	pthread_mutex_lock(&p->lock);
	for (size_t i = 0; p->pins == 0 && i < use->n; i++) {
		const struct peppers_one *one = peppers_find(&p->set, use->v[i].id);

		/* Never the newest, see peppers_remove(). */
		if (use->v[i].keys == 0 && one && one != &p->set.v[0] && one->id != p->in_use)
			ids[n++] = one->id;
	}
	pthread_mutex_unlock(&p->lock);
	pthread_mutex_unlock(&p->change);
	return n;
}

enum errc pepper_note_removal(struct pepper *p, struct admin *a, const struct admin_by *by,
			      const struct pepper_use *use)
{
	uint16_t ids[PEPPERS_MAX];
	size_t n = pepper_unneeded(p, use, ids);
	enum errc e = ERRC_OK;

	for (size_t i = 0; !e && i < n; i++)
		e = admin_note(a, by, RECORD_PEPPER, "taken away", ids[i]);
	return e;
}

enum errc pepper_may_rotate(struct pepper *p, const struct pepper_use *use)
{
	uint16_t ids[PEPPERS_MAX];
	size_t gone = pepper_unneeded(p, use, ids);
	enum errc e = ERRC_OK;

	pthread_mutex_lock(&p->change);
	pthread_mutex_lock(&p->lock);
	if (p->pins > 0)
		e = ERRC_BUSY;
	else if (p->set.n - gone == PEPPERS_MAX)
		e = ERRC_LIMIT;
	pthread_mutex_unlock(&p->lock);
	pthread_mutex_unlock(&p->change);
	return e;
}

static void copy(struct pepper *p, struct peppers *set, uint16_t *in_use)
{
	pthread_mutex_lock(&p->lock);
	*set = p->set;
	*in_use = p->in_use;
	pthread_mutex_unlock(&p->lock);
}

/* With `change` held: nobody else has changed the set since it was copied. */
static enum errc replace(struct pepper *p, const char *state, const struct peppers *set)
{
	enum errc e = save(state, set);

	if (e)
		return e;
	pthread_mutex_lock(&p->lock);
	p->set = *set;
	p->changes_n++;
	pthread_mutex_unlock(&p->lock);
	return ERRC_OK;
}

enum errc pepper_rotate(struct pepper *p, const char *state, int64_t now_s,
			const struct pepper_use *use)
{
	struct peppers next;
	uint16_t in_use;
	enum errc e = ERRC_BUSY;

	pthread_mutex_lock(&p->change);
	copy(p, &next, &in_use);
	if (p->pins == 0) {
		(void)remove_unneeded(use, in_use, &next);
		e = peppers_add(&next, now_s);
	}
	if (!e)
		e = replace(p, state, &next);
	pthread_mutex_unlock(&p->change);
	peppers_fini(&next);
	return e;
}

enum errc pepper_prune(struct pepper *p, const char *state, const struct pepper_use *use)
{
	struct peppers next;
	uint16_t in_use;
	enum errc e = ERRC_OK;

	pthread_mutex_lock(&p->change);
	copy(p, &next, &in_use);
	if (p->pins == 0 && remove_unneeded(use, in_use, &next))
		e = replace(p, state, &next);
	pthread_mutex_unlock(&p->change);
	peppers_fini(&next);
	return e;
}

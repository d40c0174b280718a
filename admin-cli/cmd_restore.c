#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ask.h"
#include "bfiles.h"
#include "clock.h"
#include "config.h"
#include "ctl.h"
#include "files.h"
#include "json.h"
#include "json_out.h"
#include "ledger_id.h"
#include "peppers.h"
#include "restored.h"
#include "secret.h"
#include "text.h"
#include "unfinished.h"

#define MANIFEST_MAX 65536
#define CHUNK        (1024 * 1024)

/* Puts a backup in the place of the ledger of a stopped node. Files only: the next keeper does what is left, see restored.h. */
struct restore {
	struct ctl *c;
	const char *from;      /* the backup's folder */
	char state[PATH_MAX];  /* where to */
	char ledger[PATH_MAX]; /* state/ledger */
	char kept[PATH_MAX];   /* where the ledger that was there is now; empty: none was */
	int locks[2];
	struct bfiles files;
	/* What the manifest says. */
	char id[LEDGER_ID_DIGITS + 1], made[CLOCK_TEXT_MAX];
	uint8_t sha256[DIGEST_SHA256];
	int64_t bytes, records, missing;
	bool checked;      /* the records were looked at when it was made, */
	char finding[256]; /* and this was wrong with them; empty: nothing */
};

static enum control_status refuse(struct restore *r, const char *what, const char *why)
{
	return ctl_fail(r->c, CONTROL_REFUSED, "refused", "%s: %s", what, why);
}

static enum control_status failed(struct restore *r, const char *what, enum errc e)
{
	return ctl_fail(r->c, CONTROL_REFUSED, "failed", "%s: %s", what, errc_text(e));
}

static bool join(char out[PATH_MAX], const char *folder, const char *name)
{
	return snprintf(out, PATH_MAX, "%s/%s", folder, name) < PATH_MAX;
}

static void wipe(struct buf *b)
{
	if (b->p)
		secret_wipe(b->p, b->cap);
	buf_fini(b);
}

/* --- the backup --- */

static enum errc read_file(const char *path, struct buf *out, size_t max)
{
	enum errc e = ERRC_OK;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = 0;
	char *room;

	if (fd < 0)
		return errc_from_errno(errno);
	e = buf_reserve(out, max, &room);
	if (!e && (n = read(fd, room, max)) < 0)
		e = errc_from_errno(errno);
	close(fd);
	out->len += n > 0 ? (size_t)n : 0;
	return e;
}

/* Whoever made the backup read the records; that the file is still the same is what the hash is for. */
static void take_findings(struct restore *r, const struct json *list)
{
	const struct json *first = json_count(list) ? json_arr_at(list, 0) : NULL;
	struct slice what = slice_sub(json_str(json_obj_get(first, "what")), 0, 32),
		     text = slice_sub(json_str(json_obj_get(first, "text")), 0, 180);
	int64_t at;

	r->checked = json_is_arr(list);
	if (first && json_i64(json_obj_get(first, "at"), &at))
		snprintf(r->finding, sizeof(r->finding), SLICE_FMT " %lld: " SLICE_FMT,
			 SLICE_ARG(what), (long long)at, SLICE_ARG(text));
	else if (first)
		snprintf(r->finding, sizeof(r->finding), SLICE_FMT ": " SLICE_FMT, SLICE_ARG(what),
			 SLICE_ARG(text));
}

static bool take_manifest(struct restore *r, const struct json *m)
{
	struct slice id = json_str(json_obj_get(m, "ledger_id")),
		     made = json_str(json_obj_get(m, "made_at"));
	uint8_t raw[LEDGER_ID_DIGITS / 2];
	int64_t version;

	if (!json_i64(json_obj_get(m, "backup"), &version) || version != 1 ||
	    !json_i64(json_obj_get(m, "bytes"), &r->bytes) ||
	    !json_i64(json_obj_get(m, "records"), &r->records) ||
	    !json_i64(json_obj_get(m, "missing_records"), &r->missing) ||
	    made.n >= sizeof(r->made) || !text_unhex(id, raw, sizeof(raw)) ||
	    !text_unhex(json_str(json_obj_get(m, "sha256")), r->sha256, sizeof(r->sha256)))
		return false;
	text_hex(raw, sizeof(raw), r->id);
	memcpy(r->made, made.p, made.n);
	r->made[made.n] = '\0';
	take_findings(r, json_obj_get(m, "findings"));
	return true;
}

static enum control_status read_manifest(struct restore *r)
{
	struct json_doc *doc = NULL;
	char path[PATH_MAX];
	struct buf text;
	bool good = false;
	enum errc e;

	buf_init(&text, MANIFEST_MAX);
	e = join(path, r->from, BFILES_MANIFEST) ? read_file(path, &text, MANIFEST_MAX) : ERRC_LIMIT;
	if (!e)
		e = json_parse(buf_slice(&text), NULL, &doc);
	if (!e)
		good = take_manifest(r, json_root(doc));
	json_free(&doc);
	buf_fini(&text);
	if (e)
		return ctl_fail(r->c, CONTROL_REFUSED, "failed", "%s: %s: is it a backup?", path,
				errc_text(e));
	return good ? CONTROL_DONE : refuse(r, path, "it is not what a backup has");
}

static enum control_status check_findings(struct restore *r)
{
	if (!r->finding[0] || parse_local_bool(&r->c->p, "force"))
		return CONTROL_DONE;
	return ctl_fail(r->c, CONTROL_REFUSED, "findings",
			"the ledger was not in order when the backup was made: %s; an older backup "
			"may be, and --force puts this one back all the same",
			r->finding);
}

/* --- the node --- */

static enum control_status find_state(struct restore *r)
{
	struct slice state = parse_local_str(&r->c->p, "state"),
		     config = parse_local_str(&r->c->p, "config");
	struct stat st;

	if (state.n >= sizeof(r->state) ||
	    (!state.n && !config_state(r->c->env, config.p, r->state, sizeof(r->state))))
		return refuse(r, "the state folder", "it cannot be told; give --state FOLDER");
	if (state.n)
		memcpy(r->state, state.p, state.n + 1); /* argv's: a NUL stands behind it */
	if (stat(r->state, &st) != 0 && errno == ENOENT)
		return refuse(r, r->state,
			      "there is no such folder: make it, empty, on a new machine");
	if (stat(r->state, &st) != 0)
		return failed(r, r->state, errc_from_errno(errno));
	if (!join(r->ledger, r->state, "ledger"))
		return refuse(r, r->state, "the path is too long");
	return CONTROL_DONE;
}

/* Master and keeper hold these while they live; so do we, that none begins meanwhile. */
static enum control_status lock(struct restore *r)
{
	static const char *const names[] = {"master.lock", "keeper.lock"};
	struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	char path[PATH_MAX];

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (!join(path, r->state, names[i]))
			return refuse(r, r->state, "the path is too long");
		r->locks[i] =
			open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, i == 0 ? 0644 : 0600);
		if (r->locks[i] < 0)
			return failed(r, path, errc_from_errno(errno));
		if (fcntl(r->locks[i], F_OFD_SETLK, &l) != 0)
			return ctl_fail(r->c, CONTROL_REFUSED, "running",
					"a node runs on %s: stop it first (aigwctl stop)", r->state);
	}
	return CONTROL_DONE;
}

/* The file by which the next master names the live folder. */
static enum control_status check_id(struct restore *r)
{
	char path[PATH_MAX], has[LEDGER_ID_DIGITS + 1];
	enum errc e;

	if (!join(path, r->state, "ledger_id"))
		return refuse(r, r->state, "the path is too long");
	if (access(path, F_OK) != 0)
		return CONTROL_DONE; /* it will be made */
	e = ledger_id_open(r->state, has);
	if (e)
		return failed(r, path, e);
	if (strcmp(has, r->id) != 0)
		return ctl_fail(r->c, CONTROL_REFUSED, "refused",
				"%s is the state of another ledger (%s; the backup is of %s)",
				r->state, has, r->id);
	return CONTROL_DONE;
}

/* --- copying --- */

static void show_progress(struct restore *r, int64_t done)
{
	if (r->bytes > 0)
		ask_progress(r->c, "%d %% of %lld MB", (int)(done * 100 / r->bytes),
			     (long long)(r->bytes / 1000000));
	if (done >= r->bytes)
		ask_progress_end(r->c);
}

/* *unread: what failed is the reading. */
static enum errc copy_all(struct restore *r, int in, int out, int64_t *bytes,
			  uint8_t hash[DIGEST_SHA256], bool *unread)
{
	struct digest d;
	struct buf b;
	ssize_t n = 1;
	char *room;
	enum errc e;

	buf_init(&b, CHUNK);
	digest_init(&d);
	e = buf_reserve(&b, CHUNK, &room);
	for (*bytes = 0; !e && n > 0; *bytes += n) {
		n = read(in, room, CHUNK);
		*unread = n < 0;
		if (n < 0)
			e = errc_from_errno(errno);
		if (n <= 0)
			break;
		digest_add(&d, slice_of(room, (size_t)n));
		e = files_write(out, slice_of(room, (size_t)n));
		show_progress(r, *bytes + n);
	}
	digest_final(&d, hash);
	buf_fini(&b);
	return e;
}

static enum control_status copy_data(struct restore *r)
{
	uint8_t hash[DIGEST_SHA256];
	char path[PATH_MAX];
	bool unread = false;
	int64_t bytes = 0;
	int in, out = -1;
	enum errc e;

	if (!join(path, r->from, BFILES_DATA))
		return refuse(r, r->from, "the path is too long");
	in = open(path, O_RDONLY | O_CLOEXEC);
	if (in < 0)
		return failed(r, path, errc_from_errno(errno));
	e = bfiles_create(&r->files, "data.mdb", &out);
	if (!e)
		e = copy_all(r, in, out, &bytes, hash, &unread);
	e = bfiles_close(&out, e);
	close(in);
	if (e)
		return failed(r, unread ? path : r->state, e);
	if (bytes != r->bytes || memcmp(hash, r->sha256, sizeof(hash)) != 0)
		return refuse(r, path,
			      "the file is damaged: it is not what " BFILES_MANIFEST " says");
	return CONTROL_DONE;
}

static enum control_status copy_pepper(struct restore *r)
{
	struct peppers set = {.n = 0};
	char path[PATH_MAX];
	const char *where = path;
	struct buf b;
	enum errc e;

	if (!join(path, r->from, BFILES_PEPPER))
		return refuse(r, r->from, "the path is too long");
	buf_init(&b, 4096);
	e = read_file(path, &b, PEPPERS_BYTES_MAX + 1);
	if (!e)
		e = peppers_decode(buf_slice(&b), &set);
	if (!e) {
		where = r->state;
		e = bfiles_put(&r->files, RESTORED_PEPPER, buf_slice(&b));
	}
	peppers_fini(&set);
	wipe(&b);
	return e ? failed(r, where, e) : CONTROL_DONE;
}

/* --- putting it in place --- */

/* Where there is none of that name yet. */
static enum errc put_new(const char *folder, const char *name, mode_t mode, struct slice bytes)
{
	int dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	enum errc e;

	if (dir < 0)
		return errc_from_errno(errno);
	e = files_put(dir, name, mode, bytes, FILES_NEW);
	close(dir);
	return e == ERRC_EXISTS ? ERRC_OK : e;
}

static enum control_status keep_id(struct restore *r)
{
	char line[LEDGER_ID_DIGITS + 2];
	enum errc e;

	snprintf(line, sizeof(line), "%s\n", r->id);
	e = put_new(r->state, "ledger_id", 0644, slice_str(line));
	return e ? failed(r, r->state, e) : CONTROL_DONE;
}

/* The ledger that is put aside gets the peppers that its keys need, as a restored one has them: with its name back it is whole
 * again. Those that a restore has left there already, and no start has taken, are its own. */
static enum errc keep_pepper(struct restore *r)
{
	char from[PATH_MAX];
	struct buf b;
	enum errc e;

	if (!join(from, r->state, "pepper"))
		return ERRC_LIMIT;
	buf_init(&b, 4096);
	e = read_file(from, &b, PEPPERS_BYTES_MAX);
	if (!e)
		e = put_new(r->ledger, RESTORED_PEPPER, 0600, buf_slice(&b));
	wipe(&b);
	return e == ERRC_NOTFOUND ? ERRC_OK : e;
}

/* A name that tells when the ledger was put aside, and never one that is taken. */
static enum errc name_kept(struct restore *r)
{
	char now[CLOCK_TEXT_MAX];

	clock_format_ms(clock_wall_ms(), now);
	return snprintf(r->kept, sizeof(r->kept), "%s.before-%s", r->ledger, now) <
			       (int)sizeof(r->kept)
		       ? ERRC_OK
		       : ERRC_LIMIT;
}

/* Both names change places at once, when the new ledger has that of the old one already: at no moment is there no ledger, or
 * the old one under a name that does not say so. */
static enum errc change_places(struct restore *r)
{
	enum errc e = name_kept(r);

	if (!e)
		e = keep_pepper(r);
	if (!e)
		e = bfiles_finish(&r->files, r->kept);
	if (e) {
		r->kept[0] = '\0';
		return e;
	}
	if (renameat2(AT_FDCWD, r->kept, AT_FDCWD, r->ledger, RENAME_EXCHANGE) == 0)
		return files_sync_folder(r->state);
	e = errc_from_errno(errno);
	bfiles_resume(&r->files, r->kept);
	r->kept[0] = '\0';
	return e;
}

static enum control_status put_in_place(struct restore *r)
{
	enum errc e = access(r->ledger, F_OK) == 0 ? change_places(r)
						   : bfiles_finish(&r->files, r->ledger);

	return e ? failed(r, r->ledger, e) : CONTROL_DONE;
}

/* Who restores what, when: the next keeper writes it into the ledger. */
static enum errc put_mark(struct restore *r)
{
	const struct passwd *pw = getpwuid(geteuid());
	char text[512], now[CLOCK_TEXT_MAX];

	clock_format_ms(clock_wall_ms(), now);
	if (pw)
		snprintf(text, sizeof(text), "%s\n%.200s\n%s\n", r->made, pw->pw_name, now);
	else
		snprintf(text, sizeof(text), "%s\nuid:%u\n%s\n", r->made, (unsigned)geteuid(), now);
	return bfiles_put(&r->files, RESTORED_MARK, slice_str(text));
}

/* With the node's locks: whoever worked there is no more. */
static enum errc in_state(struct restore *r, enum errc (*fn)(int state))
{
	int dir = open(r->state, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	enum errc e;

	if (dir < 0)
		return errc_from_errno(errno);
	e = fn(dir);
	close(dir);
	return e;
}

static enum errc begin(struct restore *r)
{
	enum errc e = in_state(r, unfinished_sweep_state);

	if (!e)
		e = bfiles_begin(&r->files, r->ledger);
	return e ? e : bfiles_put(&r->files, UNFINISHED_MARK, SLICE_NONE);
}

static enum control_status make(struct restore *r)
{
	enum control_status s;
	enum errc e = begin(r);

	if (e)
		return failed(r, r->ledger, e);
	s = copy_data(r);
	if (s == CONTROL_DONE)
		s = copy_pepper(r);
	if (s != CONTROL_DONE)
		return s;
	e = put_mark(r);
	if (e)
		return failed(r, r->ledger, e);
	s = keep_id(r);
	if (s == CONTROL_DONE)
		s = put_in_place(r);
	/* Where this fails the next start does it. */
	if (s == CONTROL_DONE)
		(void)!in_state(r, unfinished_end);
	return s;
}

static void tell_json(struct restore *r)
{
	struct json_out o;
	enum errc e;

	json_out_init(&o, &r->c->text.b);
	json_out_obj(&o);
	json_out_kstrz(&o, "ledger_id", r->id);
	json_out_kstrz(&o, "made_at", r->made);
	json_out_ki64(&o, "records", r->records);
	json_out_ki64(&o, "bytes", r->bytes);
	json_out_ki64(&o, "missing_records", r->missing);
	json_out_kbool(&o, "checked", r->checked);
	json_out_kstrz(&o, "finding", r->finding[0] ? r->finding : NULL);
	json_out_kstrz(&o, "kept", r->kept[0] ? r->kept : NULL);
	json_out_obj_end(&o);
	e = json_out_end(&o);
	put_fail(&r->c->text, e);
	put_z(&r->c->text, "\n");
}

static void tell(struct restore *r)
{
	struct put *p = &r->c->text;

	if (r->c->json) {
		tell_json(r);
		return;
	}
	put_z(p, "restored the ledger of ");
	put_safe(p, slice_str(r->made));
	put_f(p, ": %lld records; the next start of aigwd takes it over\n", (long long)r->records);
	if (r->missing > 0)
		put_f(p,
		      "%lld records that were there when it was made are not in it: the ledger "
		      "could not be written\n",
		      (long long)r->missing);
	else if (r->missing < 0)
		put_z(p, "records that were there when it was made are not in it: the ledger could "
			 "not be written\n");
	if (r->finding[0]) {
		put_z(p, "it was not in order when the backup was made: ");
		put_safe(p, slice_str(r->finding));
		put_z(p, "\n");
	} else if (!r->checked) {
		put_z(p, "whether its records are in order was not looked at when it was made; "
			 "once the node runs, aigwctl ledger verify does\n");
	}
	if (r->kept[0]) {
		put_z(p, "the ledger that was there is kept in ");
		put_safe(p, slice_str(r->kept));
		put_z(p, "\n");
	}
}

enum control_status cmd_ledger_restore(struct ctl *c)
{
	struct restore r = {
		.c = c, .from = parse_local_str(&c->p, "dir").p, .locks = {-1, -1}, .files.dir = -1};
	enum control_status s = read_manifest(&r);

	if (s == CONTROL_DONE)
		s = check_findings(&r);
	if (s == CONTROL_DONE)
		s = find_state(&r);
	if (s == CONTROL_DONE)
		s = lock(&r);
	if (s == CONTROL_DONE)
		s = check_id(&r);
	if (s == CONTROL_DONE)
		s = make(&r);
	bfiles_abort(&r.files);
	for (size_t i = 0; i < ARRAY_LEN(r.locks); i++) {
		if (r.locks[i] >= 0)
			close(r.locks[i]);
	}
	if (s == CONTROL_DONE)
		tell(&r);
	return s;
}

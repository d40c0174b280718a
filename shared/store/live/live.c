#include "live_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "log.h"
#include "mem.h"
#include "nudge.h"

#define TMPFS_TYPE  0x01021994
#define READERS_MAX 510

struct head_v1 {
	uint32_t layout, regions, slots, reserved;
	uint8_t ledger_id[LIVE_ID];
	uint64_t epoch, dev, ino;
	char boot_id[40];
};
_Static_assert(sizeof(struct head_v1) == 96, "layout of stored rows");

/* Who owns which progress region; 0: free. */
struct owners_v1 {
	uint32_t next_instance, regions;
	uint32_t owner[LIVE_REGIONS_MAX];
};

static struct rows_key_name head_name(const char *what)
{
	return rows_name(ROWS_ACCOUNT_HEAD, ROWS_HEAD, slice_str(what));
}

static enum errc put_head(struct live *l, MDB_txn *txn, const char *what, const void *p, size_t n)
{
	struct rows_key_name name = head_name(what);

	return live_row_put(l, txn, &name, slice_of(p, n), 0);
}

/* Copies a head row of exactly n bytes. */
static enum errc get_head(struct live *l, MDB_txn *txn, const char *what, void *p, size_t n)
{
	struct rows_key_name name = head_name(what);
	struct slice v;
	enum errc rc = live_row_get(l, txn, &name, &v);

	if (rc)
		return rc;
	if (v.n != n)
		return ERRC_CORRUPT;
	memcpy(p, v.p, n);
	return ERRC_OK;
}

static enum errc path_in(const char *dir, const char *file, char out[PATH_MAX])
{
	int n = snprintf(out, PATH_MAX, "%s/%s", dir, file);

	return n > 0 && n < PATH_MAX ? ERRC_OK : ERRC_LIMIT;
}

enum errc live_boot_id(char out[LIVE_BOOT_ID])
{
	int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return errc_from_errno(errno);
	n = read(fd, out, LIVE_BOOT_ID - 1);
	close(fd);
	out[LIVE_BOOT_ID - 1] = '\0';
	return n == LIVE_BOOT_ID - 1 ? ERRC_OK : ERRC_SYSTEM;
}

/* The folder and those above it. */
static enum errc make_dirs(const char *dir)
{
	char path[PATH_MAX];
	size_t n = strlen(dir);

	if (n == 0 || n >= sizeof path)
		return ERRC_LIMIT;
	memcpy(path, dir, n + 1);
	for (size_t i = 1; i <= n; i++) {
		if (path[i] != '/' && path[i] != '\0')
			continue;
		path[i] = '\0';
		if (mkdir(path, 0750) != 0 && errno != EEXIST)
			return errc_from_errno(errno);
		path[i] = i < n ? '/' : '\0';
	}
	return ERRC_OK;
}

enum errc live_txn_begin(struct live *l, MDB_txn **out)
{
	int rc, place;

	*out = NULL;
	pthread_mutex_lock(&l->write_lock);
	if (l->watch.wants)
		atomic_fetch_add(l->watch.wants, 1);
	place = nudge_begin();
	rc = mdb_txn_begin(l->env, NULL, 0, out);
	nudge_end(place);
	if (l->watch.has)
		atomic_fetch_add(l->watch.has, 1);
	if (rc == 0) {
		atomic_store_explicit(&l->writing, *out, memory_order_relaxed);
		return ERRC_OK;
	}
	if (l->watch.done)
		atomic_fetch_add(l->watch.done, 1);
	pthread_mutex_unlock(&l->write_lock);
	return lmdbx_errc(rc);
}

static void txn_over(struct live *l)
{
	l->defs_version[1] = 0;
	l->near[0] = l->near[1] = NULL; /* LMDB closes the cursors of a write transaction with it */
	atomic_store_explicit(&l->writing, NULL, memory_order_relaxed);
	if (l->watch.done)
		atomic_fetch_add(l->watch.done, 1);
	pthread_mutex_unlock(&l->write_lock);
}

enum errc live_txn_commit(struct live *l, MDB_txn **txn)
{
	int rc;

#ifdef AIGW_TEST_HOOKS
	if (l->test_sleep_us)
		usleep(l->test_sleep_us);
#endif
	rc = mdb_txn_commit(*txn);
	*txn = NULL;
	txn_over(l);
	return lmdbx_errc(rc);
}

void live_txn_abort(struct live *l, MDB_txn **txn)
{
	if (!*txn)
		return;
	mdb_txn_abort(*txn);
	*txn = NULL;
	txn_over(l);
}

enum errc live_read_begin(struct live *l, MDB_txn **out)
{
	int rc;

	pthread_mutex_lock(&l->read_lock);
	rc = l->reader ? mdb_txn_renew(l->reader)
		       : mdb_txn_begin(l->env, NULL, MDB_RDONLY, &l->reader);
	if (rc != 0) {
		if (l->reader)
			mdb_txn_abort(l->reader);
		l->reader = NULL;
		pthread_mutex_unlock(&l->read_lock);
		return lmdbx_errc(rc);
	}
	l->defs_version[0] = 0;
	*out = l->reader;
	return ERRC_OK;
}

void live_read_end(struct live *l)
{
	mdb_txn_reset(l->reader);
	pthread_mutex_unlock(&l->read_lock);
}

#ifdef AIGW_TEST_HOOKS
static unsigned env_us(const char *name)
{
	const char *text = getenv(name);

	return text ? (unsigned)strtoul(text, NULL, 10) : 0;
}
#endif

static struct live *live_alloc(const struct live_opts *o)
{
	struct live *l = mem_new_of(struct live);
	enum errc rc;

	if (!l)
		return NULL;
	*l = (struct live){.magic = LIVE_MAGIC, .watch = o->watch, .owners_fd = -1};
	pthread_mutex_init(&l->write_lock, NULL);
	pthread_mutex_init(&l->read_lock, NULL);
	buf_init(&l->scratch, ROWS_MAX + RECORD_MAX);
	buf_init(&l->several, ROWS_MAX);
	rc = live_copies_init(&l->copies, ROWS_SCOPES_MAX + 1, 2 * ROWS_SCOPES_MAX);
	if (!rc)
		rc = live_copies_init(&l->copies_read, ROWS_SCOPES_MAX, 0);
	l->dir = mem_dup(o->dir, strlen(o->dir));
#ifdef AIGW_TEST_HOOKS
	l->test_sleep_us = env_us("AIGW_TEST_TXN_SLEEP_US");
#endif
	if (rc || !l->dir || known_new(&l->known) != ERRC_OK)
		live_close(&l);
	return l;
}

void live_close(struct live **lp)
{
	struct live *l = *lp;

	if (!l)
		return;
	require_magic(l, LIVE_MAGIC);
	if (l->reader)
		mdb_txn_abort(l->reader);
	if (l->env)
		mdb_env_close(l->env);
	progress_close(&l->progress);
	if (l->owners_fd >= 0)
		close(l->owners_fd);
	pthread_mutex_destroy(&l->write_lock);
	pthread_mutex_destroy(&l->read_lock);
	buf_fini(&l->scratch);
	buf_fini(&l->several);
	live_copies_fini(&l->copies);
	live_copies_fini(&l->copies_read);
	known_free(&l->known);
	mem_free(l->dir);
	mem_free(l);
	*lp = NULL;
}

static enum errc open_env(struct live *l, uint64_t map_bytes)
{
	struct lmdbx_opts o = {.dir = l->dir,
			       .map_bytes = map_bytes,
			       .flags = MDB_NOSYNC | MDB_NOTLS,
			       .readers_max = READERS_MAX,
			       .dbs_max = 3};
	MDB_envinfo info;
	enum errc rc = lmdbx_open(&o, &l->env);

	if (rc)
		return rc == ERRC_TRUNCATED ? ERRC_CORRUPT : rc;
	if (mdb_env_info(l->env, &info) != 0)
		return ERRC_INTERNAL;
	l->size_bytes = info.me_mapsize;
	return ERRC_OK;
}

static enum errc open_owners(struct live *l, int flags)
{
	char path[PATH_MAX];
	enum errc rc = path_in(l->dir, "owners.lock", path);

	if (rc)
		return rc;
	l->owners_fd = open(path, O_RDWR | O_CLOEXEC | flags, 0640);
	return l->owners_fd < 0 ? errc_from_errno(errno) : ERRC_OK;
}

/* A tree's root stands in LMDB's main tree, under its name, and is written with each change. The hot rows are the main tree
 * itself: a page less in every commit. The names of the others sort as rows of an account that is none. */
#define TREE(name) "\xff\xff\xff\xff\xff\xff\xff\xfe\x01" name

static enum errc open_trees(struct live *l, MDB_txn *txn, unsigned flags)
{
	enum errc rc = lmdbx_db(txn, NULL, flags, &l->rows);

	if (!rc)
		rc = lmdbx_db(txn, TREE("defs"), flags, &l->defs);
	if (!rc)
		rc = lmdbx_db(txn, TREE("index"), flags, &l->index);
	return rc ? rc : lmdbx_db(txn, TREE("idem"), flags, &l->idem);
}

static enum errc create_trees(struct live *l)
{
	struct owners_v1 owners = {.next_instance = 1, .regions = l->head.regions};
	MDB_txn *txn = NULL;
	enum errc rc = live_txn_begin(l, &txn);

	if (rc)
		return rc;
	rc = open_trees(l, txn, MDB_CREATE);
	if (!rc)
		rc = put_head(l, txn, "owners", &owners, sizeof owners);
	if (!rc)
		rc = live_put_admin_seq(l, txn, 0);
	if (!rc)
		rc = live_outbox_base(l, txn, 0);
	if (!rc)
		rc = live_txn_commit(l, &txn);
	live_txn_abort(l, &txn);
	return rc;
}

/* All of the map at once: while it runs the store can never meet a full tmpfs. */
static enum errc allocate(struct live *l, size_t bytes)
{
	mdb_filehandle_t fd;
	struct stat st;
	int err;

	if (mdb_env_get_fd(l->env, &fd) != 0 || fstat(fd, &st) != 0)
		return ERRC_SYSTEM;
	err = posix_fallocate(fd, 0, (off_t)bytes);
	if (err)
		return errc_from_errno(err);
	l->head.dev = st.st_dev;
	l->head.ino = st.st_ino;
	return ERRC_OK;
}

static enum errc check_filesystem(const struct live_opts *o)
{
	struct statfs fs;

	if (statfs(o->dir, &fs) != 0)
		return errc_from_errno(errno);
	return o->any_filesystem || fs.f_type == TMPFS_TYPE ? ERRC_OK : ERRC_INVAL;
}

size_t live_size_of(size_t bytes)
{
	return (bytes + 4095) / 4096 * 4096;
}

static enum errc create_files(struct live *l, const struct live_opts *o)
{
	size_t bytes = live_size_of(o->size_bytes);
	char progress[PATH_MAX], data[PATH_MAX];
	struct stat st;
	enum errc rc = path_in(o->dir, "data.mdb", data);

	if (!rc)
		rc = path_in(o->dir, "progress", progress);
	if (!rc)
		rc = make_dirs(o->dir);
	if (!rc)
		rc = check_filesystem(o);
	if (!rc && stat(data, &st) == 0)
		rc = ERRC_EXISTS;
	if (!rc)
		rc = progress_create(progress, o->regions, o->slots);
	if (!rc)
		rc = progress_open(progress, o->regions, o->slots, &l->progress);
	if (!rc)
		rc = open_owners(l, O_CREAT | O_EXCL);
	if (!rc)
		rc = open_env(l, bytes);
	if (!rc)
		rc = create_trees(l);
	return rc ? rc : allocate(l, bytes);
}

enum errc live_create(const struct live_opts *o, struct live **out)
{
	struct live *l;
	enum errc rc;

	if (o->regions == 0 || o->regions > LIVE_REGIONS_MAX || o->slots == 0 ||
	    o->size_bytes < 1024 * 1024)
		return ERRC_INVAL;
	l = live_alloc(o);
	if (!l)
		return ERRC_NOMEM;
	l->head = (struct live_head){
		.layout = LIVE_LAYOUT, .epoch = o->epoch, .regions = o->regions, .slots = o->slots};
	memcpy(l->head.ledger_id, o->ledger_id, LIVE_ID);
	rc = live_boot_id(l->head.boot_id);
	if (!rc)
		rc = create_files(l, o);
	if (rc)
		live_close(&l);
	else
		*out = l;
	return rc;
}

enum errc live_seal(struct live *l)
{
	struct head_v1 v = {.layout = l->head.layout,
			    .regions = l->head.regions,
			    .slots = l->head.slots,
			    .epoch = l->head.epoch,
			    .dev = l->head.dev,
			    .ino = l->head.ino};
	MDB_txn *txn = NULL;
	enum errc rc = live_txn_begin(l, &txn);

	if (rc)
		return rc;
	memcpy(v.ledger_id, l->head.ledger_id, LIVE_ID);
	memcpy(v.boot_id, l->head.boot_id, sizeof l->head.boot_id);
	rc = put_head(l, txn, "id", &v, sizeof v);
	if (!rc)
		rc = live_txn_commit(l, &txn);
	live_txn_abort(l, &txn);
	return rc;
}

/* Before anything else of it is believed. */
static enum errc check_layout(struct live *l, MDB_txn *txn)
{
	struct rows_key_name name = head_name("id");
	uint32_t layout;
	struct slice v;
	enum errc rc = live_row_get(l, txn, &name, &v);

	if (rc)
		return rc == ERRC_NOTFOUND ? ERRC_STALE : rc;
	if (v.n < sizeof layout)
		return ERRC_CORRUPT;
	memcpy(&layout, v.p, sizeof layout);
	if (layout == LIVE_LAYOUT)
		return ERRC_OK;
	log_info("live_store_layout",
		 "the live store has layout %u, this version of aigwd reads layout %u", layout,
		 (unsigned)LIVE_LAYOUT);
	return ERRC_VERSION;
}

/* Compares the head row with the ledger asked for, this boot, and the file that is really open. */
static enum errc check_head(struct live *l, const struct live_opts *o, MDB_txn *txn)
{
	struct head_v1 v;
	char boot_id[LIVE_BOOT_ID];
	mdb_filehandle_t fd;
	struct stat st;
	enum errc rc = get_head(l, txn, "id", &v, sizeof v);

	if (rc)
		return rc == ERRC_NOTFOUND ? ERRC_STALE : rc;
	rc = live_boot_id(boot_id);
	if (rc)
		return rc;
	if (mdb_env_get_fd(l->env, &fd) != 0 || fstat(fd, &st) != 0)
		return ERRC_SYSTEM;
	if (memcmp(v.ledger_id, o->ledger_id, LIVE_ID) != 0 ||
	    memcmp(v.boot_id, boot_id, sizeof boot_id) != 0 || v.dev != st.st_dev ||
	    v.ino != st.st_ino)
		return ERRC_STALE;
	l->head = (struct live_head){.layout = v.layout,
				     .epoch = v.epoch,
				     .dev = v.dev,
				     .ino = v.ino,
				     .regions = v.regions,
				     .slots = v.slots};
	memcpy(l->head.ledger_id, v.ledger_id, LIVE_ID);
	memcpy(l->head.boot_id, boot_id, sizeof boot_id);
	return v.regions == 0 || v.regions > LIVE_REGIONS_MAX ? ERRC_CORRUPT : ERRC_OK;
}

static enum errc open_and_check(struct live *l, const struct live_opts *o)
{
	char progress[PATH_MAX];
	MDB_txn *txn = NULL;
	enum errc rc = open_env(l, 0);
	int err;

	if (rc)
		return rc;
	/* A transaction of its own: handles stay open only when the one that opened them commits. */
	err = mdb_txn_begin(l->env, NULL, MDB_RDONLY, &txn);
	if (err)
		return lmdbx_errc(err);
	rc = lmdbx_db(txn, NULL, 0, &l->rows);
	if (!rc)
		rc = check_layout(l, txn);
	if (!rc)
		rc = open_trees(l, txn, 0);
	if (rc == ERRC_NOTFOUND)
		rc = ERRC_STALE;
	if (!rc)
		rc = check_head(l, o, txn);
	err = mdb_txn_commit(txn);
	if (!rc)
		rc = lmdbx_errc(err);
	if (!rc)
		rc = path_in(l->dir, "progress", progress);
	if (!rc)
		rc = progress_open(progress, l->head.regions, l->head.slots, &l->progress);
	if (!rc)
		rc = open_owners(l, 0);
	return rc == ERRC_NOTFOUND ? ERRC_STALE : rc;
}

enum errc live_open(const struct live_opts *o, struct live **out)
{
	char path[PATH_MAX];
	struct stat st;
	struct live *l;
	enum errc rc = path_in(o->dir, "data.mdb", path);

	if (rc)
		return rc;
	if (stat(path, &st) != 0)
		return errno == ENOENT || errno == ENOTDIR ? ERRC_NOTFOUND : errc_from_errno(errno);
	l = live_alloc(o);
	if (!l)
		return ERRC_NOMEM;
	rc = open_and_check(l, o);
	if (rc)
		live_close(&l);
	else
		*out = l;
	return rc;
}

enum errc live_remove(const char *dir)
{
	static const char *const files[] = {"data.mdb", "lock.mdb", "owners.lock", "progress"};
	char path[PATH_MAX];

	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		enum errc rc = path_in(dir, files[i], path);

		if (rc)
			return rc;
		if (unlink(path) != 0 && errno != ENOENT && errno != ENOTDIR)
			return errc_from_errno(errno);
	}
	/* The folder may hold what is not ours (the shared page), and may be another user's to remove: the store is gone either way. */
	(void)!rmdir(dir);
	return ERRC_OK;
}

const struct live_head *live_head(const struct live *l)
{
	return &l->head;
}

enum errc live_last_txn(struct live *l, uint64_t *n)
{
	MDB_envinfo info;

	if (mdb_env_info(l->env, &info) != 0)
		return ERRC_INTERNAL;
	*n = info.me_last_txnid;
	return ERRC_OK;
}

enum errc live_peek_txn(const char *dir, uint64_t *n)
{
	const struct live_opts o = {.dir = dir};
	struct live *l = live_alloc(&o);
	enum errc rc = l ? open_env(l, 0) : ERRC_NOMEM;

	if (!rc)
		rc = live_last_txn(l, n);
	live_close(&l);
	return rc;
}

bool live_is_in_place(const struct live *l)
{
	char path[PATH_MAX];
	struct stat st;

	return path_in(l->dir, "data.mdb", path) == ERRC_OK && stat(path, &st) == 0 &&
	       st.st_dev == l->head.dev && st.st_ino == l->head.ino;
}

enum errc live_readers_check(struct live *l, int *cleared)
{
	int n = 0, rc = mdb_reader_check(l->env, &n);

	if (cleared)
		*cleared = n;
	return lmdbx_errc(rc);
}

static enum errc lock_byte(int fd, short type, int cmd, uint32_t at, struct flock *out)
{
	*out = (struct flock){.l_type = type, .l_whence = SEEK_SET, .l_start = at, .l_len = 1};
	return fcntl(fd, cmd, out) == 0 ? ERRC_OK : errc_from_errno(errno);
}

/* Draws the number and locks its byte before anyone can see it: a number that is in the row and not locked is dead. */
static enum errc join_in(struct live *l, MDB_txn *txn, uint32_t *instance, uint32_t *region)
{
	struct owners_v1 v;
	struct flock lock;
	enum errc rc = get_head(l, txn, "owners", &v, sizeof v);

	if (rc)
		return rc;
	for (*region = 0; *region < l->head.regions && v.owner[*region] != 0; ++*region)
		;
	if (*region == l->head.regions || v.next_instance == UINT32_MAX)
		return ERRC_LIMIT;
	*instance = v.next_instance++;
	v.owner[*region] = *instance;
	rc = lock_byte(l->owners_fd, F_WRLCK, F_OFD_SETLK, *instance, &lock);
	return rc ? rc : put_head(l, txn, "owners", &v, sizeof v);
}

enum errc live_join(struct live *l)
{
	uint32_t instance = 0, region = 0;
	MDB_txn *txn = NULL;
	enum errc rc;

	if (l->instance != 0)
		return ERRC_STATE;
	rc = live_txn_begin(l, &txn);
	if (rc)
		return rc;
	rc = join_in(l, txn, &instance, &region);
	if (!rc)
		rc = live_txn_commit(l, &txn);
	live_txn_abort(l, &txn);
	if (!rc)
		rc = progress_adopt(l->progress, region);
	if (!rc)
		l->instance = instance;
	return rc;
}

bool live_owner_is_dead(struct live *l, uint32_t instance)
{
	struct flock lock;

	if (instance == l->instance)
		return false;
	return lock_byte(l->owners_fd, F_WRLCK, F_OFD_GETLK, instance, &lock) == ERRC_OK &&
	       lock.l_type == F_UNLCK;
}

enum errc live_instances(struct live *l, struct live_owner *out, size_t max, size_t *n)
{
	struct owners_v1 v;
	MDB_txn *txn;
	enum errc rc = live_read_begin(l, &txn);

	*n = 0;
	if (rc)
		return rc;
	rc = get_head(l, txn, "owners", &v, sizeof v);
	live_read_end(l);
	for (uint32_t i = 0; !rc && i < l->head.regions && *n < max; i++) {
		if (v.owner[i] != 0)
			out[(*n)++] = (struct live_owner){.instance = v.owner[i], .region = i};
	}
	return rc;
}

enum errc live_part(struct live *l, const struct live_owner *owner)
{
	struct owners_v1 v;
	MDB_txn *txn = NULL;
	enum errc rc = live_txn_begin(l, &txn);

	if (rc)
		return rc;
	rc = get_head(l, txn, "owners", &v, sizeof v);
	if (!rc && (owner->region >= l->head.regions || v.owner[owner->region] != owner->instance))
		rc = ERRC_STATE;
	if (!rc) {
		v.owner[owner->region] = 0;
		progress_clear_region(l->progress, owner->region);
		rc = put_head(l, txn, "owners", &v, sizeof v);
	}
	if (!rc)
		rc = live_txn_commit(l, &txn);
	live_txn_abort(l, &txn);
	return rc;
}

struct progress *live_progress(struct live *l)
{
	return l->progress;
}

const char *live_library(void)
{
	static char text[32];
	int major, minor, patch;

	(void)mdb_version(&major, &minor, &patch);
	snprintf(text, sizeof(text), "%d.%d.%d", major, minor, patch);
	return text;
}

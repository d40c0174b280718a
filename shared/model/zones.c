#include "zones.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clock.h"
#include "log.h"
#include "mem.h"

#define FOLDER         "/usr/share/zoneinfo"
#define PATH_MAX_BYTES 4096
#define RETRY_MS       INT64_C(60000)

struct entry {
	struct zone *zone; /* NULL: could not be had */
	enum errc rc;      /* why */
	int64_t tried_ms;  /* on the boot clock */
	bool told;
	char name[ZONES_NAME_MAX + 1];
};

static struct {
	pthread_mutex_t lock;
	struct entry **sorted; /* by name */
	size_t n, room;
} all = {.lock = PTHREAD_MUTEX_INITIALIZER};

static bool is_name_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '_' || c == '-' || c == '+';
}

bool zones_name_is_valid(struct slice name)
{
	char before = '/';

	if (name.n == 0 || name.n > ZONES_NAME_MAX)
		return false;
	for (size_t i = 0; i < name.n; before = name.p[i++])
		if (!is_name_char(name.p[i]) && (name.p[i] != '/' || before == '/'))
			return false;
	return before != '/';
}

static enum errc read_file(const char *path, char *out, size_t *n)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	enum errc rc = ERRC_OK;
	struct stat st;
	ssize_t r = 1;

	if (fd < 0)
		return errno == ENOENT || errno == ENOTDIR ? ERRC_NOTFOUND : ERRC_IO;
	*n = 0;
	if (fstat(fd, &st) != 0)
		rc = ERRC_IO;
	else if (!S_ISREG(st.st_mode) || st.st_size > ZONE_FILE_MAX)
		rc = ERRC_SYNTAX;
	while (!rc && r > 0 && *n < ZONE_FILE_MAX) {
		r = read(fd, out + *n, ZONE_FILE_MAX - *n);
		if (r > 0)
			*n += (size_t)r;
		else if (r < 0 && errno == EINTR)
			r = 1;
		else if (r < 0)
			rc = ERRC_IO;
	}
	close(fd);
	return rc;
}

static enum errc load(const char *name, struct zone **out)
{
	const char *folder = getenv("TZDIR");
	char path[PATH_MAX_BYTES], *bytes;
	enum errc rc;
	size_t n;

	if (snprintf(path, sizeof path, "%s/%s", folder && *folder ? folder : FOLDER, name) >=
	    (int)sizeof path)
		return ERRC_LIMIT;
	bytes = mem_new(ZONE_FILE_MAX);
	if (!bytes)
		return ERRC_NOMEM;
	rc = read_file(path, bytes, &n);
	if (!rc)
		rc = zone_parse(slice_of(bytes, n), out);
	mem_free(bytes);
	return rc;
}

/* Where the name stands, or would. */
static size_t place_of(struct slice name, bool *found)
{
	size_t lo = 0, hi = all.n;

	*found = false;
	while (lo < hi) {
		size_t mid = (lo + hi) / 2;
		int order = slice_cmp(slice_str(all.sorted[mid]->name), name);

		if (order == 0) {
			*found = true;
			return mid;
		}
		if (order < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static struct entry *insert(size_t at, struct slice name)
{
	struct entry *e = NULL, **grown;

	if (all.n == ZONES_MAX)
		return NULL;
	if (all.n == all.room) {
		grown = mem_grow(all.sorted, (all.room + 16) * sizeof *grown);
		if (!grown)
			return NULL;
		all.sorted = grown;
		all.room += 16;
	}
	e = mem_new_of(struct entry);
	if (!e)
		return NULL;
	memcpy(e->name, name.p, name.n);
	memmove(all.sorted + at + 1, all.sorted + at, (all.n - at) * sizeof all.sorted[0]);
	all.sorted[at] = e;
	all.n++;
	return e;
}

/* The name's entry, loaded, or with the reason why not; NULL: there is no room for it. The lock is held. */
static struct entry *look_up(struct slice name, bool now)
{
	bool found;
	size_t at = place_of(name, &found);
	struct entry *e = found ? all.sorted[at] : insert(at, name);
	int64_t now_ms;

	if (!e || e->zone)
		return e;
	now_ms = clock_boot_ms();
	if (!found || now || e->rc == ERRC_NOMEM || now_ms - e->tried_ms >= RETRY_MS) {
		e->rc = load(e->name, &e->zone);
		e->tried_ms = now_ms;
	}
	return e;
}

static bool is_utc(struct slice name)
{
	return name.n == 0 || slice_is(name, "UTC");
}

enum errc zones_find(struct slice name, const struct zone **out)
{
	enum errc rc = ERRC_NOMEM;
	const struct entry *e;

	*out = NULL;
	if (is_utc(name))
		return ERRC_OK;
	if (!zones_name_is_valid(name))
		return ERRC_INVAL;
	pthread_mutex_lock(&all.lock);
	e = look_up(name, true);
	if (e) {
		rc = e->rc;
		*out = e->zone;
	} else if (all.n == ZONES_MAX) {
		rc = ERRC_LIMIT;
	}
	pthread_mutex_unlock(&all.lock);
	return rc;
}

const struct zone *zones_get(struct slice name)
{
	const struct zone *z = NULL;
	enum errc rc = ERRC_OK;
	struct entry *e;

	if (is_utc(name) || !zones_name_is_valid(name))
		return NULL;
	pthread_mutex_lock(&all.lock);
	e = look_up(name, false);
	if (e) {
		z = e->zone;
		if (!z && !e->told) {
			e->told = true;
			rc = e->rc;
		}
	}
	pthread_mutex_unlock(&all.lock);
	if (rc)
		log_warn("zone_missing",
			 "time zone %.*s cannot be had (%s): limits in it count as UTC",
			 (int)name.n, name.p, errc_text(rc));
	return z;
}

void zones_fini(void)
{
	for (size_t i = 0; i < all.n; i++) {
		zone_free(&all.sorted[i]->zone);
		mem_free(all.sorted[i]);
	}
	mem_free(all.sorted);
	all.sorted = NULL;
	all.n = all.room = 0;
}

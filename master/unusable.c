#include "unusable.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAME_MAX_SHOWN 64 /* of a user */
#define PATH_MAX_SHOWN 256

/* As far as there is something on the way to a path. */
struct place {
	char path[PATH_MAX];
	struct stat st;
	bool shut; /* what follows cannot be looked at */
};

static bool look(struct place *p, const char *part)
{
	struct stat st;

	if (stat(part, &st) != 0) {
		p->shut = errno == EACCES;
		return false;
	}
	snprintf(p->path, sizeof(p->path), "%s", part);
	p->st = st;
	return true;
}

static void find(const char *path, struct place *p)
{
	char part[PATH_MAX];
	bool more;

	*p = (struct place){.shut = false};
	more = strlen(path) < sizeof(part) && look(p, path[0] == '/' ? "/" : ".");
	for (size_t i = 1; more && i <= strlen(path); i++) {
		if (path[i] != '/' && path[i])
			continue;
		memcpy(part, path, i);
		part[i] = 0;
		more = look(p, part);
	}
}

static const char *user(uid_t uid, char out[NAME_MAX_SHOWN])
{
	const struct passwd *pw = getpwuid(uid);

	if (pw)
		snprintf(out, NAME_MAX_SHOWN, "%s (uid %u)", pw->pw_name, (unsigned)uid);
	else
		snprintf(out, NAME_MAX_SHOWN, "with uid %u", (unsigned)uid);
	return out;
}

static enum errc say_refused(struct buf *out, const struct place *p)
{
	bool folder = S_ISDIR(p->st.st_mode);
	char me[NAME_MAX_SHOWN], owner[NAME_MAX_SHOWN];
	unsigned mode = p->st.st_mode & 07777;

	user(geteuid(), me);
	user(p->st.st_uid, owner);
	if (p->shut)
		return buf_addf(out,
				"user %s may not enter %.*s, which belongs to user %s (mode %04o): "
				"let that user in",
				me, PATH_MAX_SHOWN, p->path, owner, mode);
	if (faccessat(AT_FDCWD, p->path, folder ? W_OK | X_OK : R_OK | W_OK, AT_EACCESS) == 0)
		return buf_addf(out,
				"user %s is refused, though %.*s, of user %s (mode %04o), is open "
				"to that user: it may be immutable, on a network share, or of "
				"another user namespace",
				me, PATH_MAX_SHOWN, p->path, owner, mode);
	return buf_addf(
		out,
		"user %s may not write%s %.*s, which belongs to user %s (mode %04o): give it to "
		"that user",
		me, folder ? " in" : "", PATH_MAX_SHOWN, p->path, owner, mode);
}

/* Whether a file stands where a folder has to be: what the path goes on with, or a folder itself. */
static bool is_in_the_way(const struct place *p, const char *path, enum errc e)
{
	return p->path[0] && !S_ISDIR(p->st.st_mode) &&
	       (e == ERRC_INVAL || strlen(p->path) < strlen(path));
}

static enum errc say(struct buf *out, const struct place *p, const char *path, enum errc e)
{
	if (is_in_the_way(p, path, e))
		return buf_addf(out, "%.*s is no folder: take it away", PATH_MAX_SHOWN, p->path);
	if (p->path[0] && e == ERRC_READONLY)
		return buf_addf(out,
				"%.*s lies on a file system that is mounted read-only: mount it "
				"for writing",
				PATH_MAX_SHOWN, p->path);
	if (p->path[0] && e == ERRC_PERM)
		return say_refused(out, p);
	return buf_addf(out, "%s: mend that", errc_text(e));
}

void unusable_say(struct buf *out, const char *path, const char *elsewhere, enum errc e)
{
	struct place p;

	find(path, &p);
	/* A sentence that finds no room is left out. */
	if (say(out, &p, path, e) == ERRC_OK)
		(void)!buf_addf(out, ", or %s", elsewhere);
}

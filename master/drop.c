#include "drop.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define USER "aigw"

static const struct passwd *find_user(struct slice user)
{
	const struct passwd *pw;
	char name[256];

	if (user.n) {
		snprintf(name, sizeof(name), SLICE_FMT, SLICE_ARG(user));
		return getpwnam(name);
	}
	pw = getpwnam(USER);
	return pw ? pw : getpwnam(DROP_FALLBACK);
}

enum errc drop_lookup(struct slice user, struct slice group, struct drop_ids *out)
{
	const struct passwd *pw;
	const struct group *gr;
	char name[256];

	*out = (struct drop_ids){.uid = geteuid(), .gid = getegid()};
	if (geteuid() != 0)
		return ERRC_OK;
	pw = find_user(user);
	if (!pw)
		return ERRC_NOTFOUND;
	*out = (struct drop_ids){.change = pw->pw_uid != 0, .uid = pw->pw_uid, .gid = pw->pw_gid};
	if (out->change)
		snprintf(out->name, sizeof(out->name), "%s", pw->pw_name);
	if (group.n == 0)
		return ERRC_OK;
	snprintf(name, sizeof(name), SLICE_FMT, SLICE_ARG(group));
	gr = getgrnam(name);
	if (!gr)
		return ERRC_NOTFOUND;
	out->gid = gr->gr_gid;
	return ERRC_OK;
}

/* The library's wrappers want to tell the other threads, of which a forked child has none but may hold the locks. */
bool drop_apply(const struct drop_ids *ids)
{
	if (!ids->change)
		return true;
	return syscall(SYS_setgroups, 1, &ids->gid) == 0 &&
	       syscall(SYS_setresgid, ids->gid, ids->gid, ids->gid) == 0 &&
	       syscall(SYS_setresuid, ids->uid, ids->uid, ids->uid) == 0 &&
	       syscall(SYS_setuid, 0) != 0;
}

enum errc drop_harden(void)
{
	const struct rlimit none = {0, 0};

	if (setrlimit(RLIMIT_CORE, &none) != 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		return errc_from_errno(errno);
#ifndef __SANITIZE_ADDRESS__
	/* The leak check of a sanitized build traces its own process. */
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
		return errc_from_errno(errno);
#endif
	return ERRC_OK;
}

uint64_t drop_open_files(uint64_t files)
{
	struct rlimit l;
	rlim_t want;

	if (getrlimit(RLIMIT_NOFILE, &l) != 0)
		return 0;
	want = files ? files : l.rlim_max;
	if (want > l.rlim_max) {
		/* Root may go beyond. */
		const struct rlimit more = {want, want};

		if (setrlimit(RLIMIT_NOFILE, &more) == 0)
			return want;
		want = l.rlim_max;
	}
	l.rlim_cur = want;
	(void)setrlimit(RLIMIT_NOFILE, &l);
	return getrlimit(RLIMIT_NOFILE, &l) == 0 ? l.rlim_cur : 0;
}

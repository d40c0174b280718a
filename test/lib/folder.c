#include "folder.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"

#define OPEN_MAX 16 /* folders that a walk keeps open */

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
	return remove(path) == 0 || errno == ENOENT ? 0 : -1;
}

void folder_remove(const char *fmt, ...)
{
	char path[PATH_MAX];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(path, sizeof path, fmt, ap);
	va_end(ap);
	require(n > 0 && (size_t)n < sizeof path);
	require(nftw(path, remove_one, OPEN_MAX, FTW_DEPTH | FTW_PHYS) == 0 || errno == ENOENT);
	require(access(path, F_OK) != 0 && errno == ENOENT);
}

static void copy_file(const char *from, const char *to, const struct stat *st)
{
	int in = open(from, O_RDONLY | O_CLOEXEC);
	int out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, st->st_mode & 0777);
	ssize_t n = 1;

	require(in >= 0 && out >= 0);
	while (n > 0)
		n = sendfile(out, in, NULL, 1 << 20);
	require(n == 0 && close(out) == 0);
	close(in);
}

static size_t from_n;
static const char *copy_to;

/* A folder comes before what is in it. */
static int copy_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
	char to[PATH_MAX];
	int n = snprintf(to, sizeof to, "%s%s", copy_to, path + from_n);

	require(n > 0 && (size_t)n < sizeof to && (type == FTW_D || type == FTW_F));
	if (type == FTW_D)
		require(mkdir(to, st->st_mode & 0777) == 0);
	else
		copy_file(path, to, st);
	return 0;
}

void folder_copy(const char *from, const char *to)
{
	from_n = strlen(from);
	copy_to = to;
	require(nftw(from, copy_one, OPEN_MAX, FTW_PHYS) == 0);
}

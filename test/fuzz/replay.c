/* Feeds a fuzz entry every file of the folders named, each at its exact size, so that a sanitizer sees a read beyond it.
 * Prints TAP, one test a folder. A test that is not a file of the corpus: the empty input. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fuzz.h"
#include "mem.h"

#define REPLAY_INPUT_MAX (64 * 1024 * 1024)

static bool replay_file(int dir, const char *name)
{
	struct stat st;
	int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || fstat(fd, &st) != 0 || st.st_size > REPLAY_INPUT_MAX) {
		printf("# %s cannot be read: %s\n", name, strerror(errno));
		if (fd >= 0)
			close(fd);
		return false;
	}

	size_t n = (size_t)st.st_size;
	uint8_t *data = mem_new(n ? n : 1);
	bool ok = data && read(fd, data, n) == (ssize_t)n;

	close(fd);
	if (ok)
		LLVMFuzzerTestOneInput(data, n);
	mem_free(data);
	return ok;
}

static int replay_folder(const char *path, int number)
{
	DIR *d = opendir(path);
	struct dirent *e;
	unsigned inputs = 0, bad = 0;

	while (d && (e = readdir(d)) != NULL) {
		if (e->d_name[0] == '.')
			continue;
		inputs++;
		bad += !replay_file(dirfd(d), e->d_name);
	}
	if (d)
		closedir(d);
	printf("%s %d - %u inputs of %s\n", inputs && !bad ? "ok" : "not ok", number, inputs, path);
	return inputs && !bad ? 0 : 1;
}

int main(int argc, char **argv)
{
	int failed = 0;

	LLVMFuzzerTestOneInput((const uint8_t *)"", 0);
	for (int i = 1; i < argc; i++)
		failed |= replay_folder(argv[i], i);
	printf("1..%d\n", argc - 1);
	return failed;
}

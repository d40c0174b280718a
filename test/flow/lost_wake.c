/* lost_wake FOLDER: takes the writer lock of the LMDB store in FOLDER and says "held"; told a line, it is gone as a holder is that was killed
 * when the one whom the kernel woke for it was killed too, before it took the lock: the lock's word says that its owner died and
 * that others wait, but nobody is awake. Those who wait sleep on, until a signal makes them look, or somebody new comes for the lock. */
#include <fcntl.h>
#include <linux/futex.h>
#include <lmdb.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static void need(bool good, const char *what)
{
	if (good)
		return;
	perror(what);
	exit(1);
}

/* The lock file, as all processes share it. */
static uint32_t *map_lock_file(const char *dir, size_t *words)
{
	char path[4096];
	struct stat st;
	void *p;
	int fd;

	need(snprintf(path, sizeof path, "%s/lock.mdb", dir) < (int)sizeof path, "the path");
	fd = open(path, O_RDWR | O_CLOEXEC);
	need(fd >= 0 && fstat(fd, &st) == 0, path);
	p = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	need(p != MAP_FAILED, "mmap");
	*words = (size_t)st.st_size / sizeof(uint32_t);
	return p;
}

/* The word of the mutex that this thread holds: glibc has the owner in it, and two words on once more. */
static _Atomic uint32_t *my_lock(uint32_t *p, size_t words)
{
	uint32_t self = (uint32_t)syscall(SYS_gettid);

	for (size_t i = 0; i + 2 < words; i++) {
		if ((p[i] & FUTEX_TID_MASK) == self && p[i + 2] == self)
			return (_Atomic uint32_t *)&p[i];
	}
	return NULL;
}

int main(int argc, char **argv)
{
	_Atomic uint32_t *lock;
	uint32_t *file;
	size_t words;
	MDB_env *env;
	MDB_txn *txn;

	need(argc == 2 && mdb_env_create(&env) == 0, "usage: lost_wake FOLDER");
	need(mdb_env_open(env, argv[1], MDB_NOSYNC | MDB_NOTLS, 0) == 0, argv[1]);
	need(mdb_txn_begin(env, NULL, 0, &txn) == 0, "mdb_txn_begin");
	file = map_lock_file(argv[1], &words);
	lock = my_lock(file, words);
	need(lock, "the lock");
	puts("held");
	fflush(stdout);
	need(getchar() != EOF, "stdin");
	atomic_store(lock, FUTEX_OWNER_DIED | FUTEX_WAITERS);
	raise(SIGKILL);
	return 1;
}

#include "page.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mem.h"
#include "page_mem.h"
#include "text.h"

#define MAGIC "aigwpage"

_Static_assert(sizeof(struct page_proc) % 64 == 0, "rows of processes share no cache line");
_Static_assert(sizeof(struct page_series) == 256, "series are addressed by shift");
_Static_assert(PAGE_GAUGE_COUNT <= 64, "room for gauges");

/* --- small files of proc --- */

/* Reads at most n - 1 bytes; the text is NUL-terminated, "" when there is none. */
static void read_text(const char *path, char *out, size_t n)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t got = fd < 0 ? -1 : read(fd, out, n - 1);

	out[got > 0 ? got : 0] = 0;
	if (fd >= 0)
		close(fd);
}

static void boot_id(char *out)
{
	char text[PAGE_BOOT_ID + 1];

	read_text("/proc/sys/kernel/random/boot_id", text, sizeof(text));
	memset(out, 0, PAGE_BOOT_ID);
	memcpy(out, text, strlen(text));
}

/* Start time of a process in clock ticks since boot; 0 when there is no such process or it is a zombie. */
static uint64_t start_ticks(pid_t pid)
{
	char path[64], text[1024];
	struct slice s, word;
	uint64_t ticks;
	char *end;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	read_text(path, text, sizeof(text));
	end = strrchr(text, ')'); /* the name before it may hold anything */
	if (!end || end[1] != ' ')
		return 0;
	s = slice_str(end + 2);
	if (s.n && (s.p[0] == 'Z' || s.p[0] == 'X'))
		return 0;
	for (int field = 3; field < 22; field++)
		(void)slice_cut(&s, ' ', &word);
	(void)slice_cut(&s, ' ', &word);
	return text_u64(word, &ticks) ? ticks : 0;
}

/* --- the file --- */

static enum errc map_fd(int fd, struct page **out)
{
	struct page *p = mem_new_of(struct page);
	enum errc e;

	if (!p)
		return ERRC_NOMEM;
	p->m = mmap(NULL, sizeof(struct page_mem), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p->m == MAP_FAILED) {
		e = errc_from_errno(errno);
		mem_free(p);
		return e;
	}
	p->magic = PAGE_MAGIC;
	p->fd = fd;
	*out = p;
	return ERRC_OK;
}

static bool head_fits(const struct page_head *h)
{
	return memcmp(h->magic, MAGIC, sizeof(h->magic)) == 0 && h->version == PAGE_VERSION &&
	       h->head_bytes == sizeof(*h) && h->bytes == sizeof(struct page_mem);
}

static bool file_fits(int fd)
{
	struct page_head h;
	struct stat st;

	return fstat(fd, &st) == 0 && st.st_size == (off_t)sizeof(struct page_mem) &&
	       pread(fd, &h, sizeof(h), 0) == (ssize_t)sizeof(h) && head_fits(&h);
}

/* The page that is there, if it is ours, of this layout, ledger and boot. */
static enum errc open_old(const char *path, const char *ledger_id, struct page **out)
{
	char boot[PAGE_BOOT_ID];
	struct page_head h;
	enum errc e = ERRC_STALE;
	int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);

	if (fd < 0)
		return errc_from_errno(errno);
	boot_id(boot);
	if (file_fits(fd) && pread(fd, &h, sizeof(h), 0) == (ssize_t)sizeof(h) &&
	    memcmp(h.ledger_id, ledger_id, sizeof(h.ledger_id)) == 0 &&
	    memcmp(h.boot_id, boot, sizeof(boot)) == 0)
		e = map_fd(fd, out);
	if (e)
		close(fd);
	return e;
}

static void write_head(struct page_mem *m, const char *ledger_id)
{
	m->head.version = PAGE_VERSION;
	m->head.head_bytes = sizeof(m->head);
	m->head.bytes = sizeof(*m);
	memcpy(m->head.ledger_id, ledger_id, sizeof(m->head.ledger_id));
	boot_id(m->head.boot_id);
	atomic_thread_fence(memory_order_seq_cst);
	memcpy(m->head.magic, MAGIC, sizeof(m->head.magic));
}

/* Made aside, whole, then renamed: no other process ever sees a part of it. All of it is allocated, for a full tmpfs would
 * kill whoever touches a missing part. */
static enum errc make_new(const char *path, const char *ledger_id, struct page **out)
{
	char aside[PATH_MAX];
	struct page *p = NULL;
	enum errc e;
	int err, fd;

	if (snprintf(aside, sizeof(aside), "%s.new", path) >= (int)sizeof(aside))
		return ERRC_TOOBIG;
	(void)unlink(aside);
	fd = open(aside, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return errc_from_errno(errno);
	err = posix_fallocate(fd, 0, sizeof(struct page_mem));
	e = err ? errc_from_errno(err) : map_fd(fd, &p);
	if (!e) {
		write_head(p->m, ledger_id);
		if (rename(aside, path) != 0)
			e = errc_from_errno(errno);
	}
	if (!e) {
		*out = p;
		return ERRC_OK;
	}
	(void)unlink(aside);
	if (p)
		page_unmap(&p);
	else
		close(fd);
	return e;
}

enum errc page_make(const char *path, const char *ledger_id, struct page **out)
{
	enum errc e;

	if (strlen(ledger_id) != sizeof(((struct page_head *)NULL)->ledger_id))
		return ERRC_INVAL;
	e = open_old(path, ledger_id, out);
	return e == ERRC_STALE || e == ERRC_NOTFOUND ? make_new(path, ledger_id, out) : e;
}

enum errc page_map(int fd, struct page **out)
{
	enum errc e = file_fits(fd) ? map_fd(fd, out) : ERRC_VERSION;

	if (e)
		close(fd);
	return e;
}

void page_unmap(struct page **p)
{
	if (!*p)
		return;
	require_magic(*p, PAGE_MAGIC);
	munmap((*p)->m, sizeof(struct page_mem));
	close((*p)->fd);
	mem_free(*p);
	*p = NULL;
}

int page_fd(const struct page *p)
{
	return p->fd;
}

bool page_is_replaced(const struct page *p, const char *live)
{
	struct stat ours, there;
	char path[PATH_MAX];

	return snprintf(path, sizeof(path), "%s/page", live) < (int)sizeof(path) &&
	       stat(path, &there) == 0 && fstat(p->fd, &ours) == 0 &&
	       (there.st_dev != ours.st_dev || there.st_ino != ours.st_ino);
}

size_t page_bytes(void)
{
	return sizeof(struct page_mem);
}

/* --- the master --- */

uint64_t page_generation(struct page *p)
{
	return atomic_load(&p->m->head.generation);
}

void page_raise(struct page *p, uint64_t generation)
{
	require(generation > page_generation(p));
	atomic_store(&p->m->head.generation, generation);
}

void page_master_beat(struct page *p, int64_t now_ms)
{
	atomic_store(&p->m->head.master_ms, (uint64_t)now_ms);
}

int64_t page_master_seen_ms(struct page *p)
{
	return (int64_t)atomic_load(&p->m->head.master_ms);
}

void page_set_draining(struct page *p, uint64_t generation)
{
	atomic_store(&p->m->head.draining, generation);
}

bool page_is_draining(struct page *p, uint64_t generation)
{
	return atomic_load(&p->m->head.draining) >= generation;
}

/* --- processes --- */

struct page_proc *page_proc(struct page *p, unsigned slot)
{
	require(slot < PAGE_SLOTS);
	return &p->m->procs[slot];
}

unsigned page_slots_high(struct page *p)
{
	return atomic_load(&p->m->head.slots_high);
}

static void fill(struct page_proc *r)
{
	pid_t pid = getpid();

	atomic_store(&r->start_ticks, start_ticks(pid));
	atomic_store(&r->pid, (uint32_t)pid);
}

/* What the process counted; who it was stays. */
static void clear_counts(struct page *p, unsigned slot)
{
	struct page_proc *r = page_proc(p, slot);
	page_u64 *cells[] = {&r->heartbeat_ms,      &r->wants,    &r->has,        &r->done,
			     &r->config_generation, &r->inflight, &r->conns_down, &r->conns_up,
			     &r->conns_up_idle,     &r->requests, &r->started_ms, &r->log_dropped};

	for (size_t i = 0; i < ARRAY_LEN(cells); i++)
		atomic_store(cells[i], 0);
	for (size_t i = 0; i < PAGE_PROVIDERS; i++) {
		struct breaker_use *u = &p->m->providers[i].use[slot];

		if (atomic_load(&p->m->providers[i].id) == 0)
			continue;
		atomic_store(&u->inflight, 0);
		atomic_store(&u->conns_used, 0);
		atomic_store(&u->conns_idle, 0);
	}
}

void page_clear(struct page *p, unsigned slot)
{
	struct page_proc *r = page_proc(p, slot);

	atomic_store(&r->state, PAGE_CLAIMED);
	fill(r); /* the caller's, until the next child joins */
	clear_counts(p, slot);
}

enum errc page_claim(struct page *p, unsigned role, unsigned number, uint64_t generation,
		     unsigned *slot)
{
	unsigned i = 0;

	while (i < PAGE_SLOTS && page_is_alive(p, i))
		i++;
	if (i == PAGE_SLOTS)
		return ERRC_LIMIT;
	page_clear(p, i);
	atomic_store(&p->m->procs[i].role, role);
	atomic_store(&p->m->procs[i].slot, number);
	atomic_store(&p->m->procs[i].generation, generation);
	if (page_slots_high(p) < i + 1)
		atomic_store(&p->m->head.slots_high, i + 1);
	*slot = i;
	return ERRC_OK;
}

void page_join(struct page *p, unsigned slot)
{
	struct page_proc *r = page_proc(p, slot);

	fill(r);
	atomic_store(&r->state, PAGE_STARTING);
}

bool page_is_alive(struct page *p, unsigned slot)
{
	struct page_proc *r = page_proc(p, slot);
	uint32_t pid = atomic_load(&r->pid);
	uint64_t ticks = pid ? start_ticks((pid_t)pid) : 0;

	return ticks && ticks == atomic_load(&r->start_ticks);
}

/* --- durable mark, gauges --- */

void page_durable_set(struct page *p, uint64_t epoch, uint64_t n)
{
	struct page_head *h = &p->m->head;

	/* A reader between these stores sees the old epoch with no number, or the new one with none: nothing is durable yet. */
	if (atomic_load(&h->durable_epoch) != epoch) {
		atomic_store(&h->durable_n, 0);
		atomic_store(&h->durable_epoch, epoch);
	}
	atomic_store(&h->durable_n, n);
}

bool page_durable_has(struct page *p, uint64_t epoch, uint64_t n)
{
	struct page_head *h = &p->m->head;
	uint64_t have;

	if (atomic_load(&h->durable_epoch) != epoch)
		return false;
	have = atomic_load(&h->durable_n);
	return have >= n && atomic_load(&h->durable_epoch) == epoch;
}

void page_end_key(struct page *p, const char id[APIKEY_ID])
{
	uint64_t n = atomic_load(&p->m->head.ended_n), word[2] = {0};
	struct page_ended *e = &p->m->ended[n % PAGE_ENDED_MAX];

	memcpy(word, id, APIKEY_ID);
	atomic_store(&e->a, word[0]);
	atomic_store(&e->b, word[1]);
	atomic_store(&p->m->head.ended_n, n + 1);
}

uint64_t page_ended_now(struct page *p)
{
	return atomic_load(&p->m->head.ended_n);
}

bool page_ended_next(struct page *p, uint64_t *seen, char id[APIKEY_ID])
{
	uint64_t word[2], n;

	for (n = page_ended_now(p); *seen < n; n = page_ended_now(p)) {
		const struct page_ended *e = &p->m->ended[*seen % PAGE_ENDED_MAX];

		word[0] = atomic_load(&e->a);
		word[1] = atomic_load(&e->b);
		/* Number *seen + PAGE_ENDED_MAX is written in its place once all before that are there. */
		if (page_ended_now(p) - *seen < PAGE_ENDED_MAX) {
			memcpy(id, word, APIKEY_ID);
			++*seen;
			return true;
		}
		*seen = n - PAGE_ENDED_MAX + 1;
	}
	return false;
}

page_u64 *page_gauge(struct page *p, enum page_gauge g)
{
	require((unsigned)g < PAGE_GAUGE_COUNT);
	return &p->m->head.gauges[g];
}

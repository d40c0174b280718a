#include "oldstore.h"

#include <signal.h>

#include "heritage.h"
#include "log.h"

void oldstore_kill(struct page *page, uint64_t generation)
{
	for (unsigned i = 0; i < page_slots_high(page); i++) {
		struct page_proc *p = page_proc(page, i);
		uint32_t pid;

		/* One that has not joined has no store yet, and its pid is its master's. */
		if (atomic_load(&p->role) != HERITAGE_WORKER ||
		    atomic_load(&p->state) == PAGE_CLAIMED || !page_is_alive(page, i) ||
		    (generation != 0 && atomic_load(&p->generation) == generation))
			continue;
		pid = atomic_load(&p->pid);
		if (kill((pid_t)pid, SIGKILL) == 0)
			log_warn("orphan_killed",
				 "worker, pid %u: it has a live store that is lost", pid);
	}
}

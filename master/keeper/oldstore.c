#include "oldstore.h"

#include <signal.h>

#include "heritage.h"
#include "log.h"

void oldstore_kill(struct page *page, uint64_t generation)
{
	for (unsigned i = 0; i < page_slots_high(page); i++) {
		struct page_proc *p = page_proc(page, i);

		if (atomic_load(&p->role) != HERITAGE_WORKER || !page_is_alive(page, i) ||
		    (generation != 0 && atomic_load(&p->generation) == generation))
			continue;
		log_warn("orphan_killed", "worker, pid %u: it has a live store that is lost",
			 atomic_load(&p->pid));
		kill((pid_t)atomic_load(&p->pid), SIGKILL);
	}
}

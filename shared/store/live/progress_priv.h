/* The inside of the progress file: opening it, its regions. Private to this folder. */
#ifndef AIGW_PROGRESS_PRIV_H
#define AIGW_PROGRESS_PRIV_H

#include "progress.h"

#define PROGRESS_NO_REGION UINT32_MAX

/* Makes the file, all of it allocated. ERRC_NOSPACE. */
MUSTCHECK enum errc progress_create(const char *path, uint32_t regions, uint32_t slots);
/* Maps it; ERRC_STALE when its size is not what the head row says. Owned by the caller. */
MUSTCHECK enum errc progress_open(const char *path, uint32_t regions, uint32_t slots,
				  struct progress **out);
void progress_close(struct progress **p);

/* Makes `region` this process's own and clears it. */
MUSTCHECK enum errc progress_adopt(struct progress *p, uint32_t region);
/* The holds that this process has out, as a sum over all regions: a margin for space, not a book. */
void progress_count_holds(struct progress *p, int32_t delta);
uint64_t progress_holds(const struct progress *p);
/* Likewise the pages that their records need beyond one each. */
void progress_count_pages(struct progress *p, int32_t delta);
uint64_t progress_pages(const struct progress *p);
/* For the sweeper: the region's next used slot from *slot on, with its owner. False: no more. */
bool progress_next(struct progress *p, uint32_t region, uint32_t *slot, uint64_t *account,
		   struct genid *id);
/* Clears one slot of a dead process, or all of its region. */
void progress_clear_slot(struct progress *p, uint32_t slot);
void progress_clear_region(struct progress *p, uint32_t region);

#endif

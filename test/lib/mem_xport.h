/* A scripted xport for tests: the test plays the peer. It is created with the xport face in hand; events come inside the
 * mem_xport_* calls of the test, and from a turn when the code under test began to read again. Two of them can be joined so that what one writes the other reads. */
#ifndef AIGW_MEM_XPORT_H
#define AIGW_MEM_XPORT_H

#include "buf.h"
#include "xport.h"

struct mem_xport;

/* The handle is owned by the test (mem_xport_free), the face by the code under test (xport_close). */
MUSTCHECK enum errc mem_xport_new(struct turn *t, struct mem_xport **out, struct xport **face);
void mem_xport_free(struct mem_xport **m);

/* The peer sends; delivered when (and as long as) reading is on, else kept. In pieces of `step` bytes (0 = one piece). */
MUSTCHECK enum errc mem_xport_feed(struct mem_xport *m, struct slice data, size_t step);
void mem_xport_eof(struct mem_xport *m);
void mem_xport_reset(struct mem_xport *m, enum errc e);
/* Bytes that were delivered in the receiver's own room, wherever it has any. */
size_t mem_xport_roomed(const struct mem_xport *m);
/* Delivers what was kept. True when something was delivered. */
bool mem_xport_pump(struct mem_xport *m);
/* How many more bytes writes may take; SIZE_MAX (the start) = no bound. Makes on_writable if a write was cut short. */
void mem_xport_window(struct mem_xport *m, size_t n);
/* The next write fails with this. */
void mem_xport_fail_write(struct mem_xport *m, enum errc e);

/* What the code under test wrote; valid until its next write or mem_xport_take(). */
struct slice mem_xport_out(const struct mem_xport *m);
void mem_xport_take(struct mem_xport *m);
unsigned mem_xport_writes(const struct mem_xport *m); /* write calls that took bytes */
bool mem_xport_is_shut(const struct mem_xport *m);
bool mem_xport_is_closed(const struct mem_xport *m);
bool mem_xport_is_reading(const struct mem_xport *m);

/* Moves bytes, ends and closes between two until nothing moves, at most `step` bytes a delivery (0 = all). True when something moved. */
bool mem_xport_exchange(struct mem_xport *a, struct mem_xport *b, size_t step);

#endif

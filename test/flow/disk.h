/* What disk.c records of the ledger's data file, and how a test tells it to fail. */
#ifndef AIGW_TEST_DISK_H
#define AIGW_TEST_DISK_H

#include <stdatomic.h>
#include <stdint.h>

enum disk_kind {
	DISK_WRITE,         /* on disk after the next DISK_SYNC */
	DISK_DURABLE_WRITE, /* through a descriptor with O_DSYNC: on disk */
	DISK_SYNC,
	DISK_SIZE /* the file has `offset` bytes now */
};

/* In the log one after the other, each followed by `len` bytes that were written; `at_ns` is CLOCK_MONOTONIC after the call. */
struct disk_entry {
	uint64_t at_ns, offset;
	uint32_t len, kind;
};

/* In the file `page`: counted are calls that write, sync or cut the file. Those from the number `fail_from` up to before
 * `fail_to` fail with `error`, or write a part and say so where it is 0, of a disk
 * that is full then; what they should have written is there in part. */
struct disk_page {
	_Atomic uint64_t calls, failed, fail_from, fail_to, error;
};

#endif

/* Layout of the shared page; private to page.c, series.c, keymeter.c and breaker.c. All is zero at first but the head. */
#ifndef AIGW_PAGE_MEM_H
#define AIGW_PAGE_MEM_H

#include "breaker.h"
#include "keymeter.h"
#include "page.h"
#include "series.h"

#define PAGE_VERSION   3
#define PAGE_BOOT_ID   36
#define PAGE_SERIES    16384
#define PAGE_HISTOS    4096
#define PAGE_OFFERS    16384
#define PAGE_KEYS      4096
#define PAGE_PROVIDERS 512

/* One series. `hash` is claimed by one atomic exchange; whoever meets it before `meta` is there writes the same text again,
 * so that a process that dies in between leaves nothing undone. */
struct page_series {
	page_u64 hash;  /* of metric and label text; 0: free */
	page_u32 meta;  /* length of labels + 1; 0: not written yet */
	page_u32 id;    /* enum series_id */
	page_u32 histo; /* index + 1 of its histogram */
	page_u32 spare;
	page_u64 value;
	char labels[SERIES_LABELS_MAX];
};

/* One key; hash and meta as in a series. */
struct keymeter {
	_Alignas(64) page_u64 hash; /* of the key's id */
	page_u32 meta;              /* 1: the texts are there */
	uint8_t key_n, account_n;
	char key[16], account[64];
	page_u64 cell[KEYMETER_CELLS];
};

/* The bytes of a key's id, as numbers. */
struct page_ended {
	page_u64 a, b;
};

struct page_head {
	char magic[8]; /* written last */
	uint32_t version, head_bytes;
	uint64_t bytes;
	char ledger_id[32];
	char boot_id[PAGE_BOOT_ID + 4];
	page_u64 generation, draining, master_ms;
	page_u64 durable_epoch, durable_n;
	page_u64 ended_n; /* ever */
	page_u32 slots_high, histos_used, series_used, offers_used, keys_used, providers_used;
	page_u64 series_dropped, series_spill;
	page_u64 gauges[64];
};

struct page_mem {
	_Alignas(4096) struct page_head head;
	_Alignas(4096) struct page_proc procs[PAGE_SLOTS];
	_Alignas(4096) struct page_ended
		ended[PAGE_ENDED_MAX]; /* number n stands at n % PAGE_ENDED_MAX */
	_Alignas(4096) struct page_series series[PAGE_SERIES];
	_Alignas(4096) struct series_histo
		histos[PAGE_HISTOS + 1]; /* the last one takes what found no room */
	_Alignas(4096) struct keymeter keymeters[KEYMETER_KEYS_MAX + 1]; /* the last one is `other` */
	_Alignas(4096) struct breaker offers[PAGE_OFFERS];
	_Alignas(4096) struct breaker_key keys[PAGE_KEYS];
	_Alignas(4096) struct breaker_provider providers[PAGE_PROVIDERS];
};

struct page {
	unsigned magic;
	int fd; /* owned */
	struct page_mem *m;
};

#define PAGE_MAGIC 0x70616765

#endif

/* A page in a folder of its own, for the tests of the page and what lies in it. */
#ifndef AIGW_TEST_IPC_PAGE_H
#define AIGW_TEST_IPC_PAGE_H

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "page.h"

#define IPC_PAGE_LEDGER "0123456789abcdef0123456789abcdef"

static struct page *page;
static char page_dir[64], page_path[96];

static int ipc_page_setup(void **state)
{
	snprintf(page_dir, sizeof(page_dir), "/tmp/aigw-page-XXXXXX");
	if (!mkdtemp(page_dir))
		return -1;
	snprintf(page_path, sizeof(page_path), "%s/page", page_dir);
	return page_make(page_path, IPC_PAGE_LEDGER, &page) == ERRC_OK ? 0 : -1;
}

static int ipc_page_teardown(void **state)
{
	page_unmap(&page);
	(void)unlink(page_path);
	return rmdir(page_dir);
}

#endif

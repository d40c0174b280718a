#include "zone_folder.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "check.h"
#include "folder.h"

/* Twice this and a rule make a TZif file: a header, one offset of 0 seconds and its name. */
#define ZERO4 "\0\0\0\0"
static const char block[] = "TZif2" ZERO4 ZERO4 ZERO4 "\0\0\0" ZERO4 ZERO4 ZERO4 ZERO4 "\0\0\0\1"
			    "\0\0\0\4" ZERO4 "\0\0"
			    "AAA";

static char folder[64];

const char *zone_folder_make(void)
{
	char path[128];

	snprintf(folder, sizeof folder, "/tmp/aigw-zones-XXXXXX");
	require(mkdtemp(folder) && setenv("TZDIR", folder, 1) == 0);
	snprintf(path, sizeof path, "%s/Area", folder);
	require(mkdir(path, 0755) == 0);
	return folder;
}

void zone_folder_put(const char *name, const char *rule)
{
	char path[256];
	FILE *f;

	snprintf(path, sizeof path, "%s/%s", folder, name);
	f = fopen(path, "w");
	require(f);
	require(fwrite(block, sizeof block, 1, f) == 1 && fwrite(block, sizeof block, 1, f) == 1);
	require(fprintf(f, "\n%s\n", rule) > 0 && fclose(f) == 0);
}

void zone_folder_remove(void)
{
	folder_remove("%s", folder);
}

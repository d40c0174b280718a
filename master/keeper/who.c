#include "who.h"

#include <pwd.h>
#include <stdio.h>

void who_name(uint64_t uid, char out[WHO_MAX])
{
	struct passwd pw, *found = NULL;
	char space[4096];

	if (getpwuid_r((uid_t)uid, &pw, space, sizeof(space), &found) == 0 && found)
		snprintf(out, WHO_MAX, "%s", found->pw_name);
	else
		snprintf(out, WHO_MAX, "uid:%llu", (unsigned long long)uid);
}

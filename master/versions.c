#include "versions.h"

#include <uv.h>

#include "digest.h"
#include "http1.h"
#include "inflate.h"
#include "json.h"
#include "live.h"
#include "mpack.h"
#include "text.h"
#include "yaml_tree.h"

/* From `bad_from` on up to before `bad_to` a version is refused, too. */
static const struct row {
	const char *name;
	const char *(*version)(void);
	const char *least, *bad_from, *bad_to, *why;
} rows[] = {
	{"libuv", uv_version_string, "1.44", NULL, NULL, "1.44 or later is needed"},
	{"mbedtls", digest_library, "3.6.6", NULL, NULL,
	 "3.6.6 or later of the long-term branch is needed"},
	{"lmdb", live_library, "0.9.24", "0.9.25", "0.9.32",
	 "the robust mutex of 0.9.25 to 0.9.31 is racy"},
	{"llhttp", http1_library, "9.2.1", NULL, NULL, "9.2.1 or later is needed"},
	{"msgpack-c", mpack_library, "6", NULL, NULL, "6 or later is needed"},
	{"yyjson", json_library, "0.10", NULL, NULL, "0.10 or later is needed"},
	{"libyaml", yaml_library, "0.2.5", NULL, NULL, "0.2.5 or later is needed"},
	{"zlib", inflate_library, "1.2.11", NULL, NULL, "1.2.11 or later is needed"},
};

/* The number at the front of *s, with the dot behind it. */
static unsigned long part(const char **s)
{
	unsigned long v = 0;

	for (; **s >= '0' && **s <= '9' && v < 100000; (*s)++)
		v = v * 10 + (unsigned long)(**s - '0');
	if (**s == '.')
		(*s)++;
	return v;
}

int versions_compare(const char *a, const char *b)
{
	for (int i = 0; i < 4; i++) {
		unsigned long x = part(&a), y = part(&b);

		if (x != y)
			return x < y ? -1 : 1;
	}
	return 0;
}

static bool is_bad(const struct row *r, const char *v)
{
	if (versions_compare(v, r->least) < 0)
		return true;
	return r->bad_from && versions_compare(v, r->bad_from) >= 0 &&
	       versions_compare(v, r->bad_to) < 0;
}

static bool walk(FILE *out, bool all)
{
	bool good = true;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const char *v = rows[i].version();
		bool bad = is_bad(&rows[i], v);

		good = good && !bad;
		if (bad)
			fprintf(out, "%s %s (refused: %s)\n", rows[i].name, v, rows[i].why);
		else if (all)
			fprintf(out, "%s %s\n", rows[i].name, v);
	}
	return good;
}

bool versions_print(FILE *out)
{
	fputs("aigwd " AIGW_VERSION "\n", out);
	return walk(out, true);
}

bool versions_check(FILE *out)
{
	return walk(out, false);
}

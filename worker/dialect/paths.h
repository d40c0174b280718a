/* The path table (contract A1): every route that a client may call, with its aliases. Pure. */
#ifndef AIGW_PATHS_H
#define AIGW_PATHS_H

#include "buf.h"
#include "fault.h"

enum paths_route {
#define PATHS(id, methods, family, served, path, instead) PATHS_##id,
#include "paths_tbl.h"
#undef PATHS
	PATHS_COUNT
};

/* Whose dialect errors on this route use, and where credentials are looked for first. */
enum paths_family { PATHS_FOR_OWN, PATHS_FOR_OPENAI, PATHS_FOR_ANTHROPIC, PATHS_FOR_GEMINI };

enum { PATHS_GET = 1, PATHS_POST = 2, PATHS_DELETE = 4 };

#define PATHS_ID_MAX 320

struct paths_match {
	enum paths_route route;
	enum paths_family family;
	bool head;                     /* HEAD: as GET without the body */
	bool options;                  /* OPTIONS on a route of the list: CORS */
	char id[PATHS_ID_MAX];         /* {id} of the path, percent-decoded once; "" without */
	char deployment[PATHS_ID_MAX]; /* model of /openai/deployments/{m}/… */
	struct slice query;            /* behind the '?', borrowed */
	char allow[48];                /* of a 405: "GET, HEAD" */
};

/* `target` is the request line's origin form. ERRC_NOTFOUND (unknown path, or a route that this
 * version does not serve) and ERRC_PERM (405) set the fault; `m` is filled as far as it goes, the
 * family always. */
MUSTCHECK
enum errc paths_resolve(struct slice method, struct slice target, struct paths_match *m,
			struct fault *f);
/* The canonical path of a route: "/v1/chat/completions". Static. */
const char *paths_name(enum paths_route r);
/* The value of a query parameter, percent-decoded, appended to out; ERRC_NOTFOUND without. */
MUSTCHECK
enum errc paths_query(struct slice query, const char *name, struct buf *out);

#endif

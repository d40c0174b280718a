#include "front.h"

#include "check.h"

static const char *const names[] = {
#define FRONT(id, name) name,
#include "front_tbl.h"
#undef FRONT
};

const char *front_name(unsigned op)
{
	return op < ARRAY_LEN(names) ? names[op] : "unknown";
}

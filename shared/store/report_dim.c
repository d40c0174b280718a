#include "report.h"

static const char *const dim_names[] = {
#define REPORT_DIM(id, name) #name,
#include "report_dim_tbl.h"
#undef REPORT_DIM
};

const char *report_dim_name(enum report_dim d)
{
	return (size_t)d < ARRAY_LEN(dim_names) ? dim_names[d] : "unknown";
}

enum report_dim report_dim_of(struct slice name)
{
	size_t i = 0;

	while (i < ARRAY_LEN(dim_names) && !slice_is(name, dim_names[i]))
		i++;
	return (enum report_dim)i;
}

enum errc report_put_by(struct report_ask *ask, struct slice text)
{
	struct slice one;

	for (bool more = text.n > 0; more;) {
		enum report_dim dim;

		more = slice_cut(&text, ',', &one);
		dim = report_dim_of(slice_trim(one));
		if (dim == REPORT_DIM_COUNT)
			return ERRC_NOTFOUND;
		for (size_t i = 0; i < ask->by_n; i++) {
			if (ask->by[i] == dim)
				return ERRC_EXISTS;
		}
		if (ask->by_n == REPORT_DIMS_MAX)
			return ERRC_LIMIT;
		ask->by[ask->by_n++] = dim;
	}
	return ERRC_OK;
}

#include "credential.h"

/* "Bearer KEY" without its scheme word, in any case; a bare key is taken as it is. */
static struct slice without_scheme(struct slice v)
{
	ptrdiff_t blank;

	v = slice_trim(v);
	blank = slice_chr(v, ' ');
	if (blank > 0 && slice_ieq(slice_sub(v, 0, (size_t)blank), SLICE_LIT("bearer")))
		return slice_trim(slice_sub(v, (size_t)blank, v.n));
	return v;
}

static void add(struct credential *out, size_t *n, const char *where, struct slice value)
{
	value = apikey_trim(value);
	if (!value.n)
		return;
	out[*n] = (struct credential){.value = value, .where = where};
	if (!apikey_parse(value, &out[*n].id))
		out[*n].id = SLICE_NONE;
	(*n)++;
}

size_t credential_find(const struct http1_head *head, const struct paths_match *m,
		       struct buf *query, struct credential out[CREDENTIAL_PLACES])
{
	static const char *const names[2][4] = {
		{"authorization", "x-api-key", "api-key", "x-goog-api-key"},
		{"x-api-key", "authorization", "api-key", "x-goog-api-key"}};
	const char *const *order = names[m->family == PATHS_FOR_ANTHROPIC];
	size_t n = 0;

	for (size_t i = 0; i < 4; i++) {
		struct slice v = http1_header(head, order[i]);

		add(out, &n, order[i],
		    slice_is(slice_str(order[i]), "authorization") ? without_scheme(v) : v);
	}
	if (paths_query(m->query, "key", query) == ERRC_OK)
		add(out, &n, "?key=", buf_slice(query));
	return n;
}

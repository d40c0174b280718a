/* Usage objects for the record: the first byte chooses the room. Whatever comes, what is kept is JSON, fits, and has no text but words. */
#include "fuzz.h"
#include "json.h"
#include "text.h"
#include "usage_raw.h"

static void check_words(const struct json *v)
{
	require(!json_is_str(v) || !json_str(v).n || text_is_word(json_str(v), USAGE_RAW_WORD));
	json_arr_each (it, v)
		check_words(it.val);
	json_obj_each (it, v) {
		require(text_is_word(it.key, USAGE_RAW_NAME));
		check_words(it.val);
	}
}

static void check(struct slice kept)
{
	struct json_doc *doc = NULL;

	require(json_parse(kept, NULL, &doc) == ERRC_OK);
	check_words(json_root(doc));
	json_free(&doc);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct usage_raw list = {0};
	char out[USAGE_RAW_MARK + 2 + 255 + 1];
	struct slice said, part;
	size_t cap, kept;

	if (!n)
		return 0;
	said = slice_of(data + 1, n - 1);
	cap = USAGE_RAW_MARK + 2 + data[0];
	out[cap] = '#';
	kept = usage_raw_write(said, 0, out, cap);
	require(kept <= cap && out[cap] == '#');
	if (kept)
		check(slice_of(out, kept));
	while (slice_cut(&said, '\n', &part) || part.n) {
		usage_raw_add(&list, part);
		require(list.n <= sizeof(list.p));
		if (list.n)
			check(slice_of(list.p, list.n));
	}
	return 0;
}

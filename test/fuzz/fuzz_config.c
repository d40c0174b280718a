/* A configuration of any bytes: an error is told with its place, and what loads prints itself and gives a blob that decodes. */
#include "config.h"
#include "fuzz.h"
#include "ptable.h"

#define OUT_MAX (64 * 1024 * 1024)

static const char *const env[] = {"HOME=/nowhere", "KEY=secret-value", NULL};

static enum errc load(struct slice text, struct buf *messages, struct config **c)
{
	struct config_opts opts = {.path = "x.yaml",
				   .text = text,
				   .env = (char *const *)env,
				   .hostname = "h",
				   .catalog_dir = "/nowhere"};

	buf_init(messages, CONFIG_MESSAGES_MAX);
	return config_load(&opts, messages, c);
}

/* Every message is a line of its own and names the file or nothing. */
static void check_messages(const struct buf *messages)
{
	struct slice rest = buf_slice(messages), line;

	while (slice_cut(&rest, '\n', &line))
		require(slice_has_prefix(line, SLICE_LIT("x.yaml:")) ||
			slice_has_prefix(line, SLICE_LIT("/nowhere/")));
	require(line.n == 0 || messages->len + 2000 > CONFIG_MESSAGES_MAX);
}

static void check_loaded(const struct config *c, struct slice text)
{
	struct buf printed, blob, again, messages;
	struct config *back = NULL;
	struct ptable *t = NULL;

	buf_init(&printed, OUT_MAX);
	buf_init(&blob, OUT_MAX);
	buf_init(&again, OUT_MAX);
	require(config_print(c, false, &printed) == ERRC_OK);
	require(config_blob(c, 1, &blob) == ERRC_OK);
	require(ptable_decode(buf_slice(&blob), &t) == ERRC_OK);
	/* The secret comes from the environment; the input may hold the same words by chance. */
	require(slice_find(buf_slice(&printed), SLICE_LIT("secret-value")) < 0 ||
		slice_find(text, SLICE_LIT("secret-")) >= 0 ||
		slice_find(text, SLICE_LIT("\\")) >= 0);
	require(load(buf_slice(&printed), &messages, &back) == ERRC_OK);
	/* A masked header is the one thing that does not come back as it was. */
	if (slice_find(buf_slice(&printed), SLICE_LIT("***")) < 0) {
		require(config_blob(back, 1, &again) == ERRC_OK);
		require(slice_eq(buf_slice(&blob), buf_slice(&again)));
		require(config_diff(c, back, NULL, NULL) == 0);
	}
	ptable_drop(&t);
	config_free(&back);
	buf_fini(&messages);
	buf_fini(&again);
	buf_fini(&blob);
	buf_fini(&printed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct config *c = NULL;
	struct buf messages;
	enum errc rc = load(slice_of(n ? (const char *)data : "", n), &messages, &c);

	require(rc == ERRC_OK || rc == ERRC_NOMEM || (rc == ERRC_INVAL && messages.len));
	check_messages(&messages);
	if (rc == ERRC_OK)
		check_loaded(c, slice_of(data, n));
	config_free(&c);
	buf_fini(&messages);
	return 0;
}

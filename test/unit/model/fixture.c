#include "fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "folder.h"
#include "mem.h"

void fixture_init(struct fixture *f, const char *const *env)
{
	*f = (struct fixture){.opts = {.path = "aigw.yaml",
				       .env = (char *const *)env,
				       .hostname = "node-7",
				       .catalog_dir = getenv("AIGW_TEST_CATALOG")}};
	assert_non_null(f->opts.catalog_dir);
	buf_init(&f->messages, CONFIG_MESSAGES_MAX);
}

void fixture_fini(struct fixture *f)
{
	config_free(&f->c);
	buf_fini(&f->messages);
	if (f->dir[0]) {
		assert_int_equal(chdir("/"), 0);
		folder_remove("%s", f->dir);
	}
	assert_int_equal(mem_live_count(), 0);
}

static enum errc load(struct fixture *f)
{
	config_free(&f->c);
	buf_reset(&f->messages);
	return config_load(&f->opts, &f->messages, &f->c);
}

enum errc fixture_load(struct fixture *f, const char *text)
{
	f->opts.text = slice_str(text);
	return load(f);
}

const char *fixture_messages(struct fixture *f)
{
	const char *z = buf_cstr(&f->messages);

	assert_non_null(z);
	return z;
}

void fixture_good(struct fixture *f, const char *text)
{
	enum errc rc = fixture_load(f, text);

	assert_string_equal(fixture_messages(f), "");
	assert_int_equal(rc, ERRC_OK);
}

void fixture_file(struct fixture *f, const char *path, const char *content)
{
	char folder[256];
	const char *slash = strrchr(path, '/');
	FILE *file;

	if (!f->dir[0]) {
		snprintf(f->dir, sizeof(f->dir), "/tmp/aigw-config-XXXXXX");
		assert_non_null(mkdtemp(f->dir));
		assert_int_equal(chdir(f->dir), 0);
	}
	if (slash) {
		snprintf(folder, sizeof(folder), "%.*s", (int)(slash - path), path);
		mkdir(folder, 0700);
	}
	file = fopen(path, "w");
	assert_non_null(file);
	assert_int_equal(fputs(content, file) >= 0, 1);
	assert_int_equal(fclose(file), 0);
	assert_int_equal(chmod(path, 0600), 0);
}

enum errc fixture_load_file(struct fixture *f)
{
	f->opts.text = SLICE_NONE;
	return load(f);
}

struct ptable *fixture_table(struct fixture *f)
{
	struct ptable *t = NULL;
	struct buf blob;

	buf_init(&blob, 64 << 20);
	assert_int_equal(config_blob(f->c, 7, &blob), ERRC_OK);
	assert_int_equal(ptable_decode(buf_slice(&blob), &t), ERRC_OK);
	buf_fini(&blob);
	return t;
}

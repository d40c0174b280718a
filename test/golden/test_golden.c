/* Golden cases: <front>-<back>/<case>/ holds request.json (the client's), upstream.json (what the provider gets), answer.json or
 * answer.sse (what it answers) and client.json or client.sse (what the client gets). With AIGW_GOLDEN_UPDATE=1 the two expected
 * files are written anew; the difference is to be read before it is committed. A file `model` names another upstream model. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "mem.h"
#include "rig.h"

#define FILE_MAX (1024 * 1024)

static unsigned cases, wrongs;

static bool load(const char *folder, const char *name, struct buf *out)
{
	char path[1024], *p;
	size_t n;
	FILE *f;

	buf_init(out, FILE_MAX);
	snprintf(path, sizeof(path), "%s/%s", folder, name);
	f = fopen(path, "rb");
	if (!f)
		return false;
	do {
		assert_int_equal(buf_reserve(out, 65536, &p), ERRC_OK);
		n = fread(p, 1, 65536, f);
		buf_commit(out, n);
	} while (n);
	fclose(f);
	return true;
}

static void save(const char *folder, const char *name, struct slice s)
{
	char path[1024];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	f = fopen(path, "wb");
	assert_non_null(f);
	assert_int_equal(fwrite(s.p, 1, s.n, f), s.n);
	fclose(f);
}

static void expect(const char *folder, const char *name, const struct buf *got)
{
	struct buf want;

	if (getenv("AIGW_GOLDEN_UPDATE")) {
		save(folder, name, buf_slice(got));
		return;
	}
	if (!load(folder, name, &want) || !slice_eq(buf_slice(&want), buf_slice(got))) {
		wrongs++;
		print_error("%s/%s differs:\n" SLICE_FMT "\nwanted:\n" SLICE_FMT "\n", folder, name,
			    SLICE_ARG(buf_slice(got)), SLICE_ARG(buf_slice(&want)));
	}
	buf_fini(&want);
}

/* A request that is refused shows as the error body that the client gets. */
static void request(struct rig *r, const char *folder, struct buf *body)
{
	enum errc e = rig_ask(r, DIALECT_CHAT, buf_cstr(body));

	if (!e)
		e = rig_write(r, 0);
	if (e) {
		buf_reset(&r->out);
		assert_int_equal(r->front->write_fault(&r->fault, r->env.gen_id, &r->out), ERRC_OK);
	}
	assert_int_equal(buf_addc(&r->out, '\n'), ERRC_OK);
	expect(folder, "upstream.json", &r->out);
}

static void answer(struct rig *r, const char *folder, struct slice bytes, bool stream)
{
	struct buf whole;

	buf_init(&whole, FILE_MAX);
	for (unsigned split = 0; split < 200; split++) {
		r->split = split;
		assert_int_equal(rig_answer(r, bytes, stream), ERRC_OK);
		if (!stream && r->failed) {
			buf_reset(&r->out);
			assert_int_equal(r->front->write_fault(&r->fault, r->env.gen_id, &r->out),
					 ERRC_OK);
		}
		if (!stream)
			assert_int_equal(buf_addc(&r->out, '\n'), ERRC_OK);
		if (split == 0)
			assert_int_equal(buf_adds(&whole, buf_slice(&r->out)), ERRC_OK);
		else if (!slice_eq(buf_slice(&whole), buf_slice(&r->out)))
			fail_msg("%s: another answer when cut every %u bytes", folder, split);
	}
	expect(folder, stream ? "client.sse" : "client.json", &whole);
	buf_fini(&whole);
}

static void one_case(const char *folder, enum ptable_dialect back)
{
	struct buf body, bytes, model;
	bool stream;
	struct rig r;

	rig_init(&r, back);
	if (load(folder, "model", &model))
		r.offer.upstream = slice_trim(slice_sub(buf_slice(&model), 0, model.len - 1));
	else if (back == PTABLE_ANTHROPIC)
		r.offer.upstream = SLICE_LIT("claude-sonnet-4-5");
	assert_true(load(folder, "request.json", &body));
	request(&r, folder, &body);
	stream = load(folder, "answer.sse", &bytes);
	if (stream || load(folder, "answer.json", &bytes))
		answer(&r, folder, buf_slice(&bytes), stream);
	cases++;
	buf_fini(&model);
	buf_fini(&body);
	buf_fini(&bytes);
	rig_fini(&r);
}

static void pair(const char *name, enum ptable_dialect back)
{
	const char *root = getenv("AIGW_GOLDEN");
	char path[1024], folder[1300];
	struct dirent *d;
	DIR *dir;

	snprintf(path, sizeof(path), "%s/%s", root ? root : "test/golden", name);
	dir = opendir(path);
	assert_non_null(dir);
	while ((d = readdir(dir)) != NULL) {
		if (d->d_name[0] == '.')
			continue;
		snprintf(folder, sizeof(folder), "%s/%s", path, d->d_name);
		one_case(folder, back);
	}
	closedir(dir);
	assert_int_equal(wrongs, 0);
}

static void chat_to_openai(void **state)
{
	pair("openai-openai", PTABLE_OPENAI);
}

static void chat_to_anthropic(void **state)
{
	pair("openai-anthropic", PTABLE_ANTHROPIC);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(chat_to_openai),
		cmocka_unit_test(chat_to_anthropic),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
